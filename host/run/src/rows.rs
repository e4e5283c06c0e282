//! Values into rows and back. SQLite's integers are signed, so counters and hashes are written bit
//! for bit as `i64`; floating-point numbers are written as they are and read back exactly.

use std::collections::BTreeMap;
use std::path::Path;

use autoloss_search::{
    CandidateId, CandidateRecord, Evaluation, EvaluationKey, EvaluationRecord, Fitness,
    GradientKey, OpenCandidate, Outcome, OutcomeKind, Passed, Purpose, RunHeader, ScreenRecord,
    SearchConfig, SettledLate, Stage, StageTimes,
};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};
use thiserror::Error;

use crate::error::StoreError;
use crate::spec::RunSpec;

/// The code of a graph that passed its screens.
const PASSED: &str = "passed";

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

pub(super) fn insert_header(
    connection: &Connection,
    header: &RunHeader,
    spec: Option<&str>,
) -> Result<(), RowError> {
    let config = header
        .config
        .to_toml()
        .map_err(|error| RowError::Value(error.to_string()))?;
    connection.execute(
        "INSERT INTO run (id, task, config, provenance, created, spec) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![
            serde_json::to_string(&header.task)?,
            config,
            serde_json::to_string(&header.provenance)?,
            header.created as i64,
            spec,
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

pub(super) fn update_spec(connection: &Connection, spec: &RunSpec) -> Result<(), RowError> {
    let spec = serde_json::to_string(spec).map_err(|error| RowError::Value(error.to_string()))?;
    connection.execute("UPDATE run SET spec = ?1", [spec])?;
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
    ends_child, generate_ns, static_ns, canonical_ns, probe_ns, reject_ns, evaluate_ns, elapsed, \
    settled_before, settled_order) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
    ?18, ?19, ?20, ?21, ?22, ?23, ?24)";

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
            record.outcome.kind().code(),
            detail(&record.outcome),
            record.branch.map(|branch| branch as i64),
            record.passed,
            record.outcome.of().map(|id| id.0 as i64),
            record.fitness.map(Fitness::score),
            record.joined,
            record.ends_child,
            time(Stage::Generate),
            time(Stage::Static),
            time(Stage::Canonical),
            time(Stage::Probe),
            time(Stage::Reject),
            time(Stage::Evaluate),
            record.elapsed,
            record.late.map(|late| late.before.0 as i64),
            record.late.map(|late| late.order as i64),
        ])?;
    }
    Ok(())
}

/// Writes candidates that wait for a training, and drops those that were settled.
pub(super) fn write_open(
    connection: &Connection,
    open: &[OpenCandidate],
    settled: &[CandidateRecord],
) -> Result<(), RowError> {
    let mut insert =
        connection.prepare_cached("INSERT INTO open (id, candidate) VALUES (?1, ?2)")?;
    for open in open {
        insert.execute(params![open.id.0 as i64, serde_json::to_string(open)?])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM open WHERE id = ?1")?;
    for record in settled.iter().filter(|record| record.late.is_some()) {
        delete.execute([record.id.0 as i64])?;
    }
    Ok(())
}

pub(super) fn insert_screens(
    connection: &Connection,
    screens: &[ScreenRecord],
) -> Result<(), RowError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO screens (candidate, branch, canonical, gradient_key, verdict, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for screen in screens {
        let (code, detail) = match &screen.found {
            Ok(Passed { gain }) => (PASSED, gain.map(|gain| gain.to_string())),
            Err(outcome) => (outcome.kind().code(), outcome.detail()),
        };
        statement.execute(params![
            screen.of.0 as i64,
            screen.branch as i64,
            screen.canonical.map(|hash| hash as i64),
            screen.key.as_ref().map(GradientKey::as_str),
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
    let EvaluationRecord {
        key, evaluation, ..
    } = record;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO evaluations (candidate, purpose, seed, split, losses, verdict, \
             detail, score, metrics, steps, train_seconds, eval_seconds, final_loss, elapsed, \
             look, worker, waited_seconds) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
             ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            key.candidate.0 as i64,
            key.purpose.name(),
            key.seed as i64,
            key.split,
            serde_json::to_string(&record.losses)?,
            evaluation.outcome.kind().code(),
            detail(&evaluation.outcome),
            evaluation.fitness().map(Fitness::score),
            serde_json::to_string(&evaluation.metrics)?,
            evaluation.steps as i64,
            evaluation.train_seconds,
            evaluation.eval_seconds,
            evaluation.final_loss,
            record.elapsed,
            evaluation.pruning_score,
            evaluation.worker.map(|worker| worker as i64),
            evaluation.waited_seconds,
        ])?;
    Ok(())
}

/// An outcome's value, where it has no column of its own.
fn detail(outcome: &Outcome) -> Option<String> {
    match (outcome.of(), outcome.fitness()) {
        (None, None) => outcome.detail(),
        _ => None,
    }
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
        outcome: read_outcome(row, optional_id(row, "equivalent_of")?)?,
        branch: row
            .get::<_, Option<i64>>("branch")?
            .map(|branch| branch as usize),
        passed: row.get("passed")?,
        fitness: row.get::<_, Option<f64>>("score")?.and_then(Fitness::new),
        joined: row.get("joined")?,
        ends_child: row.get("ends_child")?,
        late: read_late(row)?,
        times,
        elapsed: row.get("elapsed")?,
    })
}

fn read_outcome(row: &Row<'_>, of: Option<CandidateId>) -> Result<Outcome, RowError> {
    let code: String = row.get("verdict")?;
    let detail: Option<String> = row.get("detail")?;
    let score: Option<f64> = row.get("score")?;
    let detail = detail
        .or_else(|| of.map(|of| of.to_string()))
        .or_else(|| score.map(|score| score.to_string()));
    Outcome::parse(&code, detail.as_deref()).ok_or_else(|| unreadable(&code))
}

/// What a row of a candidate satisfies for which a training was asked for.
pub(super) fn evaluated() -> String {
    let kinds = OutcomeKind::ALL.iter().filter(|kind| kind.evaluated());
    let codes: Vec<String> = kinds.map(|kind| format!("'{}'", kind.code())).collect();
    format!("verdict IN ({})", codes.join(", "))
}

/// The error of a code that names no outcome.
pub(super) fn unreadable(code: &str) -> RowError {
    RowError::Value(format!("the verdict {code:?} cannot be read"))
}

pub(super) fn read_screen(row: &Row<'_>) -> Result<ScreenRecord, RowError> {
    let code: String = row.get("verdict")?;
    let detail: Option<String> = row.get("detail")?;
    let found = match code.as_str() {
        PASSED => {
            let gain = detail.as_deref().map(str::parse).transpose();
            gain.map(|gain| Ok(Passed { gain })).ok()
        }
        code => Outcome::parse(code, detail.as_deref()).map(Err),
    };
    Ok(ScreenRecord {
        of: id(row, "candidate")?,
        branch: row.get::<_, i64>("branch")? as usize,
        canonical: row
            .get::<_, Option<i64>>("canonical")?
            .map(|hash| hash as u64),
        key: read_key(row)?,
        found: found.ok_or_else(|| unreadable(&code))?,
    })
}

pub(super) fn read_evaluation(row: &Row<'_>) -> Result<EvaluationRecord, RowError> {
    let purpose: String = row.get("purpose")?;
    let known = [
        Purpose::Search,
        Purpose::Repeat,
        Purpose::Confirmation,
        Purpose::Promotion,
    ];
    let found = known.into_iter().find(|known| known.name() == purpose);
    let metrics: String = row.get("metrics")?;
    Ok(EvaluationRecord {
        key: EvaluationKey {
            candidate: id(row, "candidate")?,
            purpose: found.ok_or_else(|| {
                RowError::Value(format!("the purpose {purpose:?} cannot be read"))
            })?,
            seed: row.get::<_, i64>("seed")? as u64,
            split: row.get("split")?,
        },
        losses: read_losses(row)?,
        evaluation: Evaluation {
            outcome: read_outcome(row, None)?,
            metrics: serde_json::from_str(&metrics)?,
            steps: row.get::<_, i64>("steps")? as usize,
            train_seconds: row.get("train_seconds")?,
            eval_seconds: row.get("eval_seconds")?,
            waited_seconds: later_column(row, "waited_seconds")?.unwrap_or_default(),
            final_loss: row.get("final_loss")?,
            pruning_score: later_column(row, "look")?,
            worker: later_column(row, "worker")?.map(|number: i64| number as usize),
        },
        elapsed: row.get("elapsed")?,
    })
}

fn read_late(row: &Row<'_>) -> rusqlite::Result<Option<SettledLate>> {
    let before: Option<i64> = later_column(row, "settled_before")?;
    let order: Option<i64> = later_column(row, "settled_order")?;
    Ok(before.zip(order).map(|(before, order)| SettledLate {
        before: CandidateId(before as u64),
        order: order as u64,
    }))
}

/// A column that a run of an earlier version, which is only read, does not have.
fn later_column<T: FromSql>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    match row.get(column) {
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
