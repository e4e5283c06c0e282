//! The search without screens and trainings: how many results it settles in a second, and how busy it keeps many workers.
//!
//! `cargo bench -p autoloss-run --bench controller`

#![allow(clippy::unwrap_used, reason = "a failure ends the bench")]

mod shared;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use autoloss_graph::{GenerateConfig, LossGraph, Signature, random_graph};
use autoloss_run::Store;
use autoloss_search::*;
use shared::task;

/// Draws losses; all of them are accepted.
#[derive(Debug)]
struct Fresh(SearchConfig);

impl Strategy for Fresh {
    fn propose(&self, id: CandidateId) -> Proposal {
        let generate = GenerateConfig { depth: 4 };
        let mut rng = stream(0, Draws::Graphs, id.0);
        let graph = random_graph(&mut rng, &Signature::dense(), &generate, &self.0.limits);
        Proposal {
            id,
            child: id,
            parent: None,
            graphs: vec![graph],
            origins: vec![Origin::Fresh],
            known: 0,
        }
    }

    fn screened(&mut self, _screened: &Screened) -> Next {
        Next::Child
    }

    fn tell(&mut self, _settled: &Settled) {}
}

/// Is never asked.
struct Unused;

impl Screener for Unused {
    fn probe(&mut self, _: usize, _: &LossGraph) -> Result<Probe, Fault> {
        Err(Fault::Fatal("nothing is probed".into()))
    }

    fn reject(&mut self, _: usize, _: &LossGraph) -> Result<Gain, Fault> {
        Err(Fault::Fatal("nothing is rejected".into()))
    }
}

/// Workers that only take time.
struct Simulated {
    workers: usize,
    /// Seconds of the job after so many, over and over.
    seconds: Vec<f64>,
    begun: usize,
    running: BinaryHeap<Reverse<(Instant, Ticket)>>,
    waiting: VecDeque<Ticket>,
    /// Begin and end of every job.
    busy: Vec<(Instant, Instant)>,
    /// When the last job was submitted.
    last: Instant,
}

impl Simulated {
    fn new(workers: usize, seconds: Vec<f64>) -> Self {
        Self {
            workers,
            seconds,
            begun: 0,
            running: BinaryHeap::new(),
            waiting: VecDeque::new(),
            busy: Vec::new(),
            last: Instant::now(),
        }
    }

    /// The part of the workers' time that they were busy, until there was no job left to begin.
    fn busy(&self) -> f64 {
        let begun = self.busy.iter().map(|(begin, _)| *begin).min();
        let whole = self.last - begun.unwrap_or(self.last);
        let until = |end: Instant| end.min(self.last);
        let busy = self
            .busy
            .iter()
            .map(|&(begin, end)| until(end).saturating_duration_since(begin));
        busy.sum::<Duration>().as_secs_f64() / (self.workers as f64 * whole.as_secs_f64())
    }

    /// Gives idle workers what waits, from a moment on.
    fn begin(&mut self, at: Instant) {
        while self.running.len() < self.workers
            && let Some(ticket) = self.waiting.pop_front()
        {
            let seconds = self.seconds[self.begun % self.seconds.len()];
            let takes = Duration::from_secs_f64(seconds);
            self.begun += 1;
            self.busy.push((at, at + takes));
            self.running.push(Reverse((at + takes, ticket)));
        }
    }
}

impl Executor for Simulated {
    fn capacity(&self) -> usize {
        self.workers + 1
    }

    fn submit(&mut self, ticket: Ticket, _job: &Job) {
        self.waiting.push_back(ticket);
        self.last = Instant::now();
        self.begin(self.last);
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished> {
        let Reverse((end, ticket)) = *self.running.peek()?;
        if deadline.is_some_and(|deadline| deadline < end) {
            return None;
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        self.running.pop();
        // The worker goes on by itself with what waits for it.
        self.begin(end);
        let score = 1.0 / (1 + ticket.0) as f64;
        Some((ticket, Ok(Evaluation::scored(score, Scores::new()))))
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.running.retain(|Reverse((_, open))| *open != ticket);
        self.waiting.retain(|open| *open != ticket);
    }
}

/// Seconds that a search took, and the results that it settled.
fn search(executor: &mut Simulated, results: u64) -> f64 {
    let mut config = SearchConfig {
        workers: executor.workers,
        ..SearchConfig::default()
    };
    config.screening.static_checks = false;
    config.screening.duplicates = false;
    config.screening.probe = false;
    config.screening.lrp = false;
    config.equivalence.enabled = false;
    config.proxy.repeat_best = false;
    config.budget.max_seconds = None;
    config.budget.max_proxies = Some(results);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("run")).unwrap();
    let mut search = Search::new(task(), config, Provenance::default(), store)
        .unwrap()
        .with_strategy(|config, _| Box::new(Fresh(config.clone())))
        .unwrap();
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let summary = search.run(&mut Unused, executor, &mut (), &stop).unwrap();
    assert_eq!(summary.counts.proxies(), results);
    begun.elapsed().as_secs_f64()
}

fn main() {
    for workers in [1, 8, 1000] {
        let results = 20_000;
        let seconds = search(&mut Simulated::new(workers, vec![0.0]), results);
        let each = results as f64 / seconds;
        println!("{workers} workers whose jobs take no time: {each:.0} results/s");
    }
    // Trainings of the default proxy as a search of 45 minutes had them: half of them pruned.
    let seconds = vec![0.6, 8.1, 0.6, 6.9, 9.4, 0.6, 7.7, 1.2];
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    for workers in [100, 1000] {
        let mut pool = Simulated::new(workers, seconds.clone());
        let results = workers as u64 * 8;
        let took = search(&mut pool, results);
        println!(
            "{workers} workers, jobs of {mean:.1} s on average: {:.1} % busy over {took:.0} s, {:.0} results/s",
            100.0 * pool.busy(),
            results as f64 / took
        );
    }
}
