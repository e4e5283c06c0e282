//! What the screens found in one graph.

use super::equivalence::GradientKey;
use crate::id::CandidateId;
use crate::outcome::Outcome;

/// A graph that may be trained with.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Passed {
    /// The gain g, where the loss-rejection protocol ran.
    pub gain: Option<f64>,
}

/// What the screens found in one branch's graph, as it is cached and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ScreenRecord {
    /// The candidate in which the graph was screened.
    pub of: CandidateId,
    /// Index of the branch.
    pub branch: usize,
    /// Hash of the canonical form, where it was computed.
    pub canonical: Option<u64>,
    /// Gradient key, where it was computed.
    pub key: Option<GradientKey>,
    /// A pass, or the outcome of every candidate with the graph.
    pub found: Result<Passed, Outcome>,
}
