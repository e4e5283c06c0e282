//! The thread that looks after the workers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoloss_search::{Evaluation, Fault, Finished, Job, Ticket};

use super::slot::{Assigned, Worker};
use super::{Doing, Limits, Make, WorkerStatus};
use crate::protocol::{FromWorker, Hello, Opening, PROTOCOL, ToWorker};

/// How often clocks and memory are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long a cancelled job may take to end before its worker is killed; one that is nearly done is done first.
const CANCELLED: Duration = Duration::from_secs(20);
/// Workers that fail to start, one after the other, before the pool ends every job.
const STARTS: usize = 4;

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Event {
    Open(Opening),
    Submit(Ticket, Box<Job>),
    Cancel(Ticket),
    /// What worker `.0` of generation `.1` said; nothing where its output closed.
    Said(usize, u64, Result<Option<FromWorker>, String>),
    Close,
}

/// A place for a worker.
#[derive(Debug, Default)]
struct Place {
    worker: Option<Worker>,
    /// Counts the workers that had this place.
    generation: u64,
    /// Not started before.
    after: Option<Instant>,
    lost: Option<String>,
}

pub(super) struct Supervisor {
    make: Box<Make>,
    limits: Limits,
    places: Vec<Place>,
    openings: Vec<Opening>,
    waiting: VecDeque<Assigned>,
    /// Cancelled while at work, and when.
    cancelled: BTreeMap<Ticket, Instant>,
    /// Starts that failed since one did not.
    failed_starts: usize,
    /// Why no job can be run any more.
    broken: Option<String>,
    events: Sender<Event>,
    received: Receiver<Event>,
    ends: Sender<Finished>,
    status: Arc<Mutex<Vec<WorkerStatus>>>,
    stop: Arc<AtomicBool>,
}

impl Supervisor {
    pub(super) fn new(
        (workers, make, limits): (usize, Box<Make>, Limits),
        (events, received): (Sender<Event>, Receiver<Event>),
        ends: Sender<Finished>,
        (status, stop): (Arc<Mutex<Vec<WorkerStatus>>>, Arc<AtomicBool>),
    ) -> Self {
        Self {
            make,
            limits,
            places: (0..workers).map(|_| Place::default()).collect(),
            openings: Vec::new(),
            waiting: VecDeque::new(),
            cancelled: BTreeMap::new(),
            failed_starts: 0,
            broken: None,
            events,
            received,
            ends,
            status,
            stop,
        }
    }

    pub(super) fn run(mut self) {
        let mut looked = Instant::now();
        loop {
            self.start_missing();
            self.hand_out();
            self.publish();
            match self
                .received
                .recv_timeout(TICK.saturating_sub(looked.elapsed()))
            {
                Ok(Event::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // However many events there are: it reads files of every worker.
            if looked.elapsed() >= TICK {
                self.look();
                looked = Instant::now();
            }
        }
        for place in &mut self.places {
            if let Some(worker) = place.worker.take() {
                worker.bury("the pool ends", false);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Open(opening) => self.openings.push(opening),
            Event::Submit(ticket, job) => self.waiting.push_back(Assigned {
                ticket,
                job,
                lost: 0,
            }),
            Event::Cancel(ticket) => self.cancel(ticket),
            Event::Said(number, generation, message) => {
                // A worker that was replaced may have spoken before.
                if self.places[number].generation == generation
                    && self.places[number].worker.is_some()
                {
                    self.said(number, message);
                }
            }
            Event::Close => {}
        }
    }

    fn said(&mut self, number: usize, message: Result<Option<FromWorker>, String>) {
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => return self.lose(number, "it closed its output", true),
            Err(reason) => return self.lose(number, &reason, false),
        };
        let Some(worker) = self.places[number].worker.as_mut() else {
            return;
        };
        worker.heard(matches!(message, FromWorker::Pong { .. }));
        // One that dies before the next look leaves no other trace of what it used.
        worker.memory();
        match message {
            FromWorker::Hello(hello) => match refusal(&hello) {
                None => {
                    worker.ready = true;
                    worker.since = Instant::now();
                }
                Some(why) => self.broken = Some(why),
            },
            FromWorker::Opened { key } => {
                worker.opened.insert(key);
                worker.since = Instant::now();
                self.failed_starts = 0;
            }
            FromWorker::Refused { reason, .. } => self.broken = Some(reason),
            FromWorker::Pong { .. } => {}
            FromWorker::Progress { ticket, done, of } => {
                if worker.has(ticket) {
                    worker.steps = (done, of);
                }
            }
            FromWorker::Ended { ticket, evaluation } => {
                let evaluation = Evaluation {
                    worker: Some(number),
                    ..evaluation
                };
                self.ended(number, ticket, Ok(evaluation));
            }
            FromWorker::Faulted { ticket, fault } => self.ended(number, ticket, Err(fault)),
        }
    }

    /// A job came back from the worker that had it; one that another has is nonsense.
    fn ended(&mut self, number: usize, ticket: Ticket, result: Result<Evaluation, Fault>) {
        let place = &mut self.places[number];
        let has = |job: &mut Assigned| job.ticket == ticket;
        let Some(worker) = &mut place.worker else {
            return;
        };
        if worker.at_work.take_if(has).is_none() {
            return self.lose(number, "it ended a job that it did not have", false);
        }
        worker.since = Instant::now();
        self.cancelled.remove(&ticket);
        self.finish(ticket, result);
    }

    fn finish(&self, ticket: Ticket, result: Result<Evaluation, Fault>) {
        // Where the pool is gone nobody wants it.
        let _ = self.ends.send((ticket, result));
    }

    fn cancel(&mut self, ticket: Ticket) {
        if let Some(index) = self.waiting.iter().position(|job| job.ticket == ticket) {
            self.waiting.remove(index);
            self.finish(ticket, Err(Fault::Interrupted));
            return;
        }
        let mut workers = self
            .places
            .iter_mut()
            .filter_map(|place| place.worker.as_mut());
        // The first time counts: a stopped search cancels again and again.
        if let Some(worker) = workers.find(|worker| worker.has(ticket))
            && !self.cancelled.contains_key(&ticket)
        {
            self.cancelled.insert(ticket, Instant::now());
            // One that cannot be told has ended, which its output tells.
            let _ = worker.tell(&ToWorker::Cancel { ticket });
        }
    }

    /// Clocks, memory and the stop flag.
    fn look(&mut self) {
        if self.stop.load(Ordering::Relaxed) {
            let waiting = self.waiting.iter().map(|job| job.ticket);
            let at_work = self.places.iter().filter_map(|place| {
                let worker = place.worker.as_ref()?;
                Some(worker.at_work.as_ref()?.ticket)
            });
            let all: Vec<Ticket> = waiting.chain(at_work).collect();
            all.into_iter().for_each(|ticket| self.cancel(ticket));
        }
        for number in 0..self.places.len() {
            if let Some(why) = self.excess(number) {
                self.lose(number, &why, false);
            }
        }
        if let Some(reason) = self.broken.clone() {
            for job in std::mem::take(&mut self.waiting) {
                self.finish(job.ticket, Err(Fault::Fatal(reason.clone())));
            }
        }
    }

    /// What a worker does beyond its limits.
    fn excess(&mut self, number: usize) -> Option<String> {
        let limits = self.limits;
        let worker = self.places[number].worker.as_mut()?;
        let memory = worker.memory();
        if let Some(limit) = limits.memory.filter(|limit| memory > *limit) {
            return Some(format!(
                "it used {} MiB of memory, and may use {}",
                memory >> 20,
                limit >> 20
            ));
        }
        let since = worker.since.elapsed();
        let seconds = |limit: Duration| limit.as_secs_f64();
        let starting = !worker.is_open();
        match &worker.at_work {
            Some(job) => {
                let cancelled = self.cancelled.get(&job.ticket);
                if cancelled.is_some_and(|when| when.elapsed() > CANCELLED) {
                    return Some("it went on with a job that was cancelled".into());
                }
                if let Some(limit) = limits.job.filter(|limit| since > *limit) {
                    return Some(format!("a job took more than {} s", seconds(limit)));
                }
            }
            None if starting && since > limits.start => {
                return Some(format!(
                    "it took more than {} s to begin",
                    seconds(limits.start)
                ));
            }
            None => {}
        }
        let silence = limits.silence;
        (!worker.alive(silence)).then(|| format!("it was silent for {} s", seconds(silence)))
    }

    /// Ends a worker and has its job tried elsewhere, where it has lost few workers yet.
    fn lose(&mut self, number: usize, why: &str, closed: bool) {
        let place = &mut self.places[number];
        let Some(worker) = place.worker.take() else {
            return;
        };
        let began = !worker.ready || worker.opened.is_empty();
        let seconds = worker.since.elapsed().as_secs_f64();
        let (job, words) = worker.bury(why, closed);
        tracing::warn!("worker {number} is replaced: {words}");
        place.lost = Some(words.clone());
        if began {
            self.failed_starts += 1;
            place.after = Some(Instant::now() + TICK * (1 << self.failed_starts.min(5)));
            if self.failed_starts >= STARTS {
                self.broken = Some(format!("workers do not begin: {words}"));
            }
        }
        let Some(mut job) = job else {
            return;
        };
        let cancelled = self.cancelled.remove(&job.ticket).is_some();
        job.lost += 1;
        if cancelled {
            self.finish(job.ticket, Err(Fault::Interrupted));
        } else if job.lost >= self.limits.tries.max(1) {
            let reason = match job.lost {
                1 => format!("its worker was lost: {words}"),
                lost => format!("{lost} workers were lost with it; the last: {words}"),
            };
            let mut failed = Evaluation::failed(reason);
            (failed.worker, failed.train_seconds) = (Some(number), seconds);
            self.finish(job.ticket, Ok(failed));
        } else {
            self.waiting.push_front(job);
        }
    }

    fn start_missing(&mut self) {
        if self.broken.is_some() || self.stop.load(Ordering::Relaxed) {
            return;
        }
        for number in 0..self.places.len() {
            let place = &mut self.places[number];
            let later = place.after.is_some_and(|after| Instant::now() < after);
            if place.worker.is_some() || later {
                continue;
            }
            place.generation += 1;
            let generation = place.generation;
            match Worker::start((self.make)(number), number, generation, &self.events) {
                Ok(worker) => place.worker = Some(worker),
                Err(error) => {
                    self.broken = Some(format!("a worker cannot be started: {error}"));
                    return;
                }
            }
        }
    }

    /// Gives workers that are ready what they have to open, and a job to each that is idle, unless all is to end.
    fn hand_out(&mut self) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        for number in 0..self.places.len() {
            let Some(worker) = self.places[number]
                .worker
                .as_mut()
                .filter(|worker| worker.ready)
            else {
                continue;
            };
            let mut gone = false;
            for opening in &self.openings {
                if worker.asked.insert(opening.key.clone()) {
                    gone |= worker.tell(&ToWorker::Open(opening.clone())).is_err();
                    worker.since = Instant::now();
                }
            }
            let idle = worker.at_work.is_none() && worker.is_open();
            if idle
                && !gone
                && let Some(job) = self.waiting.pop_front()
            {
                let run = ToWorker::Run {
                    ticket: job.ticket,
                    job: job.job.clone(),
                };
                gone = worker.tell(&run).is_err();
                (worker.since, worker.steps) = (Instant::now(), (0, 0));
                worker.at_work = Some(job);
            }
            if gone {
                self.lose(number, "it closed its input", true);
            }
        }
    }

    fn publish(&self) {
        let of = |(number, place): (usize, &Place)| {
            let worker = place.worker.as_ref();
            let doing = match worker.map(|worker| (worker, &worker.at_work)) {
                Some((worker, Some(job))) => Doing::Running {
                    ticket: job.ticket,
                    done: worker.steps.0,
                    of: worker.steps.1,
                },
                Some((worker, None)) if worker.is_open() => Doing::Idle,
                _ => Doing::Starting,
            };
            WorkerStatus {
                number,
                process: worker.map(Worker::process),
                doing,
                since: worker.map_or_else(Instant::now, |worker| worker.since),
                restarts: place.generation.saturating_sub(1),
                lost: place.lost.clone(),
            }
        };
        let status = self.places.iter().enumerate().map(of).collect();
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Why a worker cannot be ours.
fn refusal(hello: &Hello) -> Option<String> {
    (hello.protocol != PROTOCOL).then(|| {
        format!(
            "a worker speaks version {} of the protocol, and this host version {PROTOCOL}: both must be of one release",
            hello.protocol
        )
    })
}
