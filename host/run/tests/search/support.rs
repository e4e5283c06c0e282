//! Stand-ins whose answers depend on a loss alone, through its canonical form: as deterministic as
//! real ones, with every kind of outcome, and cheap. They use integer hashes only, so that traces
//! are the same on every platform.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use autoloss_graph::{BranchName, Limits, LossGraph, Signature};
use autoloss_run::{RunReader, Store};
use autoloss_search::*;

/// Screens by the hash of the canonical form.
#[derive(Default)]
pub(crate) struct FakeEngine {
    pub(crate) probes: usize,
    pub(crate) rejections: usize,
    /// Fails at this probe, counted from 1.
    pub(crate) fail_at: Option<usize>,
    /// Fails for the loss of every probe of these, counted from 1.
    pub(crate) failing: std::ops::Range<usize>,
    /// Tells directions of gradients, few enough that some lie close together.
    pub(crate) sketched: bool,
    /// Rejects everything.
    pub(crate) rejects_all: bool,
}

pub(crate) fn signature(branch: usize) -> Signature {
    match branch {
        0 => Signature::dense(),
        _ => Signature::boxes(),
    }
}

pub(crate) fn canonical_hash(branch: usize, graph: &LossGraph) -> u64 {
    let hash = graph.training_form(&signature(branch)).structural_hash();
    // Spreads the bits, since the remainders below are taken of small numbers.
    let mixed = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// The gain the stand-in reports, which is what a test may recompute.
pub(crate) fn gain(branch: usize, graph: &LossGraph) -> f64 {
    ((canonical_hash(branch, graph) >> 20) % 1000) as f64 / 1000.0
}

impl Screener for FakeEngine {
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        self.probes += 1;
        if self.fail_at == Some(self.probes) {
            return Err(Fault::Fatal("the engine is on fire".into()));
        }
        if self.failing.contains(&self.probes) {
            return Err(Fault::Failed("the metric panicked".into()));
        }
        let hash = canonical_hash(branch, graph);
        let norm = match hash % 40 {
            0 => 0.0,
            1 => f64::NAN,
            _ => (10 + hash % 89) as f64 * [1.0, 10.0, 100.0, 1000.0][(hash >> 8) as usize % 4],
        };
        let sign = if hash & 64 == 0 { 0.5 } else { -0.5 };
        Ok(Probe {
            losses: vec![1.0; 2],
            norms: vec![norm, norm * 1e-9],
            alignments: vec![sign * norm, sign * norm * 1e-9],
            sketch: match self.sketched {
                true => [3, 20, 37]
                    .map(|bits| ((hash >> bits) % 8) as f64 * 0.04 * norm)
                    .to_vec(),
                false => Vec::new(),
            },
            rounding_scale: 1e-12,
        })
    }

    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Gain, Fault> {
        self.rejections += 1;
        if canonical_hash(branch, graph) % 31 == 3 {
            return Ok(Gain {
                gain: f64::NAN,
                initial: 0.0,
                reached: f64::NAN,
                steps: 7,
            });
        }
        let gain = if self.rejects_all {
            -0.1
        } else {
            gain(branch, graph)
        };
        Ok(Gain {
            gain,
            initial: 0.0,
            reached: gain,
            steps: 500,
        })
    }
}

/// Trains by a hash of the losses, several at the same time.
#[derive(Default)]
pub(crate) struct FakeTrainer {
    /// Every job that was begun.
    pub(crate) jobs: Vec<Job>,
    pub(crate) open: VecDeque<(Ticket, Job)>,
    /// Answers `interrupted` at this evaluation, counted from 1.
    pub(crate) interrupt_at: Option<usize>,
    /// Breaks down at this evaluation, counted from 1.
    pub(crate) fail_at: Option<usize>,
    /// Fails at every evaluation of these, counted from 1.
    pub(crate) failing: std::ops::Range<usize>,
    /// Ends the last of the open trainings first.
    pub(crate) backwards: bool,
}

pub(crate) fn evaluation(job: &Job) -> Evaluation {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ job.seed;
    for byte in job.losses.values().flat_map(|text| text.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    let score = (hash % 10_007) as f64 / 10_007.0;
    // Confirmations seldom go wrong, so that there are means to compare.
    let kinds = if job.split == "reward" { 10 } else { 60 };
    let pruning_score = job.pruning.map(|_| (hash % 97) as f64 / 97.0);
    let metrics = BTreeMap::from([("miou".into(), score), ("nothing".into(), f64::NAN)]);
    let ended = match hash % kinds {
        _ if job
            .pruning
            .is_some_and(|rule| rule.prunes(pruning_score, None)) =>
        {
            Evaluation::of(Outcome::StoppedEarly { step: 99 })
        }
        0 => Evaluation::of(Outcome::InvalidTraining { step: 3 }),
        1 => Evaluation::failed("out of memory"),
        2 => Evaluation::scored(f64::NAN, BTreeMap::new()),
        _ => Evaluation::scored(score, metrics),
    };
    Evaluation {
        steps: job.budget.steps,
        train_seconds: 0.25,
        eval_seconds: 0.125,
        final_loss: Some(0.5),
        pruning_score,
        ..ended
    }
}

impl FakeTrainer {
    fn evaluate(&mut self, job: Job) -> Result<Evaluation, Fault> {
        self.jobs.push(job);
        let count = self.jobs.len();
        if self.interrupt_at == Some(count) {
            return Err(Fault::Interrupted);
        }
        if self.fail_at == Some(count) {
            return Err(Fault::Fatal("every worker is gone".into()));
        }
        if self.failing.contains(&count) {
            return Err(Fault::Failed(format!("worker {count} ended")));
        }
        Ok(evaluation(&self.jobs[count - 1]))
    }
}

impl Executor for FakeTrainer {
    fn capacity(&self) -> usize {
        3
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        self.open.push_back((ticket, job.clone()));
    }

    /// A training takes as long as somebody waits for it.
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished> {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return None;
        }
        let next = match self.backwards {
            true => self.open.pop_back(),
            false => self.open.pop_front(),
        };
        let (ticket, job) = next?;
        Some((ticket, self.evaluate(job)))
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.open.retain(|(open, _)| *open != ticket);
    }
}

/// Calls a closure at every event.
pub(crate) struct Watch<F: FnMut(&Event<'_>)>(pub(crate) F);

impl<F: FnMut(&Event<'_>)> Observer for Watch<F> {
    fn observe(&mut self, event: &Event<'_>) {
        (self.0)(event);
    }
}

pub(crate) fn task(branches: usize) -> TaskSpec {
    TaskSpec {
        task: "toy".into(),
        network: "net".into(),
        branches: (0..branches)
            .map(|index| BranchSpec {
                name: BranchName::new(format!("b{index}")).unwrap(),
                signature: signature(index),
                scaled: false,
            })
            .collect(),
        conventions: Default::default(),
    }
}

/// Small numbers, so that every mechanism shows within a few hundred candidates.
pub(crate) fn config(max_explored: u64) -> SearchConfig {
    let mut config = SearchConfig {
        seed: 7,
        ..SearchConfig::default()
    };
    config.proxy.repeat_best = false;
    config.evolution.population = 12;
    config.evolution.initial = 4;
    config.evolution.tournament_fraction = 0.3;
    config.evolution.proposals_per_parent = 40;
    config.budget = Budget {
        max_explored: Some(max_explored),
        ..Budget::default()
    };
    config
}

pub(crate) fn begin(folder: &Path, branches: usize, config: &SearchConfig) -> Search<Store> {
    let store = Store::create(folder).unwrap();
    Search::new(task(branches), config.clone(), Provenance::default(), store).unwrap()
}

pub(crate) fn resume(folder: &Path, branches: usize) -> Search<Store> {
    Search::resume(&task(branches), None, Store::open(folder).unwrap()).unwrap()
}

/// Runs to the end of the budget with fresh stand-ins.
pub(crate) fn finish(search: &mut Search<Store>) -> Summary {
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    let stop = AtomicBool::new(false);
    search
        .run(&mut engine, &mut trainer, &mut (), &stop)
        .unwrap()
}

/// Runs until so many more candidates are explored, then raises the stop flag.
pub(crate) fn run_until(search: &mut Search<Store>, candidates: usize) -> Summary {
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    let stop = AtomicBool::new(false);
    let mut seen = 0;
    let mut watch = Watch(|event: &Event<'_>| {
        if let Event::Explored { .. } = event {
            seen += 1;
            stop.store(seen >= candidates, Ordering::Relaxed);
        }
    });
    search
        .run(&mut engine, &mut trainer, &mut watch, &stop)
        .unwrap()
}

/// Runs to the end of the budget, and copies what a process that is killed at the `cut`th finished training would leave.
pub(crate) fn run_killed_at(cut: usize, run: &Path, killed: &Path, config: &SearchConfig) {
    let mut finished = 0;
    let mut watch = Watch(|event: &Event<'_>| {
        if let Event::EvaluationFinished { .. } = event {
            finished += 1;
            if finished == cut {
                copy_run(run, killed);
            }
        }
    });
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    let stop = AtomicBool::new(false);
    begin(run, 1, config)
        .run(&mut engine, &mut trainer, &mut watch, &stop)
        .unwrap();
}

/// A whole run in a folder of its own, and its trace.
pub(crate) fn whole_run(branches: usize, config: &SearchConfig) -> (Summary, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let summary = finish(&mut begin(&run, branches, config));
    (summary, trace(&run))
}

/// A run of one branch, killed after `cut` evaluations, ends as the whole one and repeats none of them.
pub(crate) fn goes_on_the_same(killed: &Path, cut: usize, whole: &Summary, expected: &str) {
    let mut trainer = FakeTrainer::default();
    let stop = AtomicBool::new(false);
    resume(killed, 1)
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap();
    assert_eq!(trace(killed), expected, "killed at evaluation {cut}");
    let repeated = trainer.jobs.len() as u64 + cut as u64;
    assert_eq!(repeated, whole.counts.proxies());
}

/// One line for each stored candidate: everything but timings.
pub(crate) fn trace(folder: &Path) -> String {
    let mut text = String::new();
    RunReader::open(folder)
        .unwrap()
        .for_each_candidate(|record| text.push_str(&line(&record)))
        .unwrap();
    text
}

fn line(record: &CandidateRecord) -> String {
    let parent = record.parent.map_or("-".into(), |id| id.to_string());
    let origins: Vec<String> = record
        .origins
        .iter()
        .map(|origin| format!("{origin:?}").to_lowercase())
        .collect();
    let losses: Vec<&str> = record.losses.values().map(String::as_str).collect();
    format!(
        "{} {} {} {} {} [{}] {:?}{}{}\n",
        record.id,
        record.child,
        parent,
        origins.join("+"),
        losses.join(" ; "),
        record.outcome,
        record.fitness.map(Fitness::score),
        if record.joined { " joined" } else { "" },
        if record.ends_child { " end" } else { "" },
    )
}

pub(crate) fn records(folder: &Path) -> Vec<CandidateRecord> {
    let mut records = Vec::new();
    RunReader::open(folder)
        .unwrap()
        .for_each_candidate(|record| records.push(record))
        .unwrap();
    records
}

pub(crate) fn graph(branch: usize, text: &str) -> LossGraph {
    LossGraph::parse(text, &signature(branch), &Limits::default()).unwrap()
}

/// What a process that is killed now would leave behind.
pub(crate) fn copy_run(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["run.db", "run.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}
