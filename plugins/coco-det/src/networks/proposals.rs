//! The network that proposes regions, and the regions themselves.

use super::design::Design;
use autoloss_plugin_api::{Mode, Result};
use autoloss_vision::detection::{AnchorGenerator, BoxCoder, batched_nms, clip_boxes, large_boxes};
use autoloss_vision::networks::layers::{Conv, Nonlinearity, Plan};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::{Kind, Tensor};

/// Height over width of the anchors.
const RATIOS: [f64; 3] = [0.5, 1.0, 2.0];
/// Standard deviation of fresh kernels.
const DEVIATION: f64 = 0.01;
/// IoU above which of two regions the better stays.
const SUPPRESSED: f64 = 0.7;
/// Least side of a region, pixels.
const LEAST: f64 = 1e-3;

/// The predictions for the anchors of a batch.
pub(crate) struct RpnOutput {
    /// (K, 4) in pixels, the same for all pictures.
    pub(crate) anchors: Tensor,
    /// The number of anchors of each level.
    pub(crate) levels: Vec<i64>,
    /// (N, K).
    pub(crate) logits: Tensor,
    /// (N, K, 4).
    pub(crate) offsets: Tensor,
}

/// The proposing network.
#[derive(Debug)]
pub(crate) struct Proposer {
    conv: Conv,
    logits: Conv,
    offsets: Conv,
    generator: AnchorGenerator,
    most: [i64; 2],
}

impl Proposer {
    pub(crate) fn new(weights: &mut Weights, design: &Design) -> Result<Self> {
        let sizes: Vec<Vec<f64>> = design.anchors.iter().map(|size| vec![*size]).collect();
        let ratios = vec![RATIOS.to_vec(); sizes.len()];
        let width = design.width;
        let mut conv = |name: &str, outputs: i64, kernel: i64| {
            let plan = Plan::new([width, outputs], kernel, Start::Normal(DEVIATION)).bias();
            Conv::new(weights, &format!("rpn.head.{name}"), plan)
        };
        let each = RATIOS.len() as i64;
        Ok(Self {
            conv: conv("conv.0.0", width, 3)?,
            logits: conv("cls_logits", each, 1)?,
            offsets: conv("bbox_pred", 4 * each, 1)?,
            generator: AnchorGenerator::new(&sizes, &ratios)?,
            most: design.proposals,
        })
    }

    /// Logits and offsets of all anchors. `canvas` is the batch's height and width.
    pub(crate) fn forward(&self, levels: &[Tensor], canvas: [i64; 2]) -> Result<RpnOutput> {
        let (mut sizes, mut counts) = (Vec::new(), Vec::new());
        let (mut logits, mut offsets) = (Vec::new(), Vec::new());
        for level in levels {
            let hidden = Nonlinearity::Relu.apply(self.conv.forward(level)?)?;
            let size = level.size();
            sizes.push([size[2], size[3]]);
            counts.push(size[2] * size[3] * RATIOS.len() as i64);
            logits.push(listed(&self.logits.forward(&hidden)?, 1)?.f_squeeze_dim(2)?);
            offsets.push(listed(&self.offsets.forward(&hidden)?, 4)?);
        }
        let device = levels.first().ok_or("a detector without levels")?.device();
        let anchors = self.generator.anchors(&sizes, canvas, device)?;
        Ok(RpnOutput {
            anchors: Tensor::f_cat(&anchors, 0)?,
            levels: counts,
            logits: Tensor::f_cat(&logits, 1)?,
            offsets: Tensor::f_cat(&offsets, 1)?,
        })
    }

    /// The regions of every picture, (R, 4) each, best first. `sizes` are the pictures' own.
    pub(crate) fn regions(
        &self,
        rpn: &RpnOutput,
        sizes: &[[i64; 2]],
        mode: Mode,
    ) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        // More in training, as torchvision does.
        let (before, after) = match mode {
            Mode::Train => (self.most[0], self.most[0]),
            Mode::Evaluate => (self.most[1], self.most[1]),
        };
        let coder = BoxCoder::of_proposals();
        let of = |(index, size): (usize, &[i64; 2])| -> Result<Tensor> {
            let logits = rpn.logits.f_get(index as i64)?;
            let offsets = rpn.offsets.f_get(index as i64)?;
            let (best, level) = best_of_levels(&logits, &rpn.levels, before)?;
            let pick = |from: &Tensor| from.f_index_select(0, &best);
            let boxes = coder.decode(&pick(&offsets)?, &pick(&rpn.anchors)?)?;
            let boxes = clip_boxes(&boxes, *size)?;
            let scores = pick(&logits)?.f_sigmoid()?;
            let large = large_boxes(&boxes, LEAST)?.f_nonzero()?.f_view(-1i64)?;
            let pick = |from: &Tensor| from.f_index_select(0, &large);
            let (boxes, scores, level) = (pick(&boxes)?, pick(&scores)?, pick(&level)?);
            let stay = batched_nms(&boxes, &scores, &level, SUPPRESSED)?;
            let count = stay.size()[0].min(after);
            Ok(boxes.f_index_select(0, &stay.f_narrow(0, 0, count)?)?)
        };
        sizes.iter().enumerate().map(of).collect()
    }
}

/// (N, A·C, H, W) as (N, H·W·A, C), in the order of the anchors.
fn listed(map: &Tensor, each: i64) -> Result<Tensor> {
    let size = map.size();
    let (n, anchors) = (size[0], size[1] / each);
    let apart = map.f_view([n, anchors, each, size[2], size[3]])?;
    Ok(apart.f_permute([0, 3, 4, 1, 2])?.f_reshape([n, -1, each])?)
}

/// The anchors with the `most` largest logits of every level, and their levels.
fn best_of_levels(logits: &Tensor, levels: &[i64], most: i64) -> Result<(Tensor, Tensor)> {
    let (mut best, mut of) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (level, &count) in levels.iter().enumerate() {
        let own = logits.f_narrow(0, start, count)?;
        let (_, top) = own.f_topk(most.min(count), 0, true, true)?;
        of.push(Tensor::f_full(
            [top.size()[0]],
            level as i64,
            (Kind::Int64, logits.device()),
        )?);
        best.push(top.f_add_scalar(start)?);
        start += count;
    }
    Ok((Tensor::f_cat(&best, 0)?, Tensor::f_cat(&of, 0)?))
}
