//! What a search tells as it goes; progress bars and logs are someone else's business.

use crate::candidate::{BestLoss, CandidateRecord};
use crate::comparison::Contender;
use crate::counts::Counts;
use crate::evaluation::{Evaluation, Job};
use crate::id::CandidateId;
use crate::journal::Purpose;

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
pub enum Event<'a> {
    /// A candidate got its outcome.
    Explored {
        /// The candidate.
        record: &'a CandidateRecord,
        /// The run's tallies, this one included.
        counts: &'a Counts,
    },
    /// A training was handed to the executor.
    EvaluationStarted {
        /// The candidate.
        candidate: CandidateId,
        /// Why.
        purpose: Purpose,
        /// What is asked for.
        job: &'a Job,
    },
    /// An evaluation ended and is stored.
    EvaluationFinished {
        /// The candidate.
        candidate: CandidateId,
        /// Why it was run.
        purpose: Purpose,
        /// What became of it.
        evaluation: &'a Evaluation,
    },
    /// Trainings are at work, and nothing else is to be done.
    Waiting,
    /// The trainings of the final table begin.
    Comparing {
        /// The rows, in their order.
        rows: &'a [Contender],
    },
    /// A training of the final table ended.
    Compared {
        /// Whether it is the last of its row to begin.
        last: bool,
        /// The row.
        name: &'a str,
        /// What was asked for.
        job: &'a Job,
        /// What became of it.
        evaluation: &'a Evaluation,
    },
    /// A candidate is the best so far.
    Improved {
        /// The candidate with its score.
        best: &'a BestLoss,
    },
}
