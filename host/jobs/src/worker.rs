//! The worker's side of the protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use autoloss_search::{Evaluation, Fault, Job, Ticket};

use crate::protocol::{FromWorker, Hello, MessageError, Opening, ToWorker, receive, send};

/// Trains for a worker: what was opened for one run spec.
pub trait Trainer {
    /// Runs a job. `progress` is told steps made and steps in all.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`](autoloss_search::Evaluator::evaluate).
    fn train(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Evaluation, Fault>;
}

/// Makes trainers of what a host asks to be opened; an error is told to the host.
pub type Open<'a> = dyn FnMut(&Opening) -> Result<Box<dyn Trainer>, String> + 'a;

/// Writes whole messages, one thread at a time.
struct Output<W>(Mutex<W>);

impl<W: Write> Output<W> {
    fn say(&self, message: &FromWorker) -> std::io::Result<()> {
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *to, message)
    }
}

/// What the reading thread has for the one that trains.
enum Order {
    Open(Opening),
    Run(Ticket, Box<Job>),
}

/// The job at work, which a cancellation may name.
#[derive(Default)]
struct AtWork {
    ticket: Mutex<Option<Ticket>>,
    /// Cancelled before they began.
    cancelled: Mutex<Vec<Ticket>>,
}

/// Serves a host until `input` closes. A thread reads it and answers pings; jobs run on this one. `stop` is raised
/// where the job at work is cancelled, and trainers are to poll it. `gone` is called where the host has closed
/// the input or speaks nonsense while a job runs, and is to end the process: nobody waits for the job any more.
///
/// # Errors
/// The output is closed.
pub fn serve<W: Write + Send + 'static>(
    input: impl BufRead + Send + 'static,
    output: W,
    hello: Hello,
    stop: &Arc<AtomicBool>,
    gone: impl Fn(&str) + Send + 'static,
    open: &mut Open<'_>,
) -> std::io::Result<()> {
    let output = Arc::new(Output(Mutex::new(output)));
    output.say(&FromWorker::Hello(hello))?;
    let at_work = Arc::new(AtWork::default());
    let (orders, next) = channel();
    let reader = Reader {
        output: Arc::clone(&output),
        at_work: Arc::clone(&at_work),
        stop: Arc::clone(stop),
        orders,
    };
    std::thread::spawn(move || gone(&reader.read(input)));
    work(&next, &output, &at_work, stop, open)
}

struct Reader<W> {
    output: Arc<Output<W>>,
    at_work: Arc<AtWork>,
    stop: Arc<AtomicBool>,
    orders: Sender<Order>,
}

impl<W: Write> Reader<W> {
    /// Reads until there is nothing more to read, and says why.
    fn read(self, mut input: impl BufRead) -> String {
        loop {
            let order = match receive(&mut input) {
                Ok(Some(ToWorker::Open(opening))) => Order::Open(opening),
                Ok(Some(ToWorker::Run { ticket, job })) => Order::Run(ticket, job),
                Ok(Some(ToWorker::Cancel { ticket })) => {
                    self.cancel(ticket);
                    continue;
                }
                Ok(Some(ToWorker::Ping { number })) => {
                    match self.output.say(&FromWorker::Pong { number }) {
                        Ok(()) => continue,
                        Err(error) => return error.to_string(),
                    }
                }
                Ok(None) => return "the host has closed the input".into(),
                Err(error @ (MessageError::Nonsense { .. } | MessageError::Io(_))) => {
                    return error.to_string();
                }
            };
            if self.orders.send(order).is_err() {
                return "the worker has ended".into();
            }
        }
    }

    fn cancel(&self, ticket: Ticket) {
        let at_work = lock(&self.at_work.ticket);
        match *at_work == Some(ticket) {
            true => self.stop.store(true, Ordering::Relaxed),
            false => lock(&self.at_work.cancelled).push(ticket),
        }
    }
}

fn work<W: Write>(
    next: &Receiver<Order>,
    output: &Output<W>,
    at_work: &AtWork,
    stop: &AtomicBool,
    open: &mut Open<'_>,
) -> std::io::Result<()> {
    let mut trainers: BTreeMap<String, Box<dyn Trainer>> = BTreeMap::new();
    while let Ok(order) = next.recv() {
        let (ticket, job) = match order {
            Order::Open(opening) => {
                let key = opening.key.clone();
                output.say(&match open(&opening) {
                    Ok(trainer) => {
                        trainers.insert(key.clone(), trainer);
                        FromWorker::Opened { key }
                    }
                    Err(reason) => FromWorker::Refused { key, reason },
                })?;
                continue;
            }
            Order::Run(ticket, job) => (ticket, job),
        };
        {
            let mut ticket_at_work = lock(&at_work.ticket);
            stop.store(
                lock(&at_work.cancelled).contains(&ticket),
                Ordering::Relaxed,
            );
            *ticket_at_work = Some(ticket);
        }
        let ended = match trainers.get_mut(&job.run_spec) {
            _ if stop.load(Ordering::Relaxed) => Err(Fault::Interrupted),
            Some(trainer) => trainer.train(&job, &mut |done, of| {
                // Where the host is gone the reading thread knows.
                let _ = output.say(&FromWorker::Progress { ticket, done, of });
            }),
            None => Err(Fault::Fatal(format!(
                "the worker was never told what run spec {:?} is",
                job.run_spec
            ))),
        };
        *lock(&at_work.ticket) = None;
        output.say(&match ended {
            Ok(evaluation) => FromWorker::Ended {
                ticket,
                evaluation: evaluation.checked(),
            },
            Err(fault) => FromWorker::Faulted { ticket, fault },
        })?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
