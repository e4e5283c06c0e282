//! What ends a search other than its budget. A loss that fails is an outcome, never an error.

use thiserror::Error;

use crate::config::ConfigError;
use crate::id::CandidateId;
use crate::journal::JournalError;

/// Why a search could not begin or go on. Whatever was stored before stays, and the run can be
/// resumed once the cause is gone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the journal holds of a candidate cannot be read.
    #[error(
        "what is stored of the run is damaged (candidate {candidate}: {what}): restore it from a copy, or begin a new run"
    )]
    Damaged {
        /// The candidate.
        candidate: CandidateId,
        /// What is wrong.
        what: String,
    },
    /// The task cannot be searched.
    #[error("{sentence}")]
    Task {
        /// What is wrong with it.
        sentence: String,
    },
    /// A loss of `evolution.guesses` or `evolution.terms` cannot be read.
    #[error("the loss {text} cannot be searched with: {sentence}")]
    Loss {
        /// The loss as it was written.
        text: String,
        /// What is wrong with it.
        sentence: String,
    },
    /// The task offered now is not the one the run was started with.
    #[error(
        "the run was started on task {stored:?}, but the task {offered:?} offered now differs from it: {what}"
    )]
    TaskDiffers {
        /// The run's task.
        stored: String,
        /// The offered task.
        offered: String,
        /// The first difference.
        what: String,
    },
    /// A run cannot go on with another configuration.
    #[error(
        "the run was started with another value of {key}; resume it with its own configuration, of which only workers, pool, budget, confirmation, promotion, retrain and keep_best may change"
    )]
    ConfigDiffers {
        /// Dotted path of the first key that differs.
        key: String,
    },
    /// More jobs at the same time than the executor takes.
    #[error(
        "workers is {asked}, but {offered} evaluations run at a time here: set workers to {offered}"
    )]
    Workers {
        /// `workers` of the configuration.
        asked: usize,
        /// The executor's capacity.
        offered: usize,
    },
    /// A candidate could not be screened, and no other can be.
    #[error("screening candidate {candidate} failed: {reason}")]
    Screening {
        /// The candidate.
        candidate: CandidateId,
        /// What the screener said.
        reason: String,
    },
    /// A training could not be run, and no other can be.
    #[error("evaluating candidate {candidate} failed: {reason}")]
    Evaluation {
        /// The candidate.
        candidate: CandidateId,
        /// What the executor said.
        reason: String,
    },
    /// A training of the final table could not be run, and no other can be.
    #[error("training with {name} failed: {reason}")]
    Comparison {
        /// The row.
        name: String,
        /// What the executor said.
        reason: String,
    },
    /// So many candidates in a row failed that the next will too.
    #[error("the last {count} candidates could not be evaluated, the last one because: {reason}")]
    Failing {
        /// `budget.max_failures` of the configuration.
        count: u64,
        /// What the last one's failure was.
        reason: String,
    },
}
