//! The layers of the networks that other programs know too, on plain tensors.
//!
//! They follow PyTorch's modules in names, order and defaults, so that a checkpoint is
//! interchangeable. A layer is made from [`Weights`], which own its tensors, and a name, which its
//! tensors begin with; what whole networks of them compute is held against PyTorch.
//!
//! Maps are (N, channels, H, W). What does not fit is an error, never a panic.

mod conv;
mod dense;
mod norm;

pub use conv::{Conv, Plan};
pub use dense::Dense;
pub use norm::{BatchNorm, EPSILON, GroupNorm, batch_norm};

use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// What follows a normalisation. Both rectifiers write over their input, which no gradient needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonlinearity {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Nonlinearity {
    /// Of every value; the result lies where the input lay.
    ///
    /// # Errors
    /// libtorch's, for a tensor that may not be written to, as a trained one.
    pub fn apply(self, mut input: Tensor) -> Result<Tensor> {
        Ok(match self {
            Nonlinearity::Identity => input,
            Nonlinearity::Relu => input.f_relu_()?,
            Nonlinearity::Relu6 => input.f_relu6_()?,
        })
    }
}

/// A convolution, batch normalisation and what follows.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
    activation: Nonlinearity,
}

impl ConvNorm {
    /// The layer whose convolution and normalisation have these `names`.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn new(
        weights: &mut Weights,
        names: [String; 2],
        plan: Plan,
        epsilon: f64,
        activation: Nonlinearity,
    ) -> Result<Self> {
        let [conv, norm] = names;
        Ok(Self {
            conv: Conv::new(weights, &conv, plan)?,
            norm: BatchNorm::new(weights, &norm, plan.outputs(), epsilon)?,
            activation,
        })
    }

    /// The members `0` (convolution) and `1` (normalisation) of the sequence `name`, rectified.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn sequence(weights: &mut Weights, name: &str, plan: Plan) -> Result<Self> {
        let names = [format!("{name}.0"), format!("{name}.1")];
        Self::new(weights, names, plan, EPSILON, Nonlinearity::Relu)
    }

    /// (N, inputs, H, W) → (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉); `training` as in [`BatchNorm::forward`].
    ///
    /// # Errors
    /// Those of [`Conv::forward`] and [`BatchNorm::forward`].
    pub fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let normalised = self.norm.forward(&self.conv.forward(input)?, training)?;
        self.activation.apply(normalised)
    }
}

/// A convolution of every channel by itself, one of every position by itself, normalised and
/// rectified.
#[derive(Debug)]
pub struct Separable {
    depthwise: Conv,
    pointwise: ConvNorm,
}

impl Separable {
    /// A 3×3 layer from `channels[0]` to `channels[1]` channels; the names are those of the pair of
    /// convolutions and of the normalisation.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn new(
        weights: &mut Weights,
        [pair, norm]: [String; 2],
        channels: [i64; 2],
        dilation: i64,
    ) -> Result<Self> {
        let [inputs, _] = channels;
        let start = Start::SignalUniform;
        let window = Plan::new([inputs, inputs], 3, start)
            .depthwise()
            .dilation(dilation);
        let names = [format!("{pair}.1"), norm];
        Ok(Self {
            depthwise: Conv::new(weights, &format!("{pair}.0"), window)?,
            pointwise: ConvNorm::new(
                weights,
                names,
                Plan::new(channels, 1, start),
                EPSILON,
                Nonlinearity::Relu,
            )?,
        })
    }

    /// (N, inputs, H, W) → (N, outputs, H, W).
    ///
    /// # Errors
    /// As [`ConvNorm::forward`].
    pub fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        self.pointwise
            .forward(&self.depthwise.forward(input)?, training)
    }
}

/// A map (N, C, H, W) interpolated bilinearly to `factor` times its resolution, corners on corners.
///
/// # Errors
/// An input of another shape, or a factor that is not from 1 to 64.
pub fn enlarge(input: &Tensor, factor: i64) -> Result<Tensor> {
    let [_, _, height, width] = map_size(input)?;
    if !(1..=64).contains(&factor) {
        return Err(format!("a map is to be enlarged {factor} times, expected 1 to 64").into());
    }
    resize(input, [height * factor, width * factor])
}

/// A map (N, C, H, W) interpolated bilinearly to (N, C, `size`), corners on corners.
///
/// # Errors
/// An input of another shape, or an empty size.
pub fn resize(input: &Tensor, size: [i64; 2]) -> Result<Tensor> {
    let [_, _, height, width] = map_size(input)?;
    if [height, width] == size {
        return Ok(input.shallow_clone());
    }
    Ok(input.f_upsample_bilinear2d(size, true, None, None)?)
}

/// Samples, channels, rows and columns of a map.
fn map_size(input: &Tensor) -> Result<[i64; 4]> {
    let size = input.size();
    <[i64; 4]>::try_from(size.as_slice())
        .map_err(|_| format!("a map has shape {size:?}, expected (N, channels, H, W)").into())
}

#[cfg(test)]
mod tests;
