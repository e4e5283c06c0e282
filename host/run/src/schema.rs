//! The tables of `run.db`, versioned by SQLite's `user_version`, which is the version of the whole run
//! folder. A run of a later version is refused by name rather than read wrongly; one of an earlier version
//! is read as it is, and migrated when a search goes on with it.

use std::path::Path;

use rusqlite::Connection;

use crate::error::StoreError;

/// Version of the tables below.
pub(crate) const VERSION: i64 = 5;

/// The earliest version that a search can go on with. What version 1 has explored was looked up and
/// pruned by other rules.
const RESUMABLE: i64 = 2;

/// The run spec was a file of its own in version 2.
const TO_3: &str = "ALTER TABLE run ADD COLUMN spec TEXT;";

/// Version 3 had candidates settled in the order of their numbers.
const TO_4: &str = "ALTER TABLE candidates ADD COLUMN settled_before INTEGER;
ALTER TABLE candidates ADD COLUMN settled_order INTEGER;
ALTER TABLE evaluations ADD COLUMN worker INTEGER;
CREATE INDEX candidates_failed ON candidates (id) WHERE verdict = 'failed';";

/// Version 4 did not tell how long trainings waited for batches.
const TO_5: &str = "ALTER TABLE evaluations ADD COLUMN waited_seconds REAL;";

/// Candidates whose outcome waits for a training, as JSON: few, and gone when they are settled.
const OPEN: &str = "CREATE TABLE open (id INTEGER PRIMARY KEY, candidate TEXT NOT NULL);";

/// `canonical` holds a 64-bit hash, bit for bit as a signed integer. `passed` has bit b set where
/// branch b passed its screens. A candidate's `branch` is the one that decided its verdict, and
/// null where the loss as a whole was looked up.
const TABLES: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    task TEXT NOT NULL,
    config TEXT NOT NULL,
    provenance TEXT NOT NULL,
    created INTEGER NOT NULL,
    spec TEXT
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    started INTEGER NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    child INTEGER NOT NULL,
    parent INTEGER,
    origins TEXT NOT NULL,
    losses TEXT NOT NULL,
    canonical INTEGER,
    gradient_key TEXT,
    verdict TEXT NOT NULL,
    detail TEXT,
    branch INTEGER,
    passed INTEGER NOT NULL,
    equivalent_of INTEGER,
    score REAL,
    joined INTEGER NOT NULL,
    ends_child INTEGER NOT NULL,
    generate_ns INTEGER NOT NULL,
    static_ns INTEGER NOT NULL,
    canonical_ns INTEGER NOT NULL,
    probe_ns INTEGER NOT NULL,
    reject_ns INTEGER NOT NULL,
    evaluate_ns INTEGER NOT NULL,
    elapsed REAL NOT NULL,
    settled_before INTEGER,
    settled_order INTEGER
);
CREATE INDEX candidates_joined ON candidates (id) WHERE joined = 1;
CREATE INDEX candidates_scored ON candidates (score DESC, id) WHERE verdict = 'scored';
CREATE INDEX candidates_failed ON candidates (id) WHERE verdict = 'failed';
CREATE TABLE screens (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL,
    branch INTEGER NOT NULL,
    canonical INTEGER,
    gradient_key TEXT,
    verdict TEXT NOT NULL,
    detail TEXT
);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    seed INTEGER NOT NULL,
    split TEXT NOT NULL,
    losses TEXT NOT NULL,
    verdict TEXT NOT NULL,
    detail TEXT,
    score REAL,
    metrics TEXT NOT NULL,
    steps INTEGER NOT NULL,
    train_seconds REAL NOT NULL,
    eval_seconds REAL NOT NULL,
    final_loss REAL,
    elapsed REAL NOT NULL,
    look REAL,
    worker INTEGER,
    waited_seconds REAL,
    UNIQUE (candidate, purpose, seed, split)
);
";

/// Creates the tables in an empty database.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} {OPEN} PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

/// Makes a run that a search can go on with one of this version. `spec` reads the run spec of version 2.
pub(super) fn migrate(
    connection: &Connection,
    folder: &Path,
    spec: impl FnOnce() -> Result<Option<String>, StoreError>,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite(folder, error);
    let found = version(connection).map_err(failed)?;
    if found < RESUMABLE {
        return Err(StoreError::OlderSchema {
            folder: folder.to_path_buf(),
            found,
            known: VERSION,
        });
    }
    if found < VERSION {
        let spec = match found {
            2 => spec()?,
            _ => None,
        };
        let migrate = || {
            let transaction = connection.unchecked_transaction()?;
            if found == 2 {
                transaction.execute_batch(TO_3)?;
                transaction.execute("UPDATE run SET spec = ?1", [spec])?;
            }
            if found < 4 {
                transaction.execute_batch(TO_4)?;
                transaction.execute_batch(OPEN)?;
            }
            transaction.execute_batch(TO_5)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()
        };
        migrate().map_err(failed)?;
        tracing::info!(
            "the run in {} is now of version {VERSION}",
            folder.display()
        );
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Refuses a database of a later version, and one that is not ours.
pub(super) fn check(connection: &Connection, folder: &Path) -> Result<(), StoreError> {
    let found = version(connection).map_err(|error| StoreError::sqlite(folder, error))?;
    if found > VERSION {
        return Err(StoreError::NewerSchema {
            folder: folder.to_path_buf(),
            found,
            known: VERSION,
        });
    }
    if found < 1 {
        return Err(StoreError::NotARun {
            folder: folder.to_path_buf(),
        });
    }
    Ok(())
}
