//! Fused evaluation of loss graphs.
//!
//! Nearly all explored losses end in screening, where predictions themselves are optimised with a loss for
//! hundreds of steps. This crate makes such a step cheap, without libtorch: a graph is compiled once, with
//! its gradient, activation and optimiser, to a short [`Program`] that a [`Machine`] runs tile by tile in
//! the cache, vectors of positions at a time.

mod boxes;
mod compile;
mod descent;
mod expr;
mod kernels;
mod level;
mod lower;
mod machine;
mod math;
mod occupied;
mod places;
mod pool;
mod problem;
mod program;
mod range;
mod run;
mod sparse;
mod tile;

pub use level::{Level, levels};
pub use machine::{Gradient, Machine};
pub use problem::{Input, Problem, ProblemError, Shape};
pub use program::Program;

pub use autoloss_spec::Activation;
