//! The head that classifies regions and refines their boxes.

use super::design::{Design, NetworkSettings};
use autoloss_plugin_api::Result;
use autoloss_vision::detection::{
    BoxCoder, MultiScaleRoiAlign, RoiAlign, batched_nms, clip_boxes, large_boxes,
};
use autoloss_vision::networks::layers::{Dense, Nonlinearity};
use autoloss_vision::networks::weights::{Start, Weights};
use tch::{Kind, Tensor};

/// Points a bin of a pooled region is averaged over, per axis.
const SAMPLES: i64 = 2;
/// IoU above which of two detections of a class the better stays.
const SUPPRESSED: f64 = 0.5;
/// Least side of a detection, pixels.
const LEAST: f64 = 1e-2;

/// The head.
#[derive(Debug)]
pub(crate) struct Head {
    pool: MultiScaleRoiAlign,
    hidden: [Dense; 2],
    classes: Dense,
    offsets: Dense,
    width: i64,
    levels: usize,
}

/// The predictions of the head for regions.
pub(crate) struct HeadOutput {
    /// (R, C), the background first.
    pub(crate) logits: Tensor,
    /// (R, 4·C).
    pub(crate) offsets: Tensor,
}

/// The detections of a picture, best first.
pub(crate) struct DetectedBoxes {
    /// (D, 4) in pixels.
    pub(crate) boxes: Tensor,
    /// (D).
    pub(crate) scores: Tensor,
    /// (D), from 1.
    pub(crate) labels: Tensor,
}

impl Head {
    pub(crate) fn new(weights: &mut Weights, design: &Design, classes: i64) -> Result<Self> {
        let [side, level] = design.canonical;
        let pool = RoiAlign::new([design.pooled; 2], SAMPLES)?;
        let pool = MultiScaleRoiAlign::new(pool, design.strides)?.canonical(side as f64, level)?;
        let width = design.width * design.pooled * design.pooled;
        let hidden = design.hidden;
        let mut dense = |name: &str, sizes: [i64; 2], start: Start| {
            Dense::new(weights, &format!("roi_heads.{name}"), sizes, start)
        };
        Ok(Self {
            pool,
            hidden: [
                dense("box_head.fc6", [width, hidden], Start::SignalUniform)?,
                dense("box_head.fc7", [hidden, hidden], Start::SignalUniform)?,
            ],
            classes: dense(
                "box_predictor.cls_score",
                [hidden, classes],
                Start::Normal(0.01),
            )?,
            offsets: dense(
                "box_predictor.bbox_pred",
                [hidden, 4 * classes],
                Start::Normal(0.001),
            )?,
            width,
            levels: design.strides.len(),
        })
    }

    /// Class logits and offsets of regions, (R, 4) of each picture.
    pub(crate) fn forward(&self, levels: &[Tensor], regions: &[Tensor]) -> Result<HeadOutput> {
        let levels = levels.get(..self.levels).ok_or("too few levels")?;
        let pooled = self.pool.pool(levels, regions)?;
        let mut values = pooled.f_reshape([-1, self.width])?;
        for layer in &self.hidden {
            values = Nonlinearity::Relu.apply(layer.forward(&values)?)?;
        }
        Ok(HeadOutput {
            logits: self.classes.forward(&values)?,
            offsets: self.offsets.forward(&values)?,
        })
    }

    /// The detections among the regions of a picture of that size.
    pub(crate) fn detect(
        output: &HeadOutput,
        regions: &Tensor,
        size: [i64; 2],
        settings: &NetworkSettings,
    ) -> Result<DetectedBoxes> {
        let classes = output.logits.size()[1];
        let count = regions.size()[0];
        let boxes = BoxCoder::of_head().decode(&output.offsets, regions)?;
        let boxes = clip_boxes(&boxes.f_view([count, classes, 4])?, size)?;
        let scores = output.logits.f_softmax(-1, Kind::Float)?;
        // The background is no detection.
        let boxes = boxes.f_narrow(1, 1, classes - 1)?.f_reshape([-1, 4])?;
        let scores = scores.f_narrow(1, 1, classes - 1)?.f_reshape(-1i64)?;
        let labels = Tensor::f_arange_start(1, classes, (Kind::Int64, regions.device()))?;
        let labels = labels.f_expand([count, classes - 1], false)?;
        let labels = labels.f_reshape(-1i64)?;
        let good = scores.f_gt(settings.score_threshold)?;
        let good = good.f_logical_and(&large_boxes(&boxes, LEAST)?)?;
        let good = good.f_nonzero()?.f_view(-1i64)?;
        let pick = |from: &Tensor| from.f_index_select(0, &good);
        let (boxes, scores, labels) = (pick(&boxes)?, pick(&scores)?, pick(&labels)?);
        let stay = batched_nms(&boxes, &scores, &labels, SUPPRESSED)?;
        let stay = stay.f_narrow(0, 0, stay.size()[0].min(settings.detections))?;
        let pick = |from: &Tensor| from.f_index_select(0, &stay);
        Ok(DetectedBoxes {
            boxes: pick(&boxes)?,
            scores: pick(&scores)?,
            labels: pick(&labels)?,
        })
    }
}
