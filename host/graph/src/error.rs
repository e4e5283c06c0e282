//! What can be wrong with a graph or a signature.

use crate::Op;
use thiserror::Error;

/// An invalid graph, signature or name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An operator got another number of operands than it takes.
    #[error("{op} takes {} operand(s), not {given}", .op.arity())]
    Arity {
        /// The operator.
        op: Op,
        /// Number of operands given.
        given: usize,
    },
    /// A node number that the builder never gave out.
    #[error("there is no node {0} in this graph")]
    UnknownNode(usize),
    /// More nodes than a graph can number.
    #[error("a graph cannot have more than {0} nodes")]
    TooManyNodes(usize),
    /// A graph exceeds its limits.
    #[error("the graph has {what} {value}, the limit is {limit}")]
    Limit {
        /// Which measure.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The most allowed.
        limit: u64,
    },
    /// A signature with no or too many inputs.
    #[error(
        "a branch has {given} inputs; between 1 and {} are possible",
        crate::MAX_INPUTS
    )]
    InputCount {
        /// Number of inputs given.
        given: usize,
    },
    /// A name that cannot be used in formulas.
    #[error(
        "'{0}' is no usable name: letters, digits and '_' starting with a letter, and not the name of an operator"
    )]
    Name(String),
    /// Two inputs of one name.
    #[error("two inputs are named '{0}'")]
    DuplicateInput(String),
}
