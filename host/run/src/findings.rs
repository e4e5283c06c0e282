//! `final.json`, which a finished search leaves in its run folder: the chosen loss and the final table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoloss_search::Row;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::files::{read_json, write_json};

const FILE: &str = "final.json";

/// What a finished search found. Fields that a file of another version lacks have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// The run folder, as the search named it.
    pub run: PathBuf,
    /// Candidates explored.
    pub explored: u64,
    /// Candidates that were to be trained with.
    pub proxies: u64,
    /// How many candidates had each outcome, by code name.
    pub verdicts: BTreeMap<String, u64>,
    /// Seconds of searching, over all sessions.
    pub search_seconds: f64,
    /// Seconds of these spent writing the run folder.
    pub store_seconds: f64,
    /// Name of the target score.
    pub score: Option<String>,
    /// The chosen loss; absent where none trained with every seed, or none was asked for.
    pub best: Option<Found>,
    /// Target score of the median among the random losses that were accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_accepted_median: Option<f64>,
    /// The final table: the chosen loss first, then what it is compared with.
    pub test: Vec<Row>,
    /// Standard deviation of the target score between seeds: the root of the rows' mean variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_floor: Option<f64>,
}

/// The loss that was chosen on the selection split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its candidate's number.
    pub candidate: String,
    /// Text form of each searched branch's graph, by branch.
    pub losses: BTreeMap<String, String>,
    /// The same, canonical, as formulas for people.
    pub formulas: BTreeMap<String, String>,
    /// Its target score in the search.
    pub search_score: Option<f64>,
    /// Mean and standard deviation of its target score on the selection split.
    pub selection: Option<(f64, f64)>,
    /// The loss file.
    pub file: PathBuf,
}

impl Findings {
    /// Writes the file into a run folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        write_json(&folder.join(FILE), self)
    }

    /// Reads the file of a run folder; nothing where there is none.
    ///
    /// # Errors
    /// [`StoreError::DamagedFile`], or what the disk says.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&folder.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_its_default_and_what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(Findings::read(folder.path()).unwrap(), None);
        std::fs::write(&path, "{\"explored\": 12, \"new\": []}").unwrap();
        let found = Findings::read(folder.path()).unwrap().unwrap();
        assert_eq!((found.explored, found.best), (12, None));
        std::fs::write(&path, "{\"explored\": ").unwrap();
        let error = Findings::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("final.json is damaged: "), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let findings = Findings {
            explored: 3,
            score: Some("mIoU".into()),
            noise_floor: Some(0.1 + 0.2),
            ..Findings::default()
        };
        findings.write(folder.path()).unwrap();
        assert_eq!(Findings::read(folder.path()).unwrap(), Some(findings));
    }
}
