//! What can be wrong with a graph.

use crate::Op;
use thiserror::Error;

/// A graph or an input of it that is not possible.
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
    /// An input that has the name of an operator.
    #[error("an input is named '{0}', which is the name of an operator")]
    OperatorName(String),
}
