//! Errors of this crate.

use crate::plugin::{LoadError, PluginError};
use autoloss_graph::ParseError;
use autoloss_plugin_api::brief;
use autoloss_spec::UnknownName;
use std::path::PathBuf;
use thiserror::Error;

/// What this crate's functions return.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// Why loading, training or evaluating failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A library could not be admitted.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call into a plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// libtorch refused an operation of ours.
    #[error("libtorch: {}", brief(.0))]
    Torch(#[from] tch::TchError),
    /// A name that no loaded plugin offers.
    #[error("the loaded plugins offer {0}")]
    Unknown(#[from] UnknownName),
    /// Plugins without a task.
    #[error("no loaded plugin offers a task")]
    NoTask,
    /// A task whose networks nothing can score.
    #[error(
        "no loaded plugin has a {kind} for task '{task}': one is published with {macro_name}!, for this task or for all"
    )]
    NoMetric {
        /// Metric or screening metric.
        kind: &'static str,
        /// The task.
        task: String,
        /// The macro of plugin-api.
        macro_name: &'static str,
    },
    /// More than one thing fits and none was named.
    #[error("several {kind}s are loaded ({known}): name one with --{kind}")]
    Ambiguous {
        /// Kind of thing.
        kind: &'static str,
        /// The names there are.
        known: String,
    },
    /// A network that does not serve the task.
    #[error("network '{network}' serves {serves}, not task '{task}'")]
    WrongTask {
        /// The network.
        network: String,
        /// The tasks it serves.
        serves: String,
        /// The chosen task.
        task: String,
    },
    /// A network whose weights are not found.
    #[error(
        "network '{network}' needs the weights {file}, which are not in {folders}: name them with --weights, or \
         bring them with `cargo xtask weights`"
    )]
    NoWeights {
        /// The network.
        network: String,
        /// The file's name.
        file: String,
        /// Where it was searched for.
        folders: String,
    },
    /// A text that is not a loss of this task.
    #[error("the loss of branch '{branch}' cannot be read: {error}")]
    Loss {
        /// The branch.
        branch: String,
        /// What is wrong, with its place.
        #[source]
        error: ParseError,
    },
    /// A branch without a loss.
    #[error("branch '{0}' has no loss")]
    MissingLoss(String),
    /// A score without a value on the data.
    #[error(
        "the {split} split does not define the score '{score}': name another target score with --score"
    )]
    Undefined {
        /// The score.
        score: String,
        /// The split.
        split: String,
    },
    /// Every branch is frozen.
    #[error("every branch is frozen, so none is left to search: name fewer with --fix")]
    NothingSearched,
    /// What a plugin declares contradicts itself.
    #[error("task '{task}' declares {what}")]
    Declaration {
        /// The task.
        task: String,
        /// What is wrong.
        what: String,
    },
    /// A device that this machine lacks.
    #[error("device '{name}' cannot be used: {why}")]
    Device {
        /// The name given.
        name: String,
        /// Why not.
        why: String,
    },
    /// A checkpoint that cannot be written, read, or does not belong to this training.
    #[error("checkpoint {}: {why}", file.display())]
    Checkpoint {
        /// The file or folder.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Features of samples that do not fit together.
    #[error("features of the samples cannot be kept: {why}")]
    Features {
        /// What does not fit.
        why: String,
    },
    /// The threads for screening could not be started.
    #[error("the threads for screening could not be started: {0}")]
    Threads(String),
    /// The caller's stop flag was raised.
    #[error("interrupted")]
    Interrupted,
}
