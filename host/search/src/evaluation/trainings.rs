//! Has jobs run, as many at the same time as the executor takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::executor::{Executor, Ticket};
use super::job::{Evaluation, Job};
use crate::fault::Fault;
use crate::journal::EvaluationKey;

/// A training to run, and what it is for.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    pub(crate) key: EvaluationKey,
    pub(crate) job: Job,
}

/// Why jobs were not run to their end: whatever the caller's own `finished` said, or the executor.
pub(crate) enum Halt<E> {
    Interrupted,
    Fatal { job: usize, reason: String },
    Caller(E),
}

/// Runs jobs. `started` is told the number of each that begins and `finished` of each that ends, with what
/// came of it. Where the executor or the caller ends it all, what is still open is cancelled.
pub(crate) fn run_jobs<E>(
    jobs: &[&Job],
    executor: &mut dyn Executor,
    stop: &AtomicBool,
    mut started: impl FnMut(usize),
    mut finished: impl FnMut(usize, Evaluation) -> Result<(), E>,
) -> Result<(), Halt<E>> {
    let mut open: BTreeMap<Ticket, usize> = BTreeMap::new();
    let mut next = 0;
    let mut halt = None;
    loop {
        while halt.is_none() && next < jobs.len() && open.len() < executor.capacity().max(1) {
            if stop.load(Ordering::Relaxed) {
                halt = Some(Halt::Interrupted);
                break;
            }
            let ticket = Ticket(next as u64);
            started(next);
            executor.submit(ticket, jobs[next]);
            open.insert(ticket, next);
            next += 1;
        }
        let Some((&first, &job)) = open.first_key_value() else {
            return halt.map_or(Ok(()), Err);
        };
        if halt.is_some() {
            open.keys().for_each(|&ticket| executor.cancel(ticket));
        }
        let (ticket, result) = match executor.wait(None) {
            Some(ended) => ended,
            None => {
                let reason = "the executor has lost a job".to_owned();
                halt.get_or_insert(Halt::Fatal { job, reason });
                open.clear();
                executor.cancel(first);
                continue;
            }
        };
        let Some(job) = open.remove(&ticket) else {
            continue;
        };
        let evaluation = match result {
            Ok(evaluation) => evaluation.checked(),
            Err(Fault::Failed(reason)) => Evaluation::failed(reason),
            Err(Fault::Interrupted) => {
                halt.get_or_insert(Halt::Interrupted);
                continue;
            }
            Err(Fault::Fatal(reason)) => {
                halt.get_or_insert(Halt::Fatal { job, reason });
                continue;
            }
        };
        if let Err(error) = finished(job, evaluation) {
            halt.get_or_insert(Halt::Caller(error));
        }
    }
}
