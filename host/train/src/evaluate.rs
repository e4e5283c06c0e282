//! Jobs: a training that may be pruned on its way, and its scores.

use crate::network::Network;
use crate::plugin::Trouble;
use crate::screen::fault;
use crate::trainer::{Step, Trained};
use crate::workbench::Workbench;
use crate::{Result, TrainError};
use autoloss_plugin_api::Scores;
use autoloss_search::{Evaluation, Evaluator, Fault, Job, Outcome};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A training that was run for a job.
pub struct Trial {
    /// How the training ended.
    pub trained: Trained,
    /// Network and scores; absent where the training became invalid or was pruned.
    pub scored: Option<(Network, Scores)>,
    /// The target score at the pruning rule's step, where one was taken.
    pub pruning_score: Option<f64>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
}

impl Workbench {
    /// Trains a fresh network as a job says and scores it; `watch` is told every step.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub fn run(&self, job: &Job, watch: &mut dyn FnMut(Step)) -> Result<Trial> {
        let split = job.split.parse()?;
        let started = Instant::now();
        let (mut pruning_score, mut scoring) = (None, Duration::ZERO);
        let losses = self.losses(&job.losses)?;
        let mut after = |step: Step, network: &Network| {
            watch(step);
            match job.pruning {
                Some(rule) if rule.step == step.done => {
                    let started = Instant::now();
                    pruning_score = self.score_of(network, split, rule.images)?;
                    scoring = started.elapsed();
                    Ok(match rule.prunes(pruning_score) {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    })
                }
                _ => Ok(ControlFlow::Continue(())),
            }
        };
        let (network, trained) =
            self.train_until(&losses, &job.budget, job.seed, job.stop_invalid, &mut after)?;
        let train_seconds = (started.elapsed() - scoring).as_secs_f64();
        let started = Instant::now();
        let ended = trained.invalid_at.is_none() && trained.steps == job.budget.steps;
        let scores = ended.then(|| self.scores_on(&network, split, job.budget.eval_images));
        Ok(Trial {
            scored: scores.transpose()?.map(|scores| (network, scores)),
            trained,
            pruning_score,
            train_seconds,
            eval_seconds: (started.elapsed() + scoring).as_secs_f64(),
        })
    }

    /// What a trial says of the job's losses.
    ///
    /// # Errors
    /// [`TrainError::Undefined`] where the split does not define the target score, which it would for no
    /// other losses either.
    pub fn evaluation(&self, trial: &Trial, job: &Job) -> Result<Evaluation> {
        let trained = &trial.trained;
        let ended = match (&trial.scored, trained.invalid_at) {
            (Some((_, scores)), _) => {
                let target = scores
                    .get(self.score())
                    .ok_or_else(|| TrainError::Undefined {
                        score: self.score().to_owned(),
                        split: job.split.clone(),
                    })?;
                Evaluation::scored(*target, scores.clone())
            }
            (None, Some(step)) => Evaluation::of(Outcome::InvalidTraining { step }),
            (None, None) => Evaluation::of(Outcome::StoppedEarly {
                step: trained.steps.saturating_sub(1),
            }),
        };
        Ok(Evaluation {
            steps: trained.steps,
            train_seconds: trial.train_seconds,
            eval_seconds: trial.eval_seconds,
            waited_seconds: trained.waited_seconds,
            final_loss: trained.final_loss,
            pruning_score: trial.pruning_score,
            ..ended
        })
    }

    /// What an error of a training means for a search. A task that panicked is opened anew, since its
    /// plugin has given it up.
    pub fn recover(&mut self, error: TrainError) -> Fault {
        if let TrainError::Plugin(lost) = &error
            && lost.trouble == Trouble::Panicked
            && lost.call.starts_with("Task::")
            && let Err(again) = self.reopen()
        {
            return Fault::Fatal(format!("{error}; the task cannot be opened again: {again}"));
        }
        fault(error)
    }
}

impl Evaluator for Workbench {
    fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault> {
        let trial = self.run(job, &mut |_| ());
        trial
            .and_then(|trial| self.evaluation(&trial, job))
            .map_err(|error| self.recover(error))
    }
}
