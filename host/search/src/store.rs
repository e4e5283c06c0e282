//! The run folder: `run.db` (SQLite in WAL mode), `run.lock`, and `best/` with loss files.
//!
//! One database file rather than a log of lines, since resume and reports ask questions of it.
//! Candidates are cheap and many, so they are buffered and written in one transaction every
//! [`FLUSH_ROWS`] rows or [`FLUSH_AFTER`]; a finished evaluation is dear and is written at once
//! with everything before it. A process that is killed therefore loses no evaluation, and what
//! else it loses is the tail of the exploration, which a resumed run makes again, the same.
//! `synchronous = NORMAL` keeps that promise for killed processes; after a power cut the last
//! transactions may be missing, never half there.
//!
//! ```
//! use autoloss_search::store::{Store, StoreError};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let run = folder.path().join("run");
//! let store = Store::create(&run)?;
//! // The folder is locked for as long as the store lives.
//! assert!(matches!(Store::open(&run), Err(StoreError::InUse { .. })));
//! drop(store);
//! # Ok::<(), StoreError>(())
//! ```

mod best;
mod effort;
mod error;
mod lock;
mod provenance;
mod reader;
mod record;
mod restore;
mod rows;
mod schema;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use best::write_loss_file;
pub use effort::{Effort, SessionTime, Tally};
pub use error::StoreError;
pub use lock::RunLock;
pub use provenance::{PluginIdentity, Provenance};
pub use reader::{BestLoss, CurvePoint, RunReader};
pub use record::{CandidateRecord, EvaluationRecord, Purpose, RunHeader};

use crate::config::SearchConfig;
use crate::pipeline::BranchEntry;
use crate::timing::nanoseconds_since;

/// Candidates buffered at most before they are written.
pub const FLUSH_ROWS: usize = 512;
/// Age at which buffered candidates are written when the next one comes.
pub const FLUSH_AFTER: Duration = Duration::from_millis(1000);

/// A run folder open for writing, locked against other processes.
#[derive(Debug)]
pub struct Store {
    reader: RunReader,
    _lock: RunLock,
    candidates: Vec<CandidateRecord>,
    entries: Vec<(u64, BranchEntry)>,
    flushed: Instant,
    /// Row of this process's session, its start, and the seconds of all sessions before it.
    session: Option<i64>,
    started: Instant,
    before: f64,
    nanoseconds: u64,
}

impl Store {
    /// Makes a new run folder, and the folders above it.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyARun`] where there is one, [`StoreError::InUse`], or what the disk says.
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, folder, error))?;
        let lock = RunLock::take(folder)?;
        let path = folder.join("run.db");
        if path.is_file() && !is_unused(&path) {
            return Err(StoreError::AlreadyARun {
                folder: folder.to_path_buf(),
            });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = connect(folder, &path, flags)?;
        if schema::check(&connection, folder).is_err() {
            schema::create(&connection).map_err(|error| StoreError::sqlite(folder, error))?;
        }
        Self::with(connection, folder, lock)
    }

    /// Opens a run folder to go on with it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotARun`], [`StoreError::InUse`], [`StoreError::NewerSchema`],
    /// [`StoreError::OlderSchema`], [`StoreError::Corrupt`], or what the disk says.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("run.db");
        if !path.is_file() {
            return Err(StoreError::NotARun {
                folder: folder.to_path_buf(),
            });
        }
        let lock = RunLock::take(folder)?;
        let connection = connect(folder, &path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check(&connection, folder)?;
        let store = Self::with(connection, folder, lock)?;
        store.reader.header()?;
        Ok(store)
    }

    fn with(connection: Connection, folder: &Path, lock: RunLock) -> Result<Self, StoreError> {
        schema::check_current(&connection, folder)?;
        let reader = RunReader::over(connection, folder);
        let before = reader.elapsed_seconds()?;
        Ok(Self {
            reader,
            _lock: lock,
            candidates: Vec::new(),
            entries: Vec::new(),
            flushed: Instant::now(),
            session: None,
            started: Instant::now(),
            before,
            nanoseconds: 0,
        })
    }

    /// Everything that can be read from the run. Buffered candidates are not there yet.
    #[must_use]
    pub fn reader(&self) -> &RunReader {
        &self.reader
    }

    /// The run folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.reader.folder()
    }

    /// Seconds that all sessions of the run have taken, this one included.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        let session = self
            .session
            .map_or(0.0, |_| self.started.elapsed().as_secs_f64());
        self.before + session
    }

    /// Nanoseconds this process has spent writing.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds
    }

    /// Writes what the run is.
    pub(crate) fn begin(&mut self, header: &RunHeader) -> Result<(), StoreError> {
        rows::insert_header(self.reader.connection(), header)
            .map_err(|error| rows::sorted(self.folder(), error))
    }

    /// Notes that the run goes on with another budget.
    pub(crate) fn change_config(&mut self, config: &SearchConfig) -> Result<(), StoreError> {
        rows::update_config(self.reader.connection(), config)
            .map_err(|error| rows::sorted(self.folder(), error))
    }

    /// Begins to count this process's time.
    pub(crate) fn begin_session(&mut self) -> Result<(), StoreError> {
        if self.session.is_some() {
            return Ok(());
        }
        let row = rows::insert_session(self.reader.connection(), seconds_since_1970())
            .map_err(|error| StoreError::sqlite(self.folder(), error))?;
        self.session = Some(row);
        self.started = Instant::now();
        Ok(())
    }

    /// Buffers a candidate, and writes the buffer where it is large or old.
    pub(crate) fn push(
        &mut self,
        record: CandidateRecord,
        entries: Vec<BranchEntry>,
    ) -> Result<(), StoreError> {
        let id = record.id.0;
        self.candidates.push(record);
        self.entries
            .extend(entries.into_iter().map(|entry| (id, entry)));
        if self.candidates.len() >= FLUSH_ROWS || self.flushed.elapsed() >= FLUSH_AFTER {
            return self.flush();
        }
        Ok(())
    }

    /// Writes the buffer and the session's time.
    ///
    /// # Errors
    ///
    /// What the disk says; the buffer stays, so that a later flush writes it.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.write(None)
    }

    /// Writes a finished evaluation and everything before it.
    pub(crate) fn record_evaluation(
        &mut self,
        evaluation: &EvaluationRecord,
    ) -> Result<(), StoreError> {
        self.write(Some(evaluation))
    }

    fn write(&mut self, evaluation: Option<&EvaluationRecord>) -> Result<(), StoreError> {
        let start = Instant::now();
        let written = self.transact(evaluation);
        self.flushed = Instant::now();
        self.nanoseconds = self.nanoseconds.saturating_add(nanoseconds_since(start));
        written.map_err(|error| rows::sorted(self.folder(), error))?;
        self.candidates.clear();
        self.entries.clear();
        Ok(())
    }

    fn transact(&self, evaluation: Option<&EvaluationRecord>) -> Result<(), rows::RowError> {
        let connection = self.reader.connection();
        let transaction =
            rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        rows::insert_candidates(&transaction, &self.candidates)?;
        rows::insert_entries(&transaction, &self.entries)?;
        if let Some(evaluation) = evaluation {
            rows::insert_evaluation(&transaction, evaluation)?;
        }
        if let Some(session) = self.session {
            rows::update_session(&transaction, session, self.started.elapsed().as_secs_f64())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Whether an existing database was never begun, as after a kill at the very start.
fn is_unused(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else {
        return false;
    };
    let count = |query| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    match count("SELECT count(*) FROM sqlite_schema") {
        Ok(0) => true,
        Ok(_) => count("SELECT count(*) FROM run") == Ok(0),
        Err(_) => false,
    }
}

fn connect(folder: &Path, path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let sorted = |error| StoreError::sqlite(folder, error);
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sorted)?;
    connection
        .busy_timeout(Duration::from_secs(10))
        .map_err(sorted)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        .map_err(sorted)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The folder of loss files within a run folder.
pub(crate) fn best_folder(folder: &Path) -> PathBuf {
    folder.join("best")
}

#[cfg(test)]
mod tests;
