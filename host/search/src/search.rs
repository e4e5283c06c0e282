//! The driver: explores candidates, has those that pass the funnel evaluated, and writes down
//! everything, until the budget is used up or the caller asks it to stop.
//!
//! A search advances in *rounds* of as many children as there are workers. All children of a round
//! are made from the same population and their results are taken in in the order of their numbers,
//! so a search with several workers repeats itself too, whichever worker is faster; the price is
//! that workers wait for the slowest of a round, little where all train for the same number of
//! steps. With one worker a round is one child and the search is the plain sequential one, which a
//! resumed run repeats candidate for candidate wherever it was cut.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use autoloss_graph::{BranchName, LossGraph, Signature};
//! use autoloss_search::*;
//!
//! struct Engine;
//! impl Screener for Engine {
//!     fn probe(&mut self, _: usize, graph: &LossGraph) -> Result<Probe, BackendError> {
//!         let norm = graph.len() as f64;
//!         Ok(Probe { losses: vec![0.5], norms: vec![norm], alignments: vec![-norm], rounding_scale: 0.0 })
//!     }
//!     fn reject(&mut self, _: usize, _: &LossGraph) -> Result<Rejection, BackendError> {
//!         Ok(Rejection::Finished { gain: 0.9, initial: 0.05, reached: 0.95, steps: 500 })
//!     }
//! }
//! struct Trainer;
//! impl Evaluator for Trainer {
//!     fn evaluate(&mut self, request: &EvaluationRequest) -> Result<EvaluationOutcome, BackendError> {
//!         let score = 1.0 / request.losses["seg"].len() as f64;
//!         Ok(EvaluationOutcome {
//!             verdict: EvaluationVerdict::Scored { score, metrics: Default::default() },
//!             steps: request.budget.steps,
//!             train_seconds: 0.0,
//!             eval_seconds: 0.0,
//!             final_loss: None,
//!             look: None,
//!         })
//!     }
//! }
//!
//! let task = TaskSpec {
//!     task: "voc_seg".into(),
//!     network: "small".into(),
//!     branches: vec![BranchSpec { name: BranchName::new("seg")?, signature: Signature::dense() }],
//!     conventions: Default::default(),
//! };
//! let mut config = SearchConfig::default();
//! config.budget.max_proxies = Some(3);
//! let folder = tempfile::tempdir()?;
//! let store = Store::create(&folder.path().join("run"))?;
//! let mut search = Search::new(task, config, Provenance::default(), store)?;
//! let summary = search.run(&mut Engine, &mut Trainer, &mut (), &AtomicBool::new(false))?;
//! assert_eq!(summary.end, EndReason::Proxies);
//! assert_eq!(summary.counts.proxies(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::SearchConfig;
use crate::error::SearchError;
use crate::evaluation::{EvaluationOutcome, EvaluationRequest, Evaluator};
use crate::jobs::Job;
use crate::observer::{Event, Observer};
use crate::screening::Screener;
use crate::state::{Explored, Fate, State};
use crate::store::{BestLoss, Provenance, Purpose, RunHeader, Store, seconds_since_1970};
use crate::summary::{EndReason, Summary};
use crate::task::TaskSpec;
use crate::verdict::CandidateId;

/// A run in progress.
#[derive(Debug)]
pub struct Search {
    pub(crate) task: TaskSpec,
    pub(crate) config: SearchConfig,
    pub(crate) store: Store,
    state: State,
    best: Vec<BestLoss>,
    /// Work was abandoned, so the state knows of candidates that were never settled.
    dirty: bool,
}

/// The children that are made from one population.
#[derive(Debug, Default)]
struct Round {
    held: Vec<Explored>,
    evaluations: usize,
    children: usize,
}

impl Search {
    /// Begins a run in a new folder.
    ///
    /// # Errors
    ///
    /// [`SearchError::Config`] or [`SearchError::Task`] where they cannot be searched with, or
    /// [`SearchError::Store`].
    pub fn new(
        task: TaskSpec,
        config: SearchConfig,
        provenance: Provenance,
        mut store: Store,
    ) -> Result<Self, SearchError> {
        config.validate()?;
        task.validate()?;
        let header = RunHeader {
            task,
            config,
            provenance,
            created: seconds_since_1970(),
        };
        store.begin(&header)?;
        let RunHeader { task, config, .. } = header;
        Ok(Self {
            state: State::new(&config, &task),
            task,
            config,
            store,
            best: Vec::new(),
            dirty: false,
        })
    }

    /// Goes on with a stored run. With one worker it then equals, candidate for candidate, the run
    /// that was never cut. `config` may carry another budget; absent, the run keeps its own.
    ///
    /// # Errors
    ///
    /// [`SearchError::TaskDiffers`] where the task offered now is another one,
    /// [`SearchError::ConfigDiffers`] where more than the budget changed, or
    /// [`SearchError::Store`].
    pub fn resume(
        task: &TaskSpec,
        config: Option<SearchConfig>,
        mut store: Store,
    ) -> Result<Self, SearchError> {
        let header = store.reader().header()?;
        if let Some(what) = header.task.difference(task) {
            return Err(SearchError::TaskDiffers {
                stored: header.task.task,
                offered: task.task.clone(),
                what,
            });
        }
        if let Some(config) = &config {
            config.validate()?;
            if let Some(key) = header.config.first_difference(config) {
                return Err(SearchError::ConfigDiffers { key });
            }
            store.change_config(config)?;
        }
        let config = config.unwrap_or(header.config);
        Ok(Self {
            state: State::load(store.reader(), &config, &header.task)?,
            best: store.reader().best(config.keep_best)?,
            task: header.task,
            config,
            store,
            dirty: false,
        })
    }

    /// The run folder.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// Searches until the budget is used up, `stop` is raised or a child cannot be made. `stop` is
    /// looked at between candidates; an evaluator may look at the same flag and answer
    /// [`BackendError::interrupted`](crate::BackendError::interrupted). It can be called again.
    ///
    /// # Errors
    ///
    /// [`SearchError::Screening`] or [`SearchError::Evaluation`] where the backend cannot go on,
    /// [`SearchError::Store`] where the run folder cannot be written. What was found before is
    /// stored, as far as the disk allows.
    pub fn run(
        &mut self,
        screener: &mut dyn Screener,
        evaluator: &mut dyn Evaluator,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Summary, SearchError> {
        self.store.begin_session()?;
        if self.dirty {
            self.store.flush()?;
            self.state = State::load(self.store.reader(), &self.config, &self.task)?;
        }
        self.dirty = true;
        // A kill between the database and the files may have left them behind.
        if !self.best.is_empty() {
            self.write_best()?;
        }
        let written_before = self.store.nanoseconds();
        let ended = self.rounds(screener, evaluator, observer, stop);
        let flushed = self.store.flush();
        let end = ended?;
        flushed?;
        self.dirty = end == EndReason::Stopped;
        tracing::debug!(explored = self.state.next, "the search ended: {end}");
        Ok(Summary {
            end,
            counts: self.state.counts,
            best: self.best.clone(),
            elapsed_seconds: self.store.elapsed(),
            store_seconds: (self.store.nanoseconds() - written_before) as f64 / 1e9,
        })
    }

    fn rounds(
        &mut self,
        screener: &mut dyn Screener,
        evaluator: &mut dyn Evaluator,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<EndReason, SearchError> {
        loop {
            let mut round = Round::default();
            let end = self.gather(&mut round, screener, observer, stop)?;
            if end == Some(EndReason::Stopped) {
                return Ok(EndReason::Stopped);
            }
            let Some(outcomes) = self.evaluate(&round, evaluator, observer)? else {
                return Ok(EndReason::Stopped);
            };
            for (explored, outcome) in round.held.into_iter().zip(outcomes) {
                self.settle(explored, outcome.as_ref(), observer)?;
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Explores until the round is full. Rejected candidates before the first child of the round
    /// are settled at once; those behind it wait, so that nothing is stored out of order.
    fn gather(
        &mut self,
        round: &mut Round,
        screener: &mut dyn Screener,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<EndReason>, SearchError> {
        while round.children < self.config.workers {
            if let Some(end) = self.ending(round, stop) {
                return Ok(Some(end));
            }
            let id = CandidateId(self.state.next + round.held.len() as u64);
            let explored = self.state.explore(id, &self.config, &self.task, screener)?;
            round.evaluations += usize::from(explored.fate == Fate::Evaluate);
            let child = explored.record.joined || explored.fate != Fate::Settled;
            round.children += usize::from(child);
            if child || !round.held.is_empty() {
                round.held.push(explored);
            } else {
                self.settle(explored, None, observer)?;
            }
        }
        Ok(None)
    }

    fn ending(&self, round: &Round, stop: &AtomicBool) -> Option<EndReason> {
        if stop.load(Ordering::Relaxed) {
            return Some(EndReason::Stopped);
        }
        let budget = &self.config.budget;
        let held = round.held.len() as u64;
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        if reached(budget.max_explored, self.state.next + held) {
            return Some(EndReason::Explored);
        }
        let proxies = self.state.counts.proxies() + round.evaluations as u64;
        if reached(budget.max_proxies, proxies) {
            return Some(EndReason::Proxies);
        }
        if budget
            .max_seconds
            .is_some_and(|limit| self.store.elapsed() >= limit)
        {
            return Some(EndReason::Seconds);
        }
        let attempts = self.state.idle + held;
        let exhausted = round.evaluations == 0 && attempts >= self.config.evolution.max_proposals;
        exhausted.then_some(EndReason::Exhausted { attempts })
    }

    /// Has the round's candidates evaluated; an entry for each held one. None where the evaluator
    /// was interrupted. All train with the run's own seed: what initial weights and image order do
    /// to a score they then do to every candidate's.
    fn evaluate(
        &mut self,
        round: &Round,
        evaluator: &mut dyn Evaluator,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<Option<EvaluationOutcome>>>, SearchError> {
        let mut outcomes: Vec<Option<EvaluationOutcome>> = vec![None; round.held.len()];
        let mut jobs = Vec::new();
        let look = self.state.looks.next(&self.config.proxy);
        for (index, explored) in round.held.iter().enumerate() {
            if explored.fate == Fate::Evaluate {
                let (seed, split) = (self.config.seed, &self.config.proxy.split);
                let request = self.request(&explored.record.losses, seed, split);
                jobs.push(Job {
                    slot: index,
                    candidate: explored.record.id,
                    purpose: Purpose::Search,
                    request: EvaluationRequest { look, ..request },
                });
            }
        }
        let finished = self.run_jobs(jobs, &mut outcomes, evaluator, observer)?;
        Ok(finished.then_some(outcomes))
    }

    fn settle(
        &mut self,
        mut explored: Explored,
        outcome: Option<&EvaluationOutcome>,
        observer: &mut dyn Observer,
    ) -> Result<(), SearchError> {
        self.state.settle(&mut explored, outcome, &self.config);
        explored.record.elapsed = self.store.elapsed();
        let counts = &self.state.counts;
        observer.observe(&Event::Explored {
            record: &explored.record,
            counts,
        });
        let scored = outcome.and_then(EvaluationOutcome::score);
        let candidate = scored.map(|score| BestLoss {
            id: explored.record.id,
            score,
            losses: explored.record.losses.clone(),
        });
        self.store.push(explored.record, explored.entries)?;
        match candidate {
            Some(candidate) => self.rank(candidate, observer),
            None => Ok(()),
        }
    }

    /// Puts a scored candidate among the best, where it belongs there.
    fn rank(
        &mut self,
        candidate: BestLoss,
        observer: &mut dyn Observer,
    ) -> Result<(), SearchError> {
        let place = self
            .best
            .partition_point(|best| best.score >= candidate.score);
        if place >= self.config.keep_best {
            return Ok(());
        }
        if place == 0 {
            observer.observe(&Event::Improved { best: &candidate });
        }
        self.best.insert(place, candidate);
        self.best.truncate(self.config.keep_best);
        self.store.flush()?;
        self.write_best()
    }

    fn write_best(&self) -> Result<(), SearchError> {
        self.store
            .write_best(&self.task, self.config.seed, &self.best)?;
        Ok(())
    }
}
