//! Jobs in worker processes of this machine.
//!
//! A thread supervises: it starts workers, hands them jobs, listens, and replaces those that end, fall silent, speak
//! nonsense or take too much. A job whose worker was lost is tried elsewhere, and fails only when that happened
//! [`Limits::tries`] times; then the failure tells the last worker's last words. Nothing here knows what a job is
//! about: the host says what a worker is to open for a run spec, and both sides agree on what that means.

mod last_words;
mod slot;
mod supervisor;

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use autoloss_search::{Executor, Finished, Job, Ticket};

use crate::protocol::Opening;
use supervisor::{Event, Supervisor};

/// What a worker may take.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Limits {
    /// To say hello, and to open a run spec.
    pub start: Duration,
    /// To answer a ping.
    pub silence: Duration,
    /// For one job.
    pub job: Option<Duration>,
    /// Bytes of resident memory.
    pub memory: Option<u64>,
    /// How many workers a job may lose, at least 1.
    pub tries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(120),
            silence: Duration::from_secs(30),
            job: None,
            memory: None,
            tries: 3,
        }
    }
}

/// How workers are made: the command of worker number n, from 0. Its standard streams become the pool's.
pub type Make = dyn Fn(usize) -> Command + Send;

/// What a worker does.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub number: usize,
    /// Its process; none between two.
    pub process: Option<u32>,
    /// What it is at, and since when.
    pub doing: Doing,
    /// Since when it does this.
    pub since: Instant,
    /// How often it was replaced.
    pub restarts: u64,
    /// Why it was replaced last.
    pub lost: Option<String>,
}

/// What a worker is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It begins, or opens a run spec.
    Starting,
    /// It waits for a job.
    Idle,
    /// It runs a job.
    Running {
        /// The job's.
        ticket: Ticket,
        /// Steps made.
        done: usize,
        /// Steps in all; 0 before the first.
        of: usize,
    },
}

/// What the workers of a pool do.
#[derive(Clone, Debug)]
pub struct PoolWatch(Arc<Mutex<Vec<WorkerStatus>>>);

impl PoolWatch {
    /// At this moment.
    #[must_use]
    pub fn now(&self) -> Vec<WorkerStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// An executor of worker processes. Dropping it ends them.
pub struct ProcessPool {
    events: Sender<Event>,
    ended: Receiver<Finished>,
    status: Arc<Mutex<Vec<WorkerStatus>>>,
    workers: usize,
    open: usize,
    supervisor: Option<JoinHandle<()>>,
}

impl ProcessPool {
    /// Starts so many workers, at least 1. Where `stop` is raised, jobs at work are given up and come back as
    /// [`Fault::Interrupted`](autoloss_search::Fault::Interrupted).
    #[must_use]
    pub fn new(workers: usize, make: Box<Make>, limits: Limits, stop: Arc<AtomicBool>) -> Self {
        let workers = workers.max(1);
        let (events, received) = channel();
        let (ends, ended) = channel();
        let status = Arc::default();
        let supervisor = Supervisor::new(
            (workers, make, limits),
            (events.clone(), received),
            ends,
            (Arc::clone(&status), stop),
        );
        Self {
            events,
            ended,
            status,
            workers,
            open: 0,
            supervisor: Some(std::thread::spawn(move || supervisor.run())),
        }
    }

    /// Has every worker open a run spec, now and whenever one is replaced.
    pub fn open(&self, opening: Opening) {
        self.tell(Event::Open(opening));
    }

    /// What the workers do.
    #[must_use]
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.watch().now()
    }

    /// Tells what the workers do while somebody else has the pool.
    #[must_use]
    pub fn watch(&self) -> PoolWatch {
        PoolWatch(Arc::clone(&self.status))
    }

    fn tell(&self, event: Event) {
        // The supervisor ends with the pool alone; if it panicked, `wait` finds its channel closed.
        let _ = self.events.send(event);
    }
}

impl Executor for ProcessPool {
    /// One more than there are workers, so that one that ends a job has the next at once.
    fn capacity(&self) -> usize {
        self.workers + 1
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        self.open += 1;
        self.tell(Event::Submit(ticket, Box::new(job.clone())));
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished> {
        if self.open == 0 {
            return None;
        }
        let ended = match deadline {
            None => self.ended.recv().ok(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.ended.recv_timeout(left).ok()
            }
        };
        self.open -= usize::from(ended.is_some());
        ended
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.tell(Event::Cancel(ticket));
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.tell(Event::Close);
        if let Some(supervisor) = self.supervisor.take() {
            // Its panic was printed; workers end with their input.
            let _ = supervisor.join();
        }
    }
}
