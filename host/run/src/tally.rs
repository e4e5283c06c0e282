//! What a report asks of a run beyond its losses: where candidates ended, how fast it went, what its
//! trainings cost. Candidates are only ever added, in the order of their numbers but for those that wait for a training,
//! so a tally is brought up to date with what came since; a page that follows a run of millions must not count
//! them all every second.

use autoloss_search::{CandidateId, Counts, OutcomeKind};

/// Tallies of the candidates so far.
///
/// ```
/// use autoloss_run::Tally;
///
/// assert_eq!(Tally::default().counts.explored(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Candidates by outcome, and where their time went.
    pub counts: Counts,
    /// How many of the candidates that are not finite only became so within the loss-rejection protocol.
    pub non_finite_in_protocol: u64,
    /// Seconds of the run when the last of them was recorded.
    pub elapsed: f64,
    /// The last of them.
    pub(crate) last: Option<CandidateId>,
    /// What was not settled then.
    pub(crate) open: Vec<CandidateId>,
}

/// What the evaluations of a purpose have cost.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Effort {
    /// Trainings, whatever came of them.
    pub trainings: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
}

/// A training in a worker process.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Worked {
    /// The worker's number, from 0.
    pub worker: usize,
    /// When it ended, in seconds of the run.
    pub end: f64,
    /// Seconds of training and evaluation.
    pub seconds: f64,
    /// Seconds of these in which it waited for batches.
    pub waited: f64,
    /// How it ended.
    pub outcome: OutcomeKind,
}

impl Worked {
    /// When it began, in seconds of the run.
    #[must_use]
    pub fn begin(&self) -> f64 {
        self.end - self.seconds
    }

    /// When the first of several began and when the last ended; absent for an empty list.
    #[must_use]
    pub fn span(worked: &[Self]) -> Option<(f64, f64)> {
        let first = worked.iter().map(Self::begin).reduce(f64::min)?;
        let last = worked.iter().map(|worked| worked.end).fold(0.0, f64::max);
        Some((first, last))
    }
}

/// One process's work on a run.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct SessionTime {
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// How long it took, as far as it is written.
    pub seconds: f64,
}
