//! EfficientNet-Lite0 as an encoder, with timm's names (`tf_efficientnet_lite0`).
//!
//! The *Lite* networks are the EfficientNets (Tan and Le 2019) that Google released for phones: no
//! squeeze-and-excitation, ReLU6 instead of swish. The released weights were trained in TensorFlow,
//! so its padding and its ε of 1e-3 belong to them. Running statistics move by a tenth a step, as
//! in timm: TensorFlow's hundredth is slower than a short training is long.

use super::layers::{ConvNorm, Nonlinearity, Plan};
use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Added to variances.
const EPSILON: f64 = 1e-3;
/// Channels after the first convolution.
const STEM: i64 = 32;
/// Inner channels over inputs, but for the first stage, whose blocks do not widen.
const EXPANSION: i64 = 6;
/// Blocks, kernel, stride of the first block and outputs of each stage.
const STAGES: [(usize, i64, i64, i64); 7] = [
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
];
/// The stages after which the resolution is halved: at a quarter to a 32nd of it.
const TAPS: [usize; 4] = [1, 2, 4, 6];
/// Channels of the maps.
pub const CHANNELS: [i64; 4] = [24, 40, 112, 320];

/// The encoder; published weights expect images normalised to
/// [`SYMMETRIC`](super::normalisation::SYMMETRIC).
#[derive(Debug)]
pub struct Lite0 {
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
}

impl Lite0 {
    /// An encoder whose tensors begin with `name`.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn new(weights: &mut Weights, name: &str) -> Result<Self> {
        let names = [format!("{name}conv_stem"), format!("{name}bn1")];
        let plan = Plan::new([3, STEM], 3, Start::GradientNormal).stride(2);
        let stem = layer(weights, names, plan, Nonlinearity::Relu6)?;
        let mut inputs = STEM;
        let mut stages = Vec::new();
        for (number, (count, kernel, stride, outputs)) in STAGES.into_iter().enumerate() {
            let expansion = if number == 0 { 1 } else { EXPANSION };
            let stage = (0..count).map(|block| {
                let first = block == 0;
                let shape = BlockShape {
                    inputs: if first { inputs } else { outputs },
                    expansion,
                    kernel,
                    stride: if first { stride } else { 1 },
                    outputs,
                };
                Block::new(weights, &format!("{name}blocks.{number}.{block}"), shape)
            });
            stages.push(stage.collect::<Result<_>>()?);
            inputs = outputs;
        }
        Ok(Self { stem, stages })
    }

    /// Images (N, 3, H, W) to maps (N, [`CHANNELS`], ⌈H/s⌉, ⌈W/s⌉) for s = 4, 8, 16, 32.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, image: &Tensor, training: bool) -> Result<[Tensor; 4]> {
        let mut map = self.stem.forward(image, training)?;
        let mut taps = TAPS.map(|_| map.shallow_clone());
        for (number, stage) in self.stages.iter().enumerate() {
            for block in stage {
                map = block.forward(&map, training)?;
            }
            if let Some(tap) = TAPS.iter().position(|tap| *tap == number) {
                taps[tap] = map.shallow_clone();
            }
        }
        Ok(taps)
    }
}

#[derive(Debug, Clone, Copy)]
struct BlockShape {
    inputs: i64,
    expansion: i64,
    kernel: i64,
    stride: i64,
    outputs: i64,
}

/// Widen, convolve every channel by itself, narrow; the input is added where the shapes agree.
#[derive(Debug)]
struct Block {
    layers: Vec<ConvNorm>,
    adds: bool,
}

impl Block {
    fn new(weights: &mut Weights, name: &str, shape: BlockShape) -> Result<Self> {
        let inner = shape.inputs * shape.expansion;
        let start = Start::GradientNormal;
        let widen = Plan::new([shape.inputs, inner], 1, start);
        let window = Plan::new([inner, inner], shape.kernel, start)
            .stride(shape.stride)
            .depthwise();
        let narrow = Plan::new([inner, shape.outputs], 1, start);
        let plans = match shape.expansion {
            1 => vec![("conv_dw", window), ("conv_pw", narrow)],
            _ => vec![
                ("conv_pw", widen),
                ("conv_dw", window),
                ("conv_pwl", narrow),
            ],
        };
        let last = plans.len();
        let mut layers = Vec::new();
        for (number, (conv, plan)) in (1..).zip(plans) {
            let names = [format!("{name}.{conv}"), format!("{name}.bn{number}")];
            let activation = if number == last {
                Nonlinearity::Identity
            } else {
                Nonlinearity::Relu6
            };
            layers.push(layer(weights, names, plan, activation)?);
        }
        let adds = shape.stride == 1 && shape.inputs == shape.outputs;
        Ok(Self { layers, adds })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let mut map = input.shallow_clone();
        for layer in &self.layers {
            map = layer.forward(&map, training)?;
        }
        Ok(if self.adds { map.f_add_(input)? } else { map })
    }
}

fn layer(
    weights: &mut Weights,
    names: [String; 2],
    plan: Plan,
    activation: Nonlinearity,
) -> Result<ConvNorm> {
    ConvNorm::new(weights, names, plan.same(), EPSILON, activation)
}

#[cfg(test)]
mod tests;
