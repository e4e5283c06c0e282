//! The layers of the proxy network, on plain tensors.
//!
//! `tch::nn` was not used: its layers panic on shapes that do not fit and spread their parameters
//! over a hash map, while checkpoints and tests want a fixed order and readable names. Two kinds of
//! layer are all that is needed.
//!
//! Normalisation is over the batch. With the few hundred steps of a proxy training it reached a
//! clearly higher score than normalisation over groups of channels.

use autoloss_plugin_api::{Parameter, Result, Tensors};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;
/// Added to the variance.
const EPSILON: f64 = 1e-5;

/// All tensors of a network by name, in the order in which the layers were made.
#[derive(Debug)]
pub(crate) struct Weights {
    device: Device,
    parameters: Vec<Parameter>,
    buffers: Tensors,
}

impl Weights {
    pub(crate) fn new(device: Device) -> Self {
        Self {
            device,
            parameters: Vec::new(),
            buffers: Tensors::new(),
        }
    }

    /// Handles on the trainable tensors.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let share = |own: &Parameter| Parameter {
            name: own.name.clone(),
            tensor: own.tensor.shallow_clone(),
            decay: own.decay,
        };
        self.parameters.iter().map(share).collect()
    }

    /// Handles on the running statistics.
    pub(crate) fn buffers(&self) -> Tensors {
        self.buffers.shallow_clone()
    }

    /// Overwrites every tensor with that of the same name in a safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, lacks a tensor or has one of another shape.
    pub(crate) fn load(&mut self, file: &Path) -> Result<()> {
        let stored: Tensors = Tensor::read_safetensors(file)
            .map_err(|error| format!("cannot read weights from {}: {error}", file.display()))?
            .into_iter()
            .collect();
        let parameters = self
            .parameters
            .iter()
            .map(|own| (own.name.as_str(), &own.tensor));
        let _no_gradients = tch::no_grad_guard();
        for (name, tensor) in parameters.chain(self.buffers.iter()) {
            let new = stored
                .get(name)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            if new.size() != tensor.size() {
                let (found, expected) = (new.size(), tensor.size());
                return Err(format!(
                    "{}: '{name}' has shape {found:?}, expected {expected:?}",
                    file.display()
                )
                .into());
            }
            tensor.shallow_clone().f_copy_(new)?;
        }
        Ok(())
    }

    fn parameter(&mut self, name: String, tensor: &Tensor, decay: bool) -> Result<Tensor> {
        let tensor = tensor.f_set_requires_grad(true)?;
        self.parameters.push(Parameter {
            name,
            tensor: tensor.shallow_clone(),
            decay,
        });
        Ok(tensor)
    }

    /// Normally distributed, of the variance that keeps a signal's size (He et al. 2015).
    fn kernel(&mut self, name: String, shape: [i64; 4], gain: f64) -> Result<Tensor> {
        let inputs = shape[1] * shape[2] * shape[3];
        let values = Tensor::f_randn(shape, (Kind::Float, self.device))?;
        let values = values.f_mul_scalar((gain / inputs as f64).sqrt())?;
        self.parameter(name, &values, true)
    }
}

/// A 1×1 convolution with bias: the last layer.
#[derive(Debug)]
pub(crate) struct Pointwise {
    weight: Tensor,
    bias: Tensor,
}

impl Pointwise {
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        inputs: i64,
        outputs: i64,
    ) -> Result<Self> {
        let zeros = Tensor::f_zeros([outputs], (Kind::Float, weights.device))?;
        Ok(Self {
            weight: weights.kernel(format!("{name}.weight"), [outputs, inputs, 1, 1], 1.0)?,
            bias: weights.parameter(format!("{name}.bias"), &zeros, false)?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_conv2d(&self.weight, Some(&self.bias), 1, 0, 1, 1)?)
    }
}

/// A convolution, batch normalisation and rectification.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    stride: i64,
}

impl ConvNorm {
    /// A layer from `inputs` to `outputs` channels with a `kernel`² window moved by `stride`.
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        stride: i64,
    ) -> Result<Self> {
        let options = (Kind::Float, weights.device);
        let zeros = || Tensor::f_zeros([outputs], options);
        let ones = || Tensor::f_ones([outputs], options);
        let (mean, variance) = (zeros()?, ones()?);
        weights
            .buffers
            .insert(format!("{name}.norm.running_mean"), mean.shallow_clone());
        weights
            .buffers
            .insert(format!("{name}.norm.running_var"), variance.shallow_clone());
        let shape = [outputs, inputs, kernel, kernel];
        Ok(Self {
            weight: weights.kernel(format!("{name}.conv.weight"), shape, 2.0)?,
            scale: weights.parameter(format!("{name}.norm.weight"), &ones()?, false)?,
            shift: weights.parameter(format!("{name}.norm.bias"), &zeros()?, false)?,
            mean,
            variance,
            stride,
        })
    }

    /// (N, inputs, H, W) → (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉). With `training` the batch's own
    /// statistics normalise and move the running ones.
    pub(crate) fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let padding = self.weight.size()[2] / 2;
        let convolved =
            input.f_conv2d(&self.weight, None::<&Tensor>, self.stride, padding, 1, 1)?;
        let normalised = convolved.f_batch_norm(
            Some(&self.scale),
            Some(&self.shift),
            Some(&self.mean),
            Some(&self.variance),
            training,
            MOMENTUM,
            EPSILON,
            true,
        )?;
        Ok(normalised.f_relu()?)
    }
}
