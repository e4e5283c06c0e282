//! Where jobs run. The search hands jobs to an [`Executor`] and takes back what ends, in whatever order;
//! an [`Evaluator`] runs one job at a time and is what an executor of this process is made of.

use std::time::Instant;

use super::job::{Evaluation, Job};
use crate::fault::Fault;

/// Names a job between [`Executor::submit`] and its end.
#[derive(
    Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Ticket(pub u64);

/// A job that ended, or why it did not come to its end.
pub type Finished = (Ticket, Result<Evaluation, Fault>);

/// Runs one job after the other.
pub trait Evaluator {
    /// Trains a network with the job's losses and scores it.
    ///
    /// # Errors
    ///
    /// [`Fault::Interrupted`] where the caller's stop flag was raised, [`Fault::Failed`] where this
    /// training could not be run, [`Fault::Fatal`] where no other can be.
    fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault>;
}

/// Runs jobs: in this process, in worker processes, on other machines.
pub trait Executor {
    /// How many jobs it takes at the same time, those included that wait in it for a place; the search has no more of
    /// them open. At least 1.
    fn capacity(&self) -> usize;

    /// Takes a job; a ticket is used once.
    fn submit(&mut self, ticket: Ticket, job: &Job);

    /// Waits for one of the open jobs to end, until the deadline where there is one. Nothing where none
    /// ended by then, or none is open.
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished>;

    /// Gives an open job up; it may still be reported as ended.
    fn cancel(&mut self, ticket: Ticket);
}
