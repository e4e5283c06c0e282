//! From images to the levels of a feature pyramid.

use super::detector::Design;
use super::tiny::TinyEncoder;
use autoloss_plugin_api::Result;
use autoloss_vision::networks::pyramid::FeaturePyramid;
use autoloss_vision::networks::resnet::{CHANNELS, ResNet};
use autoloss_vision::networks::weights::Weights;
use tch::Tensor;

/// Which encoder.
#[derive(Debug, Clone, Copy)]
pub enum Encoder {
    /// ResNet of so many blocks in its stages.
    ResNet([usize; 4]),
    /// Five convolutions.
    Tiny,
}

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

/// Where encoders' tensors begin.
pub(crate) const ENCODER: &str = "backbone.body.";

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
