//! The run folder: `run.db` (SQLite in WAL mode), `run.lock`, and `best/` with loss files.
//!
//! One database file rather than a log of lines, since resume and reports ask questions of it.
//! Candidates are cheap and many, so they are buffered and written in one transaction every
//! [`FLUSH_ROWS`] rows or [`FLUSH_AFTER`]; a finished evaluation is dear and is written at once
//! with everything before it, as is what is trained, before it begins. A process that is killed therefore loses no evaluation, and what
//! else it loses is the tail of the exploration, which a resumed run makes again.
//! `synchronous = NORMAL` keeps that promise for killed processes; after a power cut the last
//! transactions may be missing, never half there.
//!
//! ```
//! use autoloss_run::{Store, StoreError};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let run = folder.path().join("run");
//! let store = Store::create(&run)?;
//! // The folder is locked for as long as the store lives.
//! assert!(matches!(Store::open(&run), Err(StoreError::InUse { .. })));
//! drop(store);
//! # Ok::<(), StoreError>(())
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use autoloss_graph::LossFile;
use autoloss_search::{
    BestLoss, CandidateRecord, Entry, EvaluationKey, EvaluationRecord, Journal, JournalError,
    OpenCandidate, RunHeader, ScreenRecord, SearchConfig, Settled,
};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::StoreError;
use crate::files::write_loss_file;
use crate::lock::RunLock;
use crate::reader::RunReader;
use crate::rows;
use crate::schema;
use crate::spec::RunSpec;

/// Candidates buffered at most before they are written.
pub const FLUSH_ROWS: usize = 512;
/// Age at which buffered candidates are written when the next one comes.
pub const FLUSH_AFTER: Duration = Duration::from_millis(1000);

/// A run folder open for writing, locked against other processes.
#[derive(Debug)]
pub struct Store {
    reader: RunReader,
    _lock: RunLock,
    spec: Option<RunSpec>,
    header: Option<RunHeader>,
    open: Vec<OpenCandidate>,
    candidates: Vec<CandidateRecord>,
    screens: Vec<ScreenRecord>,
    flushed: Instant,
    /// Row of this process's session, its start, and the seconds of all sessions before it.
    session: Option<i64>,
    started: Instant,
    before: f64,
    writing: Duration,
}

impl Store {
    /// Makes a new run folder, and the folders above it.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyARun`] where there is one, [`StoreError::InUse`], or what the disk says.
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, folder, error))?;
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
        schema::migrate(&connection, folder, || Ok(None))?;
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
        schema::migrate(&connection, folder, || RunSpec::text_of_file(folder))?;
        let mut store = Self::with(connection, folder, lock)?;
        store.header = Some(store.reader.header()?);
        Ok(store)
    }

    fn with(connection: Connection, folder: &Path, lock: RunLock) -> Result<Self, StoreError> {
        let reader = RunReader::over(connection, folder);
        let before = reader.elapsed_seconds()?;
        Ok(Self {
            reader,
            _lock: lock,
            spec: None,
            header: None,
            open: Vec::new(),
            candidates: Vec::new(),
            screens: Vec::new(),
            flushed: Instant::now(),
            session: None,
            started: Instant::now(),
            before,
            writing: Duration::ZERO,
        })
    }

    /// The same folder, for a run of this spec; it is written when the run begins.
    #[must_use]
    pub fn with_spec(mut self, spec: RunSpec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// Writes down what a run that goes on was opened with, where that changed.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn change_spec(&self, spec: &RunSpec) -> Result<(), StoreError> {
        rows::update_spec(self.reader.connection(), spec)
            .map_err(|error| rows::sorted(self.folder(), error))
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

    fn write(&mut self, evaluation: Option<&EvaluationRecord>) -> Result<(), StoreError> {
        let start = Instant::now();
        let written = self.transact(evaluation);
        self.flushed = Instant::now();
        self.writing += start.elapsed();
        written.map_err(|error| rows::sorted(self.folder(), error))?;
        self.open.clear();
        self.candidates.clear();
        self.screens.clear();
        Ok(())
    }

    fn transact(&self, evaluation: Option<&EvaluationRecord>) -> Result<(), rows::RowError> {
        let connection = self.reader.connection();
        let transaction =
            rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        rows::write_open(&transaction, &self.open, &self.candidates)?;
        rows::insert_candidates(&transaction, &self.candidates)?;
        rows::insert_screens(&transaction, &self.screens)?;
        if let Some(evaluation) = evaluation {
            rows::insert_evaluation(&transaction, evaluation)?;
        }
        if let Some(session) = self.session {
            rows::update_session(&transaction, session, self.started.elapsed().as_secs_f64())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Makes `best/` hold exactly the given losses.
    fn write_best(&self, header: &RunHeader, best: &[BestLoss]) -> Result<(), StoreError> {
        let folder = best_folder(self.folder());
        let failed = |error| StoreError::io(self.folder(), &folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut names = BTreeSet::new();
        for loss in best {
            let name = format!("candidate-{:08}.json", loss.id.0);
            let path = folder.join(&name);
            if !path.exists() {
                write_loss_file(&path, &loss_file(header, loss))?;
            }
            names.insert(name);
        }
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.starts_with("candidate-");
            if ours && !names.contains(&name) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn sorted(&self, error: rows::RowError) -> JournalError {
        rows::sorted(self.folder(), error).into()
    }
}

impl Journal for Store {
    fn begin(&mut self, header: &RunHeader) -> Result<(), JournalError> {
        let spec = self.spec.as_ref().map(serde_json::to_string).transpose()?;
        rows::insert_header(self.reader.connection(), header, spec.as_deref())
            .map_err(|error| self.sorted(error))?;
        self.header = Some(header.clone());
        Ok(())
    }

    fn header(&self) -> Result<RunHeader, JournalError> {
        Ok(self.reader.header()?)
    }

    fn change_config(&mut self, config: &SearchConfig) -> Result<(), JournalError> {
        rows::update_config(self.reader.connection(), config).map_err(|error| self.sorted(error))
    }

    fn begin_session(&mut self) -> Result<(), JournalError> {
        if self.session.is_some() {
            return Ok(());
        }
        let row = rows::insert_session(self.reader.connection(), seconds_since_1970())
            .map_err(|error| StoreError::sqlite(self.folder(), error))?;
        self.session = Some(row);
        self.started = Instant::now();
        Ok(())
    }

    fn elapsed(&self) -> f64 {
        let session = self
            .session
            .map_or(0.0, |_| self.started.elapsed().as_secs_f64());
        self.before + session
    }

    fn opened(
        &mut self,
        open: &OpenCandidate,
        screens: Vec<ScreenRecord>,
    ) -> Result<(), JournalError> {
        self.open.push(open.clone());
        self.screens.extend(screens);
        Ok(())
    }

    /// Buffers a candidate, and writes the buffer where it is large or old.
    fn settled(&mut self, settled: Settled) -> Result<(), JournalError> {
        self.candidates.push(settled.record);
        self.screens.extend(settled.screens);
        if self.candidates.len() >= FLUSH_ROWS || self.flushed.elapsed() >= FLUSH_AFTER {
            return self.flush();
        }
        Ok(())
    }

    fn evaluated(&mut self, record: &EvaluationRecord) -> Result<(), JournalError> {
        Ok(self.write(Some(record))?)
    }

    /// Writes the buffer and the session's time. Where the disk refuses, the buffer stays, so that a later
    /// flush writes it.
    fn flush(&mut self) -> Result<(), JournalError> {
        Ok(self.write(None)?)
    }

    fn best(&mut self, best: &[BestLoss]) -> Result<(), JournalError> {
        match &self.header {
            Some(header) => Ok(self.write_best(header, best)?),
            None => Ok(()),
        }
    }

    fn replay(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        Ok(self.reader.replay(visit)?)
    }

    fn evaluation(&self, key: &EvaluationKey) -> Result<Option<EvaluationRecord>, JournalError> {
        Ok(self.reader.evaluation(key)?)
    }

    fn writing_seconds(&self) -> f64 {
        self.writing.as_secs_f64()
    }
}

fn loss_file(header: &RunHeader, loss: &BestLoss) -> LossFile {
    let mut file = LossFile::new(&header.task.task, loss.losses.clone());
    file.conventions = header.task.conventions.clone();
    file.name = Some(format!("candidate {}", loss.id));
    for (key, value) in [
        ("candidate", serde_json::json!(loss.id.0)),
        ("score", serde_json::json!(loss.fitness)),
        ("seed", serde_json::json!(header.config.seed)),
    ] {
        file.provenance.insert(key.to_owned(), value);
    }
    file
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

fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The folder of loss files within a run folder.
fn best_folder(folder: &Path) -> PathBuf {
    folder.join("best")
}
