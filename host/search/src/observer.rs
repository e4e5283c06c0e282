//! What a search tells as it goes; progress bars and logs are someone else's business.

use crate::counts::Counts;
use crate::evaluation::{EvaluationOutcome, EvaluationRequest};
use crate::store::{BestLoss, CandidateRecord, Purpose};
use crate::verdict::CandidateId;

/// Watches a search. Called on the search's own thread between its steps, so it must be quick.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, event: &Event<'_>);
}

/// Watches nothing.
impl Observer for () {
    fn observe(&mut self, _event: &Event<'_>) {}
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A candidate got its verdict.
    Explored {
        /// The candidate.
        record: &'a CandidateRecord,
        /// The run's tallies, this one included.
        counts: &'a Counts,
    },
    /// An evaluation was handed to the evaluator.
    EvaluationStarted {
        /// The candidate.
        candidate: CandidateId,
        /// Why.
        purpose: Purpose,
        /// What is asked for.
        request: &'a EvaluationRequest,
    },
    /// An evaluation ended and is stored.
    EvaluationFinished {
        /// The candidate.
        candidate: CandidateId,
        /// Why it was run.
        purpose: Purpose,
        /// What became of it.
        outcome: &'a EvaluationOutcome,
    },
    /// A candidate is the best so far.
    Improved {
        /// The candidate with its score.
        best: &'a BestLoss,
    },
}
