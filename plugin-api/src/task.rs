//! The task: data and the conventions of its losses.

use crate::{Result, Split, TaskInfo, Tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// How a task is opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskOptions {
    /// The user's data folder; none means the task's embedded data.
    pub data: Option<PathBuf>,
    /// Decides everything random in the data.
    pub seed: u64,
    /// Whether samples that cannot be read are left out and counted in a warning, rather than ending
    /// the run.
    pub skip_bad: bool,
    /// Settings of this task alone, from `[task]` of the configuration or `--set KEY=VALUE`.
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// Which samples make a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// The split they are taken from.
    pub split: Split,
    /// Sample numbers below [`Task::len`] of the split; never empty.
    pub indices: Vec<u64>,
    /// Seed of the augmentation; none for plain samples.
    #[serde(default)]
    pub augment: Option<u64>,
}

/// Some samples of a task.
#[derive(Debug, Default)]
pub struct Batch {
    /// What a network sees, such as `image`, (N, 3, H, W).
    pub inputs: Tensors,
    /// The ground truth, such as `labels`, (N, H, W).
    pub targets: Tensors,
}

/// Which screening samples are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreeningRequest {
    /// The branch.
    pub branch: String,
    /// Number of samples B.
    pub samples: usize,
    /// Height and width of dense maps; tasks without maps may ignore it.
    pub size: usize,
    /// Decides which samples.
    pub seed: u64,
}

/// Targets that a candidate loss must be able to fit directly, without a network.
///
/// All tensors have B in their first dimension. The host draws raw predictions of `shape`, applies
/// the branch's activation, multiplies by `valid` where given, and optimises the raw values.
#[derive(Debug)]
pub struct ScreeningSamples {
    /// Shape (B, C, H, W) of the raw predictions.
    pub shape: [i64; 4],
    /// The inputs of the branch that do not depend on the prediction, such as `y`, (B, C, H, W); C is 1
    /// where the raw predictions tell [boxes](crate::Activation::Boxes), whose targets are here too.
    pub fixed: Tensors,
    /// 1 where a position counts and 0 where it is void, (B, 1, H, W).
    pub valid: Option<Tensor>,
    /// The ground truth in the form the screening metric wants, such as `labels`, (B, H, W).
    pub targets: Tensors,
}

/// Data and the conventions of its losses.
///
/// The host calls with gradients switched off, except [`Task::reference_loss`]. It loads batches ahead
/// of the training step from several threads at once, which is why every method takes `&self`: a task
/// reads and decodes one batch after the other as simply as it likes, and what it wants to keep
/// between calls goes behind a lock.
pub trait Task: Send + Sync {
    /// What the task offers, known without opening it.
    fn info() -> TaskInfo
    where
        Self: Sized;

    /// Opens the data.
    ///
    /// # Errors
    /// Whatever keeps the data from being read, with the file concerned.
    fn open(options: &TaskOptions) -> Result<Self>
    where
        Self: Sized;

    /// Facts that are known only with the data open, such as `num_classes` of a folder. They go before
    /// [`TaskInfo::attributes`] in what networks and metrics are given.
    fn attributes(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }

    /// Number of samples of a split. The train split may repeat for ever through augmentation; this
    /// is the length of one epoch.
    ///
    /// # Errors
    /// When the split cannot be counted.
    fn len(&self, split: Split) -> Result<u64>;

    /// Which samples of a split go well together in a batch, such as photographs of one orientation, which
    /// a common canvas holds with little room left: a number for each sample, equal for those that do. The
    /// batches of a training then hold samples of one number each. Empty where any do.
    ///
    /// # Errors
    /// When the samples cannot be told apart.
    fn groups(&self, split: Split) -> Result<Vec<u32>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// Loads samples. Equal requests give equal batches, on any thread and in any order.
    ///
    /// # Errors
    /// Whatever keeps a sample from being read, with the file concerned.
    fn batch(&self, request: &BatchRequest) -> Result<Batch>;

    /// Samples for screening, taken from the train split.
    ///
    /// # Errors
    /// An unknown branch, or whatever keeps a sample from being read.
    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples>;

    /// Writes the opened data, whole, into a new folder that [`TaskOptions::data`] reads, every sample at
    /// its place in its split. Returns a line for the user on what is there now.
    ///
    /// # Errors
    /// By default: that this task writes none. A folder that exists and is not empty.
    fn write_data(&self, to: &Path) -> Result<String> {
        Err(format!("this task does not write its data (to {})", to.display()).into())
    }

    /// Pictures of samples for people, by title: (N, 3, H, W) of bytes. Without predictions, of what a network
    /// sees and of the truth; with what [`ProxyNetwork::predict`](crate::ProxyNetwork::predict) returned for
    /// the batch, of that. By default there are none.
    ///
    /// # Errors
    /// Batches or predictions without the tensors it needs.
    fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        let _ = (batch, predictions);
        Ok(Tensors::new())
    }

    /// The value, a scalar with gradient, of a reference loss that has no formula. `inputs` are the
    /// branch's own, in their order, and whatever else the network gave for it.
    ///
    /// # Errors
    /// By default: that there is none of this name.
    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        let _ = inputs;
        Err(format!("no reference loss '{name}' for branch '{branch}'").into())
    }
}
