//! Why a screen or an evaluation could not be done, and whom that concerns.

use thiserror::Error;

/// What kept a backend from its work. A loss that trains badly is an
/// [`Outcome`](crate::Outcome), never a fault.
#[derive(Clone, Debug, PartialEq, Eq, Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller's stop flag was raised. The work is repeated when the run goes on.
    #[error("the work was interrupted")]
    Interrupted,
    /// This one piece of work failed: its plugin reported an error or panicked, its worker ended, memory
    /// ran out. The candidate ends as [`Outcome::Failed`](crate::Outcome::Failed).
    #[error("{0}")]
    Failed(String),
    /// What every other candidate would meet too. The run ends, and can be resumed once the cause is gone.
    #[error("{0}")]
    Fatal(String),
}
