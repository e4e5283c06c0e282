//! The task: data and the conventions of its losses.

use crate::{Result, Settings, Split, TaskInfo, Tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// How a task is opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskOptions {
    /// The user's data folder; None for the task's embedded data.
    pub data: Option<PathBuf>,
    /// Determines everything random in the data.
    pub seed: u64,
    /// Whether samples that cannot be read are skipped and counted in a warning. Otherwise the first
    /// of them ends the run.
    pub skip_bad: bool,
    /// Settings of this task alone, from `[task]` of the configuration or `--set KEY=VALUE`.
    pub settings: Settings,
}

/// Which samples make a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// The split they are taken from.
    pub split: Split,
    /// Sample numbers below [`Task::len`] of the split; at least one.
    pub indices: Vec<u64>,
    /// Seed of the augmentation; None for samples without augmentation.
    #[serde(default)]
    pub augment: Option<u64>,
    /// Which of the [`Task::views`] of each sample, from 0, instead of augmentation; never asked for
    /// together with it.
    #[serde(default)]
    pub view: Option<u32>,
}

impl BatchRequest {
    /// Samples as they are.
    #[must_use]
    pub fn new(split: Split, indices: Vec<u64>) -> Self {
        Self {
            split,
            indices,
            augment: None,
            view: None,
        }
    }
}

/// N samples of a task. Every tensor has N in its first dimension and is finite.
#[derive(Debug, Default)]
pub struct Batch {
    /// What a network sees, such as `image`, (N, 3, H, W); at least one tensor.
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
    /// Height and width of dense maps. A task without maps may ignore it.
    pub size: usize,
    /// Determines which samples.
    pub seed: u64,
}

/// Targets that a candidate loss must be able to fit directly, without a network.
///
/// All tensors have B in their first dimension. The host draws raw predictions x of `shape`, applies
/// the branch's activation, multiplies by `valid` if there is one, and optimises x.
#[derive(Debug)]
pub struct ScreeningSamples {
    /// Shape (B, C, H, W) of the raw predictions; C is 4 for
    /// [`Activation::Boxes`](crate::Activation::Boxes).
    pub shape: [i64; 4],
    /// The inputs of the branch that do not depend on the prediction, such as `y`, (B, C, H, W). For
    /// [`Activation::Boxes`](crate::Activation::Boxes) these have one channel, and the target boxes,
    /// (B, 4, H, W), are here as well under the name [`TARGET_BOXES`](crate::TARGET_BOXES).
    pub fixed: Tensors,
    /// 1 where a position counts and 0 where it is void, (B, 1, H, W); None where all count.
    pub valid: Option<Tensor>,
    /// The ground truth in the form the screening metric takes, such as `labels`, (B, H, W).
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

    /// Facts that are known only with the data open, such as `num_classes` of a folder. Networks and
    /// metrics are given these and [`TaskInfo::attributes`]; of two with one name, this one.
    fn attributes(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }

    /// Sentences about the opened data that the user should read, such as how many samples were skipped.
    /// Every command prints them once, as warnings on standard error. None by default.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Looks at the samples of a split before they are trained on or scored: which classes occur, whether there is an
    /// object at all. Every command asks once for each split that it will use, and prints the sentences as
    /// warnings. None by default.
    ///
    /// # Errors
    /// The split can teach nothing, or no score is defined on it, with a file concerned.
    fn check(&self, split: Split) -> Result<Vec<String>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// The files that the samples of a split are read from, in the order of the samples, and what else decides what they
    /// are (annotations, names of classes). Results are stored with a fingerprint of what these files hold: where they
    /// change, stored results are of other data. Empty by default; where all splits have none, every file of the data
    /// folder counts.
    ///
    /// # Errors
    /// The files cannot be told.
    fn files(&self, split: Split) -> Result<Vec<PathBuf>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// Number of samples of a split, at least 1. The train split may repeat for ever through
    /// augmentation; this is the length of one epoch.
    ///
    /// # Errors
    /// The split cannot be counted, or holds nothing.
    fn len(&self, split: Split) -> Result<u64>;

    /// Which samples of a split belong into one batch, such as photographs of one orientation, which
    /// fill a common canvas: one number per sample, and a batch of a training holds samples of one
    /// number only. Empty (the default) where any samples can share a batch.
    ///
    /// # Errors
    /// The samples cannot be told apart.
    fn groups(&self, split: Split) -> Result<Vec<u32>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// Which samples of a split can be scored together: one number per sample. Batches of samples of one number, as
    /// they are, hold tensors of one shape, which depends on the number alone; a batch of an evaluation holds samples of
    /// one number only. So a small photograph need not lie on the canvas of a large one, and what a network predicts for
    /// a sample does not depend on the others. Empty (the default) where any samples can share a batch.
    ///
    /// # Errors
    /// The samples cannot be told apart.
    fn shapes(&self, split: Split) -> Result<Vec<u32>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// How many fixed views there are of each training sample, at least 1, such as both orientations of
    /// a picture. Networks with features that never change
    /// ([`NetworkInfo::frozen_features`](crate::NetworkInfo::frozen_features)) are trained on these
    /// instead of augmented samples, so that the features of each can be kept. All views of all training
    /// samples have tensors of one shape. By default one, the sample as it is.
    ///
    /// # Errors
    /// The views cannot be counted.
    fn views(&self) -> Result<u32> {
        Ok(1)
    }

    /// Loads samples. Equal requests give equal batches, on any thread and in any order.
    ///
    /// # Errors
    /// Whatever keeps a sample from being read, with the file concerned.
    fn batch(&self, request: &BatchRequest) -> Result<Batch>;

    /// Predictions for a batch of N samples that do not depend on what a network sees, such as one class
    /// everywhere, each as [`ProxyNetwork::predict`](crate::ProxyNetwork::predict) would return it. Their
    /// scores tell trainings that learned nothing, which the host ends early. None by default.
    ///
    /// # Errors
    /// Batches without the tensors it needs.
    fn constant_predictions(&self, batch: &Batch) -> Result<Vec<Tensors>> {
        let _ = batch;
        Ok(Vec::new())
    }

    /// Samples for screening, taken from the train split. Equal requests give equal samples.
    ///
    /// # Errors
    /// An unknown branch, or whatever keeps a sample from being read.
    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples>;

    /// Writes all the opened data into a new folder that [`TaskOptions::data`] can name, every sample
    /// in its split. Returns a line that tells the user what was written.
    ///
    /// # Errors
    /// By default: that this task cannot write its data. Else a folder that exists and is not empty,
    /// or a file that cannot be written.
    fn write_data(&self, to: &Path) -> Result<String> {
        Err(format!("this task does not write its data (to {})", to.display()).into())
    }

    /// Pictures of a batch of N samples for people, by title: bytes, (N, 3, H, W). Without
    /// `predictions` they show what a network sees and the truth; with `predictions`, as
    /// [`ProxyNetwork::predict`](crate::ProxyNetwork::predict) returned them for the batch, they show
    /// these. No pictures by default.
    ///
    /// # Errors
    /// Batches or predictions without the tensors it needs.
    fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        let _ = (batch, predictions);
        Ok(Tensors::new())
    }

    /// The value of a reference loss without a formula: a scalar with a gradient. `inputs` holds the
    /// branch's declared inputs in their order, then every further tensor that the network gave for
    /// the branch.
    ///
    /// # Errors
    /// By default: that there is no loss of this name.
    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        let _ = inputs;
        Err(format!("no reference loss '{name}' for branch '{branch}'").into())
    }
}
