//! The best of many noisy scores is lucky: before anything is reported the best losses are trained
//! again with other seeds and measured on a split the search never saw (as AutoML-Zero does for
//! the programs it selects).

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use super::executor::Executor;
use super::job::Evaluation;
use super::trainings::Training;
use crate::candidate::BestLoss;
use crate::error::SearchError;
use crate::fitness::Fitness;
use crate::journal::{Journal, Purpose};
use crate::observer::Observer;
use crate::search::Search;
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

impl<J: Journal> Search<J> {
    /// Measures the best losses again, as `[confirmation]` says, and returns them best first; those
    /// without a mean come last. Trainings that an earlier call finished are not repeated. Nothing
    /// where `stop` was raised before the end.
    ///
    /// # Errors
    ///
    /// [`SearchError::Evaluation`] or [`SearchError::Journal`].
    pub fn confirm(
        &mut self,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Confirmed>>, SearchError> {
        self.journal.begin_session()?;
        self.journal.flush()?;
        let top = self.config.confirmation.top;
        let best: Vec<BestLoss> = self.state.best.iter().take(top).cloned().collect();
        let trainings = self.confirmations(&best);
        let ended = self.run_trainings(&trainings, executor, observer, stop)?;
        let Some(ended) = ended else {
            return Ok(None);
        };
        let mut ended = ended.into_iter();
        let seeds = self.config.confirmation.seeds;
        let mut confirmed: Vec<Confirmed> = best
            .into_iter()
            .map(|loss| Confirmed {
                loss,
                evaluations: ended.by_ref().take(seeds).collect(),
            })
            .collect();
        confirmed.sort_by_cached_key(|loss| Reverse(loss.mean().and_then(Fitness::new)));
        Ok(Some(confirmed))
    }

    /// A training for each loss and seed.
    fn confirmations(&self, best: &[BestLoss]) -> Vec<Training> {
        let (seeds, split) = (self.confirmation_seeds(), &self.config.confirmation.split);
        let each = best
            .iter()
            .flat_map(|loss| seeds.iter().map(move |&seed| (loss, seed)));
        let training = |(loss, seed): (&BestLoss, u64)| {
            self.training((loss.id, Purpose::Confirmation), &loss.losses, seed, split)
        };
        each.map(training).collect()
    }

    /// The seeds follow the search's own, which none of them repeats.
    pub(crate) fn confirmation_seeds(&self) -> Vec<u64> {
        let seeds = 1..=self.config.confirmation.seeds as u64;
        let seed = |offset| self.config.seed.wrapping_add(offset) & (i64::MAX as u64);
        seeds.map(seed).collect()
    }
}
