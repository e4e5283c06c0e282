//! All tensors of a network by name, and how fresh ones are drawn.
//!
//! `tch::nn` was not used: its layers panic on shapes that do not fit and spread their parameters
//! over a hash map, while checkpoints and tests want a fixed order and names that other programs
//! know. Layers hold handles on the same tensors, so what the host or a file writes into them is
//! what they compute with.

use autoloss_plugin_api::{Parameter, Result, Tensors};
use tch::{Device, Kind, Tensor};

/// How the kernel of a convolution is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Normal, of the variance that keeps a gradient's size through rectified layers (He et al.
    /// 2015): encoders.
    GradientNormal,
    /// Uniform, of the variance that keeps a signal's size through rectified layers: decoders.
    SignalUniform,
    /// Uniform, between both and without rectification (Glorot and Bengio 2010): the last layer.
    Linear,
}

/// All tensors of a network by name, in the order in which the layers were made.
#[derive(Debug)]
pub(crate) struct Weights {
    device: Device,
    parameters: Vec<Parameter>,
    buffers: Tensors,
    /// Names of the batch counters, until [`Weights::finish`].
    counters: Vec<String>,
    counts: Option<Tensor>,
}

impl Weights {
    pub(crate) fn new(device: Device) -> Self {
        Self {
            device,
            parameters: Vec::new(),
            buffers: Tensors::new(),
            counters: Vec::new(),
            counts: None,
        }
    }

    pub(crate) fn device(&self) -> Device {
        self.device
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

    /// Handles on the running statistics and batch counters.
    pub(crate) fn buffers(&self) -> Tensors {
        self.buffers.shallow_clone()
    }

    /// Names and tensors of parameters, then buffers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters
            .iter()
            .map(|own| (own.name.as_str(), &own.tensor))
            .chain(self.buffers.iter())
    }

    pub(crate) fn parameter(
        &mut self,
        name: String,
        tensor: &Tensor,
        decay: bool,
    ) -> Result<Tensor> {
        let tensor = tensor.f_set_requires_grad(true)?;
        self.parameters.push(Parameter {
            name,
            tensor: tensor.shallow_clone(),
            decay,
        });
        Ok(tensor)
    }

    /// A vector of equal values, trained without weight decay.
    pub(crate) fn vector(&mut self, name: String, length: i64, value: f64) -> Result<Tensor> {
        let values = Tensor::f_full([length], value, (Kind::Float, self.device))?;
        self.parameter(name, &values, false)
    }

    /// A kernel (outputs, inputs / groups, height, width).
    pub(crate) fn kernel(
        &mut self,
        name: String,
        shape: [i64; 4],
        groups: i64,
        start: Start,
    ) -> Result<Tensor> {
        let window = shape[2] * shape[3];
        let (fan_in, fan_out) = ((shape[1] * window) as f64, (shape[0] * window) as f64);
        let fresh = Tensor::f_empty(shape, (Kind::Float, self.device))?;
        let values = match start {
            Start::GradientNormal => {
                let deviation = (2.0 * groups as f64 / fan_out).sqrt();
                fresh.shallow_clone().f_normal_(0.0, deviation)?
            }
            Start::SignalUniform => uniform(&fresh, (6.0 / fan_in).sqrt())?,
            Start::Linear => uniform(&fresh, (6.0 / (fan_in + fan_out)).sqrt())?,
        };
        self.parameter(name, &values, true)
    }

    /// A tensor that a checkpoint must hold and no optimiser may touch.
    pub(crate) fn buffer(&mut self, name: String, tensor: &Tensor) {
        self.buffers.insert(name, tensor.shallow_clone());
    }

    /// Running mean 0 and variance 1, and the names that PyTorch gives them.
    pub(crate) fn statistics(&mut self, name: &str, channels: i64) -> Result<[Tensor; 2]> {
        let options = (Kind::Float, self.device);
        let (mean, variance) = (
            Tensor::f_zeros([channels], options)?,
            Tensor::f_ones([channels], options)?,
        );
        self.buffer(format!("{name}.running_mean"), &mean);
        self.buffer(format!("{name}.running_var"), &variance);
        Ok([mean, variance])
    }

    /// A whole number that counts the batches trained on, as PyTorch's normalisation layers do:
    /// without it their checkpoints are not complete.
    pub(crate) fn counter(&mut self, name: String) {
        self.counters.push(name);
    }

    /// Makes the counters, once all layers are made. All lie in one tensor, so that a training step
    /// costs one addition instead of a hundred.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let counts = Tensor::f_zeros([self.counters.len() as i64], (Kind::Int64, self.device))?;
        for (index, name) in self.counters.drain(..).enumerate() {
            self.buffers.insert(name, counts.f_select(0, index as i64)?);
        }
        self.counts = Some(counts);
        Ok(())
    }

    /// One more batch was trained on.
    pub(crate) fn count_batch(&self) -> Result<()> {
        if let Some(counts) = &self.counts {
            let _ = counts.shallow_clone().f_add_scalar_(1)?;
        }
        Ok(())
    }
}

fn uniform(tensor: &Tensor, bound: f64) -> Result<Tensor> {
    Ok(tensor.shallow_clone().f_uniform_(-bound, bound)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_kernels_have_the_deviation_of_their_start() {
        tch::manual_seed(0);
        let mut weights = Weights::new(Device::Cpu);
        let shape = [96, 48, 3, 3];
        for (start, expected) in [
            (Start::GradientNormal, (2.0_f64 / (96.0 * 9.0)).sqrt()),
            (Start::SignalUniform, (2.0_f64 / (48.0 * 9.0)).sqrt()),
            (Start::Linear, (2.0_f64 / (144.0 * 9.0)).sqrt()),
        ] {
            let kernel = weights.kernel("k".into(), shape, 1, start).unwrap();
            let found = kernel.std(false).double_value(&[]);
            assert!((found / expected - 1.0).abs() < 0.02, "{start:?}: {found}");
        }
    }

    #[test]
    fn one_step_moves_every_counter() {
        let mut weights = Weights::new(Device::Cpu);
        weights.counter("a.num_batches_tracked".into());
        weights.counter("b.num_batches_tracked".into());
        weights.finish().unwrap();
        weights.count_batch().unwrap();
        weights.count_batch().unwrap();
        for (name, count) in weights.iter() {
            assert_eq!(
                (count.size(), count.int64_value(&[])),
                (vec![], 2),
                "{name}"
            );
        }
        assert_eq!(weights.iter().count(), 2);
    }
}
