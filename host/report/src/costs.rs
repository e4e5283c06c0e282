//! What a run has cost: time by stage, trainings, storage.

use autoloss_run::{Effort, Tally};
use autoloss_search::{Purpose, Stage};
use serde::Serialize;

use crate::error::ReportError;
use crate::source::Source;

/// The costs of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Costs {
    /// Seconds of each stage, summed over candidates.
    pub(crate) stages: Vec<(Stage, f64)>,
    pub(crate) search: Trainings,
    /// The repeated measurement of the best.
    pub(crate) confirmation: Trainings,
    /// Trainings of the final table, whose time the run does not keep.
    pub(crate) final_trainings: u64,
    /// Seconds spent writing to the run folder, where the run has ended.
    pub(crate) store_seconds: Option<f64>,
}

/// Trainings of one purpose.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trainings {
    pub(crate) count: u64,
    pub(crate) steps: u64,
    pub(crate) train_seconds: f64,
    pub(crate) eval_seconds: f64,
}

impl From<Effort> for Trainings {
    fn from(effort: Effort) -> Self {
        Self {
            count: effort.trainings,
            steps: effort.steps,
            train_seconds: effort.train_seconds,
            eval_seconds: effort.eval_seconds,
        }
    }
}

pub(crate) fn read(source: &Source, tally: &Tally) -> Result<Costs, ReportError> {
    let times = tally.counts.times();
    let rows = source.findings.iter().flat_map(|found| &found.test);
    Ok(Costs {
        stages: Stage::ALL
            .map(|stage| (stage, times.seconds(stage)))
            .to_vec(),
        search: source.reader.effort(Purpose::Search)?.into(),
        confirmation: source.reader.effort(Purpose::Confirmation)?.into(),
        final_trainings: rows.map(|row| row.scores.len() as u64).sum(),
        store_seconds: source.findings.as_ref().map(|found| found.store_seconds),
    })
}
