//! The network that a candidate loss trains.

use crate::{Batch, NetworkInfo, Result, Settings, TaskInfo, Tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Device, Tensor};

/// How a network is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// The task it serves, with attributes such as `num_classes`.
    pub task: TaskInfo,
    /// `cpu` or `cuda:N`; [`NetworkOptions::device`] reads it.
    pub device: String,
    /// Determines the initial parameters. The host seeds libtorch's generator with it before the
    /// call.
    pub seed: u64,
    /// File of pretrained weights, if the user named one.
    #[serde(default)]
    pub weights: Option<PathBuf>,
    /// Settings of this network alone, from `[network]` of the configuration.
    #[serde(default)]
    pub settings: Settings,
}

impl NetworkOptions {
    /// The device of the parameters.
    ///
    /// # Errors
    /// A name that is neither `cpu` nor `cuda:N`.
    pub fn device(&self) -> Result<Device> {
        match self.device.as_str() {
            "cpu" => Ok(Device::Cpu),
            name => name
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Device::Cuda)
                .ok_or_else(|| format!("'{name}' is no device (cpu, cuda:0 …)").into()),
        }
    }
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Training: batch statistics, dropout and the like are on, and gradients are recorded.
    Train,
    /// Evaluation: all of these are off.
    Evaluate,
}

/// A trainable tensor.
#[derive(Debug)]
pub struct Parameter {
    /// Name, unique in the network and stable between versions: it is the key in checkpoints.
    pub name: String,
    /// A handle on the tensor itself, a leaf that records gradients: the host updates it in place.
    pub tensor: Tensor,
    /// Whether weight decay applies (usually not to biases and normalisation).
    pub decay: bool,
}

/// A network from batches to the inputs of each branch's loss.
pub trait ProxyNetwork: Send {
    /// What the network offers.
    fn info() -> NetworkInfo
    where
        Self: Sized;

    /// Builds the network with fresh parameters, or with those of [`NetworkOptions::weights`].
    ///
    /// # Errors
    /// A task it cannot serve, or weights that do not fit.
    fn build(options: &NetworkOptions) -> Result<Self>
    where
        Self: Sized;

    /// What the part of the network that never trains makes of a batch's inputs, as
    /// [`Task::batch`](crate::Task::batch) gave them: tensors of floats with N in their first dimension.
    /// They depend on each sample alone, not on the trained parameters or on the other samples. Only
    /// networks with [`NetworkInfo::frozen_features`](crate::NetworkInfo::frozen_features) have it; their
    /// [`ProxyNetwork::forward`] and [`ProxyNetwork::predict`] are given features in the place of inputs,
    /// rounded to half precision. Gradients are off.
    ///
    /// # Errors
    /// By default: that there is no such part. Else inputs that do not fit.
    fn frozen_features(&mut self, inputs: &Tensors) -> Result<Tensors> {
        let _ = inputs;
        Err("this network has no part that never trains".into())
    }

    /// The inputs of every branch's loss by their names. All inputs of a branch have one shape
    /// (N, C, H, W); a set-valued branch has (N, C, 1, 1). For [`Mode::Train`] predictions carry
    /// gradients to the parameters. Positions that do not count are 0 in predictions and targets
    /// alike. Further tensors of any shape reach [`Task::reference_loss`](crate::Task::reference_loss)
    /// only; loss graphs never see them.
    ///
    /// # Errors
    /// Batches without the tensors it needs, and libtorch's own errors.
    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>>;

    /// What metrics evaluate, such as `labels`, (N, H, W). Gradients are off.
    ///
    /// # Errors
    /// As [`ProxyNetwork::forward`].
    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors>;

    /// Every trainable tensor; at least one.
    fn parameters(&self) -> Vec<Parameter>;

    /// Every other tensor that a checkpoint must hold, such as running statistics.
    fn buffers(&self) -> Tensors {
        Tensors::new()
    }
}
