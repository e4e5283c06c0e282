//! Which files exist, by listing folders.
//!
//! A data set names ten thousand files in two or three folders. Each folder is listed once and names are
//! looked up in memory, which on a network drive is a thousand times fewer requests than asking for each
//! file.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::VisionError;

/// The folders listed so far, below one root.
pub(crate) struct Listings {
    root: PathBuf,
    folders: HashMap<String, BTreeSet<String>>,
}

impl Listings {
    pub(crate) fn new(root: &Path) -> Listings {
        Listings {
            root: root.to_owned(),
            folders: HashMap::new(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The names in a folder, sorted; none where it does not exist.
    pub(super) fn names(&mut self, folder: &str) -> Result<&BTreeSet<String>, VisionError> {
        if !self.folders.contains_key(folder) {
            let names = list(&self.root.join(folder))?;
            self.folders.insert(folder.to_owned(), names);
        }
        Ok(&self.folders[folder])
    }

    /// The first of `files` that the folder has.
    pub(crate) fn first(
        &mut self,
        folder: &str,
        files: &[String],
    ) -> Result<Option<PathBuf>, VisionError> {
        let names = self.names(folder)?;
        let found = files.iter().find(|file| names.contains(file.as_str()));
        Ok(found.map(|file| self.root.join(folder).join(file)))
    }

    /// The path of a file given relative to the root with `/` between its parts, if it exists.
    pub(super) fn file(&mut self, relative: &str) -> Result<Option<PathBuf>, VisionError> {
        let (folder, file) = relative.rsplit_once('/').unwrap_or((".", relative));
        self.first(folder, &[file.to_owned()])
    }
}

/// The names in a folder, none where it is no folder. Left out are names that are no UTF-8, since no list
/// can have them, and hidden files, since archives from macOS hold a hidden companion of every picture.
pub(crate) fn list(folder: &Path) -> Result<BTreeSet<String>, VisionError> {
    let failed = |error: std::io::Error| VisionError::File {
        action: "list",
        file: folder.to_owned(),
        problem: error.to_string(),
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(BTreeSet::new());
        }
        entries => entries.map_err(failed)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().into_string();
        names.extend(name.ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}
