//! Reading a run folder without the host's own code.

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// A row as it can be compared: `column=value` of each column.
pub type Row = Vec<String>;

fn open(folder: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    Connection::open_with_flags(folder.join("run.db"), flags).unwrap()
}

/// The rows of a query.
///
/// # Panics
/// Where the database cannot be read.
#[must_use]
pub fn query(folder: &Path, sql: &str) -> Vec<Row> {
    let connection = open(folder);
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let cell = |row: &rusqlite::Row<'_>, at: usize| {
        let value: Value = row.get(at).unwrap();
        match value {
            // Bit for bit.
            Value::Real(number) => format!("{}={number:?} {:016x}", names[at], number.to_bits()),
            other => format!("{}={other:?}", names[at]),
        }
    };
    let rows = statement.query_map([], |row| {
        Ok((0..names.len()).map(|at| cell(row, at)).collect())
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The number that a query asks for.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn number(folder: &Path, sql: &str) -> f64 {
    open(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// How many rows a table has.
#[must_use]
pub fn count(folder: &Path, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let count: i64 = open(folder).query_row(&sql, [], |row| row.get(0)).unwrap();
    count.unsigned_abs()
}

/// All that a run found out, without the times it took: candidates, then evaluations.
#[must_use]
pub fn findings(folder: &Path) -> Vec<Row> {
    let candidates = query(
        folder,
        "SELECT id, child, parent, origins, losses, canonical, gradient_key, verdict, detail, \
         branch, passed, equivalent_of, score, joined, ends_child FROM candidates ORDER BY id",
    );
    let evaluations = query(
        folder,
        "SELECT candidate, purpose, seed, split, losses, verdict, detail, score, metrics, steps, \
         final_loss FROM evaluations ORDER BY candidate, purpose, seed, split",
    );
    [candidates, evaluations].concat()
}

/// Changes the schema version of a run.
pub fn set_schema(folder: &Path, version: i64) {
    open(folder)
        .pragma_update(None, "user_version", version)
        .unwrap();
}

/// The loss files of a run's best losses, in the order of their names.
#[must_use]
pub fn best_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("best")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
