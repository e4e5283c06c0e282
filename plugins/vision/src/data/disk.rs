//! Files and folders of a data set: which there are, what is in them, and making new ones.
//!
//! A data set names ten thousand files in two or three folders. Each folder is listed once and names are
//! found in memory, which on a network drive is a thousand times fewer requests than asking for each
//! file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use autoloss_spec::text;

use super::names::spelling;
use crate::VisionError;
use crate::codec::MAX_PIXELS;

/// No picture of [`MAX_PIXELS`] needs more; a longer file is not read into memory.
const MAX_BYTES: u64 = 4 * MAX_PIXELS as u64;

/// The folders listed so far, below one root.
pub(crate) struct Listings {
    root: PathBuf,
    folders: HashMap<String, Listing>,
}

/// What is in a folder.
struct Listing {
    path: PathBuf,
    names: BTreeSet<String>,
    /// The names that are spelt otherwise than they are compared, by that spelling.
    respelt: HashMap<String, String>,
}

impl Listing {
    fn new(path: PathBuf, names: BTreeSet<String>) -> Listing {
        let mut respelt = HashMap::new();
        for name in &names {
            let spelt = spelling(name);
            if spelt != *name {
                respelt.entry(spelt.into_owned()).or_insert(name.clone());
            }
        }
        Listing {
            path,
            names,
            respelt,
        }
    }

    /// The file's name as the disk has it: that very name, or one of the same spelling.
    fn find(&self, file: &str) -> Option<&str> {
        if let Some(name) = self.names.get(file) {
            return Some(name);
        }
        let spelt = spelling(file);
        let name = self
            .names
            .get(&*spelt)
            .or_else(|| self.respelt.get(&*spelt));
        name.map(String::as_str)
    }
}

impl Listings {
    pub(crate) fn new(root: &Path) -> Listings {
        Listings {
            root: root.to_owned(),
            folders: HashMap::new(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// As [`list`], of a folder below the root.
    pub(crate) fn names(&mut self, folder: &str) -> Result<&BTreeSet<String>, VisionError> {
        Ok(&self.listing(folder)?.names)
    }

    fn listing(&mut self, folder: &str) -> Result<&Listing, VisionError> {
        if !self.folders.contains_key(folder) {
            let path = self.root.join(folder);
            let names = list(&path)?;
            let mut listing = Listing::new(path, names);
            // Only folders whose letters can be spelt in two ways have another spelling.
            if listing.names.is_empty() && !folder.is_ascii() {
                let (parent, last) = folder.rsplit_once('/').unwrap_or((".", folder));
                let parent = self.listing(parent)?;
                if let Some(name) = parent.find(last) {
                    let path = parent.path.join(name);
                    let names = list(&path)?;
                    listing = Listing::new(path, names);
                }
            }
            self.folders.insert(folder.to_owned(), listing);
        }
        Ok(&self.folders[folder])
    }

    /// The first of `files` that the folder has, if only in another spelling.
    pub(crate) fn first(
        &mut self,
        folder: &str,
        files: &[String],
    ) -> Result<Option<PathBuf>, VisionError> {
        let listing = self.listing(folder)?;
        let found = files.iter().find_map(|file| listing.find(file));
        Ok(found.map(|file| listing.path.join(file)))
    }

    /// The path of a file given relative to the root with `/` between its parts, if it exists.
    pub(crate) fn file(&mut self, relative: &str) -> Result<Option<PathBuf>, VisionError> {
        let (folder, file) = relative.rsplit_once('/').unwrap_or((".", relative));
        self.first(folder, &[file.to_owned()])
    }
}

/// The names in a folder, sorted; empty where there is no such folder. Names that are not UTF-8 are skipped,
/// since no list can have them, and so are hidden files, since archives from macOS hold a hidden companion
/// of every picture.
pub(crate) fn list(folder: &Path) -> Result<BTreeSet<String>, VisionError> {
    let failed = |error: std::io::Error| VisionError::file("list", folder, &error);
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

/// The contents of a text file without a byte-order mark, None where it does not exist.
pub(crate) fn text_of(file: &Path) -> Result<Option<String>, VisionError> {
    match fs::read(file).and_then(|bytes| text(&bytes)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VisionError::file("read", file, &error)),
    }
}

/// The contents of a picture's file, unless it is too long to be a picture.
pub(crate) fn bytes_of(file: &Path) -> Result<Vec<u8>, VisionError> {
    let failed = |error: std::io::Error| VisionError::file("read", file, &error);
    let length = fs::metadata(file).map_err(failed)?.len();
    if length > MAX_BYTES {
        return Err(VisionError::file(
            "read",
            file,
            &format!("it has {length} bytes, more than the {MAX_BYTES} of the largest picture"),
        ));
    }
    fs::read(file).map_err(failed)
}

/// Checks that a folder to be read exists.
pub(crate) fn existing(folder: &Path) -> Result<(), VisionError> {
    if folder.is_dir() {
        return Ok(());
    }
    let problem = "there is no such folder; name one that holds a data set";
    Err(VisionError::folder(folder, problem))
}

/// A data set that is being written, with the names of its samples so far.
pub(crate) struct NewFolder<'a> {
    pub(crate) root: &'a Path,
    names: HashSet<String>,
}

impl<'a> NewFolder<'a> {
    /// Makes the `parts` of a folder that must not hold anything yet.
    pub(crate) fn create(root: &'a Path, parts: &[&str]) -> Result<Self, VisionError> {
        if !list(root)?.is_empty() {
            let problem = "the folder holds files already; name a new or an empty one";
            return Err(VisionError::folder(root, problem));
        }
        for part in parts {
            let path = root.join(part);
            fs::create_dir_all(&path)
                .map_err(|error| VisionError::file("create", &path, &error))?;
        }
        let names = HashSet::new();
        Ok(Self { root, names })
    }

    /// Takes the name of a sample that becomes a file's: a good one, and not taken yet.
    pub(crate) fn take_name(&mut self, name: &str) -> Result<(), VisionError> {
        check_name(name).map_err(|problem| VisionError::folder(self.root, problem))?;
        if self.names.insert(name.to_owned()) {
            return Ok(());
        }
        let problem = format!("two samples are called {name:?}");
        Err(VisionError::folder(self.root, problem))
    }

    /// Writes a file below the folder.
    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), VisionError> {
        let path = self.root.join(relative);
        fs::write(&path, bytes).map_err(|error| VisionError::file("write", &path, &error))
    }

    /// Writes a list: under another name first, so that no half of one is ever read.
    pub(crate) fn write_list(
        &self,
        relative: &str,
        write: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), VisionError> {
        let path = self.root.join(relative);
        let partial = self.root.join(format!("{relative}.partial"));
        write(&partial).map_err(|error| VisionError::file("write", &partial, &error))?;
        fs::rename(&partial, &path).map_err(|error| VisionError::file("rename", &partial, &error))
    }
}

/// Checks that a sample's name can be a file's name without its ending, on any system.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.contains(['/', '\\', ':', '\0']) || name.starts_with('.') {
        return Err(format!(
            "{name:?} is not a plain name; names lead to files inside the data set's folders alone"
        ));
    }
    let white = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control());
    if white {
        return Err(format!(
            "{name:?} is empty or contains white space or control characters"
        ));
    }
    Ok(())
}
