//! A proxy evaluation is a self-contained value in and a self-contained value out, so that it can
//! run in this process, in a worker process or on another machine without the search knowing.
//!
//! Losses travel in their text form: it is versioned, readable in a log, and independent of how
//! graphs lie in memory.
//!
//! ```
//! use std::collections::BTreeMap;
//! use autoloss_search::{EvaluationRequest, TrainingBudget};
//!
//! let request = EvaluationRequest {
//!     task: "voc_seg".into(),
//!     network: "small".into(),
//!     losses: BTreeMap::from([("seg".into(), "neg(mul(y, log(yhat)))".into())]),
//!     budget: TrainingBudget::default(),
//!     seed: 1,
//!     split: "reward".into(),
//!     stop_invalid: true,
//!     look: None,
//! };
//! let line = serde_json::to_string(&request)?;
//! assert_eq!(serde_json::from_str::<EvaluationRequest>(&line)?, request);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use autoloss_spec::TrainingBudget;
use serde::{Deserialize, Serialize};

use crate::screening::BackendError;

/// Runs proxy evaluations.
pub trait Evaluator {
    /// Trains the network with the losses and measures it.
    ///
    /// # Errors
    ///
    /// [`BackendError`] where no further evaluation can be expected to work either; a training
    /// that fails because of its loss is an [`EvaluationVerdict`].
    fn evaluate(&mut self, request: &EvaluationRequest) -> Result<EvaluationOutcome, BackendError>;

    /// Runs several evaluations, at once where the implementor can, and reports each as it ends
    /// with its index. The provided method runs them one after another.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate); what was reported before the error counts.
    fn evaluate_all(
        &mut self,
        requests: &[EvaluationRequest],
        finished: &mut dyn FnMut(usize, EvaluationOutcome),
    ) -> Result<(), BackendError> {
        for (index, request) in requests.iter().enumerate() {
            finished(index, self.evaluate(request)?);
        }
        Ok(())
    }
}

/// One training to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRequest {
    /// Name of the task.
    pub task: String,
    /// Name of the network.
    pub network: String,
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
    /// A look at the network on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
}

/// A look at a network before its training has ended.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// After so many steps.
    pub step: usize,
    /// Samples of the split that are scored.
    pub images: usize,
    /// A network that scores less is given up; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationOutcome {
    /// How the training ended.
    pub verdict: EvaluationVerdict,
    /// Optimiser steps made.
    pub steps: usize,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
    /// Loss of the last step, where one was made and it was finite.
    pub final_loss: Option<f64>,
    /// The score at the look, where one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<f64>,
}

impl EvaluationOutcome {
    /// The score, where there is one.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        match self.verdict {
            EvaluationVerdict::Scored { score, .. } => Some(score),
            _ => None,
        }
    }

    /// Turns a score that is no finite number into a failure, since it could not be compared, and
    /// drops other values that are none, since JSON has no word for them.
    #[must_use]
    pub(crate) fn checked(mut self) -> Self {
        self.final_loss = self.final_loss.filter(|loss| loss.is_finite());
        self.look = self.look.filter(|score| score.is_finite());
        for seconds in [&mut self.train_seconds, &mut self.eval_seconds] {
            *seconds = if seconds.is_finite() { *seconds } else { 0.0 };
        }
        if let EvaluationVerdict::Scored { metrics, .. } = &mut self.verdict {
            metrics.retain(|_, value| value.is_finite());
        }
        if let EvaluationVerdict::Scored { score, .. } = self.verdict
            && !score.is_finite()
        {
            self.verdict = EvaluationVerdict::Failed {
                error: format!("the score is {score}, which cannot be compared"),
            };
        }
        self
    }
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EvaluationVerdict {
    /// It ran to its end.
    Scored {
        /// The target metric on the requested split, higher is better.
        score: f64,
        /// Every metric of the task by name.
        metrics: BTreeMap<String, f64>,
    },
    /// Loss or gradient became NaN or infinite.
    InvalidTraining {
        /// The step at which it did, from 0.
        step: usize,
    },
    /// It was hopeless and ended early.
    StoppedEarly {
        /// The step at which it did, from 0.
        step: usize,
    },
    /// It could not be run.
    Failed {
        /// Why, as one sentence.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_is_no_number_is_a_failure() {
        let outcome = |score| EvaluationOutcome {
            verdict: EvaluationVerdict::Scored {
                score,
                metrics: BTreeMap::new(),
            },
            steps: 1,
            train_seconds: 0.0,
            eval_seconds: 0.0,
            final_loss: None,
            look: None,
        };
        assert_eq!(outcome(0.5).checked().score(), Some(0.5));
        assert_eq!(outcome(f64::NAN).checked().score(), None);
        assert!(matches!(
            outcome(f64::INFINITY).checked().verdict,
            EvaluationVerdict::Failed { .. }
        ));
    }
}
