//! Several losses at the same time, one on each core.

use super::Worker;
use crate::{Result, TrainError, shim};
use autoloss_search::{Fault, Timed, Work};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers with the numbers of the losses they are of.
type Answers<T> = Vec<(usize, Result<Timed<T>, Fault>)>;

/// Workers, and a thread for each if there are several.
pub(super) struct WorkerPool {
    first: Worker,
    rest: Vec<Worker>,
    pool: Option<ThreadPool>,
}

impl WorkerPool {
    /// # Errors
    /// Threads that cannot be started.
    pub(super) fn new(first: Worker, rest: Vec<Worker>) -> Result<Self> {
        let pool = match rest.len() {
            0 => None,
            more => Some(threads(more + 1)?),
        };
        Ok(Self { first, rest, pool })
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len() + 1
    }

    /// The worker for single losses.
    pub(super) fn first(&mut self) -> &mut Worker {
        &mut self.first
    }

    /// The answers in the order of the work; each worker takes the next loss when it is done with one.
    pub(super) fn all<T: Send>(
        &mut self,
        work: &[Work],
        each: impl Fn(&mut Worker, &Work) -> Result<T, Fault> + Sync,
    ) -> Result<Vec<Timed<T>>, Fault> {
        let pool = match &self.pool {
            Some(pool) if work.len() > 1 => pool,
            _ => {
                let mut one = |loss| Timed::of(|| each(&mut self.first, loss)).transposed();
                return work.iter().map(&mut one).collect();
            }
        };
        let next = AtomicUsize::new(0);
        let mut found: Vec<Answers<T>> = Vec::new();
        found.resize_with(self.rest.len() + 1, Vec::new);
        let (next, each) = (&next, &each);
        let workers = std::iter::once(&mut self.first).chain(&mut self.rest);
        pool.scope(|scope| {
            for (worker, found) in workers.zip(&mut found) {
                scope.spawn(move |_| {
                    while let Some((number, loss)) = taken(next, work) {
                        let answer = Timed::of(|| each(worker, loss)).transposed();
                        found.push((number, answer));
                    }
                });
            }
        });
        let mut found: Answers<T> = found.into_iter().flatten().collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, answer)| answer).collect()
    }
}

fn threads(count: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|number| format!("screening {number}"))
        .start_handler(|_| {
            // The metric works on libtorch's tensors, one core each.
            if let Err(error) = shim::keep_to_this_thread() {
                tracing::warn!("a screening thread brings threads of its own: {error}");
            }
        })
        .build()
        .map_err(|error| TrainError::Threads(error.to_string()))
}

/// The next loss that no worker has taken, and its number.
fn taken<'a>(next: &AtomicUsize, work: &'a [Work]) -> Option<(usize, &'a Work)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, work.get(number)?))
}
