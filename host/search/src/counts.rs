//! Tallies of a run, kept as it goes and recomputed from the store on resume.

use crate::timing::StageTimes;
use crate::verdict::VerdictKind;

/// Candidates by verdict, and where their time went.
///
/// ```
/// use autoloss_search::{Counts, StageTimes, VerdictKind};
///
/// let mut counts = Counts::default();
/// counts.add(VerdictKind::Static, 9, &StageTimes::default());
/// counts.add(VerdictKind::Scored, 1, &StageTimes::default());
/// assert_eq!((counts.explored(), counts.proxies()), (10, 1));
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    verdicts: [u64; VerdictKind::ALL.len()],
    times: StageTimes,
}

impl Counts {
    /// Adds candidates of one verdict with the time they took together.
    pub fn add(&mut self, kind: VerdictKind, candidates: u64, times: &StageTimes) {
        self.verdicts[kind as usize] += candidates;
        self.times.merge(times);
    }

    /// Candidates with the verdict.
    #[must_use]
    pub fn of(&self, kind: VerdictKind) -> u64 {
        self.verdicts[kind as usize]
    }

    /// All candidates.
    #[must_use]
    pub fn explored(&self) -> u64 {
        self.verdicts.iter().sum()
    }

    /// Proxy evaluations, whatever came of them.
    #[must_use]
    pub fn proxies(&self) -> u64 {
        VerdictKind::ALL
            .into_iter()
            .filter(|kind| kind.evaluated())
            .map(|kind| self.of(kind))
            .sum()
    }

    /// Wall time by stage.
    #[must_use]
    pub fn times(&self) -> &StageTimes {
        &self.times
    }
}
