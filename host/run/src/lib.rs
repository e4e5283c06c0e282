//! The run folder: what a search has written down, for going on with it and for reports.
//!
//! ```text
//! run.db         the database: run spec, configuration, every candidate, every training
//! run.lock       held by the one process that may write
//! best/          loss files of the best losses so far
//! best.json      the loss that was chosen at the end
//! failure.txt    why the last session failed, if it did
//! final.json     what a finished search found, with its final table
//! pictures/      example predictions and their index
//! report.html    all of it for people
//! ```
//!
//! [`Store`] is the search's journal; [`RunReader`] answers questions about a run, also while a search works
//! on it; [`Run`] is a folder opened with everything in it. The folder has one version, that of the database.
//! This crate stores and tells; how candidates are made and what follows from their scores is the
//! search's.

mod contents;
mod error;
mod files;
mod findings;
mod lock;
mod pictures;
mod reader;
mod rows;
mod schema;
mod spec;
mod store;
mod summary;
mod tally;
mod verify;

pub use contents::{Contents, Fingerprints, Group, files_in};
pub use error::StoreError;
pub use files::{note_failure, write_loss_file, write_whole};
pub use findings::{Findings, Found, Second};
pub use lock::RunLock;
pub use pictures::{PictureIndex, PictureRow};
pub use reader::{CurvePoint, RunReader};
pub use spec::{MachineUse, OwnSettings, RunSpec};
pub use store::{FLUSH_AFTER, FLUSH_ROWS, Store};
pub use summary::{Run, RunState, RunSummary, date, is_run, run_folders, timestamp};
pub use tally::{Effort, SessionTime, Tally, Worked};
pub use verify::Verification;

#[cfg(test)]
mod tests;
