//! What can be wrong with a value of the vocabulary.

use thiserror::Error;

/// A name, a signature or a declaration that is not usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A name that formulas cannot contain.
    #[error("'{0}' is not a usable name: letters, digits and '_', not starting with a digit")]
    Name(String),
    /// A signature with no input or too many.
    #[error(
        "a branch has {given} inputs; between 1 and {} are possible",
        crate::MAX_INPUTS
    )]
    InputCount {
        /// Number of inputs given.
        given: usize,
    },
    /// Two inputs of one name.
    #[error("two inputs are named '{0}'")]
    DuplicateInput(String),
    /// An attribute of a task that is missing or not a whole number.
    #[error("task '{task}' has no whole-number attribute '{name}'")]
    Attribute {
        /// The task.
        task: String,
        /// The attribute.
        name: String,
    },
}
