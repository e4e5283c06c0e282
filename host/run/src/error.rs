//! What can be wrong with a run folder, each in one sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use autoloss_search::CandidateId;
use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a run folder could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What a run wrote last lies in a log that cannot be read.
    #[error(
        "{} holds what the run wrote last, and is read only where its folder can be written; a copy elsewhere failed",
        log.display()
    )]
    Unwritten {
        /// The log.
        log: PathBuf,
        /// Why no copy could be made.
        #[source]
        error: io::Error,
    },
    /// There is no run in the folder.
    #[error("{} holds no run: there is no run.db in it that a search has begun to write", .folder.display())]
    NotARun {
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing tells with what the run was opened.
    #[error("the run in {} does not say which plugins, task and data it was opened with", .folder.display())]
    NoSpec {
        /// The folder.
        folder: PathBuf,
    },
    /// There is a run already.
    #[error("{} holds a run already: resume it, or name another folder", .folder.display())]
    AlreadyARun {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process works on the run.
    #[error("the run in {} is in use{}: wait for it to end, or stop it", .folder.display(), .process.map(|id| format!(" by process {id}")).unwrap_or_default())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process, where its id could be read.
        process: Option<u32>,
    },
    /// The folder may not be written.
    #[error("{} is read-only: a run must be able to write into its folder", .folder.display())]
    ReadOnly {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no space left.
    #[error("the disk of {} is full: free some space and resume the run, which has lost nothing that was finished", .folder.display())]
    DiskFull {
        /// The folder.
        folder: PathBuf,
    },
    /// The database is damaged.
    #[error("the database of the run in {} is damaged ({detail}): restore run.db from a copy, or begin a new run", .folder.display())]
    Corrupt {
        /// The folder.
        folder: PathBuf,
        /// Where.
        detail: String,
    },
    /// A later version wrote the run.
    #[error("the run in {} was written by a later version (schema {found}, this one knows up to {known}): use that version to go on", .folder.display())]
    NewerSchema {
        /// The folder.
        folder: PathBuf,
        /// The run's schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// An earlier version wrote the run, by other rules.
    #[error("the run in {} was written by an earlier version (schema {found}, this one writes {known}): it can be read, but only that version can go on with it", .folder.display())]
    OlderSchema {
        /// The folder.
        folder: PathBuf,
        /// The run's schema.
        found: i64,
        /// The schema written here.
        known: i64,
    },
    /// The run has no such candidate.
    #[error("the run in {} has no candidate {candidate}", .folder.display())]
    NoSuchCandidate {
        /// The folder.
        folder: PathBuf,
        /// The candidate asked for.
        candidate: CandidateId,
    },
    /// A file of the run says something else than it should.
    #[error("{} is damaged: {detail}", .path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// Where.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused something else.
    #[error("the database of the run in {} failed: {source}", .folder.display())]
    Database {
        /// The folder.
        folder: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Sorts an error of SQLite.
    pub(crate) fn sqlite(folder: &Path, source: rusqlite::Error) -> Self {
        let folder = folder.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { folder },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { folder },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt {
                folder,
                detail: source.to_string(),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse {
                folder,
                process: None,
            },
            _ => Self::Database { folder, source },
        }
    }

    /// Sorts an error of the file system on a file of the run.
    #[must_use]
    pub fn io(folder: &Path, path: &Path, source: io::Error) -> Self {
        let folder = folder.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { folder }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { folder },
            _ => Self::Io {
                path: path.to_path_buf(),
                source,
            },
        }
    }

    /// A stored value that cannot be understood.
    pub(crate) fn damaged(folder: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            folder: folder.to_path_buf(),
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_errors_are_sorted() {
        let sorted = |kind| StoreError::io(Path::new("r"), Path::new("r/x"), io::Error::from(kind));
        assert!(matches!(
            sorted(io::ErrorKind::ReadOnlyFilesystem),
            StoreError::ReadOnly { .. }
        ));
        assert!(matches!(
            sorted(io::ErrorKind::StorageFull),
            StoreError::DiskFull { .. }
        ));
        let other = sorted(io::ErrorKind::NotFound).to_string();
        assert!(other.starts_with("r/x: "), "{other}");
    }
}
