//! From images to the levels of a feature pyramid.

use super::design::{Design, Encoder};
use autoloss_plugin_api::Result;
use autoloss_vision::networks::layers::{ConvNorm, EPSILON, Nonlinearity, Plan};
use autoloss_vision::networks::pyramid::FeaturePyramid;
use autoloss_vision::networks::resnet::{CHANNELS, ResNet};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::Tensor;

/// The encoder's tensors begin with it.
pub(crate) const ENCODER: &str = "backbone.body.";
/// Channels behind each convolution of the small encoder.
const TINY_CHANNELS: [i64; 5] = [16, 32, 48, 64, 96];
/// The stride of each of them.
const STRIDES: [i64; 5] = [2, 2, 2, 1, 2];
/// The convolutions whose maps the encoder gives, at an eighth and a sixteenth of the resolution.
const GIVEN: [usize; 2] = [3, 4];

#[derive(Debug)]
enum Body {
    ResNet(ResNet),
    Tiny(TinyEncoder),
}

/// Encoder and pyramid.
#[derive(Debug)]
pub(crate) struct Backbone {
    body: Body,
    pyramid: FeaturePyramid,
}

impl Backbone {
    /// `epsilon` is added to the variances of a ResNet.
    pub(crate) fn new(weights: &mut Weights, design: &Design, epsilon: f64) -> Result<Self> {
        let (body, channels) = match design.encoder {
            Encoder::ResNet(blocks) => {
                let body = ResNet::with_epsilon(weights, ENCODER, blocks, 32, epsilon)?;
                (Body::ResNet(body), CHANNELS.to_vec())
            }
            Encoder::Tiny => {
                let body = TinyEncoder::new(weights, ENCODER)?;
                (Body::Tiny(body), TinyEncoder::CHANNELS.to_vec())
            }
        };
        let pyramid = FeaturePyramid::new(weights, "backbone.fpn.", &channels, design.width)?;
        Ok(Self { body, pyramid })
    }

    /// The levels, finest first, with one more than the encoder has maps.
    pub(crate) fn forward(&self, image: &Tensor, training: bool) -> Result<Vec<Tensor>> {
        match &self.body {
            Body::ResNet(body) => self.pyramid.forward(&body.forward(image, training)?),
            Body::Tiny(body) => self.pyramid.forward(&body.forward(image, training)?),
        }
    }
}

/// A small encoder that trains from scratch: convolutions of 3×3, normalised and rectified.
#[derive(Debug)]
struct TinyEncoder {
    layers: Vec<ConvNorm>,
}

impl TinyEncoder {
    const CHANNELS: [i64; 2] = [TINY_CHANNELS[GIVEN[0]], TINY_CHANNELS[GIVEN[1]]];

    fn new(weights: &mut Weights, name: &str) -> Result<Self> {
        let mut inputs = 3;
        let layers = TINY_CHANNELS.into_iter().zip(STRIDES).enumerate();
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

    fn forward(&self, image: &Tensor, training: bool) -> Result<Vec<Tensor>> {
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
