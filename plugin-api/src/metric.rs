//! The metric the user is judged by.

use crate::{MetricInfo, Result, TaskInfo, Tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores by name, each higher when better.
pub type Scores = BTreeMap<String, f64>;

/// How a metric is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricOptions {
    /// The task whose predictions it judges.
    pub task: TaskInfo,
}

/// One or more scores computed in one pass over a data set.
pub trait Metric: Send {
    /// What the metric offers.
    fn info() -> MetricInfo
    where
        Self: Sized;

    /// Creates it with nothing counted.
    ///
    /// # Errors
    /// A task it cannot judge.
    fn create(options: &MetricOptions) -> Result<Self>
    where
        Self: Sized;

    /// Counts a batch: what [`ProxyNetwork::predict`](crate::ProxyNetwork::predict) returned, and
    /// the batch's targets.
    ///
    /// # Errors
    /// Missing tensors, or shapes that do not fit each other.
    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()>;

    /// The scores of all that was counted; those that the data does not define are left out if they are
    /// among [`MetricInfo::optional_scores`].
    ///
    /// # Errors
    /// When nothing was counted that a score could be computed from.
    fn compute(&mut self) -> Result<Scores>;

    /// Screening form: one score per sample for predictions that were optimised directly.
    /// `predictions` holds the branch's prediction inputs after activation, (B, C, H, W); `targets`
    /// is [`ScreeningSamples::targets`](crate::ScreeningSamples::targets).
    ///
    /// # Errors
    /// By default: that the metric has no screening form.
    fn screen(
        &mut self,
        score: &str,
        predictions: &Tensors,
        targets: &Tensors,
    ) -> Result<Vec<f64>> {
        let _ = (predictions, targets);
        Err(format!("score '{score}' has no screening form").into())
    }
}
