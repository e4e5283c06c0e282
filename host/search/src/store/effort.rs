//! What a report asks of a run beyond its losses: where candidates ended, how fast it went, and whether a
//! process works on it. Candidates are only ever added, in the order of their numbers, so a tally is
//! brought up to date with what came since; a page that follows a run of millions must not count them
//! all every second.

use std::fs::{File, TryLockError};

use super::error::StoreError;
use super::reader::RunReader;
use super::record::Purpose;
use super::rows::{self, RowError};
use crate::counts::Counts;
use crate::timing::{Stage, StageTimes};
use crate::verdict::{CandidateId, VerdictKind};

/// Tallies of the candidates so far.
///
/// ```
/// use autoloss_search::store::Tally;
///
/// assert_eq!(Tally::default().counts.explored(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Candidates by verdict, and where their time went.
    pub counts: Counts,
    /// How many of the candidates that are not finite only became so within the loss-rejection protocol.
    pub non_finite_in_protocol: u64,
    /// Seconds of the run when the last of them was recorded.
    pub elapsed: f64,
    /// The last of them.
    last: Option<CandidateId>,
}

/// What the evaluations of a purpose have cost.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Effort {
    /// Trainings, whatever came of them.
    pub trainings: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
}

/// One process's work on a run.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct SessionTime {
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// How long it took, as far as it is written.
    pub seconds: f64,
}

impl RunReader {
    /// Adds the candidates since the last call to a tally, which begins as the default one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn update(&self, tally: &mut Tally) -> Result<(), StoreError> {
        let after = tally.last.map_or(-1, |id| id.0 as i64);
        let query = "SELECT verdict, verdict = 'non_finite' AND detail IS NOT NULL, count(*), max(id), \
                     max(elapsed), sum(generate_ns), sum(static_ns), sum(canonical_ns), \
                     sum(probe_ns), sum(reject_ns), sum(evaluate_ns) \
                     FROM candidates WHERE id > ?1 GROUP BY 1, 2";
        let mut next = tally.clone();
        self.each(query, [after], |row| {
            let code: String = row.get(0)?;
            let kind = VerdictKind::from_code(&code)
                .ok_or_else(|| RowError::Value(format!("the verdict {code:?} cannot be read")))?;
            let count = row.get::<_, i64>(2)? as u64;
            let mut times = StageTimes::default();
            for (column, stage) in Stage::ALL.into_iter().enumerate() {
                times.add(stage, row.get::<_, i64>(column + 5)? as u64);
            }
            next.counts.add(kind, count, &times);
            if row.get(1)? {
                next.non_finite_in_protocol += count;
            }
            next.last = next
                .last
                .max(Some(CandidateId(row.get::<_, i64>(3)? as u64)));
            next.elapsed = next.elapsed.max(row.get(4)?);
            Ok(())
        })?;
        *tally = next;
        Ok(())
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
            found.extend(point.filter(|point| found.last().is_none_or(|last| last.0 < point.0)));
        }
        Ok(found)
    }

    /// How many candidates got each verdict, for one stretch of `stretch` candidates after another: (number of
    /// the stretch from 0, verdict, count), in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as the database says.
    pub fn verdicts(&self, stretch: u64) -> Result<Vec<(u64, VerdictKind, u64)>, StoreError> {
        let mut found = Vec::new();
        let query = "SELECT id / ?1, verdict, count(*) FROM candidates GROUP BY 1, 2 ORDER BY 1, 2";
        let stretch = i64::try_from(stretch.max(1)).unwrap_or(i64::MAX);
        self.each(query, [stretch], |row| {
            let code: String = row.get(1)?;
            let kind = VerdictKind::from_code(&code)
                .ok_or_else(|| RowError::Value(format!("the verdict {code:?} cannot be read")))?;
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
    ) -> Result<Option<super::EvaluationRecord>, StoreError> {
        let query = "SELECT * FROM evaluations WHERE candidate = ?1 AND purpose = 'search' LIMIT 1";
        self.one(query, [candidate.0 as i64], rows::read_evaluation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{begun, candidate, evaluation};
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn a_tally_that_is_brought_up_to_date_equals_one_made_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = begun(folder.path());
        let mut tally = Tally::default();
        store.reader().update(&mut tally).unwrap();
        assert_eq!(tally, Tally::default());
        let verdicts = [
            Verdict::NonFinite { step: None },
            Verdict::NonFinite { step: Some(3) },
            Verdict::ZeroGradient,
            Verdict::Scored { score: 0.5 },
        ];
        for (id, verdict) in verdicts.into_iter().cycle().take(10).enumerate() {
            store
                .push(candidate(id as u64, verdict), Vec::new())
                .unwrap();
            store.flush().unwrap();
            store.reader().update(&mut tally).unwrap();
        }
        let mut whole = Tally::default();
        store.reader().update(&mut whole).unwrap();
        assert_eq!(tally, whole);
        assert_eq!(tally.counts, store.reader().counts().unwrap());
        assert_eq!(tally.counts.of(VerdictKind::NonFinite), 6);
        assert_eq!(tally.non_finite_in_protocol, 3);
    }

    #[test]
    fn the_pace_has_both_ends_and_verdicts_come_by_stretch() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = begun(folder.path());
        assert_eq!(store.reader().pace(5).unwrap(), []);
        assert_eq!(store.reader().explored().unwrap(), 0);
        for id in 0..100 {
            let mut record = candidate(id, Verdict::ZeroGradient);
            record.elapsed = id as f64;
            store.push(record, Vec::new()).unwrap();
        }
        store.flush().unwrap();
        let stretches = store.reader().verdicts(40).unwrap();
        let zero = VerdictKind::ZeroGradient;
        assert_eq!(stretches, [(0, zero, 40), (1, zero, 40), (2, zero, 20)]);
        assert_eq!(store.reader().explored().unwrap(), 100);
        let pace = store.reader().pace(4).unwrap();
        assert_eq!(pace, [(1, 0.0), (34, 33.0), (67, 66.0), (100, 99.0)]);
        assert_eq!(store.reader().pace(1000).unwrap().len(), 100);
    }

    #[test]
    fn trainings_are_added_up_and_a_run_in_use_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = begun(folder.path());
        for id in 0..3 {
            store.record_evaluation(&evaluation(id)).unwrap();
        }
        let reader = RunReader::open(folder.path()).unwrap();
        let effort = reader.effort(Purpose::Search).unwrap();
        assert_eq!((effort.trainings, effort.steps), (3, 27));
        assert!((effort.train_seconds - 0.3).abs() < 1e-12);
        assert_eq!(
            reader.effort(Purpose::Confirmation).unwrap(),
            Effort::default()
        );
        let found = reader.search_evaluation(CandidateId(2)).unwrap();
        assert_eq!(found, Some(evaluation(2)));
        assert_eq!(reader.search_evaluation(CandidateId(9)).unwrap(), None);
        assert!(reader.in_use());
        drop(store);
        assert!(!reader.in_use());
    }
}
