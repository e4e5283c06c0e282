//! What folders of all layouts have in common: being opened, being complete, being written anew.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::list::check_name;
use super::listing::list;
use super::write::failed;
use crate::{Split, VisionError};

fn error(folder: &Path, problem: impl Into<String>) -> VisionError {
    VisionError::Folder {
        folder: folder.to_owned(),
        problem: problem.into(),
    }
}

/// That a folder to be read is there.
pub(crate) fn existing(folder: &Path) -> Result<(), VisionError> {
    match folder.is_dir() {
        true => Ok(()),
        false => Err(error(
            folder,
            "there is no such folder; name one that holds a data set",
        )),
    }
}

/// What a search needs: something in each split. `things` are what splits are counted in, `origin` is what the
/// search's own splits are held out of.
pub(crate) fn require_splits(
    folder: &Path,
    len: impl Fn(Split) -> usize,
    things: &str,
    origin: &str,
) -> Result<(), VisionError> {
    let empty = Split::ALL.into_iter().filter(|&split| len(split) == 0);
    let empty: Vec<_> = empty.map(Split::name).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let all: usize = Split::ALL.into_iter().map(len).sum();
    let empty = empty.join(", ");
    Err(error(
        folder,
        format!(
            "of its {all} {things} none is left for: {empty}; a search needs all four splits, so add \
             pictures or raise the shares that are held out of the {origin}"
        ),
    ))
}

/// Makes the parts of a folder to be written, in which nothing may be yet.
pub(crate) fn create(folder: &Path, parts: &[&str]) -> Result<(), VisionError> {
    if !list(folder)?.is_empty() {
        let problem = "the folder holds files already; name a new or an empty one";
        return Err(error(folder, problem));
    }
    for part in parts {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(|error| failed("create", &path, &error))?;
    }
    Ok(())
}

/// Takes a sample's name that is to become a file's: a good one, and not yet `seen`.
pub(crate) fn take_name(
    folder: &Path,
    seen: &mut HashSet<String>,
    name: &str,
) -> Result<(), VisionError> {
    check_name(name).map_err(|problem| error(folder, problem))?;
    match seen.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(error(folder, format!("two samples are called {name:?}"))),
    }
}
