//! Where trainings run: executors of jobs.
//!
//! A job ([`autoloss_search::Job`]) is a value that says everything of one training, so an executor is free to
//! run it where it likes. [`InProcess`] runs it here, on the thread that waits; pools of worker
//! processes and clusters are further executors of the same trait.

mod in_process;
mod pool;
pub mod protocol;
pub mod worker;

pub use in_process::InProcess;
pub use pool::{Doing, Limits, Make, PoolWatch, ProcessPool, WorkerStatus};
