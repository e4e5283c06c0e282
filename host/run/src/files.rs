//! Files of a run folder that appear whole or not at all: each is written beside its place and renamed
//! into it, so that a reader never sees half a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use autoloss_graph::LossFile;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// Writes a file so that it appears whole or not at all.
///
/// # Errors
///
/// What the disk says.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    // A half-written file would only confuse; that it cannot be removed either changes nothing.
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Name of the file that tells why the last session failed.
const FAILURE: &str = "failure.txt";

/// Leaves in a run folder why its session failed, or nothing where it did not. A folder that cannot be written says it
/// already.
pub fn note_failure(folder: &Path, failure: Option<&str>) {
    let path = folder.join(FAILURE);
    let noted = match failure {
        Some(text) => write_whole(&path, &format!("{}\n", text.trim_end())),
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    if let Err(error) = noted {
        tracing::debug!("{}: {error}", path.display());
    }
}

/// Why the last session of a run failed, if it did.
pub(crate) fn failure(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(FAILURE)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Writes a loss file.
///
/// # Errors
///
/// [`StoreError::Io`], [`StoreError::ReadOnly`] or [`StoreError::DiskFull`].
pub fn write_loss_file(path: &Path, file: &LossFile) -> Result<(), StoreError> {
    let text = file.to_json_pretty();
    let text = format!("{}\n", text.trim_end_matches('\n'));
    let folder = path.parent().unwrap_or(Path::new("."));
    write_whole(path, &text).map_err(|error| StoreError::io(folder, path, error))
}

/// Reads a value from JSON; nothing where there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(folder, path, error)),
        Ok(text) => {
            serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| StoreError::DamagedFile {
                    path: path.to_path_buf(),
                    detail: error.to_string(),
                })
        }
    }
}

/// Writes a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    serde_json::to_string_pretty(value)
        .map_err(io::Error::from)
        .and_then(|text| write_whole(path, &text))
        .map_err(|error| StoreError::io(folder, path, error))
}
