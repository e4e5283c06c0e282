//! A network on the plugin's side.

use super::{Object, Result, Sent, all, names};
use crate::plugin::{Plugin, PluginError};
use autoloss_plugin_api::boundary::{Create, NetworkRequest, NetworkResponse};
use autoloss_plugin_api::{Batch, BranchInfo, Mode, NetworkOptions, Parameter, Tensors};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A network of a plugin.
pub struct RemoteNetwork {
    object: Object<NetworkRequest>,
    /// Whether a training pass was seen: fresh parameters owe finite inputs, diverged ones do not.
    trained: Cell<bool>,
}

impl RemoteNetwork {
    /// Builds the network of this name.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn build(plugin: &Arc<Plugin>, name: &str, options: NetworkOptions) -> Result<Self> {
        let what = Create::Network(name.to_owned(), Box::new(options));
        Ok(Self {
            object: Object::new(plugin, &what)?,
            trained: Cell::new(false),
        })
    }

    /// The inputs of every declared branch, in the order of its declaration, then what else was given
    /// for it.
    ///
    /// # Errors
    /// The plugin's own, or how its answer is wrong.
    pub fn forward(
        &self,
        branches: &[BranchInfo],
        batch: &Batch,
        mode: Mode,
    ) -> Result<BTreeMap<String, Tensors>> {
        let request = NetworkRequest::Forward {
            inputs: names(&batch.inputs),
            targets: names(&batch.targets),
            mode,
        };
        let (response, mut sent) = self
            .object
            .call(request, &all([&batch.inputs, &batch.targets]))?;
        let NetworkResponse::Forward(answered) = response else {
            return Err(sent.unexpected(&response));
        };
        let mut found = BTreeMap::new();
        for (branch, names) in answered {
            found.insert(branch, sent.named(names)?);
        }
        branches
            .iter()
            .map(|branch| {
                let inputs = found
                    .remove(&branch.name)
                    .ok_or_else(|| sent.broke(format!("no inputs for branch '{}'", branch.name)))?;
                let inputs = declared(&sent, branch, &inputs)?;
                if mode == Mode::Train {
                    self.check_training(&sent, branch, &inputs)?;
                }
                Ok((branch.name.clone(), inputs))
            })
            .collect()
    }

    fn check_training(&self, sent: &Sent<'_>, branch: &BranchInfo, inputs: &Tensors) -> Result<()> {
        for ((name, tensor), input) in inputs.iter().zip(&branch.inputs) {
            if input.prediction && !tensor.requires_grad() {
                let message = format!(
                    "prediction '{name}' of branch '{}' has no gradient",
                    branch.name
                );
                return Err(sent.broke(message));
            }
            if !self.trained.get() {
                sent.finite(&format!("{name}' of branch '{}", branch.name), tensor)?;
                sent.declared(branch, input, tensor, true)?;
            }
        }
        self.trained.set(true);
        Ok(())
    }

    /// What the part that never trains makes of inputs: finite tensors of floats with as many samples in
    /// their first dimension.
    ///
    /// # Errors
    /// The plugin's own, or how its answer is wrong.
    pub fn frozen_features(&self, inputs: &Tensors) -> Result<Tensors> {
        let request = NetworkRequest::FrozenFeatures {
            inputs: names(inputs),
        };
        let (response, mut sent) = self.object.call(request, &all([inputs]))?;
        let NetworkResponse::FrozenFeatures(named) = response else {
            return Err(sent.unexpected(&response));
        };
        let features = sent.named(named)?;
        let samples = inputs.iter().next().map(|(_, tensor)| tensor.size()[0]);
        for (name, tensor) in features.iter() {
            let size = tensor.size();
            if size.first().copied() != samples || !tensor.is_floating_point() {
                let kind = tensor.kind();
                return Err(sent.broke(format!(
                    "features '{name}': {kind:?} of shape {size:?}, expected floats with {} samples first",
                    samples.unwrap_or_default()
                )));
            }
            sent.finite(name, tensor)?;
        }
        match features.is_empty() {
            true => Err(sent.broke("there are no features")),
            false => Ok(features),
        }
    }

    /// What metrics evaluate.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        let request = NetworkRequest::Predict {
            inputs: names(inputs),
        };
        match self.object.call(request, &all([inputs]))? {
            (NetworkResponse::Predict(names), mut sent) => sent.named(names),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Every trainable tensor: leaves that record gradients, under distinct names.
    ///
    /// # Errors
    /// How the answer is wrong.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let (response, mut sent) = self.object.call(NetworkRequest::Parameters, &[])?;
        let NetworkResponse::Parameters(named) = response else {
            return Err(sent.unexpected(&response));
        };
        let mut parameters: Vec<Parameter> = Vec::with_capacity(named.len());
        for (name, decay) in named {
            let tensor = sent.one()?;
            if !tensor.requires_grad() || !tensor.is_leaf() {
                return Err(sent.broke(format!("parameter '{name}' records no gradient")));
            }
            if parameters.iter().any(|known| known.name == name) {
                return Err(sent.broke(format!("two parameters are named '{name}'")));
            }
            parameters.push(Parameter {
                name,
                tensor,
                decay,
            });
        }
        if parameters.is_empty() {
            return Err(sent.broke("the network has no parameters"));
        }
        Ok(parameters)
    }

    /// The error about parameters that no prediction depends on, though predictions have a gradient.
    pub fn parameters_are_apart(&self) -> PluginError {
        let message = "after the first backward pass no parameter has a gradient: these are copies, not the tensors \
                       that forward computes with, so nothing would be trained";
        self.object.broke(&NetworkRequest::Parameters, message)
    }

    /// Every other tensor that a checkpoint must hold; none of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn buffers(&self) -> Result<Tensors> {
        let answer = self.object.call_if_offered(NetworkRequest::Buffers, &[])?;
        match answer {
            None => Ok(Tensors::new()),
            Some((NetworkResponse::Buffers(names), mut sent)) => sent.named(names),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }
}

/// The declared inputs of a branch in order, of one (N, C, H, W) shape, and behind them the others.
fn declared(sent: &Sent<'_>, branch: &BranchInfo, inputs: &Tensors) -> Result<Tensors> {
    let mut ordered = Tensors::new();
    let mut shape: Option<Vec<i64>> = None;
    for input in &branch.inputs {
        let tensor = inputs
            .get(&input.name)
            .map_err(|error| sent.broke(format!("branch '{}': {error}", branch.name)))?;
        let size = tensor.size();
        let first = shape.get_or_insert_with(|| size.clone());
        if size.len() != 4 || size.contains(&0) || size != *first {
            return Err(sent.broke(format!(
                "input '{}' of branch '{}' has shape {size:?}; inputs are (N, C, H, W), of equal \
                 shape and not empty (the first has {first:?})",
                input.name, branch.name
            )));
        }
        ordered.insert(input.name.clone(), tensor.shallow_clone());
    }
    for (name, tensor) in inputs.iter() {
        if branch.inputs.iter().all(|input| input.name != name) {
            ordered.insert(name, tensor.shallow_clone());
        }
    }
    Ok(ordered)
}
