//! Tallies of a run.

use crate::outcome::OutcomeKind;
use crate::timing::StageTimes;

/// Candidates by outcome, and where their time went.
///
/// ```
/// use autoloss_search::{Counts, StageTimes, OutcomeKind};
///
/// let mut counts = Counts::default();
/// counts.add(OutcomeKind::Static, 9, &StageTimes::default());
/// counts.add(OutcomeKind::Scored, 1, &StageTimes::default());
/// assert_eq!((counts.explored(), counts.proxies()), (10, 1));
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    outcomes: [u64; OutcomeKind::ALL.len()],
    times: StageTimes,
}

impl Counts {
    /// Adds candidates of one outcome with the time they took together.
    pub fn add(&mut self, kind: OutcomeKind, candidates: u64, times: &StageTimes) {
        self.outcomes[kind as usize] += candidates;
        self.times.merge(times);
    }

    /// Candidates with the outcome.
    #[must_use]
    pub fn of(&self, kind: OutcomeKind) -> u64 {
        self.outcomes[kind as usize]
    }

    /// All candidates.
    #[must_use]
    pub fn explored(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Proxy evaluations, whatever came of them.
    #[must_use]
    pub fn proxies(&self) -> u64 {
        let evaluated = OutcomeKind::ALL.iter().filter(|kind| kind.evaluated());
        evaluated.map(|&kind| self.of(kind)).sum()
    }

    /// Wall time by stage.
    #[must_use]
    pub fn times(&self) -> &StageTimes {
        &self.times
    }
}
