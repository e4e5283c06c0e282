//! What can be wrong with a loss that is to be exported.

use autoloss_graph::{ParseError, SpecError};
use autoloss_spec::UnknownName;
use thiserror::Error;

/// Why a loss cannot be exported.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Nobody says what a branch's inputs are.
    #[error(
        "the loss file does not say what the inputs of branch '{0}' are (it has no 'conventions' for it): \
         give the task's plugin as well, or a file that a search has written"
    )]
    NoConvention(String),
    /// A branch name that is not allowed.
    #[error("branch '{branch}': {error}")]
    Name {
        /// The name.
        branch: String,
        /// What is wrong with it.
        error: SpecError,
    },
    /// A text that is no loss.
    #[error("branch '{branch}', {error}")]
    Parse {
        /// The branch.
        branch: String,
        /// What is wrong, and where.
        #[source]
        error: ParseError,
    },
    /// The task's plugin computes the loss of every branch.
    #[error("no branch has a loss graph: the task's plugin computes {}", computed(.0))]
    Computed(Vec<(String, String)>),
    /// A file without any branch.
    #[error("the loss file has no branch")]
    NoBranch,
    /// A branch's scale that nothing can be multiplied by.
    #[error("the scale of branch '{branch}' is {scale}, expected a number above 0")]
    Scale {
        /// The branch.
        branch: String,
        /// Its scale.
        scale: f64,
    },
    /// Inputs that code cannot be written for.
    #[error(
        "branch '{branch}' with {activation} has the inputs {found}; code is written for {expected}"
    )]
    Inputs {
        /// The branch.
        branch: String,
        /// What makes the prediction of raw outputs.
        activation: &'static str,
        /// Its inputs.
        found: String,
        /// Those that code is written for.
        expected: &'static str,
    },
    /// A format that there is not.
    #[error("there is {0}")]
    Format(#[source] UnknownName),
}

fn computed(branches: &[(String, String)]) -> String {
    let branches = branches.iter();
    let texts: Vec<String> = branches
        .map(|(branch, text)| format!("'{text}' of branch '{branch}'"))
        .collect();
    texts.join(", ")
}
