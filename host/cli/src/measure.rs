//! Trainings of a loss with several seeds, with their progress on the screen.

use crate::session::Session;
use crate::terminal::steps::StepProgress;
use anyhow::Result;
use autoloss_plugin_api::{Scores, Split};
use autoloss_search::{Contender, Evaluation, Evaluator, Fault, FinalTable, Job, TrainingBudget};
use autoloss_train::{Network, Trial, Workbench};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// One training of a contender and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The seed.
    pub(crate) seed: u64,
    /// The scores; none where the training became invalid.
    pub(crate) scores: Option<Scores>,
    /// Seconds of the training.
    pub(crate) train_seconds: f64,
    /// Seconds of these spent waiting for batches.
    pub(crate) waited_seconds: f64,
}

impl Measured {
    /// What came of an evaluation that did not fail.
    pub(crate) fn of(seed: u64, evaluation: Evaluation) -> Self {
        Self {
            seed,
            scores: evaluation.fitness().map(|_| evaluation.metrics),
            train_seconds: evaluation.train_seconds,
            waited_seconds: evaluation.waited_seconds,
        }
    }
}

/// A training that is scored as its budget says.
pub(crate) fn job(
    workbench: &Workbench,
    contender: &Contender,
    budget: &TrainingBudget,
    seed: u64,
    split: Split,
) -> Job {
    Job {
        task: workbench.info().name.clone(),
        network: workbench.network().name.clone(),
        run_spec: String::new(),
        losses: contender.losses.clone(),
        budget: budget.clone(),
        seed,
        split: split.name().to_owned(),
        stop_invalid: true,
        pruning: None,
        keep: None,
        checkpoints: None,
    }
}

/// Trains once and scores. The network is there where its training came to its end.
pub(crate) fn once(
    workbench: &Workbench,
    contender: &Contender,
    budget: &TrainingBudget,
    seed: u64,
    split: Split,
) -> Result<(Measured, Option<Network>)> {
    let job = job(workbench, contender, budget, seed, split);
    let Trial {
        trained, scored, ..
    } = watched(workbench, &contender.name, &job)?;
    let (network, scores) = scored.unzip();
    let measured = Measured {
        seed,
        scores,
        train_seconds: trained.seconds,
        waited_seconds: trained.waited_seconds,
    };
    Ok((measured, network))
}

/// Runs a job with its progress on the screen, under a name.
fn watched(workbench: &Workbench, name: &str, job: &Job) -> autoloss_train::Result<Trial> {
    let what = format!("{name}, seed {}", job.seed);
    let mut progress = StepProgress::new(&what, 0, &job.budget);
    let trial = workbench.run(job, &mut |step| progress.step(step));
    progress.finish();
    trial
}

/// Evaluates the jobs of a final table: like the workbench, with their progress, and with the networks kept.
pub(crate) struct Exhibit<'a, F: FnMut(&str, Network)> {
    /// Trains.
    pub(crate) workbench: &'a mut Workbench,
    /// The table; jobs on other splits are run without progress.
    pub(crate) table: &'a FinalTable,
    /// The table's rows, which are known when its trainings begin.
    pub(crate) rows: &'a RefCell<Vec<Contender>>,
    /// Trains in the second stage.
    pub(crate) second: Option<&'a mut Session>,
    /// Is given every network of a contender whose training came to its end.
    pub(crate) keep: F,
}

impl<F: FnMut(&str, Network)> Evaluator for Exhibit<'_, F> {
    fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault> {
        if let Some(session) = &mut self.second
            && job.run_spec == session.spec.hash()
        {
            let trial = watched(&session.workbench, "second stage", job);
            let evaluated = trial.and_then(|trial| session.workbench.evaluation(&trial, job));
            return evaluated.map_err(|error| session.workbench.recover(error));
        }
        if job.split != self.table.split {
            return self.workbench.evaluate(job);
        }
        let rows = self.rows.borrow();
        let row = rows.iter().find(|row| row.losses == job.losses);
        let name = row.map_or("final table", |row| row.name.as_str());
        let trial = watched(self.workbench, name, job);
        let evaluated = trial.and_then(|trial| {
            let evaluation = self.workbench.evaluation(&trial, job)?;
            Ok((evaluation, trial.scored))
        });
        match evaluated {
            Ok((evaluation, scored)) => {
                if let Some((network, _)) = scored {
                    (self.keep)(name, network);
                }
                Ok(evaluation)
            }
            Err(error) => Err(self.workbench.recover(error)),
        }
    }
}
