//! The layers of the networks that other programs know too, on plain tensors.
//!
//! They follow PyTorch's modules in names, order and defaults, so that a checkpoint is
//! interchangeable; what each computes is held against PyTorch in `tests/networks.rs`.

use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Share of a batch's statistics in the running ones, PyTorch's default.
const MOMENTUM: f64 = 0.1;
/// Added to variances, PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

/// What a convolution is; see [`Plan::new`] for the defaults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    channels: [i64; 2],
    kernel: i64,
    stride: i64,
    dilation: i64,
    groups: i64,
    bias: bool,
    same: bool,
    start: Start,
}

impl Plan {
    /// From and to so many channels with a `kernel`² window: stride 1, not dilated, without bias,
    /// padded equally on all sides.
    pub(crate) const fn new(channels: [i64; 2], kernel: i64, start: Start) -> Self {
        Self {
            channels,
            kernel,
            stride: 1,
            dilation: 1,
            groups: 1,
            bias: false,
            same: false,
            start,
        }
    }

    pub(crate) const fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    pub(crate) const fn dilation(self, dilation: i64) -> Self {
        Self { dilation, ..self }
    }

    /// Every channel by itself.
    pub(crate) const fn depthwise(self) -> Self {
        Self {
            groups: self.channels[0],
            ..self
        }
    }

    pub(crate) const fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Padding as TensorFlow's `SAME`: ⌈size/stride⌉ outputs, an odd rest on the far side.
    pub(crate) const fn same(self) -> Self {
        Self { same: true, ..self }
    }
}

/// A convolution.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    plan: Plan,
}

impl Conv {
    pub(crate) fn new(weights: &mut Weights, name: &str, plan: Plan) -> Result<Self> {
        let [inputs, outputs] = plan.channels;
        let shape = [outputs, inputs / plan.groups, plan.kernel, plan.kernel];
        let weight = weights.kernel(format!("{name}.weight"), shape, plan.groups, plan.start)?;
        let bias = match plan.bias {
            true => Some(weights.vector(format!("{name}.bias"), outputs, 0.0)?),
            false => None,
        };
        Ok(Self { weight, bias, plan })
    }

    /// (N, inputs, H, W) → (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉).
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Plan {
            kernel,
            stride,
            dilation,
            groups,
            ..
        } = self.plan;
        let reach = dilation * (kernel - 1);
        let convolve = |input: &Tensor, padding: i64| {
            let bias = self.bias.as_ref();
            input.f_conv2d(&self.weight, bias, stride, padding, dilation, groups)
        };
        if !self.plan.same || (stride == 1 && reach % 2 == 0) {
            return Ok(convolve(input, reach / 2)?);
        }
        let size = input.size();
        let rest = |side: i64| ((side - 1) / stride * stride + reach + 1 - side).max(0);
        let [high, wide] = [rest(size[2]), rest(size[3])];
        let sides = [wide / 2, wide - wide / 2, high / 2, high - high / 2];
        Ok(convolve(&input.f_constant_pad_nd(sides)?, 0)?)
    }
}

/// Normalisation over the batch and all positions, channel by channel.
#[derive(Debug)]
pub(crate) struct BatchNorm {
    name: String,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl BatchNorm {
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        channels: i64,
        epsilon: f64,
    ) -> Result<Self> {
        let scale = weights.vector(format!("{name}.weight"), channels, 1.0)?;
        let shift = weights.vector(format!("{name}.bias"), channels, 0.0)?;
        let [mean, variance] = weights.statistics(name, channels)?;
        weights.counter(format!("{name}.num_batches_tracked"));
        Ok(Self {
            name: name.to_owned(),
            scale,
            shift,
            mean,
            variance,
            epsilon,
        })
    }

    /// With `training` the batch's own statistics normalise, and move the running ones.
    ///
    /// # Errors
    /// One value a channel, in training: it would be normalised to nothing and spoil the running
    /// variance.
    pub(crate) fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let size = input.size();
        if training && input.numel() as i64 == size[1] {
            return Err(format!(
                "'{}' cannot normalise {size:?} over the batch, one value a channel, in training: \
                 use batches of at least 2",
                self.name
            )
            .into());
        }
        let tensors = [&self.scale, &self.shift, &self.mean, &self.variance];
        batch_norm(input, tensors, training, self.epsilon)
    }
}

/// Normalisation with a scale, a shift, a running mean and a running variance of each channel.
pub(crate) fn batch_norm(
    input: &Tensor,
    [scale, shift, mean, variance]: [&Tensor; 4],
    training: bool,
    epsilon: f64,
) -> Result<Tensor> {
    let (scale, shift) = (Some(scale), Some(shift));
    let (mean, variance) = (Some(mean), Some(variance));
    Ok(input.f_batch_norm(
        scale, shift, mean, variance, training, MOMENTUM, epsilon, true,
    )?)
}

/// Normalisation of every sample over groups of its channels.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    groups: i64,
    scale: Tensor,
    shift: Tensor,
}

impl GroupNorm {
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        channels: i64,
        groups: i64,
    ) -> Result<Self> {
        Ok(Self {
            groups,
            scale: weights.vector(format!("{name}.weight"), channels, 1.0)?,
            shift: weights.vector(format!("{name}.bias"), channels, 0.0)?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (scale, shift) = (Some(&self.scale), Some(&self.shift));
        Ok(input.f_group_norm(self.groups, scale, shift, EPSILON, true)?)
    }
}

/// What follows a normalisation. Both rectifiers write over their input, which no gradient needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    pub(crate) fn apply(self, mut input: Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::Identity => input,
            Activation::Relu => input.f_relu_()?,
            Activation::Relu6 => input.f_relu6_()?,
        })
    }
}

/// A convolution, batch normalisation and what follows.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
    activation: Activation,
}

impl ConvNorm {
    /// `names` are the convolution's and the normalisation's.
    pub(crate) fn new(
        weights: &mut Weights,
        names: [String; 2],
        plan: Plan,
        epsilon: f64,
        activation: Activation,
    ) -> Result<Self> {
        let [conv, norm] = names;
        Ok(Self {
            conv: Conv::new(weights, &conv, plan)?,
            norm: BatchNorm::new(weights, &norm, plan.channels[1], epsilon)?,
            activation,
        })
    }

    /// The members `0` (convolution) and `1` (normalisation) of the sequence `name`, rectified.
    pub(crate) fn sequence(weights: &mut Weights, name: &str, plan: Plan) -> Result<Self> {
        let names = [format!("{name}.0"), format!("{name}.1")];
        Self::new(weights, names, plan, EPSILON, Activation::Relu)
    }

    pub(crate) fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let normalised = self.norm.forward(&self.conv.forward(input)?, training)?;
        self.activation.apply(normalised)
    }
}

/// A convolution of every channel by itself, one of every position by itself, normalised and
/// rectified.
#[derive(Debug)]
pub(crate) struct Separable {
    depthwise: Conv,
    pointwise: ConvNorm,
}

impl Separable {
    /// 3×3, from and to so many channels; `names` are the pair's and the normalisation's.
    pub(crate) fn new(
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
                Activation::Relu,
            )?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        self.pointwise
            .forward(&self.depthwise.forward(input)?, training)
    }
}

/// Bilinear at `factor` times the resolution, corners on corners.
pub(crate) fn enlarge(input: &Tensor, factor: i64) -> Result<Tensor> {
    let size = input.size();
    resize(input, [size[2] * factor, size[3] * factor])
}

/// Bilinear to `size`, corners on corners.
pub(crate) fn resize(input: &Tensor, size: [i64; 2]) -> Result<Tensor> {
    if input.size()[2..] == size {
        return Ok(input.shallow_clone());
    }
    Ok(input.f_upsample_bilinear2d(size, true, None, None)?)
}
