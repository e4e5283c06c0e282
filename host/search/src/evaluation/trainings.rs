//! Has jobs run, as many at the same time as the executor takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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

/// The jobs that an executor has, each with what the caller knows it by.
pub(crate) struct Flights<'a, T> {
    executor: &'a mut dyn Executor,
    open: BTreeMap<Ticket, T>,
    next: u64,
}

impl<'a, T> Flights<'a, T> {
    /// None yet.
    pub(crate) fn new(executor: &'a mut dyn Executor) -> Self {
        Self {
            executor,
            open: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many jobs the executor takes.
    pub(crate) fn capacity(&self) -> usize {
        self.executor.capacity().max(1)
    }

    pub(crate) fn submit(&mut self, job: &Job, known_by: T) {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.executor.submit(ticket, job);
        self.open.insert(ticket, known_by);
    }

    /// Gives all of them up; they come back nevertheless.
    pub(crate) fn cancel(&mut self) {
        for &ticket in self.open.keys() {
            self.executor.cancel(ticket);
        }
    }

    /// The next job that ends before the deadline. Without a deadline it waits; without jobs there is nothing to wait for.
    /// One that failed alone is an evaluation.
    pub(crate) fn ended(
        &mut self,
        deadline: Option<Instant>,
    ) -> Option<(T, Result<Evaluation, Fault>)> {
        while !self.open.is_empty() {
            let Some((ticket, result)) = self.executor.wait(deadline) else {
                if deadline.is_some() {
                    return None;
                }
                let (ticket, lost) = self.open.pop_first()?;
                self.executor.cancel(ticket);
                let reason = "the executor has lost a job".to_owned();
                return Some((lost, Err(Fault::Fatal(reason))));
            };
            let Some(known_by) = self.open.remove(&ticket) else {
                continue;
            };
            let result = match result {
                Ok(evaluation) => Ok(evaluation.checked()),
                Err(Fault::Failed(reason)) => Ok(Evaluation::failed(reason)),
                fault => fault,
            };
            return Some((known_by, result));
        }
        None
    }
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
    let mut flights = Flights::new(executor);
    let mut left = jobs.iter().enumerate();
    let mut halt = None;
    loop {
        while halt.is_none() && flights.len() < flights.capacity() {
            let Some((number, job)) = left.next() else {
                break;
            };
            if stop.load(Ordering::Relaxed) {
                halt = Some(Halt::Interrupted);
                break;
            }
            started(number);
            flights.submit(job, number);
        }
        if halt.is_some() {
            flights.cancel();
        }
        let Some((job, result)) = flights.ended(None) else {
            return halt.map_or(Ok(()), Err);
        };
        let fault = match result {
            Ok(evaluation) => finished(job, evaluation).map_err(Halt::Caller),
            Err(Fault::Interrupted) => Err(Halt::Interrupted),
            Err(Fault::Failed(reason) | Fault::Fatal(reason)) => Err(Halt::Fatal { job, reason }),
        };
        if let Err(fault) = fault {
            halt.get_or_insert(fault);
        }
    }
}
