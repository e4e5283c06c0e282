//! Metrics: what users are shown of a network, and by what screening evaluates a loss.

use crate::{MetricInfo, Result, ScreeningMetricInfo, TaskInfo, Tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores by name, each higher when better.
pub type Scores = BTreeMap<String, f64>;

/// How a metric is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricOptions {
    /// The task whose predictions it evaluates.
    pub task: TaskInfo,
}

/// One or more scores computed in one pass over a data set.
pub trait Metric: Send {
    /// What the metric offers.
    fn info() -> MetricInfo
    where
        Self: Sized;

    /// Creates the metric with nothing counted.
    ///
    /// # Errors
    /// A task it cannot evaluate.
    fn create(options: &MetricOptions) -> Result<Self>
    where
        Self: Sized;

    /// Counts a batch of N samples. `predictions` is what
    /// [`ProxyNetwork::predict`](crate::ProxyNetwork::predict) returned, `targets` the batch's
    /// [`targets`](crate::Batch::targets); both are on the CPU.
    ///
    /// # Errors
    /// Missing tensors, or shapes that do not fit each other.
    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()>;

    /// The scores of all counted samples: every one of [`MetricInfo::scores`], each finite. A score
    /// of [`MetricInfo::optional_scores`] is absent where the data does not define it.
    ///
    /// # Errors
    /// Nothing was counted from which a score could be computed.
    fn compute(&mut self) -> Result<Scores>;
}

/// One or more scores of single samples, by which the loss-rejection protocol of screening evaluates
/// predictions that a loss has optimised directly, without a network.
///
/// Screening calls it many thousand times on small maps, so its speed matters.
pub trait ScreeningMetric: Send {
    /// What the metric offers.
    fn info() -> ScreeningMetricInfo
    where
        Self: Sized;

    /// Creates the metric.
    ///
    /// # Errors
    /// A task it cannot evaluate.
    fn create(options: &MetricOptions) -> Result<Self>
    where
        Self: Sized;

    /// The score of this name for each of B samples, finite. `predictions` holds the prediction
    /// inputs of the branch under their names, (B, C, H, W) each, after the activation; `targets`
    /// holds the tensors of [`ScreeningSamples::targets`](crate::ScreeningSamples::targets) for
    /// these samples. Both are on the CPU.
    ///
    /// # Errors
    /// An unknown score, missing tensors, or shapes that do not fit each other.
    fn screen(&self, score: &str, predictions: &Tensors, targets: &Tensors) -> Result<Vec<f64>>;
}
