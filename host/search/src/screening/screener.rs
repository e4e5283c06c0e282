//! What the search needs to know of a loss before any network is trained: one gradient at fixed
//! predictions, and how far the predictions themselves get when they are optimised with it.
//!
//! The search reaches the engine through this trait only, so that it builds and is tested without
//! one; a branch is named by its index in [`TaskSpec::branches`](crate::TaskSpec).

use autoloss_graph::LossGraph;

use crate::fault::Fault;
use crate::timing::Timed;

/// Screens one branch's graph on the predictions themselves; no network takes part.
pub trait Screener {
    /// One gradient at fixed predictions, the same ones at every call.
    ///
    /// # Errors
    ///
    /// [`Fault`] where the screening itself fails. A loss that is not finite is a
    /// [`Probe`] with values that are not.
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, Fault>;

    /// The loss-rejection protocol (AutoLoss-Zero, arXiv 2103.14026): optimise predictions from
    /// random initial ones with the graph as the loss, and measure what the metric gains.
    ///
    /// # Errors
    ///
    /// [`Fault`] where the screening itself fails.
    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Gain, Fault>;

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
    fn probe_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Probe>>, Fault> {
        let probe = |work: &Work| Timed::of(|| self.probe(work.branch, &work.graph)).transposed();
        work.iter().map(probe).collect()
    }

    /// The protocol for several losses, in their order; each as [`reject`](Self::reject) would give it.
    ///
    /// # Errors
    ///
    /// As [`reject`](Self::reject).
    fn reject_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Gain>>, Fault> {
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

/// One gradient at fixed predictions: an entry for each of the B samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The loss of each sample.
    pub losses: Vec<f64>,
    /// ‖∂L/∂x_b‖₂ of each sample, by the raw predictions x_b (before the activation).
    pub norms: Vec<f64>,
    /// The signed inner product ⟨∂L/∂x_b, ŷ_b − y_b⟩ of each sample; of boxes, ⟨∂L/∂x_b, x_b − y_b⟩.
    pub alignments: Vec<f64>,
    /// The whole gradient's projections on fixed random directions, Σ_b ⟨∂L/∂x_b, r_b⟩ with entries ±1 in r,
    /// as many as [`EquivalenceConfig::sketched`](crate::EquivalenceConfig::sketched) asks for.
    pub sketch: Vec<f64>,
    /// A norm at or below this is only rounding: the gradient is zero.
    pub rounding_scale: f64,
}

impl Probe {
    /// Whether every number of the probe is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        [&self.losses, &self.norms, &self.alignments, &self.sketch]
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

/// How far predictions got in the loss-rejection protocol.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Gain {
    /// g: mean over the samples of ξ(reached) − ξ(initial). NaN where a loss, a gradient or a prediction
    /// stopped being finite, or where the metric has no value.
    pub gain: f64,
    /// Mean metric of the initial predictions.
    pub initial: f64,
    /// Mean metric of the optimised predictions.
    pub reached: f64,
    /// Steps made: all, or as many as made the outcome certain, or the step (from 0) at which something
    /// stopped being finite.
    pub steps: usize,
}

impl Gain {
    /// Predictions, their loss or its gradient stopped being finite at a step, from 0.
    #[must_use]
    pub fn not_finite(step: usize) -> Self {
        Self {
            gain: f64::NAN,
            initial: f64::NAN,
            reached: f64::NAN,
            steps: step,
        }
    }
}
