//! The messages of networks.

use super::message::{Answer, Inside, Names, apart, requests};
use crate::{Batch, Mode, ProxyNetwork};
use serde::{Deserialize, Serialize};

requests! {
    /// Calls a method of a network.
    NetworkRequest of "ProxyNetwork", answered by NetworkResponse {
        /// [`ProxyNetwork::frozen_features`]
        FrozenFeatures {
            /// Names of the batch's inputs.
            inputs: Names,
        } = "frozen_features",
        /// [`ProxyNetwork::forward`]
        Forward {
            /// Names of the batch's inputs.
            inputs: Names,
            /// Names of the batch's targets.
            targets: Names,
            /// Training or evaluation.
            mode: Mode,
        } = "forward",
        /// [`ProxyNetwork::predict`]
        Predict {
            /// Names of the batch's inputs.
            inputs: Names,
        } = "predict",
        /// [`ProxyNetwork::parameters`]
        Parameters = "parameters",
        /// [`ProxyNetwork::buffers`]
        Buffers = "buffers",
    }
}

/// What a network answers, by the request's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkResponse {
    /// Names of the features.
    FrozenFeatures(Names),
    /// Names of the inputs of each branch.
    Forward(Vec<(String, Names)>),
    /// Names of the predictions.
    Predict(Names),
    /// Each trainable tensor's name, and whether weight decay applies.
    Parameters(Vec<(String, bool)>),
    /// Names of the other tensors of a checkpoint.
    Buffers(Names),
}

impl NetworkRequest {
    /// Whether gradients are recorded during the call.
    pub(super) fn records_gradients(&self) -> bool {
        matches!(
            self,
            Self::Forward {
                mode: Mode::Train,
                ..
            }
        )
    }

    /// Calls the method.
    pub(super) fn serve(
        self,
        network: &mut dyn ProxyNetwork,
        inside: &mut Inside,
    ) -> Answer<NetworkResponse> {
        match self {
            Self::FrozenFeatures { inputs } => {
                let (names, tensors) = apart(network.frozen_features(&inside.take(inputs)?)?);
                Ok((NetworkResponse::FrozenFeatures(names), tensors))
            }
            Self::Forward {
                inputs,
                targets,
                mode,
            } => {
                let batch = Batch {
                    inputs: inside.take(inputs)?,
                    targets: inside.take(targets)?,
                };
                let mut branches = Vec::new();
                let mut tensors = Vec::new();
                for (branch, inputs) in network.forward(&batch, mode)? {
                    let (names, more) = apart(inputs);
                    tensors.extend(more);
                    branches.push((branch, names));
                }
                Ok((NetworkResponse::Forward(branches), tensors))
            }
            Self::Predict { inputs } => {
                let (names, tensors) = apart(network.predict(&inside.take(inputs)?)?);
                Ok((NetworkResponse::Predict(names), tensors))
            }
            Self::Parameters => {
                let parameters = network.parameters().into_iter();
                let (named, tensors) = parameters
                    .map(|own| ((own.name, own.decay), own.tensor))
                    .unzip();
                Ok((NetworkResponse::Parameters(named), tensors))
            }
            Self::Buffers => {
                let (names, tensors) = apart(network.buffers());
                Ok((NetworkResponse::Buffers(names), tensors))
            }
        }
    }
}
