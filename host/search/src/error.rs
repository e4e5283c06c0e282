//! What ends a search other than its budget. A loss that fails is a verdict, never an error.

use thiserror::Error;

use crate::config::ConfigError;
use crate::screening::BackendError;
use crate::store::StoreError;
use crate::verdict::CandidateId;

/// Why a search could not begin or go on. Whatever was stored before stays, and the run can be
/// resumed once the cause is gone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task cannot be searched.
    #[error("{sentence}")]
    Task {
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
        "the run was started with another value of {key}; resume it with its own configuration, of which only budget, confirmation and keep_best may change"
    )]
    ConfigDiffers {
        /// Dotted path of the first key that differs.
        key: String,
    },
    /// The screens of a candidate could not be run.
    #[error("screening candidate {candidate} failed: {source}")]
    Screening {
        /// The candidate.
        candidate: CandidateId,
        /// What the screener said.
        source: BackendError,
    },
    /// A proxy evaluation could not be run, and no other can be expected to.
    #[error("evaluating {} failed: {source}", name_candidates(.candidates))]
    Evaluation {
        /// The candidates whose evaluation was asked for.
        candidates: Vec<CandidateId>,
        /// What the evaluator said.
        source: BackendError,
    },
}

fn name_candidates(candidates: &[CandidateId]) -> String {
    let names: Vec<String> = candidates.iter().map(CandidateId::to_string).collect();
    match names.as_slice() {
        [one] => format!("candidate {one}"),
        _ => format!("candidates {}", names.join(", ")),
    }
}
