//! The index of a run folder's `pictures/`: what the PNG files beside it show.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::files::{read_json, write_json};

const FILE: &str = "index.json";

/// Example predictions: a row for each sample, a column for what is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PictureIndex {
    /// Split of the samples.
    pub split: String,
    /// Titles of the columns.
    pub columns: Vec<String>,
    /// The samples.
    pub rows: Vec<PictureRow>,
}

/// One sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PictureRow {
    /// Its number within the split.
    pub sample: serde_json::Value,
    /// File names by column; absent where there is nothing to see.
    pub files: Vec<Option<String>>,
    /// What is said below each picture, by column.
    pub captions: Vec<Option<String>>,
}

impl PictureIndex {
    /// The folder of the pictures within a run folder.
    #[must_use]
    pub fn folder(run: &Path) -> PathBuf {
        run.join("pictures")
    }

    fn file(run: &Path) -> PathBuf {
        Self::folder(run).join(FILE)
    }

    /// Reads the index of a run folder, where there is one.
    ///
    /// # Errors
    /// [`StoreError::DamagedFile`], or what the disk says.
    pub fn read(run: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&Self::file(run))
    }

    /// Writes the index of a run folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, run: &Path) -> Result<(), StoreError> {
        write_json(&Self::file(run), self)
    }
}
