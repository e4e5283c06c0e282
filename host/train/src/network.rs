//! A network as the host runs it: precision, memory format, and its state as a checkpoint.
//!
//! Both choices are the host's, so that no plugin author has to care: autocast belongs to the thread
//! and reaches the plugin's operators, and kernels are laid out anew once, after the plugin built
//! them. What a loss sees is single precision either way.

use crate::plugin::{Plugin, RemoteNetwork};
use crate::shim::Autocast;
use crate::{Result, TrainError};
use autoloss_plugin_api::{Batch, BranchInfo, Mode, NetworkOptions, Parameter, Tensors};
use autoloss_search::{MemoryFormat, Precision, TrainingBudget};
use autoloss_spec::unwrapped;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// How a network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Where.
    pub device: Device,
    /// Whether convolutions and products of matrices run in bf16.
    pub bf16: bool,
    /// Whether images and kernels lie position after position.
    pub channels_last: bool,
}

impl Compute {
    /// What a budget asks for on a device.
    pub fn new(budget: &TrainingBudget, device: Device) -> Self {
        let gpu = device.is_cuda();
        Self {
            device,
            bf16: match budget.precision {
                Precision::Auto => gpu,
                Precision::F32 => false,
                Precision::Bf16 => true,
            },
            channels_last: match budget.memory_format {
                MemoryFormat::Auto => gpu,
                MemoryFormat::Contiguous => false,
                MemoryFormat::ChannelsLast => true,
            },
        }
    }
}

/// A network of a plugin, in training or finished.
pub struct Network {
    remote: RemoteNetwork,
    compute: Compute,
}

impl Network {
    /// Builds it with fresh, or the given pretrained, parameters.
    ///
    /// # Errors
    /// Whatever the plugin or libtorch say.
    pub fn build(
        plugin: &Arc<Plugin>,
        name: &str,
        options: NetworkOptions,
        compute: Compute,
    ) -> Result<Self> {
        let remote = RemoteNetwork::build(plugin, name, options)?;
        if compute.channels_last {
            for parameter in remote.parameters()? {
                if parameter.tensor.dim() == 4 {
                    let values = channels_last(&parameter.tensor.f_detach()?)?;
                    parameter.tensor.shallow_clone().f_set_data(&values)?;
                }
            }
        }
        Ok(Self { remote, compute })
    }

    /// How it computes.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// What the part that never trains makes of inputs, on the network's device.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn frozen_features(&self, inputs: &Tensors) -> Result<Tensors> {
        let inputs = self.laid_out(&inputs.to_device(self.compute.device)?)?;
        let _guard = self.autocast()?;
        Ok(self.remote.frozen_features(&inputs)?)
    }

    /// The inputs of every declared branch in single precision, for training.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn forward(
        &self,
        branches: &[BranchInfo],
        batch: &Batch,
    ) -> Result<BTreeMap<String, Tensors>> {
        let batch = Batch {
            inputs: self.laid_out(&batch.inputs)?,
            targets: batch.targets.shallow_clone(),
        };
        let inputs = {
            let _guard = self.autocast()?;
            self.remote.forward(branches, &batch, Mode::Train)?
        };
        if !self.compute.bf16 {
            return Ok(inputs);
        }
        let widen = |tensor: &Tensor| match tensor.kind() {
            Kind::BFloat16 | Kind::Half => tensor.f_to_kind(Kind::Float),
            _ => Ok(tensor.shallow_clone()),
        };
        let widened = |(branch, tensors): (String, Tensors)| Ok((branch, tensors.try_map(widen)?));
        inputs.into_iter().map(widened).collect()
    }

    /// What metrics evaluate, on the network's device.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        let inputs = self.laid_out(&inputs.to_device(self.compute.device)?)?;
        let _guard = self.autocast()?;
        Ok(self.remote.predict(&inputs)?)
    }

    /// Every trainable tensor.
    ///
    /// # Errors
    /// How the plugin's answer is wrong.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(self.remote.parameters()?)
    }

    /// The error about parameters that no loss has a gradient with respect to.
    pub fn parameters_are_apart(&self) -> TrainError {
        self.remote.parameters_are_apart().into()
    }

    /// Writes parameters and buffers as safetensors, under the names the plugin gives them.
    ///
    /// # Errors
    /// Whatever the plugin or libtorch say, or why the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        write_tensors(file, &self.state()?)
    }

    /// Overwrites every parameter and buffer with the tensor of its name in a file of
    /// [`Network::save`].
    ///
    /// # Errors
    /// A file that cannot be read, lacks a tensor, or has one of another shape.
    pub fn restore(&self, file: &Path) -> Result<()> {
        let stored = read_tensors(file)?;
        let state = self.state()?;
        let found = fitting(&state, &stored).map_err(|why| checkpoint(file, why))?;
        let _guard = tch::no_grad_guard();
        for (name, tensor) in state.iter() {
            let Some(new) = found.get(name) else { continue };
            if new.size() != tensor.size() {
                let (found, expected) = (new.size(), tensor.size());
                let what = format!("'{name}' has shape {found:?}, expected {expected:?}");
                return Err(checkpoint(file, what));
            }
            tensor.shallow_clone().f_copy_(new)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<Tensors> {
        let mut state: Tensors = self
            .parameters()?
            .into_iter()
            .map(|own| (own.name, own.tensor))
            .collect();
        for (name, tensor) in self.remote.buffers()? {
            state.insert(name, tensor);
        }
        Ok(state)
    }

    fn autocast(&self) -> Result<Option<Autocast>> {
        let begin = || Autocast::to_bf16(self.compute.device);
        self.compute.bf16.then(begin).transpose()
    }

    fn laid_out(&self, inputs: &Tensors) -> Result<Tensors> {
        if !self.compute.channels_last {
            return Ok(inputs.shallow_clone());
        }
        inputs.try_map(|tensor| match tensor.dim() {
            4 => channels_last(tensor),
            _ => Ok(tensor.shallow_clone()),
        })
    }
}

/// The stored tensor of every own one, by its name or by that which wrappers of the network made of it.
fn fitting<'a>(own: &Tensors, stored: &'a Tensors) -> Result<BTreeMap<String, &'a Tensor>, String> {
    let mut found = BTreeMap::new();
    for (name, tensor) in stored.iter() {
        let known = unwrapped(name).find(|name| own.get(name).is_ok());
        if let Some(known) = known
            && let Some(_) = found.insert(known.clone(), tensor)
        {
            return Err(format!("two of its tensors are '{known}'"));
        }
    }
    let lacking: Vec<&str> = own
        .names()
        .filter(|name| !found.contains_key(*name))
        .collect();
    if lacking.is_empty() {
        return Ok(found);
    }
    let some = lacking.iter().take(5).map(|name| format!("'{name}'"));
    let some: Vec<String> = some.collect();
    let more = if lacking.len() > 5 { ", …" } else { "" };
    Err(format!(
        "it lacks {} of the network's {} tensors: {}{more}; is it of another network?",
        lacking.len(),
        own.names().count(),
        some.join(", ")
    ))
}

/// (N, C, H, W) with the channels of a position side by side in memory.
fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    let positions = tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    Ok(positions.f_permute([0, 3, 1, 2])?)
}

/// Writes tensors as a safetensors file.
pub(crate) fn write_tensors(file: &Path, tensors: &Tensors) -> Result<()> {
    let plain = tensors.try_map(|tensor| {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?;
        tensor.f_contiguous()
    })?;
    let named: Vec<(&str, &Tensor)> = plain.iter().collect();
    Tensor::write_safetensors(&named, file).map_err(|error| checkpoint(file, error))
}

/// Reads a safetensors file.
pub(crate) fn read_tensors(file: &Path) -> Result<Tensors> {
    let read = Tensor::read_safetensors(file).map_err(|error| checkpoint(file, error))?;
    Ok(read.into_iter().collect())
}

pub(crate) fn checkpoint(file: &Path, why: impl std::fmt::Display) -> TrainError {
    TrainError::Checkpoint {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(names: &[&str]) -> Tensors {
        let zeros = |name: &&str| {
            (
                (*name).to_owned(),
                Tensor::zeros([2], (Kind::Float, Device::Cpu)),
            )
        };
        names.iter().map(zeros).collect()
    }

    #[test]
    fn names_of_wrapped_networks_are_understood_and_a_few_lacking_ones_told() {
        let own = tensors(&["stem.weight", "backbone.bias"]);
        for stored in [
            ["stem.weight", "backbone.bias"],
            ["module.stem.weight", "module.backbone.bias"],
            [
                "_orig_mod.model.stem._orig_mod.weight",
                "model._orig_mod.backbone.bias",
            ],
        ] {
            assert_eq!(
                fitting(&own, &tensors(&stored)).unwrap().len(),
                2,
                "{stored:?}"
            );
        }
        let twice = tensors(&["stem.weight", "backbone.bias", "module.stem.weight"]);
        assert_eq!(
            fitting(&own, &twice).unwrap_err(),
            "two of its tensors are 'stem.weight'"
        );
        let many: Vec<String> = (0..9).map(|number| format!("layer{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            fitting(&tensors(&many), &tensors(&["layer0", "other"])).unwrap_err(),
            "it lacks 8 of the network's 9 tensors: 'layer1', 'layer2', 'layer3', 'layer4', 'layer5', …; is it of \
             another network?"
        );
    }
}
