//! Values into rows and back. SQLite's integers are signed, so counters and hashes are written bit
//! for bit as `i64`; floating-point numbers are written as they are and read back exactly.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row, params};
use thiserror::Error;

use super::error::StoreError;
use super::record::{CandidateRecord, EvaluationRecord, Purpose, RunHeader};
use crate::branch_verdict::BranchVerdict;
use crate::config::SearchConfig;
use crate::equivalence::GradientKey;
use crate::evaluation::{EvaluationOutcome, EvaluationVerdict};
use crate::pipeline::BranchEntry;
use crate::timing::{Stage, StageTimes};
use crate::verdict::{CandidateId, Verdict};

/// A row that could not be written or read.
#[derive(Debug, Error)]
pub(super) enum RowError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Value(String),
}

impl From<serde_json::Error> for RowError {
    fn from(error: serde_json::Error) -> Self {
        Self::Value(error.to_string())
    }
}

pub(super) fn sorted(folder: &Path, error: RowError) -> StoreError {
    match error {
        RowError::Sqlite(error) => StoreError::sqlite(folder, error),
        RowError::Value(detail) => StoreError::damaged(folder, detail),
    }
}

pub(super) fn insert_header(connection: &Connection, header: &RunHeader) -> Result<(), RowError> {
    let config = header
        .config
        .to_toml()
        .map_err(|error| RowError::Value(error.to_string()))?;
    connection.execute(
        "INSERT INTO run (id, task, config, provenance, created) VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            serde_json::to_string(&header.task)?,
            config,
            serde_json::to_string(&header.provenance)?,
            header.created as i64,
        ],
    )?;
    Ok(())
}

pub(super) fn update_config(
    connection: &Connection,
    config: &SearchConfig,
) -> Result<(), RowError> {
    let config = config
        .to_toml()
        .map_err(|error| RowError::Value(error.to_string()))?;
    connection.execute("UPDATE run SET config = ?1", [config])?;
    Ok(())
}

pub(super) fn insert_session(connection: &Connection, started: u64) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO sessions (started, seconds) VALUES (?1, 0)",
        [started as i64],
    )?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn update_session(
    connection: &Connection,
    session: i64,
    seconds: f64,
) -> Result<(), RowError> {
    connection
        .prepare_cached("UPDATE sessions SET seconds = ?2 WHERE id = ?1")?
        .execute(params![session, seconds])?;
    Ok(())
}

const INSERT_CANDIDATE: &str = "INSERT INTO candidates (id, child, parent, origins, losses, \
    canonical, gradient_key, verdict, detail, branch, passed, equivalent_of, score, joined, \
    ends_child, generate_ns, static_ns, canonical_ns, probe_ns, reject_ns, evaluate_ns, elapsed) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
    ?20, ?21, ?22)";

pub(super) fn insert_candidates(
    connection: &Connection,
    records: &[CandidateRecord],
) -> Result<(), RowError> {
    let mut statement = connection.prepare_cached(INSERT_CANDIDATE)?;
    for record in records {
        let time = |stage| record.times.nanoseconds(stage) as i64;
        statement.execute(params![
            record.id.0 as i64,
            record.child.0 as i64,
            record.parent.map(|id| id.0 as i64),
            serde_json::to_string(&record.origins)?,
            serde_json::to_string(&record.losses)?,
            record.canonical.map(|hash| hash as i64),
            record.key.as_ref().map(GradientKey::as_str),
            record.verdict.code(),
            record.verdict.detail(),
            record.branch.map(|branch| branch as i64),
            record.passed,
            record.verdict.of().map(|id| id.0 as i64),
            record.score,
            record.joined,
            record.ends_child,
            time(Stage::Generate),
            time(Stage::Static),
            time(Stage::Canonical),
            time(Stage::Probe),
            time(Stage::Reject),
            time(Stage::Evaluate),
            record.elapsed,
        ])?;
    }
    Ok(())
}

pub(super) fn insert_entries(
    connection: &Connection,
    entries: &[(u64, BranchEntry)],
) -> Result<(), RowError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO screens (candidate, branch, canonical, gradient_key, verdict, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (_, entry) in entries {
        let (code, detail) = entry.verdict.parts();
        statement.execute(params![
            entry.of.0 as i64,
            entry.branch as i64,
            entry.canonical.map(|hash| hash as i64),
            entry.key.as_ref().map(GradientKey::as_str),
            code,
            detail,
        ])?;
    }
    Ok(())
}

pub(super) fn insert_evaluation(
    connection: &Connection,
    record: &EvaluationRecord,
) -> Result<(), RowError> {
    let verdict = Verdict::from(&record.outcome.verdict);
    let metrics = match &record.outcome.verdict {
        EvaluationVerdict::Scored { metrics, .. } => serde_json::to_string(metrics)?,
        _ => "{}".to_owned(),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO evaluations (candidate, purpose, seed, split, losses, verdict, \
             detail, score, metrics, steps, train_seconds, eval_seconds, final_loss, elapsed, \
             look) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            record.candidate.0 as i64,
            record.purpose.name(),
            record.seed as i64,
            record.split,
            serde_json::to_string(&record.losses)?,
            verdict.code(),
            verdict.detail(),
            record.outcome.score(),
            metrics,
            record.outcome.steps as i64,
            record.outcome.train_seconds,
            record.outcome.eval_seconds,
            record.outcome.final_loss,
            record.elapsed,
            record.outcome.look,
        ])?;
    Ok(())
}

pub(super) fn read_candidate(row: &Row<'_>) -> Result<CandidateRecord, RowError> {
    let origins: String = row.get("origins")?;
    let mut times = StageTimes::default();
    for stage in Stage::ALL {
        let column = format!("{}_ns", stage.name());
        times.add(stage, row.get::<_, i64>(column.as_str())? as u64);
    }
    Ok(CandidateRecord {
        id: id(row, "id")?,
        child: id(row, "child")?,
        parent: optional_id(row, "parent")?,
        origins: serde_json::from_str(&origins)?,
        losses: read_losses(row)?,
        canonical: row
            .get::<_, Option<i64>>("canonical")?
            .map(|hash| hash as u64),
        key: read_key(row)?,
        verdict: read_verdict(row)?,
        branch: row
            .get::<_, Option<i64>>("branch")?
            .map(|branch| branch as usize),
        passed: row.get("passed")?,
        score: row.get("score")?,
        joined: row.get("joined")?,
        ends_child: row.get("ends_child")?,
        times,
        elapsed: row.get("elapsed")?,
    })
}

fn read_verdict(row: &Row<'_>) -> Result<Verdict, RowError> {
    let code: String = row.get("verdict")?;
    let detail: Option<String> = row.get("detail")?;
    let of = optional_id(row, "equivalent_of")?;
    Verdict::from_parts(&code, detail.as_deref(), of, row.get("score")?)
        .ok_or_else(|| RowError::Value(format!("the verdict {code:?} cannot be read")))
}

pub(super) fn read_entry(row: &Row<'_>) -> Result<BranchEntry, RowError> {
    let code: String = row.get("verdict")?;
    let detail: Option<String> = row.get("detail")?;
    let verdict = BranchVerdict::from_parts(&code, detail.as_deref())
        .ok_or_else(|| RowError::Value(format!("the screen {code:?} cannot be read")))?;
    Ok(BranchEntry {
        of: id(row, "candidate")?,
        branch: row.get::<_, i64>("branch")? as usize,
        canonical: row
            .get::<_, Option<i64>>("canonical")?
            .map(|hash| hash as u64),
        key: read_key(row)?,
        verdict,
    })
}

pub(super) fn read_evaluation(row: &Row<'_>) -> Result<EvaluationRecord, RowError> {
    let purpose: String = row.get("purpose")?;
    let purpose = [Purpose::Search, Purpose::Confirmation]
        .into_iter()
        .find(|known| known.name() == purpose)
        .ok_or_else(|| RowError::Value(format!("the purpose {purpose:?} cannot be read")))?;
    Ok(EvaluationRecord {
        candidate: id(row, "candidate")?,
        purpose,
        seed: row.get::<_, i64>("seed")? as u64,
        split: row.get("split")?,
        losses: read_losses(row)?,
        outcome: EvaluationOutcome {
            verdict: read_evaluation_verdict(row)?,
            steps: row.get::<_, i64>("steps")? as usize,
            train_seconds: row.get("train_seconds")?,
            eval_seconds: row.get("eval_seconds")?,
            final_loss: row.get("final_loss")?,
            look: read_look(row)?,
        },
        elapsed: row.get("elapsed")?,
    })
}

fn read_evaluation_verdict(row: &Row<'_>) -> Result<EvaluationVerdict, RowError> {
    let code: String = row.get("verdict")?;
    let detail: Option<String> = row.get("detail")?;
    let metrics: String = row.get("metrics")?;
    let verdict = Verdict::from_parts(&code, detail.as_deref(), None, row.get("score")?);
    Ok(match verdict {
        Some(Verdict::Scored { score }) => EvaluationVerdict::Scored {
            score,
            metrics: serde_json::from_str(&metrics)?,
        },
        Some(Verdict::InvalidTraining { step }) => EvaluationVerdict::InvalidTraining { step },
        Some(Verdict::StoppedEarly { step }) => EvaluationVerdict::StoppedEarly { step },
        Some(Verdict::Failed { error }) => EvaluationVerdict::Failed { error },
        _ => {
            return Err(RowError::Value(format!(
                "the evaluation verdict {code:?} cannot be read"
            )));
        }
    })
}

/// A run of an earlier version that is only read has no such column.
fn read_look(row: &Row<'_>) -> rusqlite::Result<Option<f64>> {
    match row.get("look") {
        Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
        other => other,
    }
}

pub(super) fn id(row: &Row<'_>, column: &str) -> rusqlite::Result<CandidateId> {
    Ok(CandidateId(row.get::<_, i64>(column)? as u64))
}

pub(super) fn optional_id(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<CandidateId>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(|value| CandidateId(value as u64)))
}

pub(super) fn read_key(row: &Row<'_>) -> rusqlite::Result<Option<GradientKey>> {
    let text: Option<String> = row.get("gradient_key")?;
    Ok(text.map(|text| GradientKey::from_text(&text)))
}

pub(super) fn read_losses(row: &Row<'_>) -> Result<BTreeMap<String, String>, RowError> {
    let text: String = row.get("losses")?;
    Ok(serde_json::from_str(&text)?)
}
