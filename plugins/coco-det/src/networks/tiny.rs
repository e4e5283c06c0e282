//! A small encoder that trains from scratch.

use autoloss_plugin_api::Result;
use autoloss_vision::networks::layers::{ConvNorm, EPSILON, Nonlinearity, Plan};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::Tensor;

/// Channels behind each convolution.
const CHANNELS: [i64; 5] = [16, 32, 48, 64, 96];
/// How much each reduces the resolution.
const STRIDES: [i64; 5] = [2, 2, 2, 1, 2];
/// Those whose maps are given, at an eighth and a sixteenth of the resolution.
const GIVEN: [usize; 2] = [3, 4];

/// Convolutions of 3×3, normalised and rectified.
#[derive(Debug)]
pub(crate) struct TinyEncoder {
    layers: Vec<ConvNorm>,
}

impl TinyEncoder {
    pub(crate) const CHANNELS: [i64; 2] = [CHANNELS[GIVEN[0]], CHANNELS[GIVEN[1]]];

    pub(crate) fn new(weights: &mut Weights, name: &str) -> Result<Self> {
        let mut inputs = 3;
        let layers = CHANNELS.into_iter().zip(STRIDES).enumerate();
        let layers = layers.map(|(number, (outputs, stride))| {
            let plan = Plan::new([inputs, outputs], 3, Start::GradientNormal).stride(stride);
            inputs = outputs;
            let names = ["conv", "bn"].map(|part| format!("{name}layer{number}.{part}"));
            ConvNorm::new(weights, names, plan, EPSILON, Nonlinearity::Relu)
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    pub(crate) fn forward(&self, image: &Tensor, training: bool) -> Result<Vec<Tensor>> {
        let mut map = image.shallow_clone();
        let mut given = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            map = layer.forward(&map, training)?;
            if GIVEN.contains(&number) {
                given.push(map.shallow_clone());
            }
        }
        Ok(given)
    }
}
