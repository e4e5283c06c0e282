//! The messages. JSON, because it is forgiving between versions and cheap beside a training step.
//!
//! A message names its tensors; the tensors themselves travel beside it in the same order.

use crate::{
    BatchRequest, MetricOptions, Mode, NetworkOptions, Scores, ScreeningRequest, Split, TaskOptions,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Names of tensors, in the order they travel.
pub type Names = Vec<String>;

/// Makes an object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// A task by name.
    Task(String, TaskOptions),
    /// A network by name.
    Network(String, Box<NetworkOptions>),
    /// A metric by name.
    Metric(String, Box<MetricOptions>),
}

/// Calls a method of an object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// [`Task::attributes`](crate::Task::attributes), since interface 1.1
    Attributes,
    /// [`Task::write_data`](crate::Task::write_data), since interface 1.1
    WriteData(PathBuf),
    /// [`Task::len`](crate::Task::len)
    Len(Split),
    /// [`Task::groups`](crate::Task::groups), since interface 1.2
    Groups(Split),
    /// [`Task::batch`](crate::Task::batch)
    Batch(BatchRequest),
    /// [`Task::screening_samples`](crate::Task::screening_samples)
    ScreeningSamples(ScreeningRequest),
    /// [`Task::draw`](crate::Task::draw), since interface 1.3
    Draw {
        /// Names of the batch's inputs.
        inputs: Names,
        /// Names of the batch's targets.
        targets: Names,
        /// Names of the predictions, where there are some.
        predictions: Option<Names>,
    },
    /// [`Task::reference_loss`](crate::Task::reference_loss)
    ReferenceLoss {
        /// The loss.
        name: String,
        /// The branch.
        branch: String,
        /// Names of the inputs.
        inputs: Names,
    },
    /// [`ProxyNetwork::forward`](crate::ProxyNetwork::forward)
    Forward {
        /// Names of the batch's inputs.
        inputs: Names,
        /// Names of the batch's targets.
        targets: Names,
        /// Training or judging.
        mode: Mode,
    },
    /// [`ProxyNetwork::predict`](crate::ProxyNetwork::predict)
    Predict {
        /// Names of the batch's inputs.
        inputs: Names,
    },
    /// [`ProxyNetwork::parameters`](crate::ProxyNetwork::parameters)
    Parameters,
    /// [`ProxyNetwork::buffers`](crate::ProxyNetwork::buffers)
    Buffers,
    /// [`Metric::update`](crate::Metric::update)
    Update {
        /// Names of the predictions.
        predictions: Names,
        /// Names of the targets.
        targets: Names,
    },
    /// [`Metric::compute`](crate::Metric::compute)
    Compute,
    /// [`Metric::screen`](crate::Metric::screen)
    Screen {
        /// The score.
        score: String,
        /// Names of the predictions.
        predictions: Names,
        /// Names of the targets.
        targets: Names,
    },
}

impl Request {
    /// The method's name, for messages.
    pub fn method(&self) -> &'static str {
        match self {
            Request::Attributes => "Task::attributes",
            Request::WriteData(_) => "Task::write_data",
            Request::Len(_) => "Task::len",
            Request::Groups(_) => "Task::groups",
            Request::Batch(_) => "Task::batch",
            Request::ScreeningSamples(_) => "Task::screening_samples",
            Request::Draw { .. } => "Task::draw",
            Request::ReferenceLoss { .. } => "Task::reference_loss",
            Request::Forward { .. } => "ProxyNetwork::forward",
            Request::Predict { .. } => "ProxyNetwork::predict",
            Request::Parameters => "ProxyNetwork::parameters",
            Request::Buffers => "ProxyNetwork::buffers",
            Request::Update { .. } => "Metric::update",
            Request::Compute => "Metric::compute",
            Request::Screen { .. } => "Metric::screen",
        }
    }

    /// Whether gradients are recorded during the call.
    pub(super) fn records_gradients(&self) -> bool {
        matches!(
            self,
            Request::Forward {
                mode: Mode::Train,
                ..
            } | Request::ReferenceLoss { .. }
        )
    }
}

/// What an object answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Nothing to tell.
    Done,
    /// Facts of an opened task.
    Attributes(BTreeMap<String, serde_json::Value>),
    /// A line for the user.
    Said(String),
    /// A number of samples.
    Len(u64),
    /// A number for each sample, or none.
    Groups(Vec<u32>),
    /// A batch.
    Batch {
        /// Names of its inputs.
        inputs: Names,
        /// Names of its targets.
        targets: Names,
    },
    /// Samples for screening; a `valid` tensor, where there is one, travels last.
    ScreeningSamples {
        /// Shape of the raw predictions.
        shape: [i64; 4],
        /// Names of the fixed inputs.
        fixed: Names,
        /// Names of the metric's targets.
        targets: Names,
        /// Whether a `valid` tensor follows.
        valid: bool,
    },
    /// One unnamed tensor.
    Tensor,
    /// The inputs of each branch.
    Branches(Vec<(String, Names)>),
    /// Named tensors.
    Tensors(Names),
    /// Trainable tensors: name, and whether weight decay applies.
    Parameters(Vec<(String, bool)>),
    /// Scores by name; JSON has no NaN, so a score that is not finite travels as null.
    Scores(Vec<(String, Option<f64>)>),
    /// One score per sample.
    SampleScores(Vec<Option<f64>>),
}

impl Response {
    pub(super) fn scores(scores: Scores) -> Self {
        Response::Scores(
            scores
                .into_iter()
                .map(|(name, score)| (name, finite(score)))
                .collect(),
        )
    }

    pub(super) fn sample_scores(scores: &[f64]) -> Self {
        Response::SampleScores(scores.iter().copied().map(finite).collect())
    }
}

fn finite(score: f64) -> Option<f64> {
    score.is_finite().then_some(score)
}
