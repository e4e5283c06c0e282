//! Segmentation scores over a data set: mIoU, FWIoU, gAcc, mAcc, BIoU, BF1.
//!
//! All six are quotients of counts summed over the whole data set, as Auto-Seg-Loss (ICLR 2021) defines
//! its targets, not means of scores of single pictures: a class that is rare in one picture must not
//! weigh as much there as where it fills half of it. Counts add up, so pictures may come in any order
//! and accumulators of several workers may be merged.
//!
//! # Definitions
//! Labels are 0 (background) to C − 1; any other value, such as 255, is void.
//!
//! | score | definition |
//! |---|---|
//! | mIoU | mean over classes of IoU from the confusion matrix |
//! | FWIoU | Σ (share of the target) · IoU |
//! | gAcc | correct pixels / all |
//! | mAcc | mean over classes of recall |
//! | BIoU | as mIoU, counted only in the boundary band of the target |
//! | BF1 | mean over classes ≥ 1 of the F1 of edge pixels within a tolerance |
//!
//! An **edge** pixel of a class has that class and, among its up to eight neighbours in the picture, one
//! that has not. The **boundary band** is every pixel within `boundary_radius` (in a square: the larger
//! of the two distances) of a target edge pixel of a class ≥ 1. For **BF1** a predicted edge pixel of a
//! class is matched where a target edge pixel of that class lies within `boundary_tolerance` (square
//! again), and a target edge pixel likewise; precision and recall are matched over all, F1 = 2PR/(P + R).
//!
//! # Cases at the edge of the definitions
//! - A pixel that is void in the target or in the prediction is in no confusion matrix, inside the band
//!   or outside.
//! - Void neighbours make an edge: the rim round an object does not hide its outline. The border of the
//!   picture makes none.
//! - Void pixels have no class and so are no edges. But edges of the *prediction* count wherever they
//!   are, in the target's void too, where a target edge may lie within the tolerance or not.
//! - A class in the prediction but not in the target has IoU 0 and is in the mean of mIoU (and of BIoU if
//!   it is predicted inside the band). It has no recall and is not in mAcc. A class with no edge pixel in
//!   the target has no BF1 and is not in that mean, whatever is predicted.
//! - A class in neither is in no mean.
//! - No edge of a class ≥ 1 in the whole data set: BIoU and BF1 are 0.
//! - No pixel counted at all: an error, since every score would be 0/0.

mod boundary;

use serde::{Deserialize, Serialize};

use crate::VisionError;
use crate::confusion::{ConfusionMatrix, mean, ratio};
use boundary::{Dilation, NO_CLASS, WORD};

/// Distances of the boundary scores, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentationConfig {
    /// Half width of the band of BIoU.
    pub boundary_radius: usize,
    /// Distance within which BF1 matches edges.
    pub boundary_tolerance: usize,
}

impl Default for SegmentationConfig {
    fn default() -> SegmentationConfig {
        SegmentationConfig {
            boundary_radius: 5,
            boundary_tolerance: 5,
        }
    }
}

/// Scores between 0 and 1, higher is better. Vectors are by class; None for a class without the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentationScores {
    /// mIoU.
    pub mean_iou: f64,
    /// FWIoU.
    pub frequency_weighted_iou: f64,
    /// gAcc.
    pub global_accuracy: f64,
    /// mAcc.
    pub mean_accuracy: f64,
    /// BIoU.
    pub boundary_iou: f64,
    /// BF1.
    pub boundary_f1: f64,
    /// The terms of mIoU.
    pub class_iou: Vec<Option<f64>>,
    /// The terms of mAcc.
    pub class_accuracy: Vec<Option<f64>>,
    /// The terms of BIoU.
    pub class_boundary_iou: Vec<Option<f64>>,
    /// The terms of BF1; the background's, first, is not in the mean.
    pub class_boundary_f1: Vec<Option<f64>>,
}

impl SegmentationScores {
    /// The six scores under the names they are reported by.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("mIoU", self.mean_iou),
            ("FWIoU", self.frequency_weighted_iou),
            ("gAcc", self.global_accuracy),
            ("mAcc", self.mean_accuracy),
            ("BIoU", self.boundary_iou),
            ("BF1", self.boundary_f1),
        ]
    }
}

/// Edge pixels of one class: how many, and how many of them matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EdgeCounts {
    predicted: u64,
    matched_predicted: u64,
    target: u64,
    matched_target: u64,
}

impl EdgeCounts {
    /// None without an edge in the target.
    fn f1(&self) -> Option<f64> {
        let recall = ratio(self.matched_target, self.target)?;
        let precision = ratio(self.matched_predicted, self.predicted).unwrap_or(0.0);
        let sum = precision + recall;
        Some(if sum > 0.0 {
            2.0 * precision * recall / sum
        } else {
            0.0
        })
    }
}

/// Counts label maps one by one; scores at the end.
///
/// ```
/// use autoloss_vision::{SegmentationConfig, SegmentationMetrics};
///
/// let target: [u8; 12] = [
///     0, 0, 0, 0,
///     0, 1, 1, 0,
///     0, 1, 1, 255,
/// ];
/// let mut metrics = SegmentationMetrics::new(2, SegmentationConfig::default())?;
/// metrics.update(&[0u8; 12], &target, 3, 4)?;
/// let scores = metrics.compute()?;
/// assert_eq!(scores.global_accuracy, 7.0 / 11.0);
/// assert_eq!(scores.class_iou, [Some(7.0 / 11.0), Some(0.0)]);
/// assert_eq!(scores.boundary_f1, 0.0);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SegmentationMetrics {
    config: SegmentationConfig,
    everywhere: ConfusionMatrix,
    in_band: ConfusionMatrix,
    edges: Vec<EdgeCounts>,
    scratch: Scratch,
}

/// One label map: its labels, its edge pixels, its edge bits before and after dilation.
#[derive(Clone, Debug, Default)]
struct Side {
    labels: Vec<u32>,
    edge: Vec<bool>,
    bits: Vec<u64>,
    wide: Vec<u64>,
}

/// Buffers, reused from picture to picture.
#[derive(Clone, Debug, Default)]
struct Scratch {
    prediction: Side,
    target: Side,
    level: Vec<bool>,
    band: Vec<bool>,
    dilation: Dilation,
}

impl SegmentationMetrics {
    /// An accumulator that has seen nothing. Class 0 is the background.
    ///
    /// # Errors
    /// [`VisionError::ClassCount`] for no class or more than
    /// [`MAX_CLASSES`](crate::confusion::MAX_CLASSES).
    pub fn new(
        num_classes: usize,
        config: SegmentationConfig,
    ) -> Result<SegmentationMetrics, VisionError> {
        Ok(SegmentationMetrics {
            config,
            everywhere: ConfusionMatrix::new(num_classes)?,
            in_band: ConfusionMatrix::new(num_classes)?,
            edges: vec![EdgeCounts::default(); num_classes],
            scratch: Scratch::default(),
        })
    }

    /// Counts one picture. Label maps are row by row, `height * width` values each.
    ///
    /// # Errors
    /// [`VisionError::Length`] where a map has another number of values; nothing is counted then.
    pub fn update<P, T>(
        &mut self,
        prediction: &[P],
        target: &[T],
        height: usize,
        width: usize,
    ) -> Result<(), VisionError>
    where
        P: Copy + Into<u32>,
        T: Copy + Into<u32>,
    {
        check_length("the prediction", prediction.len(), height, width)?;
        check_length("the target", target.len(), height, width)?;
        if target.is_empty() {
            return Ok(());
        }
        let classes = self.edges.len();
        let scratch = &mut self.scratch;
        scratch
            .prediction
            .read(prediction, classes, width, &mut scratch.level);
        scratch
            .target
            .read(target, classes, width, &mut scratch.level);
        scratch.band.clear();
        scratch.band.resize(target.len(), false);
        for first in (0..classes).step_by(WORD) {
            self.count_edges(first, width);
        }
        let Scratch {
            prediction,
            target,
            band,
            ..
        } = &self.scratch;
        for ((&prediction, &target), &in_band) in
            prediction.labels.iter().zip(&target.labels).zip(band)
        {
            let (prediction, target) = (prediction as usize, target as usize);
            self.everywhere.tally(prediction, target);
            if in_band {
                self.in_band.tally(prediction, target);
            }
        }
        Ok(())
    }

    /// Counts and matches the edges of the classes from `first` on that share a word, and adds their
    /// part of the band.
    fn count_edges(&mut self, first: usize, width: usize) {
        let SegmentationConfig {
            boundary_radius: radius,
            boundary_tolerance: tolerance,
        } = self.config;
        let Scratch {
            prediction,
            target,
            band,
            dilation,
            ..
        } = &mut self.scratch;
        prediction.prepare(first as u32);
        target.prepare(first as u32);

        // The background has no band of its own.
        let foreground = if first == 0 { !1 } else { !0 };
        dilation.apply(&mut target.wide, width, radius);
        for (flag, word) in band.iter_mut().zip(&target.wide) {
            *flag |= word & foreground != 0;
        }
        if radius != tolerance {
            target.wide.copy_from_slice(&target.bits);
            dilation.apply(&mut target.wide, width, tolerance);
        }
        dilation.apply(&mut prediction.wide, width, tolerance);

        for here in 0..band.len() {
            let bit = prediction.bits[here];
            if bit != 0 {
                let edges = &mut self.edges[first + bit.trailing_zeros() as usize];
                edges.predicted += 1;
                edges.matched_predicted += u64::from(target.wide[here] & bit != 0);
            }
            let bit = target.bits[here];
            if bit != 0 {
                let edges = &mut self.edges[first + bit.trailing_zeros() as usize];
                edges.target += 1;
                edges.matched_target += u64::from(prediction.wide[here] & bit != 0);
            }
        }
    }

    /// Adds what another accumulator has counted.
    ///
    /// # Errors
    /// [`VisionError::Merge`] where the numbers of classes or the distances differ.
    pub fn merge(&mut self, other: &SegmentationMetrics) -> Result<(), VisionError> {
        if self.config != other.config {
            let (left, right) = (format!("{:?}", self.config), format!("{:?}", other.config));
            return Err(VisionError::Merge {
                what: "configurations",
                left,
                right,
            });
        }
        self.everywhere.merge(&other.everywhere)?;
        self.in_band.merge(&other.in_band)?;
        for (edges, more) in self.edges.iter_mut().zip(&other.edges) {
            edges.predicted += more.predicted;
            edges.matched_predicted += more.matched_predicted;
            edges.target += more.target;
            edges.matched_target += more.matched_target;
        }
        Ok(())
    }

    /// Forgets every picture.
    pub fn clear(&mut self) {
        self.everywhere.clear();
        self.in_band.clear();
        self.edges.fill(EdgeCounts::default());
    }

    /// The confusion matrix of all pictures.
    #[must_use]
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.everywhere
    }

    /// The scores of everything counted so far.
    ///
    /// # Errors
    /// [`VisionError::NothingLabelled`] where no pixel was counted.
    pub fn compute(&self) -> Result<SegmentationScores, VisionError> {
        let all = &self.everywhere;
        let missing = VisionError::NothingLabelled;
        let class_boundary_f1: Vec<_> = self.edges.iter().map(EdgeCounts::f1).collect();
        Ok(SegmentationScores {
            mean_iou: all.mean_iou().ok_or(missing.clone())?,
            frequency_weighted_iou: all.frequency_weighted_iou().ok_or(missing.clone())?,
            global_accuracy: all.pixel_accuracy().ok_or(missing.clone())?,
            mean_accuracy: all.mean_recall().ok_or(missing)?,
            boundary_iou: self.in_band.mean_iou().unwrap_or(0.0),
            boundary_f1: mean(&class_boundary_f1[1..]).unwrap_or(0.0),
            class_iou: all.class_iou(),
            class_accuracy: all.class_recall(),
            class_boundary_iou: self.in_band.class_iou(),
            class_boundary_f1,
        })
    }
}

impl Side {
    /// Takes over the labels, every void value as [`NO_CLASS`], and finds the edges.
    fn read<L: Copy + Into<u32>>(
        &mut self,
        labels: &[L],
        classes: usize,
        width: usize,
        level: &mut Vec<bool>,
    ) {
        let limit = classes as u32;
        self.labels.clear();
        self.labels.extend(labels.iter().map(|&label| {
            let label = label.into();
            if label < limit { label } else { NO_CLASS }
        }));
        boundary::edges(&self.labels, width, level, &mut self.edge);
    }

    /// Sets `bits` to the edges of the classes from `first` on, and `wide` to the same, not yet dilated.
    fn prepare(&mut self, first: u32) {
        boundary::edge_bits(&self.labels, &self.edge, first, &mut self.bits);
        self.wide.clone_from(&self.bits);
    }
}

fn check_length(
    what: &'static str,
    found: usize,
    height: usize,
    width: usize,
) -> Result<(), VisionError> {
    let expected = height.saturating_mul(width);
    if found == expected {
        Ok(())
    } else {
        Err(VisionError::Length {
            what,
            found,
            expected,
            height,
            width,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(classes: usize) -> SegmentationMetrics {
        SegmentationMetrics::new(classes, SegmentationConfig::default()).unwrap()
    }

    #[test]
    fn nothing_labelled_is_an_error_not_a_number() {
        let mut empty = metrics(3);
        assert_eq!(empty.compute(), Err(VisionError::NothingLabelled));
        empty.update::<u8, u8>(&[], &[], 0, 7).unwrap();
        empty.update(&[1u8; 4], &[255u8; 4], 2, 2).unwrap();
        assert_eq!(empty.compute(), Err(VisionError::NothingLabelled));
    }

    #[test]
    fn without_objects_the_boundary_scores_are_zero() {
        let mut plain = metrics(3);
        plain.update(&[0u8; 9], &[0u8; 9], 3, 3).unwrap();
        let scores = plain.compute().unwrap();
        assert_eq!((scores.mean_iou, scores.global_accuracy), (1.0, 1.0));
        assert_eq!((scores.boundary_iou, scores.boundary_f1), (0.0, 0.0));
        let named = scores.named().map(|(_, value)| value.is_finite());
        assert_eq!(named, [true; 6]);
    }

    #[test]
    fn a_wrong_length_is_refused_and_nothing_counted() {
        let mut two = metrics(2);
        let error = two.update(&[0u8; 6], &[0u8; 5], 2, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the target has 5 values, expected 6 for 2x3 pixels"
        );
        assert!(
            two.update(&[0u8; 6], &[0u8; 6], usize::MAX, usize::MAX)
                .is_err()
        );
        assert_eq!(two.confusion().total(), 0);
    }

    #[test]
    fn different_accumulators_do_not_merge() {
        let narrow = SegmentationConfig {
            boundary_radius: 1,
            ..SegmentationConfig::default()
        };
        let other = SegmentationMetrics::new(3, narrow).unwrap();
        assert!(matches!(
            metrics(3).merge(&other),
            Err(VisionError::Merge { .. })
        ));
        assert!(matches!(
            metrics(3).merge(&metrics(4)),
            Err(VisionError::Merge { .. })
        ));
    }

    #[test]
    fn a_shift_within_the_tolerance_keeps_the_boundary_f1_and_one_beyond_loses_it() {
        let square = |left: usize| -> Vec<u8> {
            let inside = |index: usize| {
                (20..40).contains(&(index / 64)) && (left..left + 4).contains(&(index % 64))
            };
            (0..64 * 64).map(|index| u8::from(inside(index))).collect()
        };
        let score = |left| {
            let mut moved = metrics(2);
            moved.update(&square(left), &square(20), 64, 64).unwrap();
            moved.compute().unwrap().boundary_f1
        };
        assert_eq!(score(20), 1.0);
        assert_eq!(score(25), 1.0);
        assert!(score(26) < 1.0);
        assert_eq!(score(29), 0.0);
    }
}
