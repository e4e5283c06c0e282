//! Questions to a run. Reading needs no lock: reports can be made of a run that is going on, and
//! of a folder that may not be written.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row};

use super::effort::Tally;
use super::error::StoreError;
use super::provenance::Provenance;
use super::record::{CandidateRecord, EvaluationRecord, Purpose, RunHeader};
use super::rows::{self, RowError};
use super::schema;
use crate::config::SearchConfig;
use crate::counts::Counts;
use crate::verdict::CandidateId;

/// A scored loss.
#[derive(Clone, Debug, PartialEq)]
pub struct BestLoss {
    /// The candidate.
    pub id: CandidateId,
    /// Its score.
    pub score: f64,
    /// Text form of the graph of each branch, by branch name.
    pub losses: BTreeMap<String, String>,
}

/// One evaluation as a point of the search's curve.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Evaluations so far, this one included.
    pub evaluations: u64,
    /// Candidates explored so far, this one included.
    pub explored: u64,
    /// Seconds of the run.
    pub elapsed: f64,
    /// Score of this evaluation, where it has one.
    pub score: Option<f64>,
    /// Best score so far.
    pub best: Option<f64>,
}

/// A run folder open for reading.
#[derive(Debug)]
pub struct RunReader {
    connection: Connection,
    folder: PathBuf,
}

impl RunReader {
    /// Opens a run folder for reading, even while a search writes to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotARun`], [`StoreError::NewerSchema`], [`StoreError::Corrupt`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("run.db");
        if !path.is_file() {
            return Err(StoreError::NotARun {
                folder: folder.to_path_buf(),
            });
        }
        let readable = |connection: Connection| {
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.query_row("PRAGMA user_version", [], |_| Ok(()))?;
            Ok(connection)
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // A reader of a WAL database keeps an index beside it; where the folder may not be written
        // nobody writes the database either, and it can be read as it lies there.
        let connection = Connection::open_with_flags(&path, flags)
            .and_then(readable)
            .or_else(|first| {
                let flags = flags | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(immutable_uri(&path), flags)
                    .and_then(readable)
                    .map_err(|_| first)
            })
            .map_err(|error| StoreError::sqlite(folder, error))?;
        schema::check(&connection, folder)?;
        let reader = Self::over(connection, folder);
        reader.header()?;
        Ok(reader)
    }

    pub(super) fn over(connection: Connection, folder: &Path) -> Self {
        Self {
            connection,
            folder: folder.to_path_buf(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The run folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the run is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotARun`] where no search has begun to write.
    pub fn header(&self) -> Result<RunHeader, StoreError> {
        let row = self
            .connection
            .query_row(
                "SELECT task, config, provenance, created FROM run WHERE id = 1",
                [],
                |row| {
                    let texts: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
                    Ok((texts, row.get::<_, i64>(3)?))
                },
            )
            .optional()
            .map_err(|error| self.sqlite(error))?;
        let Some(([task, config, provenance], created)) = row else {
            return Err(StoreError::NotARun {
                folder: self.folder.clone(),
            });
        };
        let provenance: Provenance = self.json(&provenance)?;
        Ok(RunHeader {
            task: self.json(&task)?,
            config: SearchConfig::from_toml(&config, "the stored configuration")
                .map_err(|error| StoreError::damaged(&self.folder, error.to_string()))?,
            provenance,
            created: created as u64,
        })
    }

    /// Seconds that all sessions have taken.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn elapsed_seconds(&self) -> Result<f64, StoreError> {
        self.one(
            "SELECT coalesce(sum(seconds), 0.0) FROM sessions",
            [],
            |row| Ok(row.get(0)?),
        )
        .map(Option::unwrap_or_default)
    }

    /// Candidates by verdict, and where their time went.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let mut tally = Tally::default();
        self.update(&mut tally)?;
        Ok(tally.counts)
    }

    /// The best `limit` losses by score; of equal ones the earlier first. Losses that share
    /// another's score are not among them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn best(&self, limit: usize) -> Result<Vec<BestLoss>, StoreError> {
        let mut best = Vec::new();
        let query = "SELECT id, score, losses FROM candidates WHERE verdict = 'scored' \
                     ORDER BY score DESC, id LIMIT ?1";
        self.each(query, [limit as i64], |row| {
            best.push(BestLoss {
                id: rows::id(row, "id")?,
                score: row.get("score")?,
                losses: rows::read_losses(row)?,
            });
            Ok(())
        })?;
        Ok(best)
    }

    /// Score against effort, a point for each evaluation.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn curve(&self) -> Result<Vec<CurvePoint>, StoreError> {
        let mut curve: Vec<CurvePoint> = Vec::new();
        let query = "SELECT id, score, elapsed FROM candidates WHERE verdict IN \
                     ('scored', 'invalid_training', 'stopped_early', 'failed') ORDER BY id";
        self.each(query, [], |row| {
            let score: Option<f64> = row.get(1)?;
            let before = curve.last().and_then(|point| point.best);
            curve.push(CurvePoint {
                evaluations: curve.len() as u64 + 1,
                explored: row.get::<_, i64>(0)? as u64 + 1,
                elapsed: row.get(2)?,
                score,
                best: score.map_or(before, |s| Some(before.map_or(s, |b| b.max(s)))),
            });
            Ok(())
        })?;
        Ok(curve)
    }

    /// One candidate.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchCandidate`].
    pub fn candidate(&self, candidate: CandidateId) -> Result<CandidateRecord, StoreError> {
        self.one(
            "SELECT * FROM candidates WHERE id = ?1",
            [candidate.0 as i64],
            rows::read_candidate,
        )?
        .ok_or_else(|| StoreError::NoSuchCandidate {
            folder: self.folder.clone(),
            candidate,
        })
    }

    /// A candidate and its ancestors, back to the fresh loss it comes from.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchCandidate`].
    pub fn lineage(&self, candidate: CandidateId) -> Result<Vec<CandidateRecord>, StoreError> {
        let mut line = vec![self.candidate(candidate)?];
        while let Some(record) = line.last()
            && let Some(parent) = record.parent
        {
            if parent >= record.id {
                let detail = format!("candidate {} has the parent {parent}", record.id);
                return Err(StoreError::damaged(&self.folder, detail));
            }
            line.push(self.candidate(parent)?);
        }
        Ok(line)
    }

    /// Visits every candidate in the order of exploration.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn for_each_candidate(
        &self,
        mut visit: impl FnMut(CandidateRecord),
    ) -> Result<(), StoreError> {
        self.each("SELECT * FROM candidates ORDER BY id", [], |row| {
            visit(rows::read_candidate(row)?);
            Ok(())
        })
    }

    /// Every evaluation of a purpose, by candidate and seed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn evaluations(&self, purpose: Purpose) -> Result<Vec<EvaluationRecord>, StoreError> {
        let mut found = Vec::new();
        let query = "SELECT * FROM evaluations WHERE purpose = ?1 ORDER BY candidate, seed, split";
        self.each(query, [purpose.name()], |row| {
            found.push(rows::read_evaluation(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn one<T>(
        &self,
        query: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, RowError>,
    ) -> Result<Option<T>, StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(query)?;
            let mut found = statement.query(parameters)?;
            found.next()?.map(read).transpose()
        };
        run().map_err(|error| rows::sorted(&self.folder, error))
    }

    pub(super) fn each(
        &self,
        query: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<(), RowError>,
    ) -> Result<(), StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(query)?;
            let mut found = statement.query(parameters)?;
            while let Some(row) = found.next()? {
                read(row)?;
            }
            Ok(())
        };
        run().map_err(|error| rows::sorted(&self.folder, error))
    }

    fn sqlite(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.folder, error)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|e| StoreError::damaged(&self.folder, e.to_string()))
    }
}

pub(super) fn immutable_uri(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut uri = String::from("file:");
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let written = write!(uri, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        }
    }
    uri.push_str("?immutable=1");
    uri
}
