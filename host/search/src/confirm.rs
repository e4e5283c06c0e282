//! The best of many noisy scores is lucky: before anything is reported the best losses are trained
//! again with other seeds and measured on a split the search never saw (as AutoML-Zero does for
//! the programs it selects).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::SearchError;
use crate::evaluation::{EvaluationOutcome, Evaluator};
use crate::jobs::Job;
use crate::observer::Observer;
use crate::search::Search;
use crate::spread::mean_and_deviation;
use crate::store::{BestLoss, Purpose};

/// One of the best losses, measured again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Confirmed {
    /// The loss with the score of the search.
    pub loss: BestLoss,
    /// What came of each seed, in the order of the seeds.
    pub outcomes: Vec<EvaluationOutcome>,
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
        let scores: Option<Vec<f64>> = self.outcomes.iter().map(EvaluationOutcome::score).collect();
        mean_and_deviation(&scores?)
    }
}

impl Search {
    /// Measures the best losses again, as `[confirmation]` says, and returns them best first; those
    /// without a mean come last. Trainings that an earlier call finished are not repeated. None
    /// where `stop` was raised before the end.
    ///
    /// # Errors
    ///
    /// [`SearchError::Evaluation`] or [`SearchError::Store`].
    pub fn confirm(
        &mut self,
        evaluator: &mut dyn Evaluator,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Confirmed>>, SearchError> {
        self.store.begin_session()?;
        self.store.flush()?;
        let best = self.store.reader().best(self.config.confirmation.top)?;
        let jobs = self.confirmation_jobs(&best);
        let mut outcomes = vec![None; jobs.len()];
        for jobs in jobs.chunks(self.config.workers) {
            if stop.load(Ordering::Relaxed)
                || !self.run_jobs(jobs.to_vec(), &mut outcomes, evaluator, observer)?
            {
                return Ok(None);
            }
        }
        let mut outcomes = outcomes.into_iter().flatten();
        let mut confirmed: Vec<Confirmed> = best
            .into_iter()
            .map(|loss| Confirmed {
                loss,
                outcomes: outcomes
                    .by_ref()
                    .take(self.config.confirmation.seeds)
                    .collect(),
            })
            .collect();
        let rank = |c: &Confirmed| c.mean().unwrap_or(f64::NEG_INFINITY);
        confirmed.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        Ok(Some(confirmed))
    }

    /// A job for each loss and seed. The seeds follow the search's own, which none of them repeats.
    fn confirmation_jobs(&self, best: &[BestLoss]) -> Vec<Job> {
        let settings = &self.config.confirmation;
        let mut jobs = Vec::with_capacity(best.len() * settings.seeds);
        for loss in best {
            for offset in 1..=settings.seeds as u64 {
                let seed = self.config.seed.wrapping_add(offset) & (i64::MAX as u64);
                jobs.push(Job {
                    slot: jobs.len(),
                    candidate: loss.id,
                    purpose: Purpose::Confirmation,
                    request: self.request(&loss.losses, seed, &settings.split),
                });
            }
        }
        jobs
    }
}
