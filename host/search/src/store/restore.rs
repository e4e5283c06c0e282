//! What the driver reads to go on with a run.

use super::error::StoreError;
use super::reader::RunReader;
use super::record::{CandidateRecord, EvaluationRecord, Purpose};
use super::rows::{self, RowError};
use crate::equivalence::GradientKey;
use crate::pipeline::BranchEntry;
use crate::verdict::{CandidateId, VerdictKind};

/// A whole loss that was judged, as the driver restores it.
pub(crate) struct JudgedRow {
    pub(crate) id: CandidateId,
    pub(crate) canonical: Option<u64>,
    pub(crate) key: Option<GradientKey>,
    pub(crate) kind: VerdictKind,
    pub(crate) of: Option<CandidateId>,
    pub(crate) score: Option<f64>,
}

impl RunReader {
    /// One evaluation, where it has been run.
    pub(crate) fn evaluation(
        &self,
        candidate: CandidateId,
        purpose: Purpose,
        seed: u64,
        split: &str,
    ) -> Result<Option<EvaluationRecord>, StoreError> {
        self.one(
            "SELECT * FROM evaluations WHERE candidate = ?1 AND purpose = ?2 AND seed = ?3 \
             AND split = ?4",
            rusqlite::params![candidate.0 as i64, purpose.name(), seed as i64, split],
            rows::read_evaluation,
        )
    }

    /// Visits what was seen of trainings on their way, in the order of the candidates up to `last`.
    pub(crate) fn for_each_look(
        &self,
        last: CandidateId,
        mut visit: impl FnMut(f64),
    ) -> Result<(), StoreError> {
        let query = "SELECT look FROM evaluations WHERE purpose = 'search' AND candidate <= ?1 \
                     AND look IS NOT NULL ORDER BY candidate";
        self.each(query, [last.0 as i64], |row| {
            visit(row.get(0)?);
            Ok(())
        })
    }

    /// The last stored candidate.
    pub(crate) fn last(&self) -> Result<Option<CandidateRecord>, StoreError> {
        self.one(
            "SELECT * FROM candidates ORDER BY id DESC LIMIT 1",
            [],
            rows::read_candidate,
        )
    }

    /// The last candidate that was evaluated.
    pub(crate) fn last_evaluated(&self) -> Result<Option<CandidateId>, StoreError> {
        self.one(
            "SELECT id FROM candidates WHERE verdict IN \
             ('scored', 'invalid_training', 'stopped_early', 'failed') ORDER BY id DESC LIMIT 1",
            [],
            |row| Ok(rows::id(row, "id")?),
        )
    }

    /// How many candidates ever joined the population.
    pub(crate) fn joined(&self) -> Result<u64, StoreError> {
        self.one(
            "SELECT count(*) FROM candidates WHERE joined = 1",
            [],
            |row| Ok(row.get::<_, i64>(0)? as u64),
        )
        .map(Option::unwrap_or_default)
    }

    /// The most recent members of the population, oldest first.
    pub(crate) fn members(&self, limit: usize) -> Result<Vec<CandidateRecord>, StoreError> {
        let mut members = Vec::new();
        let query = "SELECT * FROM (SELECT * FROM candidates WHERE joined = 1 \
                     ORDER BY id DESC LIMIT ?1) ORDER BY id";
        self.each(query, [limit as i64], |row| {
            members.push(rows::read_candidate(row)?);
            Ok(())
        })?;
        Ok(members)
    }

    /// Visits every screened graph in the order of screening.
    pub(crate) fn for_each_entry(
        &self,
        mut visit: impl FnMut(&BranchEntry),
    ) -> Result<(), StoreError> {
        self.each("SELECT * FROM screens ORDER BY id", [], |row| {
            visit(&rows::read_entry(row)?);
            Ok(())
        })
    }

    /// Visits every candidate that was judged as a whole, in the order of exploration.
    pub(crate) fn for_each_judged(
        &self,
        mut visit: impl FnMut(JudgedRow),
    ) -> Result<(), StoreError> {
        let query = "SELECT id, canonical, gradient_key, verdict, equivalent_of, score \
                     FROM candidates WHERE branch IS NULL ORDER BY id";
        self.each(query, [], |row| {
            let code: String = row.get("verdict")?;
            visit(JudgedRow {
                id: rows::id(row, "id")?,
                canonical: row
                    .get::<_, Option<i64>>("canonical")?
                    .map(|hash| hash as u64),
                key: rows::read_key(row)?,
                kind: VerdictKind::from_code(&code).ok_or_else(|| {
                    RowError::Value(format!("the verdict {code:?} cannot be read"))
                })?,
                of: rows::optional_id(row, "equivalent_of")?,
                score: row.get("score")?,
            });
            Ok(())
        })
    }
}
