//! Trainings: one evaluation as a value ([`Job`]), where they run ([`Executor`]), when they are pruned,
//! and the repeated measurement of the best.

mod confirm;
mod executor;
mod job;
mod pruning;
mod trainings;

pub use confirm::Confirmed;
pub use executor::{Evaluator, Executor, Finished, Ticket};
pub use job::{Checkpoints, Evaluation, Job, PruningRule};

pub(crate) use confirm::mean_score;
pub(crate) use pruning::Pruner;
pub(crate) use trainings::{Flights, Halt, Training, run_jobs};
