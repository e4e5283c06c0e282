//! Convolutions.

use super::map_size;
use crate::networks::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// The largest number in a plan; no product of some of them leaves 64 bits.
const LARGEST: i64 = 1 << 15;

/// The parameters of a convolution; see [`Plan::new`] for the defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
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
    /// A convolution from `channels[0]` to `channels[1]` channels with a `kernel`² window: stride 1, not
    /// dilated, without bias, padded equally on all sides.
    pub const fn new(channels: [i64; 2], kernel: i64, start: Start) -> Self {
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

    /// With one output for every `stride` positions, per axis.
    #[must_use]
    pub const fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// With positions of the window that are `dilation` apart, per axis.
    #[must_use]
    pub const fn dilation(self, dilation: i64) -> Self {
        Self { dilation, ..self }
    }

    /// With every channel convolved by itself.
    #[must_use]
    pub const fn depthwise(self) -> Self {
        Self {
            groups: self.channels[0],
            ..self
        }
    }

    /// With a trained number added to every channel, 0 at the start.
    #[must_use]
    pub const fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// With padding as TensorFlow's `SAME`: ⌈size/stride⌉ outputs, an odd rest on the far side.
    #[must_use]
    pub const fn same(self) -> Self {
        Self { same: true, ..self }
    }

    /// The number of output channels.
    pub const fn outputs(&self) -> i64 {
        self.channels[1]
    }

    /// The distance from the window's first to its last position, per axis.
    const fn reach(&self) -> i64 {
        self.dilation * (self.kernel - 1)
    }

    fn check(&self, name: &str) -> Result<()> {
        let [inputs, outputs] = self.channels;
        let sizes = [
            inputs,
            outputs,
            self.kernel,
            self.stride,
            self.dilation,
            self.groups,
        ];
        let wrong = if sizes.iter().any(|size| !(1..=LARGEST).contains(size)) {
            format!("every number must be from 1 to {LARGEST}")
        } else if inputs % self.groups != 0 || outputs % self.groups != 0 {
            "its channels cannot be divided into its groups".to_owned()
        } else if !self.same && self.reach() % 2 != 0 {
            "an even window cannot be padded equally on all sides".to_owned()
        } else {
            return Ok(());
        };
        Err(format!("convolution '{name}': {wrong}, it is {self:?}").into())
    }
}

/// A convolution: `weight` (outputs, inputs / groups, kernel, kernel) and, if planned, `bias`.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    plan: Plan,
}

impl Conv {
    /// A convolution whose tensors are `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// A plan whose numbers are out of range or do not fit each other.
    pub fn new(weights: &mut Weights, name: &str, plan: Plan) -> Result<Self> {
        plan.check(name)?;
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
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Plan {
            stride,
            dilation,
            groups,
            ..
        } = self.plan;
        let [_, _, height, width] = map_size(input)?;
        let reach = self.plan.reach();
        let convolve = |input: &Tensor, padding: i64| {
            let bias = self.bias.as_ref();
            input.f_conv2d(&self.weight, bias, stride, padding, dilation, groups)
        };
        if !self.plan.same || (stride == 1 && reach % 2 == 0) {
            return Ok(convolve(input, reach / 2)?);
        }
        let rest = |side: i64| ((side - 1) / stride * stride + reach + 1 - side).max(0);
        let [high, wide] = [rest(height), rest(width)];
        let sides = [wide / 2, wide - wide / 2, high / 2, high - high / 2];
        Ok(convolve(&input.f_constant_pad_nd(sides)?, 0)?)
    }
}
