//! All tensors of a network by name, and how fresh ones are drawn.
//!
//! `tch::nn` was not used: its layers panic on shapes that do not fit and spread their parameters
//! over a hash map, while checkpoints and tests want a fixed order and names that other programs
//! know. Layers hold handles on the same tensors, so what the host or a file writes into them is
//! what they compute with.

use autoloss_plugin_api::{Parameter, Result, Tensors};
use tch::{Device, Kind, Tensor};

/// How the weights of a convolution or a fully connected layer are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Normal, of the variance that keeps a gradient's size through rectified layers (He et al.
    /// 2015): encoders.
    GradientNormal,
    /// Uniform, of the variance that keeps a signal's size through rectified layers: decoders.
    SignalUniform,
    /// Uniform, of the variance that keeps a signal's size where nothing is rectified (PyTorch's
    /// `kaiming_uniform_` with `a=1`): feature pyramids.
    PlainUniform,
    /// Uniform, between both and without rectification (Glorot and Bengio 2010): the last layer.
    Linear,
    /// Normal, of this standard deviation, 0 or more: a detector's last layers, whose first
    /// predictions are then close to none at all.
    Normal(f64),
}

impl Start {
    /// Overwrites `fresh` with random numbers. `fans` are how many inputs an output sums, and how
    /// many outputs would sum an input were there one group.
    fn draw(self, fresh: &Tensor, [fan_in, fan_out]: [f64; 2], groups: i64) -> Result<Tensor> {
        let mut values = fresh.shallow_clone();
        let uniform = |bound: f64| (-bound, bound);
        let (low, high) = match self {
            Start::GradientNormal => {
                let deviation = (2.0 * groups as f64 / fan_out).sqrt();
                return Ok(values.f_normal_(0.0, deviation)?);
            }
            Start::Normal(deviation) => return Ok(values.f_normal_(0.0, deviation)?),
            Start::SignalUniform => uniform((6.0 / fan_in).sqrt()),
            Start::PlainUniform => uniform((3.0 / fan_in).sqrt()),
            Start::Linear => uniform((6.0 / (fan_in + fan_out)).sqrt()),
        };
        Ok(values.f_uniform_(low, high)?)
    }
}

/// All tensors of a network by name, in the order in which the layers were made.
///
/// ```
/// use autoloss_vision::networks::layers::{Conv, Plan};
/// use autoloss_vision::networks::weights::{Start, Weights};
/// use tch::{Device, Kind, Tensor};
///
/// let mut weights = Weights::new(Device::Cpu);
/// let plan = Plan::new([3, 8], 3, Start::SignalUniform).stride(2).bias();
/// let conv = Conv::new(&mut weights, "stem", plan)?;
/// weights.finish()?;
/// let names: Vec<_> = weights.iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["stem.weight", "stem.bias"]);
/// let image = Tensor::zeros([1, 3, 9, 12], (Kind::Float, Device::Cpu));
/// assert_eq!(conv.forward(&image)?.size(), [1, 8, 5, 6]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct Weights {
    device: Device,
    parameters: Vec<Parameter>,
    buffers: Tensors,
    norms_frozen: bool,
    /// Names of the batch counters, until [`Weights::finish`].
    counters: Vec<String>,
    counts: Option<Tensor>,
}

impl Weights {
    /// No tensor yet; all of them will lie on `device`.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            parameters: Vec::new(),
            buffers: Tensors::new(),
            norms_frozen: false,
            counters: Vec::new(),
            counts: None,
        }
    }

    /// The device on which the tensors lie.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Decides whether the batch normalisations made from now on are frozen: they use their running
    /// statistics alone and are not trained ([`BatchNorm`](super::layers::BatchNorm)).
    pub fn freeze_norms(&mut self, frozen: bool) {
        self.norms_frozen = frozen;
    }

    /// The last value given to [`Weights::freeze_norms`]; `false` before.
    pub fn norms_frozen(&self) -> bool {
        self.norms_frozen
    }

    /// Handles on the trainable tensors.
    pub fn parameters(&self) -> Vec<Parameter> {
        let share = |own: &Parameter| Parameter {
            name: own.name.clone(),
            tensor: own.tensor.shallow_clone(),
            decay: own.decay,
        };
        self.parameters.iter().map(share).collect()
    }

    /// Handles on what no optimiser touches: running statistics, frozen scales and shifts, batch
    /// counters.
    pub fn buffers(&self) -> Tensors {
        self.buffers.shallow_clone()
    }

    /// Names and tensors of parameters, then buffers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters
            .iter()
            .map(|own| (own.name.as_str(), &own.tensor))
            .chain(self.buffers.iter())
    }

    /// A tensor that is trained, with weight decay or without.
    ///
    /// # Errors
    /// libtorch's, for a tensor that cannot have a gradient.
    pub fn parameter(&mut self, name: String, tensor: &Tensor, decay: bool) -> Result<Tensor> {
        let tensor = tensor.f_set_requires_grad(true)?;
        self.parameters.push(Parameter {
            name,
            tensor: tensor.shallow_clone(),
            decay,
        });
        Ok(tensor)
    }

    /// A vector of equal values, trained without weight decay.
    ///
    /// # Errors
    /// libtorch's, for a length below 0.
    pub fn vector(&mut self, name: String, length: i64, value: f64) -> Result<Tensor> {
        let values = Tensor::f_full([length], value, (Kind::Float, self.device))?;
        self.parameter(name, &values, false)
    }

    /// A vector of equal values that is not trained, a buffer.
    ///
    /// # Errors
    /// libtorch's, for a length below 0.
    pub fn fixed(&mut self, name: String, length: i64, value: f64) -> Result<Tensor> {
        let values = Tensor::f_full([length], value, (Kind::Float, self.device))?;
        self.buffer(name, &values);
        Ok(values)
    }

    /// A kernel (outputs, inputs / groups, height, width), trained with weight decay.
    ///
    /// # Errors
    /// libtorch's, for sizes below 0, and a deviation below 0.
    pub fn kernel(
        &mut self,
        name: String,
        shape: [i64; 4],
        groups: i64,
        start: Start,
    ) -> Result<Tensor> {
        let [outputs, inputs, height, width] = shape.map(|size| size as f64);
        let fans = [inputs * height * width, outputs * height * width];
        let fresh = Tensor::f_empty(shape, (Kind::Float, self.device))?;
        let values = start.draw(&fresh, fans, groups)?;
        self.parameter(name, &values, true)
    }

    /// A matrix (outputs, inputs), trained with weight decay.
    ///
    /// # Errors
    /// As [`Weights::kernel`].
    pub fn matrix(&mut self, name: String, shape: [i64; 2], start: Start) -> Result<Tensor> {
        let [outputs, inputs] = shape.map(|size| size as f64);
        let fresh = Tensor::f_empty(shape, (Kind::Float, self.device))?;
        let values = start.draw(&fresh, [inputs, outputs], 1)?;
        self.parameter(name, &values, true)
    }

    /// A tensor that a checkpoint must hold and no optimiser may touch.
    pub fn buffer(&mut self, name: String, tensor: &Tensor) {
        self.buffers.insert(name, tensor.shallow_clone());
    }

    /// Running mean 0 and variance 1, and the names that PyTorch gives them.
    ///
    /// # Errors
    /// libtorch's, for a number of channels below 0.
    pub fn statistics(&mut self, name: &str, channels: i64) -> Result<[Tensor; 2]> {
        Ok([
            self.fixed(format!("{name}.running_mean"), channels, 0.0)?,
            self.fixed(format!("{name}.running_var"), channels, 1.0)?,
        ])
    }

    /// A whole number that counts the batches trained on, as PyTorch's normalisation layers do:
    /// without it their checkpoints are not complete.
    pub fn counter(&mut self, name: String) {
        self.counters.push(name);
    }

    /// Makes the counters; to be called once, when all layers are made. All lie in one tensor, so
    /// that a training step costs one addition instead of a hundred.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn finish(&mut self) -> Result<()> {
        let counts = Tensor::f_zeros([self.counters.len() as i64], (Kind::Int64, self.device))?;
        for (index, name) in self.counters.drain(..).enumerate() {
            self.buffers.insert(name, counts.f_select(0, index as i64)?);
        }
        self.counts = Some(counts);
        Ok(())
    }

    /// One more batch was trained on.
    ///
    /// # Errors
    /// libtorch's, of a device that is lost.
    pub fn count_batch(&self) -> Result<()> {
        if let Some(counts) = &self.counts {
            let _ = counts.shallow_clone().f_add_scalar_(1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_weights_have_the_deviation_of_their_start() {
        tch::manual_seed(0);
        let mut weights = Weights::new(Device::Cpu);
        let [outputs, inputs, window] = [96.0_f64, 48.0, 9.0];
        for (start, kernel, matrix) in [
            (
                Start::GradientNormal,
                2.0 / (outputs * window),
                2.0 / outputs,
            ),
            (Start::SignalUniform, 2.0 / (inputs * window), 2.0 / inputs),
            (Start::PlainUniform, 1.0 / (inputs * window), 1.0 / inputs),
            (
                Start::Linear,
                2.0 / ((inputs + outputs) * window),
                2.0 / (inputs + outputs),
            ),
            (Start::Normal(0.01), 1e-4, 1e-4),
        ] {
            let close = |drawn: Tensor, variance: f64, tolerance: f64| {
                let found = drawn.std(false).double_value(&[]) / variance.sqrt();
                assert!((found - 1.0).abs() < tolerance, "{start:?}: {found}");
            };
            let drawn = weights
                .kernel("k".into(), [96, 48, 3, 3], 1, start)
                .unwrap();
            close(drawn, kernel, 0.02);
            let drawn = weights.matrix("m".into(), [96, 48], start).unwrap();
            close(drawn, matrix, 0.05);
        }
        let wrong = weights.matrix("m".into(), [2, 2], Start::Normal(-1.0));
        assert!(wrong.is_err());
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
