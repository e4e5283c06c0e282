//! PSPNet (Zhao et al. 2017) as segmentation-models-pytorch builds it.
//!
//! Its default there cuts the encoder after the second stage but keeps the weights of the rest; the
//! network of the paper has all four stages at an eighth of the resolution, which is
//! `PSPNet("resnet50", encoder_depth=5, output_stride=8)` and what is built here.

use super::segmenter::Body;
use autoloss_plugin_api::Result;
use autoloss_vision::networks::layers::{Conv, ConvNorm, Nonlinearity, Plan, resize};
use autoloss_vision::networks::resnet::{self, ResNet};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::Tensor;

/// Image pixels to a position of the encoder's last map, and of a logit, per axis.
pub(crate) const STRIDE: i64 = 8;
/// Channels of the decoder.
pub(crate) const CHANNELS: i64 = 512;
/// The maps are pooled to so many cells per axis.
const CELLS: [i64; 4] = [1, 2, 3, 6];

/// Encoder and decoder: images (N, 3, H, W) to maps (N, 512, H/8, W/8).
#[derive(Debug)]
pub(crate) struct PspNet {
    encoder: ResNet,
    /// The pooling to one cell: a single value has no batch statistics worth the name, so its
    /// convolution has a bias instead.
    whole: Conv,
    pooled: Vec<(i64, ConvNorm)>,
    project: ConvNorm,
    dropout: f64,
}

impl PspNet {
    pub(crate) fn new(weights: &mut Weights, blocks: [usize; 4], dropout: f64) -> Result<Self> {
        let encoder = ResNet::new(weights, "encoder.", blocks, STRIDE)?;
        let inputs = resnet::CHANNELS[3];
        let plan = Plan::new(
            [inputs, inputs / CELLS.len() as i64],
            1,
            Start::SignalUniform,
        );
        let name = |block: usize| format!("decoder.psp.blocks.{block}.pool.1");
        let whole = Conv::new(weights, &format!("{}.0", name(0)), plan.bias())?;
        let pooled = CELLS.into_iter().enumerate().skip(1);
        let pooled = pooled
            .map(|(block, cells)| Ok((cells, ConvNorm::sequence(weights, &name(block), plan)?)))
            .collect::<Result<Vec<_>>>()?;
        let plan = Plan::new([2 * inputs, CHANNELS], 1, Start::SignalUniform);
        let project = ConvNorm::sequence(weights, "decoder.conv", plan)?;
        Ok(Self {
            encoder,
            whole,
            pooled,
            project,
            dropout,
        })
    }
}

impl Body for PspNet {
    fn forward(&self, image: &Tensor, training: bool) -> Result<Tensor> {
        let [.., map] = self.encoder.forward(image, training)?;
        let size = [map.size()[2], map.size()[3]];
        let mean = self.whole.forward(&map.f_adaptive_avg_pool2d([1, 1])?)?;
        let mut branches = vec![resize(&Nonlinearity::Relu.apply(mean)?, size)?];
        for (cells, layer) in &self.pooled {
            let pooled = map.f_adaptive_avg_pool2d([*cells, *cells])?;
            branches.push(resize(&layer.forward(&pooled, training)?, size)?);
        }
        branches.push(map);
        let projected = self
            .project
            .forward(&Tensor::f_cat(&branches, 1)?, training)?;
        Ok(projected.f_feature_dropout(self.dropout, training)?)
    }
}
