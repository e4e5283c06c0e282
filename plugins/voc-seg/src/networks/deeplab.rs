//! DeepLabV3+ (Chen et al. 2018) as segmentation-models-pytorch builds it.
//!
//! The encoder gives a sixteenth of the resolution. Parallel dilated convolutions see several
//! scales of it; the result is brought to a quarter and concatenated with 48 channels of the encoder's
//! map there.

use super::segmenter::Body;
use autoloss_plugin_api::Result;
use autoloss_vision::networks::layers::{
    ConvNorm, EPSILON, Nonlinearity, Plan, Separable, enlarge,
};
use autoloss_vision::networks::resnet::{self, ResNet};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::Tensor;

/// Image pixels to a position of the encoder's last map, per axis.
pub(crate) const ENCODER_STRIDE: i64 = 16;
/// Channels of the decoder.
pub(crate) const CHANNELS: i64 = 256;
/// Channels taken from the encoder's finer map.
const FINE_CHANNELS: i64 = 48;
/// Dilations of the parallel convolutions.
const RATES: [i64; 3] = [12, 24, 36];

/// Encoder and decoder: images (N, 3, H, W) to maps (N, 256, H/4, W/4).
#[derive(Debug)]
pub(crate) struct DeepLabV3Plus {
    encoder: ResNet,
    pyramid: Pyramid,
    after: Separable,
    fine: ConvNorm,
    fuse: Separable,
}

impl DeepLabV3Plus {
    pub(crate) fn new(weights: &mut Weights, blocks: [usize; 4], dropout: f64) -> Result<Self> {
        let encoder = ResNet::new(weights, "encoder.", blocks, ENCODER_STRIDE)?;
        let pyramid = Pyramid::new(weights, "decoder.aspp.0", dropout)?;
        let names = ["1", "2"].map(|part| format!("decoder.aspp.{part}"));
        let after = Separable::new(weights, names, [CHANNELS, CHANNELS], 1)?;
        let plan = Plan::new(
            [resnet::CHANNELS[0], FINE_CHANNELS],
            1,
            Start::SignalUniform,
        );
        let fine = ConvNorm::sequence(weights, "decoder.block1", plan)?;
        let names = ["0", "1"].map(|part| format!("decoder.block2.{part}"));
        let fuse = Separable::new(weights, names, [FINE_CHANNELS + CHANNELS, CHANNELS], 1)?;
        Ok(Self {
            encoder,
            pyramid,
            after,
            fine,
            fuse,
        })
    }
}

impl Body for DeepLabV3Plus {
    fn forward(&self, image: &Tensor, training: bool) -> Result<Tensor> {
        let [fine, _, _, last] = self.encoder.forward(image, training)?;
        let coarse = self.pyramid.forward(&last, training)?;
        let coarse = enlarge(&self.after.forward(&coarse, training)?, ENCODER_STRIDE / 4)?;
        let fine = self.fine.forward(&fine, training)?;
        self.fuse
            .forward(&Tensor::f_cat(&[coarse, fine], 1)?, training)
    }
}

/// Atrous spatial pyramid pooling: one 1×1 and three dilated separable convolutions and the mean
/// of all positions, side by side.
#[derive(Debug)]
struct Pyramid {
    point: ConvNorm,
    dilated: Vec<Separable>,
    pooled: Pooled,
    project: ConvNorm,
    dropout: f64,
}

impl Pyramid {
    fn new(weights: &mut Weights, name: &str, dropout: f64) -> Result<Self> {
        let channels = [resnet::CHANNELS[3], CHANNELS];
        let plan = Plan::new(channels, 1, Start::SignalUniform);
        let point = ConvNorm::sequence(weights, &format!("{name}.convs.0"), plan)?;
        let dilated = (1..).zip(RATES).map(|(number, rate)| {
            let names = ["0", "1"].map(|part| format!("{name}.convs.{number}.{part}"));
            Separable::new(weights, names, channels, rate)
        });
        let dilated = dilated.collect::<Result<Vec<_>>>()?;
        let pooled = Pooled::new(weights, &format!("{name}.convs.{}", RATES.len() + 1), plan)?;
        let inputs = CHANNELS * (RATES.len() as i64 + 2);
        let plan = Plan::new([inputs, CHANNELS], 1, Start::SignalUniform);
        let project = ConvNorm::sequence(weights, &format!("{name}.project"), plan)?;
        Ok(Self {
            point,
            dilated,
            pooled,
            project,
            dropout,
        })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let mut branches = vec![self.point.forward(input, training)?];
        for layer in &self.dilated {
            branches.push(layer.forward(input, training)?);
        }
        branches.push(self.pooled.forward(input, training)?);
        let joined = Tensor::f_cat(&branches, 1)?;
        let projected = self.project.forward(&joined, training)?;
        Ok(projected.f_dropout(self.dropout, training)?)
    }
}

/// The mean of all positions, convolved, at every position.
#[derive(Debug)]
struct Pooled(ConvNorm);

impl Pooled {
    /// Its members are a pooling (without weights), a convolution and a normalisation.
    fn new(weights: &mut Weights, name: &str, plan: Plan) -> Result<Self> {
        let names = [format!("{name}.1"), format!("{name}.2")];
        let layer = ConvNorm::new(weights, names, plan, EPSILON, Nonlinearity::Relu)?;
        Ok(Self(layer))
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let mean = input.f_adaptive_avg_pool2d([1, 1])?;
        let mean = self.0.forward(&mean, training)?;
        Ok(mean.f_upsample_bilinear2d(&input.size()[2..], false, None, None)?)
    }
}
