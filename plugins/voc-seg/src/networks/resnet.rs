//! ResNet-50 and -101 as encoders (He et al. 2016), with torchvision's names.
//!
//! The stride of a block is in its 3×3 convolution (torchvision's variant). Where a stage is to keep
//! its resolution, all of its convolutions lose their stride and are dilated instead, as
//! segmentation-models-pytorch does it; torchvision leaves the first block undilated.

use super::layers::{Activation, ConvNorm, EPSILON, Plan};
use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Channels inside the blocks of each stage; their outputs have four times as many.
const WIDTHS: [i64; 4] = [64, 128, 256, 512];
/// Outputs over inner channels.
const EXPANSION: i64 = 4;
/// Channels that the encoder's last stage gives.
pub(crate) const CHANNELS: i64 = WIDTHS[3] * EXPANSION;
/// Channels at a quarter of the resolution.
pub(crate) const FINE_CHANNELS: i64 = WIDTHS[0] * EXPANSION;
/// Blocks of each stage.
pub(crate) const BLOCKS_50: [usize; 4] = [3, 4, 6, 3];
/// Blocks of each stage.
pub(crate) const BLOCKS_101: [usize; 4] = [3, 4, 23, 3];

/// The encoder: images (N, 3, H, W) to maps of a quarter of the resolution and of the last stage's.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: ConvNorm,
    stages: Vec<Vec<Bottleneck>>,
}

/// What a decoder takes.
#[derive(Debug)]
pub(crate) struct Maps {
    /// (N, 256, H/4, W/4).
    pub(crate) fine: Tensor,
    /// (N, 2048, H/stride, W/stride).
    pub(crate) last: Tensor,
}

impl ResNet {
    /// `stride` is 8, 16 or 32: image pixels to a position of the last stage, per axis.
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        blocks: [usize; 4],
        stride: i64,
    ) -> Result<Self> {
        let names = [format!("{name}conv1"), format!("{name}bn1")];
        let plan = Plan::new([3, WIDTHS[0]], 7, Start::GradientNormal).stride(2);
        let stem = ConvNorm::new(weights, names, plan, EPSILON, Activation::Relu)?;
        let (mut inputs, mut reached) = (WIDTHS[0], 4);
        let mut stages = Vec::new();
        for (number, (width, count)) in WIDTHS.into_iter().zip(blocks).enumerate() {
            let wanted = if number == 0 { 1 } else { 2 };
            let step = if reached * wanted > stride { 1 } else { wanted };
            reached *= step;
            // The whole stage reaches as far as it would at its own resolution.
            let dilation = (4 << number) / reached;
            let stage = (0..count).map(|block| {
                let shape = Shape {
                    inputs: if block == 0 {
                        inputs
                    } else {
                        width * EXPANSION
                    },
                    width,
                    stride: if block == 0 { step } else { 1 },
                    dilation,
                };
                Bottleneck::new(
                    weights,
                    &format!("{name}layer{}.{block}", number + 1),
                    shape,
                )
            });
            stages.push(stage.collect::<Result<_>>()?);
            inputs = width * EXPANSION;
        }
        Ok(Self { stem, stages })
    }

    pub(crate) fn forward(&self, image: &Tensor, training: bool) -> Result<Maps> {
        let stem = self.stem.forward(image, training)?;
        let mut last = stem.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        let mut fine = last.shallow_clone();
        for (number, stage) in self.stages.iter().enumerate() {
            for block in stage {
                last = block.forward(&last, training)?;
            }
            if number == 0 {
                fine = last.shallow_clone();
            }
        }
        Ok(Maps { fine, last })
    }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    inputs: i64,
    width: i64,
    stride: i64,
    dilation: i64,
}

/// Three convolutions around which the input is added.
#[derive(Debug)]
struct Bottleneck {
    inner: [ConvNorm; 3],
    around: Option<ConvNorm>,
}

impl Bottleneck {
    fn new(weights: &mut Weights, name: &str, shape: Shape) -> Result<Self> {
        let Shape {
            inputs,
            width,
            stride,
            dilation,
        } = shape;
        let outputs = width * EXPANSION;
        let start = Start::GradientNormal;
        let mut layer = |number: i64, plan, activation| {
            let names = [format!("{name}.conv{number}"), format!("{name}.bn{number}")];
            ConvNorm::new(weights, names, plan, EPSILON, activation)
        };
        let window = Plan::new([width, width], 3, start).stride(stride);
        let inner = [
            layer(1, Plan::new([inputs, width], 1, start), Activation::Relu)?,
            layer(2, window.dilation(dilation), Activation::Relu)?,
            layer(
                3,
                Plan::new([width, outputs], 1, start),
                Activation::Identity,
            )?,
        ];
        let around = if stride != 1 || inputs != outputs {
            let names = ["0", "1"].map(|part| format!("{name}.downsample.{part}"));
            let plan = Plan::new([inputs, outputs], 1, start).stride(stride);
            Some(ConvNorm::new(
                weights,
                names,
                plan,
                EPSILON,
                Activation::Identity,
            )?)
        } else {
            None
        };
        Ok(Self { inner, around })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let [narrow, window, wide] = &self.inner;
        let inner = window.forward(&narrow.forward(input, training)?, training)?;
        let mut inner = wide.forward(&inner, training)?;
        let sum = match &self.around {
            Some(around) => inner.f_add_(&around.forward(input, training)?)?,
            None => inner.f_add_(input)?,
        };
        Activation::Relu.apply(sum)
    }
}
