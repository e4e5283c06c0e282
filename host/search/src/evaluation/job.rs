//! An evaluation is a self-contained value in and a self-contained value out, so that it can run in this
//! process, in a worker process or on another machine without the search knowing.
//!
//! Losses travel in their text form: it is versioned, readable in a log, and independent of how
//! graphs lie in memory.
//!
//! ```
//! use std::collections::BTreeMap;
//! use autoloss_search::{Job, TrainingBudget};
//!
//! let job = Job {
//!     task: "voc_seg".into(),
//!     network: "small".into(),
//!     run_spec: String::new(),
//!     losses: BTreeMap::from([("seg".into(), "neg(mul(y, log(yhat)))".into())]),
//!     budget: TrainingBudget::default(),
//!     seed: 1,
//!     split: "reward".into(),
//!     stop_invalid: true,
//!     pruning: None,
//!     keep: None,
//!     checkpoints: None,
//! };
//! let line = serde_json::to_string(&job)?;
//! assert_eq!(serde_json::from_str::<Job>(&line)?, job);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoloss_spec::TrainingBudget;
use serde::{Deserialize, Serialize};

use crate::fitness::Fitness;
use crate::outcome::Outcome;

/// One training to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Name of the task.
    pub task: String,
    /// Name of the network.
    pub network: String,
    /// Identity of everything else that decides the training (data, weights, settings, plugins), as the
    /// one who opened the task computed it; empty where there is nothing to tell apart.
    #[serde(default)]
    pub run_spec: String,
    /// The text form of the loss graph of every searched branch.
    pub losses: BTreeMap<String, String>,
    /// Length and shape of the training.
    pub budget: TrainingBudget,
    /// Seed of the training: initial weights, order of the images, augmentation.
    pub seed: u64,
    /// Split the score is measured on.
    pub split: String,
    /// End at the first NaN or infinity in loss or gradient.
    pub stop_invalid: bool,
    /// When the training is scored on its way, and pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<PruningRule>,
    /// File that the trained network is written to, where it has scores; who trains in the process of the one who
    /// asks need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<PathBuf>,
    /// Where a long training leaves checkpoints; from the last of them it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<Checkpoints>,
}

/// Checkpoints of a training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoints {
    /// Their folder.
    pub folder: PathBuf,
    /// Steps between two of them, at least 1.
    pub every: usize,
}

/// When a training is scored before its end, and pruned.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruningRule {
    /// After so many steps.
    pub step: usize,
    /// Samples of the split that are scored.
    pub images: usize,
    /// A training that scores less is pruned; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Fitness>,
    /// Whether one is pruned that scores no more than the best constant predictions, or just `least`.
    #[serde(default)]
    pub constant: bool,
    /// An earlier step at which one is pruned that scores no more than the best constant predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
}

impl PruningRule {
    /// The rule at its earlier step, where only constant predictions count.
    #[must_use]
    pub fn earlier(&self) -> Self {
        Self {
            least: None,
            ..*self
        }
    }

    /// Whether a training with this score at the rule's step is pruned, where the best constant predictions
    /// score `constant`. Without a score there, which is the data's doing, it is not.
    ///
    /// ```
    /// use autoloss_search::{Fitness, PruningRule};
    ///
    /// let rule = PruningRule { step: 90, images: 50, least: Fitness::new(0.3), constant: false, first: None };
    /// assert!(rule.prunes(Some(0.29), None) && rule.prunes(Some(f64::NAN), None));
    /// assert!(!rule.prunes(Some(0.3), None) && !rule.prunes(None, None));
    ///
    /// let rule = PruningRule { constant: true, ..rule };
    /// assert!(rule.prunes(Some(0.3), None) && rule.prunes(Some(0.4), Some(0.4)));
    /// assert!(!rule.prunes(Some(0.41), Some(0.4)));
    /// ```
    #[must_use]
    pub fn prunes(&self, score: Option<f64>, constant: Option<f64>) -> bool {
        let Some(score) = score else {
            return false;
        };
        let score = Fitness::new(score);
        let below = self.least.is_some_and(|least| match self.constant {
            true => score.is_none_or(|score| score <= least),
            false => score.is_none_or(|score| score < least),
        });
        let constant = constant.filter(|_| self.constant).and_then(Fitness::new);
        below || constant.is_some_and(|constant| score.is_none_or(|score| score <= constant))
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// How the training ended; one that an evaluation can have.
    pub outcome: Outcome,
    /// Every score of the task by name, where the training ended with scores.
    pub metrics: BTreeMap<String, f64>,
    /// Optimiser steps made.
    pub steps: usize,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
    /// Seconds of the training spent waiting for batches; a journal need not keep them.
    #[serde(default)]
    pub waited_seconds: f64,
    /// Loss of the last step, where one was made and it was finite.
    pub final_loss: Option<f64>,
    /// The score at the pruning rule's step, where the training came so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning_score: Option<f64>,
    /// The worker that it ran in, from 0; absent where the executor has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
}

impl Evaluation {
    /// An evaluation that ended in nothing but an outcome.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            metrics: BTreeMap::new(),
            steps: 0,
            train_seconds: 0.0,
            eval_seconds: 0.0,
            waited_seconds: 0.0,
            final_loss: None,
            pruning_score: None,
            worker: None,
        }
    }

    /// An evaluation that could not be run.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::of(Outcome::Failed { reason })
    }

    /// A training that ended with scores, of which `target` is what the search raises: a failure where
    /// that is no number, since it could not be compared.
    #[must_use]
    pub fn scored(target: f64, metrics: BTreeMap<String, f64>) -> Self {
        match Fitness::try_from(target) {
            Err(reason) => Self::failed(reason),
            Ok(fitness) => Self {
                metrics,
                ..Self::of(Outcome::Scored { fitness })
            },
        }
    }

    /// What the loss is worth, where the training ended with a score.
    #[must_use]
    pub fn fitness(&self) -> Option<Fitness> {
        self.outcome.fitness()
    }

    /// Takes in another training of the same loss: a score is the mean of both. One that failed says nothing of the
    /// loss.
    pub(crate) fn repeated(&mut self, again: Self) {
        self.train_seconds += again.train_seconds;
        self.eval_seconds += again.eval_seconds;
        let first = self.fitness();
        match (first, again.fitness(), again.outcome) {
            (Some(first), Some(second), _) => {
                let mean = 0.5 * (first.score() + second.score());
                let fitness = Fitness::new(mean).unwrap_or(first);
                self.outcome = Outcome::Scored { fitness };
            }
            (_, None, Outcome::Failed { .. }) => {}
            (_, _, other) => self.outcome = other,
        }
    }

    /// Drops values that are no numbers, since JSON has no word for them, and turns an outcome that no
    /// evaluation can have into a failure.
    #[must_use]
    pub fn checked(mut self) -> Self {
        let finite = |value: &f64| value.is_finite();
        self.final_loss = self.final_loss.filter(finite);
        self.pruning_score = self.pruning_score.filter(finite);
        for seconds in [&mut self.train_seconds, &mut self.eval_seconds] {
            *seconds = if seconds.is_finite() { *seconds } else { 0.0 };
        }
        self.metrics.retain(|_, value| value.is_finite());
        if !self.outcome.kind().evaluated() {
            let reason = format!("the evaluation ended as '{}'", self.outcome.kind().code());
            self.outcome = Outcome::Failed { reason };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::OutcomeKind;

    #[test]
    fn a_score_that_is_no_number_is_a_failure() {
        let evaluation = |score| Evaluation::scored(score, BTreeMap::new()).checked();
        assert_eq!(evaluation(0.5).fitness(), Fitness::new(0.5));
        for score in [f64::NAN, f64::INFINITY] {
            assert_eq!(evaluation(score).outcome.kind(), OutcomeKind::Failed);
        }
    }

    #[test]
    fn an_outcome_of_the_screens_is_none_of_an_evaluation() {
        let odd = Evaluation::of(Outcome::ZeroGradient).checked();
        assert_eq!(odd.outcome.kind(), OutcomeKind::Failed);
        let ended = Evaluation::of(Outcome::StoppedEarly { step: 4 });
        assert_eq!(ended.clone().checked(), ended);
    }
}
