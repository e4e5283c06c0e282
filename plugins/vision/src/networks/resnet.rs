//! ResNet-50 and -101 as encoders (He et al. 2016), with torchvision's names.
//!
//! The stride of a block is in its 3×3 convolution (torchvision's variant). Where a stage is to keep
//! its resolution, all of its convolutions lose their stride and are dilated instead, as
//! segmentation-models-pytorch does it; torchvision leaves the first block undilated.

use super::layers::{ConvNorm, EPSILON, Nonlinearity, Plan};
use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Channels inside the blocks of each stage; their outputs have four times as many.
const WIDTHS: [i64; 4] = [64, 128, 256, 512];
/// Outputs over inner channels.
const EXPANSION: i64 = 4;
/// Channels of the maps that the stages give.
pub const CHANNELS: [i64; 4] = [256, 512, 1024, 2048];
/// Blocks of each stage of ResNet-50.
pub const BLOCKS_50: [usize; 4] = [3, 4, 6, 3];
/// Blocks of each stage of ResNet-101.
pub const BLOCKS_101: [usize; 4] = [3, 4, 23, 3];

/// The encoder.
///
/// ```
/// use autoloss_vision::networks::resnet::{BLOCKS_50, ResNet};
/// use autoloss_vision::networks::weights::Weights;
/// use tch::{Device, Kind, Tensor};
///
/// let mut weights = Weights::new(Device::Cpu);
/// weights.freeze_norms(true);
/// let encoder = ResNet::new(&mut weights, "backbone.body.", BLOCKS_50, 32)?;
/// assert_eq!(weights.parameters()[0].name, "backbone.body.conv1.weight");
/// let image = Tensor::zeros([1, 3, 64, 40], (Kind::Float, Device::Cpu));
/// let maps = tch::no_grad(|| encoder.forward(&image, false))?;
/// assert_eq!(maps[0].size(), [1, 256, 16, 10]);
/// assert_eq!(maps[3].size(), [1, 2048, 2, 2]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct ResNet {
    stem: ConvNorm,
    stages: Vec<Vec<Bottleneck>>,
}

impl ResNet {
    /// An encoder whose tensors begin with `name`. `stride` is 8, 16 or 32: image pixels to a
    /// position of the last map, per axis.
    ///
    /// # Errors
    /// Another stride, or a stage without blocks.
    pub fn new(weights: &mut Weights, name: &str, blocks: [usize; 4], stride: i64) -> Result<Self> {
        Self::with_epsilon(weights, name, blocks, stride, EPSILON)
    }

    /// [`ResNet::new`] with another `epsilon` that is added to variances: the detectors that torchvision
    /// published first expect 0 (`fasterrcnn_resnet50_fpn` with the weights `COCO_V1`).
    ///
    /// # Errors
    /// As [`ResNet::new`].
    pub fn with_epsilon(
        weights: &mut Weights,
        name: &str,
        blocks: [usize; 4],
        stride: i64,
        epsilon: f64,
    ) -> Result<Self> {
        if ![8, 16, 32].contains(&stride) || blocks.contains(&0) {
            return Err(format!(
                "an encoder '{name}' of {blocks:?} blocks is to have stride {stride}, expected at \
                 least one block a stage and a stride of 8, 16 or 32"
            )
            .into());
        }
        let names = [format!("{name}conv1"), format!("{name}bn1")];
        let plan = Plan::new([3, WIDTHS[0]], 7, Start::GradientNormal).stride(2);
        let stem = ConvNorm::new(weights, names, plan, epsilon, Nonlinearity::Relu)?;
        let (mut inputs, mut reached) = (WIDTHS[0], 4);
        let mut stages = Vec::new();
        for (number, (width, count)) in WIDTHS.into_iter().zip(blocks).enumerate() {
            let wanted = if number == 0 { 1 } else { 2 };
            let step = if reached * wanted > stride { 1 } else { wanted };
            reached *= step;
            let first = BottleneckShape {
                inputs,
                width,
                stride: step,
                // The whole stage reaches as far as it would at its own resolution.
                dilation: (4 << number) / reached,
                epsilon,
            };
            stages.push(stage(
                weights,
                &format!("{name}layer{}", number + 1),
                first,
                count,
            )?);
            inputs = width * EXPANSION;
        }
        Ok(Self { stem, stages })
    }

    /// Images (N, 3, H, W) to the maps of all stages (N, [`CHANNELS`], ⌈H/s⌉, ⌈W/s⌉), for s = 4, 8,
    /// 16, 32, but at most the encoder's stride.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, image: &Tensor, training: bool) -> Result<[Tensor; 4]> {
        let stem = self.stem.forward(image, training)?;
        let mut map = stem.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        let mut maps = CHANNELS.map(|_| map.shallow_clone());
        for (stage, given) in self.stages.iter().zip(&mut maps) {
            for block in stage {
                map = block.forward(&map, training)?;
            }
            *given = map.shallow_clone();
        }
        Ok(maps)
    }
}

/// A stage of `count` blocks, the first of this shape.
fn stage(
    weights: &mut Weights,
    name: &str,
    first: BottleneckShape,
    count: usize,
) -> Result<Vec<Bottleneck>> {
    let other = BottleneckShape {
        inputs: first.width * EXPANSION,
        stride: 1,
        ..first
    };
    let shape = |block| if block == 0 { first } else { other };
    (0..count)
        .map(|block| Bottleneck::new(weights, &format!("{name}.{block}"), shape(block)))
        .collect()
}

#[derive(Debug, Clone, Copy)]
struct BottleneckShape {
    inputs: i64,
    width: i64,
    stride: i64,
    dilation: i64,
    epsilon: f64,
}

/// Three convolutions around which the input is added.
#[derive(Debug)]
struct Bottleneck {
    inner: [ConvNorm; 3],
    around: Option<ConvNorm>,
}

impl Bottleneck {
    fn new(weights: &mut Weights, name: &str, shape: BottleneckShape) -> Result<Self> {
        let BottleneckShape {
            inputs,
            width,
            stride,
            dilation,
            epsilon,
        } = shape;
        let outputs = width * EXPANSION;
        let start = Start::GradientNormal;
        let mut layer = |number: i64, plan, activation| {
            let names = [format!("{name}.conv{number}"), format!("{name}.bn{number}")];
            ConvNorm::new(weights, names, plan, epsilon, activation)
        };
        let window = Plan::new([width, width], 3, start).stride(stride);
        let inner = [
            layer(1, Plan::new([inputs, width], 1, start), Nonlinearity::Relu)?,
            layer(2, window.dilation(dilation), Nonlinearity::Relu)?,
            layer(
                3,
                Plan::new([width, outputs], 1, start),
                Nonlinearity::Identity,
            )?,
        ];
        let around = if stride != 1 || inputs != outputs {
            let names = ["0", "1"].map(|part| format!("{name}.downsample.{part}"));
            let plan = Plan::new([inputs, outputs], 1, start).stride(stride);
            Some(ConvNorm::new(
                weights,
                names,
                plan,
                epsilon,
                Nonlinearity::Identity,
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
        Nonlinearity::Relu.apply(sum)
    }
}
