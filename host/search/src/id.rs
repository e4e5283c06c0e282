//! The numbers of candidates.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a candidate within its run, from 0, in the order of exploration. It also names
/// the streams of random numbers the candidate is made from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CandidateId(pub u64);

impl CandidateId {
    /// Stands for reference loss `number` where a training after the search is stored; no candidate has it.
    #[must_use]
    pub fn of_reference(number: usize) -> Self {
        Self(i64::MAX as u64 - number as u64)
    }
}

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
