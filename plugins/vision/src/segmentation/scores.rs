//! The scores of a data set, as means and class by class.

use serde::{Deserialize, Serialize};

/// Scores between 0 and 1, higher is better. Lists are by class; None where a class has no such score.
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
