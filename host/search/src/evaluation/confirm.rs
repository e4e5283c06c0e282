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
    /// What came of each seed, in the order of the seeds.
    pub evaluations: Vec<Evaluation>,
}

impl Confirmed {
    /// Mean of the scores. None where a training ended without one: a loss that trains only
    /// sometimes has no mean worth comparing.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.summary().map(|(mean, _)| mean)
    }

    /// Sample standard deviation of the scores; none with fewer than two, or without a mean.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        self.summary()?.1
    }

    fn summary(&self) -> Option<(f64, Option<f64>)> {
        let scores = self.evaluations.iter().map(Evaluation::fitness);
        let scores: Option<Vec<f64>> = scores.map(|fitness| fitness.map(Fitness::score)).collect();
        mean_and_deviation(&scores?)
    }
}
