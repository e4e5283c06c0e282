//! The best of many noisy scores is lucky: before anything is reported the best losses are trained
//! again with other seeds and measured on a split the search never saw (as AutoML-Zero does for
//! the programs it selects).

use super::job::Evaluation;
use crate::candidate::BestLoss;
use crate::fitness::Fitness;
use crate::statistics::mean_and_deviation;

/// One of the best losses, measured again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Confirmed {
    /// The loss with its fitness in the search.
    pub loss: BestLoss,
    /// What came of each seed, in the order of the seeds; more of them the longer it stayed among the better half.
    pub evaluations: Vec<Evaluation>,
}

impl Confirmed {
    /// A loss that is to be measured.
    pub(crate) fn new(loss: BestLoss) -> Self {
        Self {
            loss,
            evaluations: Vec::new(),
        }
    }

    /// Mean of the scores. None where a training ended without one: a loss that trains only
    /// sometimes has no mean worth comparing.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        mean_score(&self.evaluations)
    }

    /// Sample standard deviation of the scores; none with fewer than two, or without a mean.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        summary(&self.evaluations)?.1
    }
}

/// Mean of the scores of several trainings; none where one ended without.
pub(crate) fn mean_score(evaluations: &[Evaluation]) -> Option<f64> {
    summary(evaluations).map(|(mean, _)| mean)
}

fn summary(evaluations: &[Evaluation]) -> Option<(f64, Option<f64>)> {
    let scores = evaluations.iter().map(Evaluation::fitness);
    let scores: Option<Vec<f64>> = scores.map(|fitness| fitness.map(Fitness::score)).collect();
    mean_and_deviation(&scores?)
}
