//! Questions to a run. Reading needs no lock: reports can be made of a run that is going on, and
//! of a folder that may not be written.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use autoloss_search::{
    BestLoss, CandidateId, CandidateRecord, Counts, Entry, EvaluationKey, EvaluationRecord,
    Fitness, OpenCandidate, OutcomeKind, Provenance, Purpose, RunHeader, SearchConfig, Stage,
    StageTimes,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row, Transaction, params};
use tempfile::TempDir;

use crate::error::StoreError;
use crate::files::failure;
use crate::rows::{self, RowError};
use crate::schema;
use crate::spec::RunSpec;
use crate::tally::{Effort, SessionTime, Tally, Worked};

/// The losses of a score.
type Scored = (Fitness, BTreeMap<String, String>);

/// One evaluation as a point of the search's curve.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Evaluations so far, this one included.
    pub evaluations: u64,
    /// Candidates explored so far, this one included.
    pub explored: u64,
    /// Seconds of the run.
    pub elapsed: f64,
    /// Target score of this evaluation, where it has one.
    pub score: Option<f64>,
    /// Best score so far.
    pub best: Option<f64>,
}

/// The log that holds what a run wrote last, where it is not in the database yet.
fn unwritten(folder: &Path) -> Option<PathBuf> {
    let log = folder.join("run.db-wal");
    let length = log.metadata().ok()?.len();
    (length > 0).then_some(log)
}

/// A run folder open for reading.
#[derive(Debug)]
pub struct RunReader {
    connection: Connection,
    folder: PathBuf,
    /// Where the database is read from, where that is not the folder; removed with the reader.
    copy: Option<TempDir>,
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
        // A reader of a WAL database keeps an index beside it, which one that may not write cannot make.
        let connection = match Connection::open_with_flags(&path, flags).and_then(readable) {
            Ok(connection) => connection,
            Err(first) => match unwritten(folder) {
                // Nothing of it is missing in the database itself.
                None => {
                    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
                    Connection::open_with_flags(immutable_uri(&path), flags)
                        .and_then(readable)
                        .map_err(|_| StoreError::sqlite(folder, first))?
                }
                Some(log) => return Self::of_copy(folder, &log),
            },
        };
        schema::check(&connection, folder)?;
        let reader = Self::over(connection, folder);
        reader.header()?;
        Ok(reader)
    }

    /// Reads a copy of a run whose log can be read only where there is room to write beside it.
    pub(crate) fn of_copy(folder: &Path, log: &Path) -> Result<Self, StoreError> {
        let copy = || {
            let place = tempfile::tempdir()?;
            let database = place.path().join("run.db");
            std::fs::copy(folder.join("run.db"), &database)?;
            std::fs::copy(log, place.path().join("run.db-wal"))?;
            Ok((place, database))
        };
        let (place, database) = copy().map_err(|error: std::io::Error| StoreError::Unwritten {
            log: log.to_path_buf(),
            error,
        })?;
        let connection = Connection::open(&database);
        let connection = connection.map_err(|error| StoreError::sqlite(folder, error))?;
        schema::check(&connection, folder)?;
        let mut reader = Self::over(connection, folder);
        reader.copy = Some(place);
        reader.header()?;
        Ok(reader)
    }

    pub(crate) fn over(connection: Connection, folder: &Path) -> Self {
        Self {
            connection,
            folder: folder.to_path_buf(),
            copy: None,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
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
            config: SearchConfig::from_stored(&config, "the stored configuration")
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

    /// Candidates by outcome, and where their time went.
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
                fitness: Fitness::new(row.get("score")?)
                    .ok_or_else(|| RowError::Value("a score is not finite".into()))?,
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
        let query = format!(
            "SELECT id, score, elapsed FROM candidates WHERE {} ORDER BY elapsed, id",
            rows::evaluated()
        );
        self.each(&query, [], |row| {
            let score: Option<f64> = row.get(1)?;
            let before = curve.last().and_then(|point| point.best);
            let explored = curve.last().map_or(0, |point| point.explored);
            curve.push(CurvePoint {
                evaluations: curve.len() as u64 + 1,
                explored: explored.max(row.get::<_, i64>(0)? as u64 + 1),
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

    /// The trainings in worker processes, in the order of their ends; those of the final table are not kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn worked(&self) -> Result<Vec<Worked>, StoreError> {
        let mut worked = Vec::new();
        if !self.has_evaluation_column("worker")? {
            return Ok(worked);
        }
        let waited = match self.has_evaluation_column("waited_seconds")? {
            true => "coalesce(waited_seconds, 0.0)",
            false => "0.0",
        };
        let query = format!(
            "SELECT worker, elapsed, train_seconds + eval_seconds, {waited}, verdict \
             FROM evaluations WHERE worker IS NOT NULL ORDER BY elapsed, id"
        );
        self.each(&query, [], |row| {
            let code: String = row.get(4)?;
            worked.push(Worked {
                worker: row.get::<_, i64>(0)? as usize,
                end: row.get(1)?,
                seconds: row.get(2)?,
                waited: row.get(3)?,
                outcome: OutcomeKind::from_code(&code).ok_or_else(|| rows::unreadable(&code))?,
            });
            Ok(())
        })?;
        Ok(worked)
    }

    /// Whether trainings have this column, which those of an earlier version that is only read may lack.
    fn has_evaluation_column(&self, name: &str) -> Result<bool, StoreError> {
        let query = "SELECT 1 FROM pragma_table_info('evaluations') WHERE name = ?1";
        Ok(self.one(query, [name], |_| Ok(()))?.is_some())
    }

    /// How many workers there were, and the part of the time from the first training's begin to the last one's end
    /// that they were busy; none where there were no workers.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn busy(&self) -> Result<Option<(u64, f64)>, StoreError> {
        if !self.has_evaluation_column("worker")? {
            return Ok(None);
        }
        let query = "SELECT max(worker), sum(train_seconds + eval_seconds), \
                     min(elapsed - train_seconds - eval_seconds), max(elapsed) \
                     FROM evaluations WHERE worker IS NOT NULL";
        let busy = self.one(query, [], |row| {
            let Some(most) = row.get::<_, Option<i64>>(0)? else {
                return Ok(None);
            };
            let (busy, first, last): (f64, f64, f64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let workers = most as u64 + 1;
            let all = workers as f64 * (last - first).max(1e-9);
            Ok(Some((workers, busy / all)))
        })?;
        Ok(busy.flatten())
    }

    /// Why candidates could not be evaluated, and how many: most frequent first. Numbers within a reason do not
    /// count, nor do a lost worker's last words.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn failure_reasons(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut counted: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let query = "SELECT detail FROM candidates WHERE verdict = 'failed' ORDER BY id";
        self.each(query, [], |row| {
            let reason = row.get::<_, Option<String>>(0)?.unwrap_or_default();
            let reason = reason.split("; ").next().unwrap_or_default();
            let kind = reason.replace(|c: char| c.is_ascii_digit(), "");
            let entry = counted
                .entry(kind)
                .or_insert_with(|| (reason.to_owned(), 0));
            entry.1 += 1;
            Ok(())
        })?;
        let mut counted: Vec<(String, u64)> = counted.into_values().collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(counted)
    }

    /// The candidates whose outcome waits for a training, in the order of exploration.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn open_candidates(&self) -> Result<Vec<OpenCandidate>, StoreError> {
        let mut open = Vec::new();
        // A run of an earlier version that is only read has no such table.
        let there = "SELECT 1 FROM sqlite_schema WHERE name = 'open'";
        if self.one(there, [], |_| Ok(()))?.is_some() {
            let query = "SELECT candidate FROM open ORDER BY id";
            self.each(query, [], |row| {
                open.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
                Ok(())
            })?;
        }
        Ok(open)
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

    /// Adds the candidates since the last call to a tally, which begins as the default one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn update(&self, tally: &mut Tally) -> Result<(), StoreError> {
        // What is open and what is settled must be of one moment.
        let _moment = self.moment()?;
        let after = tally.last.map_or(-1, |id| id.0 as i64);
        let waited: Vec<u64> = tally.open.iter().map(|id| id.0).collect();
        let waited = serde_json::to_string(&waited)
            .map_err(|error| StoreError::damaged(&self.folder, error.to_string()))?;
        // Millions of rows: SQLite would sort them to group them.
        let query = "SELECT id, elapsed, verdict, detail IS NOT NULL, generate_ns, static_ns, \
                     canonical_ns, probe_ns, reject_ns, evaluate_ns \
                     FROM candidates WHERE id > ?1 OR id IN (SELECT value FROM json_each(?2))";
        let mut next = tally.clone();
        let open = self.open_candidates()?.into_iter();
        next.open = open.map(|open| open.id).collect();
        self.each(query, params![after, waited], |row| {
            let code = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let kind = OutcomeKind::from_code(code).ok_or_else(|| rows::unreadable(code))?;
            let mut times = StageTimes::default();
            for (column, stage) in Stage::ALL.into_iter().enumerate() {
                times.add(stage, row.get::<_, i64>(column + 4)? as u64);
            }
            next.counts.add(kind, 1, &times);
            if kind == OutcomeKind::NonFinite && row.get(3)? {
                next.non_finite_in_protocol += 1;
            }
            let id = CandidateId(row.get::<_, i64>(0)? as u64);
            next.last = next.last.max(Some(id));
            next.elapsed = next.elapsed.max(row.get(1)?);
            Ok(())
        })?;
        *tally = next;
        Ok(())
    }

    /// Until it is dropped, all that is read is of one moment.
    pub(crate) fn moment(&self) -> Result<Transaction<'_>, StoreError> {
        let transaction = self.connection.unchecked_transaction();
        transaction.map_err(|error| StoreError::sqlite(&self.folder, error))
    }

    /// Candidates explored so far, by the last one's number; counting them would visit every row.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn explored(&self) -> Result<u64, StoreError> {
        let last = self.one("SELECT max(id) FROM candidates", [], |row| {
            Ok(row.get::<_, Option<i64>>(0)?)
        })?;
        Ok(last.flatten().map_or(0, |last| last as u64 + 1))
    }

    /// Seconds of the run at about `points` candidates that lie evenly over all of them, the first and the last
    /// among them: (explored, seconds).
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn pace(&self, points: u64) -> Result<Vec<(u64, f64)>, StoreError> {
        let Some(last) = self.explored()?.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let steps = points.saturating_sub(1).clamp(1, last.max(1));
        let mut found: Vec<(u64, f64)> = Vec::new();
        for step in 0..=steps {
            let id = (u128::from(last) * u128::from(step) / u128::from(steps)) as i64;
            let query = "SELECT id, elapsed FROM candidates WHERE id >= ?1 ORDER BY id LIMIT 1";
            let point = self.one(query, [id], |row| {
                Ok((row.get::<_, i64>(0)? as u64 + 1, row.get(1)?))
            })?;
            let last = found.last().copied().unwrap_or_default();
            let point = point.filter(|point| last.0 < point.0);
            // A candidate that waited for its training was settled later than those after it.
            found.extend(
                point.map(|(explored, seconds): (u64, f64)| (explored, seconds.max(last.1))),
            );
        }
        Ok(found)
    }

    /// How many candidates had each outcome, for one stretch of `stretch` candidates after another: (number of
    /// the stretch from 0, outcome, count), in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn outcomes(&self, stretch: u64) -> Result<Vec<(u64, OutcomeKind, u64)>, StoreError> {
        let mut found = Vec::new();
        let query = "SELECT id / ?1, verdict, count(*) FROM candidates GROUP BY 1, 2 ORDER BY 1, 2";
        let stretch = i64::try_from(stretch.max(1)).unwrap_or(i64::MAX);
        self.each(query, [stretch], |row| {
            let code: String = row.get(1)?;
            let kind = OutcomeKind::from_code(&code).ok_or_else(|| rows::unreadable(&code))?;
            found.push((
                row.get::<_, i64>(0)? as u64,
                kind,
                row.get::<_, i64>(2)? as u64,
            ));
            Ok(())
        })?;
        Ok(found)
    }

    /// What the evaluations of a purpose have cost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn effort(&self, purpose: Purpose) -> Result<Effort, StoreError> {
        let query = "SELECT count(*), coalesce(sum(steps), 0), coalesce(sum(train_seconds), 0.0), \
                     coalesce(sum(eval_seconds), 0.0) FROM evaluations WHERE purpose = ?1";
        let effort = self.one(query, [purpose.name()], |row| {
            Ok(Effort {
                trainings: row.get::<_, i64>(0)? as u64,
                steps: row.get::<_, i64>(1)? as u64,
                train_seconds: row.get(2)?,
                eval_seconds: row.get(3)?,
            })
        })?;
        Ok(effort.unwrap_or_default())
    }

    /// The processes that have worked on the run, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn sessions(&self) -> Result<Vec<SessionTime>, StoreError> {
        let mut found = Vec::new();
        let query = "SELECT started, seconds FROM sessions ORDER BY id";
        self.each(query, [], |row| {
            found.push(SessionTime {
                started: row.get::<_, i64>(0)? as u64,
                seconds: row.get(1)?,
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether a process works on the run now. What cannot be asked counts as no.
    #[must_use]
    pub fn in_use(&self) -> bool {
        let Ok(file) = File::open(self.folder().join("run.lock")) else {
            return false;
        };
        // Shared, so that several readers may ask at once; given back at once with the file.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The score and every metric of a candidate's own evaluation in the search, where it has one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn search_evaluation(
        &self,
        candidate: CandidateId,
    ) -> Result<Option<EvaluationRecord>, StoreError> {
        let query = "SELECT * FROM evaluations WHERE candidate = ?1 AND purpose = 'search' LIMIT 1";
        self.one(query, [candidate.0 as i64], rows::read_evaluation)
    }

    /// Candidates that could not be evaluated.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn failures(&self) -> Result<u64, StoreError> {
        let query =
            "SELECT count(*) FROM evaluations WHERE purpose = 'search' AND verdict = 'failed'";
        let count = self.one(query, [], |row| Ok(row.get::<_, i64>(0)? as u64));
        count.map(Option::unwrap_or_default)
    }

    /// Whether any candidate was made from another, as in every method but random search.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn has_children(&self) -> Result<bool, StoreError> {
        let query = "SELECT 1 FROM candidates WHERE parent IS NOT NULL LIMIT 1";
        Ok(self.one(query, [], |_| Ok(()))?.is_some())
    }

    /// The median among the random losses that were accepted and scored before any training was pruned,
    /// since what remains after that is not a random choice: what the search had before it evolved anything.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn random_median(&self) -> Result<Option<Scored>, StoreError> {
        let mut scored: Vec<Scored> = Vec::new();
        let mut pruned = false;
        self.for_each_candidate(|record| {
            pruned |= record.outcome.kind() == OutcomeKind::StoppedEarly;
            if let (Some(fitness), true, false) =
                (record.outcome.fitness(), record.is_random(), pruned)
            {
                scored.push((fitness, record.losses));
            }
        })?;
        scored.sort_by_key(|(fitness, _)| *fitness);
        let middle = scored.len().saturating_sub(1) / 2;
        Ok(scored.into_iter().nth(middle))
    }

    /// Why the last session failed, if it did and none is at work.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        failure(&self.folder).filter(|_| !self.in_use())
    }

    /// What must be known, beside the stored configuration, to open the run's task again.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpec`] or [`StoreError::DamagedFile`] where nothing tells it.
    pub fn spec(&self) -> Result<RunSpec, StoreError> {
        let stored = self.one("SELECT * FROM run WHERE id = 1", [], |row| {
            match row.get::<_, Option<String>>("spec") {
                // A run of an earlier version that is only read.
                Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
                other => Ok(other?),
            }
        })?;
        match stored.flatten() {
            Some(text) => self.json(&text),
            None => RunSpec::read_file(&self.folder),
        }
    }

    /// One evaluation, where it has been run.
    pub(crate) fn evaluation(
        &self,
        key: &EvaluationKey,
    ) -> Result<Option<EvaluationRecord>, StoreError> {
        self.one(
            "SELECT * FROM evaluations WHERE candidate = ?1 AND purpose = ?2 AND seed = ?3 \
             AND split = ?4",
            rusqlite::params![
                key.candidate.0 as i64,
                key.purpose.name(),
                key.seed as i64,
                key.split
            ],
            rows::read_evaluation,
        )
    }

    /// Tells everything that a search needs to go on, or to be gone through again
    /// ([`autoloss_search::verify`]).
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn replay(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        self.each("SELECT * FROM screens ORDER BY id", [], |row| {
            visit(Entry::Screen(rows::read_screen(row)?));
            Ok(())
        })?;
        // That of a candidate which is not settled is met when it is.
        let query = "SELECT look FROM evaluations WHERE purpose = 'search' AND look IS NOT NULL \
                     AND candidate IN (SELECT id FROM candidates) ORDER BY candidate";
        self.each(query, [], |row| {
            visit(Entry::PruningScore(row.get(0)?));
            Ok(())
        })?;
        for open in self.open_candidates()? {
            visit(Entry::Open(open));
        }
        self.for_each_candidate(|record| visit(Entry::Candidate(record)))
    }

    fn one<T>(
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

    fn each(
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

pub(crate) fn immutable_uri(path: &Path) -> String {
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
