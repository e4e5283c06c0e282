//! A feature pyramid (Lin et al. 2017, Kirillov et al. 2019) over EfficientNet-Lite0, as
//! segmentation-models-pytorch builds it.
//!
//! The encoder's maps are added from coarse to fine, each level is brought to a quarter of the
//! resolution and all are summed. With 64 channels throughout, instead of 256 and 128, the decoder
//! is a tenth of the encoder; that is
//! `FPN("tu-tf_efficientnet_lite0", decoder_pyramid_channels=64, decoder_segmentation_channels=64)`.

use super::segmenter::Body;
use autoloss_plugin_api::Result;
use autoloss_vision::networks::efficientnet_lite::{self, Lite0};
use autoloss_vision::networks::layers::{Conv, GroupNorm, Nonlinearity, Plan, enlarge};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::Tensor;

/// Image pixels to a position of the encoder's last map, per axis.
pub(crate) const ENCODER_STRIDE: i64 = 32;
/// The encoder's tensors begin with it.
pub(crate) const ENCODER: &str = "encoder.model.";
/// Channels of the decoder.
pub(crate) const CHANNELS: i64 = 64;
/// Groups of channels that are normalised together.
const GROUPS: i64 = 32;

/// Encoder and decoder: images (N, 3, H, W) to maps (N, 64, H/4, W/4).
#[derive(Debug)]
pub(crate) struct FpnLite {
    encoder: Lite0,
    decoder: Decoder,
}

impl FpnLite {
    pub(crate) fn new(weights: &mut Weights, dropout: f64) -> Result<Self> {
        let encoder = Lite0::new(weights, ENCODER)?;
        let decoder = Decoder::new(weights, dropout)?;
        Ok(Self { encoder, decoder })
    }
}

impl Body for FpnLite {
    fn forward(&self, image: &Tensor, training: bool) -> Result<Tensor> {
        let maps = self.encoder.forward(image, training)?;
        self.decoder.forward(&maps, training)
    }
}

/// The encoder's maps, (N, C, H/s, W/s) for the strides s from 4 to 32, to one (N, 64, H/4, W/4).
#[derive(Debug)]
pub(crate) struct Decoder {
    /// From the coarsest map to the finest.
    laterals: Vec<Conv>,
    levels: Vec<Level>,
    dropout: f64,
}

impl Decoder {
    pub(crate) fn new(weights: &mut Weights, dropout: f64) -> Result<Self> {
        let names = [
            "decoder.p5",
            "decoder.p4.skip_conv",
            "decoder.p3.skip_conv",
            "decoder.p2.skip_conv",
        ];
        let laterals = names
            .into_iter()
            .zip(efficientnet_lite::CHANNELS.into_iter().rev())
            .map(|(name, inputs)| {
                let plan = Plan::new([inputs, CHANNELS], 1, Start::SignalUniform);
                Conv::new(weights, name, plan.bias())
            })
            .collect::<Result<Vec<_>>>()?;
        let levels = (0..laterals.len())
            .map(|index| {
                let doublings = laterals.len() - 1 - index;
                Level::new(weights, &format!("decoder.seg_blocks.{index}"), doublings)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            laterals,
            levels,
            dropout,
        })
    }

    /// Maps of the four strides, the finest first.
    pub(crate) fn forward(&self, maps: &[Tensor; 4], training: bool) -> Result<Tensor> {
        let mut above: Option<Tensor> = None;
        let mut sum: Option<Tensor> = None;
        for ((map, lateral), level) in maps.iter().rev().zip(&self.laterals).zip(&self.levels) {
            let mut pyramid = lateral.forward(map)?;
            if let Some(coarser) = above {
                let size = pyramid.size();
                let coarser = coarser.f_upsample_nearest2d(&size[2..], None, None)?;
                pyramid = pyramid.f_add_(&coarser)?;
            }
            let brought = level.forward(&pyramid)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&brought)?,
                None => brought,
            });
            above = Some(pyramid);
        }
        let sum = sum.ok_or("the pyramid has no level")?;
        Ok(sum.f_feature_dropout(self.dropout, training)?)
    }
}

/// Convolutions, each but that of the finest level followed by doubling the resolution.
#[derive(Debug)]
struct Level {
    layers: Vec<(Conv, GroupNorm)>,
    doublings: usize,
}

impl Level {
    fn new(weights: &mut Weights, name: &str, doublings: usize) -> Result<Self> {
        let layers = (0..doublings.max(1)).map(|index| {
            let name = format!("{name}.block.{index}.block");
            let plan = Plan::new([CHANNELS, CHANNELS], 3, Start::SignalUniform);
            Ok((
                Conv::new(weights, &format!("{name}.0"), plan)?,
                GroupNorm::new(weights, &format!("{name}.1"), CHANNELS, GROUPS)?,
            ))
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self { layers, doublings })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut map = input.shallow_clone();
        for (index, (conv, norm)) in self.layers.iter().enumerate() {
            map = Nonlinearity::Relu.apply(norm.forward(&conv.forward(&map)?)?)?;
            if index < self.doublings {
                map = enlarge(&map, 2)?;
            }
        }
        Ok(map)
    }
}
