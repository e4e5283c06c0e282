//! Loss graphs: what a loss is, as a value.
//!
//! A [`LossGraph`] is a rooted graph of the fourteen primitive operators of AutoLoss-Zero
//! (arXiv 2103.14026) over the named inputs of a branch and the constant 1. It is an immutable,
//! hash-consed value: structurally equal graphs are equal, cost nothing to clone, and every change
//! makes a new graph. The alternative, a mutable tree as in most genetic-programming libraries, was
//! rejected because the search compares, hashes and shares graphs far more often than it edits them.
//!
//! The crate knows no task, no tensor and no search. [`Signature`] names a branch's inputs;
//! [`static_check`] rejects what cannot train anything; [`LossGraph::canonical`] finds algebraic
//! equals; [`random_graph`] and [`mutate`] make new graphs; [`reference`](mod@reference) computes
//! values and gradients slowly and plainly, to check others against.
//!
//! ```
//! use autoloss_graph::{Limits, LossGraph, Signature};
//!
//! let inputs = Signature::dense();
//! let cross_entropy = LossGraph::parse("neg(mul(y, log(yhat)))", &inputs, &Limits::default())?;
//! assert_eq!(cross_entropy.operator_count(), 3);
//! assert_eq!(cross_entropy.display(&inputs).to_string(), "neg(mul(y, log(yhat)))");
//! # Ok::<(), autoloss_graph::ParseError>(())
//! ```

mod canonical;
mod check;
mod error;
pub mod facts;
mod formula;
mod generate;
mod graph;
pub mod hash;
pub mod infix;
mod limits;
mod loss;
mod mutate;
mod op;
pub mod reference;
mod signature;
mod text;

pub use check::{StaticReason, static_check};
pub use error::GraphError;
pub use formula::Formula;
pub use generate::{GenerateConfig, random_graph};
pub use graph::{GraphBuilder, LossGraph, Node, NodeId};
pub use limits::Limits;
pub use loss::{Loss, LossFile, LossFileError, SCHEMA};
pub use mutate::{Mutation, mutate, random_mutation, sum};
pub use op::{BinaryOp, EPSILON, Notation, Op, Parity, Reach, Sign, UnaryFacts, UnaryOp};
pub use signature::check_names;
pub use text::{ParseError, ParseErrorKind};

// The vocabulary that this crate's functions take and return.
pub use autoloss_spec::{
    Activation, BranchName, Convention, InputId, InputInfo, MAX_INPUTS, Signature, SpecError,
    Values,
};
