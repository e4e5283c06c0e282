//! What the search needs to know of a loss before any network is trained: one gradient at fixed
//! predictions, and how far the predictions themselves get when they are optimised with it.
//!
//! The search reaches the engine through this trait only, so that it builds and is tested without
//! one; a branch is named by its index in [`TaskSpec::branches`](crate::TaskSpec).

use std::time::Instant;

use autoloss_graph::LossGraph;
use thiserror::Error;

use crate::timing::{Stage, StageTimes, nanoseconds_since};

/// Screens one branch's graph on the predictions themselves; no network takes part.
pub trait Screener {
    /// One gradient at fixed predictions, the same ones at every call.
    ///
    /// # Errors
    ///
    /// [`BackendError`] where the screening itself cannot go on. A loss that is not finite is a
    /// [`Probe`] with values that are not.
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, BackendError>;

    /// The loss-rejection protocol (AutoLoss-Zero, arXiv 2103.14026): optimise predictions from
    /// random initial ones with the graph as the loss, and measure what the metric gains.
    ///
    /// # Errors
    ///
    /// [`BackendError`] where the screening itself cannot go on.
    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Rejection, BackendError>;

    /// How many losses it works on at the same time. With more than one the search gives it losses ahead,
    /// through [`probe_all`](Self::probe_all) and [`reject_all`](Self::reject_all).
    fn width(&self) -> usize {
        1
    }

    /// The probes of several losses, in their order; each as [`probe`](Self::probe) would give it.
    ///
    /// # Errors
    ///
    /// As [`probe`](Self::probe).
    fn probe_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Probe>>, BackendError> {
        let probe = |work: &Work| Timed::of(|| self.probe(work.branch, &work.graph)).transposed();
        work.iter().map(probe).collect()
    }

    /// The protocol for several losses, in their order; each as [`reject`](Self::reject) would give it.
    ///
    /// # Errors
    ///
    /// As [`reject`](Self::reject).
    fn reject_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Rejection>>, BackendError> {
        let reject = |work: &Work| Timed::of(|| self.reject(work.branch, &work.graph)).transposed();
        work.iter().map(reject).collect()
    }
}

/// A graph of one branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Index of the branch in [`TaskSpec::branches`](crate::TaskSpec).
    pub branch: usize,
    /// The graph.
    pub graph: LossGraph,
}

/// An answer and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed<T> {
    /// The answer.
    pub answer: T,
    /// Nanoseconds of wall time.
    pub nanoseconds: u64,
}

impl<T> Timed<T> {
    /// Does the work and measures it.
    pub fn of(work: impl FnOnce() -> T) -> Self {
        let start = Instant::now();
        let answer = work();
        Self {
            answer,
            nanoseconds: nanoseconds_since(start),
        }
    }

    /// The answer, its time booked to a stage.
    pub(crate) fn booked(self, stage: Stage, times: &mut StageTimes) -> T {
        times.add(stage, self.nanoseconds);
        self.answer
    }
}

impl<T, E> Timed<Result<T, E>> {
    /// The error, or the answer with its time.
    ///
    /// # Errors
    ///
    /// That of the work.
    pub fn transposed(self) -> Result<Timed<T>, E> {
        let nanoseconds = self.nanoseconds;
        self.answer.map(|answer| Timed {
            answer,
            nanoseconds,
        })
    }
}

/// One gradient at fixed predictions: an entry for each of the B samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The loss of each sample.
    pub losses: Vec<f64>,
    /// ‖∂L/∂ŷ_b‖₂ of each sample.
    pub norms: Vec<f64>,
    /// The signed inner product ⟨∂L/∂ŷ_b, ŷ_b − y_b⟩ of each sample.
    pub alignments: Vec<f64>,
    /// A norm at or below this is only rounding: the gradient is zero.
    pub rounding_scale: f64,
}

impl Probe {
    /// Whether every number of the probe is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        [&self.losses, &self.norms, &self.alignments]
            .into_iter()
            .flatten()
            .all(|value| value.is_finite())
    }

    /// Whether the gradient of every sample is zero up to rounding.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.norms.iter().all(|&norm| norm <= self.rounding_scale)
    }
}

/// How the loss-rejection protocol ended.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Rejection {
    /// The predictions were optimised to the end, or until the verdict was certain.
    Finished {
        /// g: mean over the samples of ξ(reached) − ξ(initial).
        gain: f64,
        /// Mean metric of the initial predictions.
        initial: f64,
        /// Mean metric of the optimised predictions.
        reached: f64,
        /// Steps made.
        steps: usize,
    },
    /// A loss, a gradient or a prediction stopped being finite.
    NonFinite {
        /// The step at which it did, from 0.
        step: usize,
    },
}

/// A screener or an evaluator could not do its work. This ends the run, which stays resumable;
/// a loss that merely fails is a verdict instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct BackendError {
    /// What happened, as one sentence.
    pub what: String,
    /// Whether it was the interruption the caller asked for, which is no failure.
    pub interrupted: bool,
}

impl BackendError {
    /// A failure, in one sentence.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            interrupted: false,
        }
    }

    /// The work was abandoned because the caller's stop flag was raised. The search ends cleanly
    /// and repeats this piece of work when it is resumed.
    #[must_use]
    pub fn interrupted() -> Self {
        Self {
            what: "the work was interrupted".into(),
            interrupted: true,
        }
    }
}
