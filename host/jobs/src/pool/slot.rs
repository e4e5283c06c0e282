//! A place for a worker, and the worker that has it.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use autoloss_search::{Job, Ticket};

use super::last_words::{Tail, end_of, resident};
use super::supervisor::Event;
use crate::protocol::{FromWorker, ToWorker, receive, send};

/// How long a process that was killed, and its standard error, are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a process whose output has closed may take to end by itself.
const GOING: Duration = Duration::from_millis(500);

/// A job and how many workers it has lost.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) ticket: Ticket,
    pub(super) job: Box<Job>,
    pub(super) lost: usize,
}

/// A worker process.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    tail: Tail,
    peak: u64,
    /// Since when it is at what it is at.
    pub(super) since: Instant,
    /// Whether it has said hello.
    pub(super) ready: bool,
    /// What it was asked to open and what it has opened.
    pub(super) asked: BTreeSet<String>,
    pub(super) opened: BTreeSet<String>,
    pub(super) at_work: Option<Assigned>,
    /// Steps of the job, made and in all.
    pub(super) steps: (usize, usize),
    /// When the open ping was sent, and its number.
    ping: Option<Instant>,
    pings: u64,
    heard: Instant,
}

impl Worker {
    /// Starts a process; what it says becomes events of place `number`, generation `generation`.
    pub(super) fn start(
        mut command: Command,
        number: usize,
        generation: u64,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        // A group of its own: a terminal's Ctrl-C is for the host, which tells its workers.
        command.process_group(0);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(std::io::Error::other("a worker without streams"));
        };
        let events = events.clone();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let message = receive::<FromWorker>(&mut output).map_err(|error| error.to_string());
                let last = !matches!(message, Ok(Some(_)));
                if events
                    .send(Event::Said(number, generation, message))
                    .is_err()
                    || last
                {
                    return;
                }
            }
        });
        let now = Instant::now();
        Ok(Self {
            child,
            input,
            tail: Tail::of(errors, move |line| {
                tracing::debug!("worker {number}: {line}");
            }),
            peak: 0,
            since: now,
            ready: false,
            asked: BTreeSet::new(),
            opened: BTreeSet::new(),
            at_work: None,
            steps: (0, 0),
            ping: None,
            pings: 0,
            heard: now,
        })
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn tell(&mut self, message: &ToWorker) -> std::io::Result<()> {
        send(&mut self.input, message)
    }

    /// Takes in that it spoke; `pong` where it answered a ping.
    pub(super) fn heard(&mut self, pong: bool) {
        self.heard = Instant::now();
        if pong {
            self.ping = None;
        }
    }

    /// Asks for a sign of life where none came for a while. False where the last question is open for longer than
    /// `silence`, or cannot be asked.
    pub(super) fn alive(&mut self, silence: Duration) -> bool {
        match self.ping {
            Some(asked) => asked.elapsed() < silence,
            None if self.heard.elapsed() < silence / 4 => true,
            None => {
                self.pings += 1;
                self.ping = Some(Instant::now());
                let number = self.pings;
                self.tell(&ToWorker::Ping { number }).is_ok()
            }
        }
    }

    /// Whether it has begun, and opened all that it was asked to.
    pub(super) fn is_open(&self) -> bool {
        self.ready && self.opened.len() == self.asked.len()
    }

    /// Whether it has a job.
    pub(super) fn has(&self, ticket: Ticket) -> bool {
        let at_work = self.at_work.as_ref();
        at_work.is_some_and(|job| job.ticket == ticket)
    }

    /// Resident memory now, in bytes.
    pub(super) fn memory(&mut self) -> u64 {
        let (now, most) = resident(self.process()).unwrap_or_default();
        self.peak = self.peak.max(most);
        now
    }

    /// Ends the process, whatever it is at, and returns its job and its last words. `closed` tells that its output
    /// is, so that it is likely to be ending.
    pub(super) fn bury(mut self, why: &str, closed: bool) -> (Option<Assigned>, String) {
        self.memory();
        // It may have ended by itself, and its streams close before it is gone; then its own end is told.
        let end = Instant::now() + GOING;
        let mut ended_itself = matches!(self.child.try_wait(), Ok(Some(_)));
        while closed && !ended_itself && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            ended_itself = matches!(self.child.try_wait(), Ok(Some(_)));
        }
        let _ = self.child.kill();
        let status = self.child.wait();
        let mut words = why.to_owned();
        if ended_itself && let Ok(status) = status {
            words = format!("{words}: {}", end_of(status));
        }
        if self.peak > 0 {
            words = format!(
                "{words}; it was seen to use at most {} MiB",
                self.peak >> 20
            );
        }
        let lines = self.tail.finish(PATIENCE);
        if !lines.is_empty() {
            words = format!("{words}; its last words: {}", lines.join(" | "));
        }
        (self.at_work, words)
    }
}
