//! What can go wrong with a report, each in one sentence.

use std::io;
use std::path::{Path, PathBuf};

use autoloss_run::StoreError;
use thiserror::Error;

/// Why a report could not be made, written or served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The run could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another program listens on the port.
    #[error("port {port} of 127.0.0.1 is in use: name another one, or 0 for any that is free")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// The port could not be opened.
    #[error("cannot listen on port {port} of 127.0.0.1: {detail}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        detail: String,
    },
    /// The server stopped working.
    #[error("the report can no longer be served: {source}")]
    Serve {
        /// What the system said.
        source: io::Error,
    },
}

impl ReportError {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_path_buf(),
            source,
        }
    }
}
