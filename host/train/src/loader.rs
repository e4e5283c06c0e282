//! Batches loaded ahead of the training step, in order.
//!
//! The host loads ahead, not the plugin: every task gains by it and a plugin author writes a plain
//! `batch`. Which samples a batch holds and how they are augmented is in its request, so the batches
//! are the same whatever the number of threads. Memory is bounded by the number of batches ahead.

use crate::plugin::RemoteTask;
use crate::shim::keep_to_this_thread;
use crate::{Result, TrainError};
use autoloss_plugin_api::{Batch, BatchRequest, Tensors};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tch::Device;

/// Where batches come from.
pub(crate) trait Loads: Sync {
    /// The batch that is asked for.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say of it.
    fn load(&self, request: BatchRequest) -> Result<Batch>;
}

impl Loads for RemoteTask {
    fn load(&self, request: BatchRequest) -> Result<Batch> {
        Ok(RemoteTask::load(self, request)?)
    }
}

/// How batches are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    /// Threads that load beside the training step; 0 loads in the training thread itself.
    pub threads: usize,
    /// Batches that may wait to be used, at least 1.
    pub ahead: usize,
}

impl Loading {
    /// Half of the cores where libtorch trains on them, all of them where a GPU trains.
    pub fn for_device(device: Device) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if device.is_cuda() { cores } else { cores / 2 };
        Self::with_threads(threads.clamp(1, 16))
    }

    /// This many threads; each may have a batch in hand while another waits to be used.
    pub fn with_threads(threads: usize) -> Self {
        Self {
            threads,
            ahead: threads + 1,
        }
    }
}

struct State<I> {
    requests: I,
    /// Requests handed to threads so far.
    issued: usize,
    /// Batches used so far.
    taken: usize,
    ready: BTreeMap<usize, Result<Batch>>,
    closed: bool,
}

struct Shared<I> {
    state: Mutex<State<I>>,
    /// A place became free, or the loader was closed.
    room: Condvar,
    /// A batch became ready.
    filled: Condvar,
}

impl<I: Iterator<Item = BatchRequest>> Shared<I> {
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads until nothing is left to be asked for.
    fn work(&self, source: &dyn Loads, ahead: usize, device: Device) {
        if let Err(error) = keep_to_this_thread() {
            tracing::warn!("loading may slow the training down: {error}");
        }
        while let Some((number, request)) = self.issue(ahead) {
            let batch = load(source, request, device);
            self.lock().ready.insert(number, batch);
            self.filled.notify_one();
        }
    }

    fn issue(&self, ahead: usize) -> Option<(usize, BatchRequest)> {
        let mut state = self.lock();
        while !state.closed && state.issued - state.taken >= ahead {
            let waited = self.room.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        let request = state.requests.next()?;
        state.issued += 1;
        Some((state.issued - 1, request))
    }

    /// Waits for the next batch in order.
    fn take(&self) -> Option<Result<Batch>> {
        let mut state = self.lock();
        let number = state.taken;
        let batch = loop {
            if let Some(batch) = state.ready.remove(&number) {
                break batch;
            }
            let waited = self.filled.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        };
        state.taken += 1;
        drop(state);
        self.room.notify_all();
        Some(batch)
    }
}

/// Batches in the order of their requests.
pub(crate) struct Batches<'a> {
    next: Box<dyn FnMut() -> Option<Result<Batch>> + 'a>,
    device: Device,
    waited: Duration,
}

impl Batches<'_> {
    /// The next batch, on the device and known to be finite.
    ///
    /// # Errors
    /// Whatever the plugin or libtorch say of this batch.
    pub(crate) fn next(&mut self) -> Result<Batch> {
        let started = Instant::now();
        let batch = (self.next)().unwrap_or_else(|| Err(TrainError::Interrupted))?;
        self.waited += started.elapsed();
        Ok(Batch {
            inputs: moved(&batch.inputs, self.device)?,
            targets: moved(&batch.targets, self.device)?,
        })
    }

    /// Time spent waiting for batches so far.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

/// Runs `body` with the batches of `requests`, of which it may take no more than there are. On return,
/// whatever its outcome, no thread loads any more.
pub(crate) fn with_batches<R>(
    source: &dyn Loads,
    device: Device,
    loading: Loading,
    mut requests: impl Iterator<Item = BatchRequest> + Send,
    body: impl FnOnce(&mut Batches<'_>) -> Result<R>,
) -> Result<R> {
    if loading.threads == 0 {
        let next = || requests.next().map(|request| load(source, request, device));
        return body(&mut Batches::new(device, Box::new(next)));
    }
    let shared = Shared {
        state: Mutex::new(State {
            requests,
            issued: 0,
            taken: 0,
            ready: BTreeMap::new(),
            closed: false,
        }),
        room: Condvar::new(),
        filled: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let _closing = Closing(|| {
            shared.lock().closed = true;
            shared.room.notify_all();
        });
        for _ in 0..loading.threads {
            scope.spawn(|| shared.work(source, loading.ahead.max(1), device));
        }
        body(&mut Batches::new(device, Box::new(|| shared.take())))
    })
}

/// Calls its closure when dropped, also while a panic unwinds: the scope waits for its threads.
struct Closing<F: FnMut()>(F);

impl<F: FnMut()> Drop for Closing<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<'a> Batches<'a> {
    fn new(device: Device, next: Box<dyn FnMut() -> Option<Result<Batch>> + 'a>) -> Self {
        Self {
            next,
            device,
            waited: Duration::ZERO,
        }
    }
}

/// One batch; for a GPU in pinned memory, from which copies run beside computation.
fn load(source: &dyn Loads, request: BatchRequest, device: Device) -> Result<Batch> {
    let batch = source.load(request)?;
    if !device.is_cuda() {
        return Ok(batch);
    }
    let pin = |tensor: &tch::Tensor| tensor.f_pin_memory(device);
    Ok(Batch {
        inputs: batch.inputs.try_map(pin)?,
        targets: batch.targets.try_map(pin)?,
    })
}

/// The tensors on the device; the copy is only started.
fn moved(tensors: &Tensors, device: Device) -> Result<Tensors> {
    let copy = |tensor: &tch::Tensor| tensor.f_to_device_(device, tensor.kind(), true, false);
    Ok(tensors.try_map(copy)?)
}
