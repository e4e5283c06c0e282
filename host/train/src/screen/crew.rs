//! Several losses at the same time, one on each core.

use super::Worker;
use crate::{Result, TrainError, shim};
use autoloss_search::{BackendError, Timed, Work};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers with the numbers of the losses they are of.
type Answers<T> = Vec<(usize, Result<Timed<T>, BackendError>)>;

/// Threads with a worker each.
pub(super) struct Crew {
    workers: Vec<Worker>,
    pool: ThreadPool,
}

impl Crew {
    /// # Errors
    /// A system that gives no threads.
    pub(super) fn new(workers: Vec<Worker>) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(workers.len())
            .thread_name(|number| format!("screening {number}"))
            .start_handler(|_| {
                // The metric works on libtorch's tensors, one core each.
                if let Err(error) = shim::keep_to_this_thread() {
                    tracing::warn!("a screening thread brings threads of its own: {error}");
                }
            })
            .build()
            .map_err(|error| TrainError::Threads(error.to_string()))?;
        Ok(Self { workers, pool })
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// The answers in the order of the work; each worker takes the next loss when it is done with one.
    pub(super) fn all<T: Send>(
        &mut self,
        work: &[Work],
        each: impl Fn(&mut Worker, &Work) -> Result<T, BackendError> + Sync,
    ) -> Result<Vec<Timed<T>>, BackendError> {
        let next = AtomicUsize::new(0);
        let mut found: Vec<Answers<T>> = Vec::new();
        found.resize_with(self.workers.len(), Vec::new);
        let (next, each) = (&next, &each);
        self.pool.scope(|scope| {
            for (worker, found) in self.workers.iter_mut().zip(&mut found) {
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

/// The next loss that nobody has taken, and its number.
fn taken<'a>(next: &AtomicUsize, work: &'a [Work]) -> Option<(usize, &'a Work)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, work.get(number)?))
}
