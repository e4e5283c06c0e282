//! The numbers of candidates.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a candidate within its run, from 0, in the order of exploration. It also names
/// the streams of random numbers the candidate is made from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CandidateId(pub u64);

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
