//! The parts of detectors: boxes, anchors, matching, suppression and pooling of regions, on tensors.
//!
//! Everything follows torchvision's reference implementation of Faster R-CNN in meaning, so that
//! `tests/detection.rs` can hold values and gradients against it. Where that implementation stops or
//! spreads NaN (no ground truth, boxes without area, coordinates that are not finite), each item
//! documents what happens here instead.
//!
//! Boxes are (N, 4) tensors of x1, y1, x2, y2 in pixels, x to the right and y down; a box covers
//! x2 − x1 by y2 − y1 pixels. Calls work on any device; what decides one box after the other
//! (suppression, the sample points of regions) is computed on the CPU in plain Rust.
//!
//! - [`box_areas`], [`pairwise_iou`], [`clip_boxes`], [`large_boxes`]: boxes as such;
//! - [`BoxCoder`]: boxes as offsets from others, and back;
//! - [`Overlap`]: intersection, union and enclosing area of pairs, with gradients;
//! - [`AnchorGenerator`], [`Matcher`], [`BalancedSampler`]: from feature maps to training targets;
//! - [`nms`] and [`batched_nms`]: suppression of duplicates;
//! - [`RoiAlign`] and [`MultiScaleRoiAlign`]: features of regions.
//!
//! ```
//! use autoloss_vision::detection::{Matcher, UNMATCHED};
//! use tch::Tensor;
//!
//! let truth = Tensor::from_slice(&[0_f32, 0., 10., 10.]).view([1, 4]);
//! let candidates = Tensor::from_slice(&[0_f32, 0., 10., 9., 30., 30., 40., 40.]).view([2, 4]);
//! let matches = Matcher::new(0.3, 0.7, true)?.assign(&truth, &candidates, None)?;
//! assert_eq!(Vec::<i64>::try_from(&matches)?, [0, UNMATCHED]);
//! # Ok::<(), autoloss_plugin_api::Error>(())
//! ```

mod anchors;
mod bags;
mod boxes;
mod coding;
mod levels;
mod maps;
mod matcher;
mod overlap;
mod roi_align;
mod sample_points;
mod sampler;
mod suppression;

pub use anchors::AnchorGenerator;
pub use boxes::{box_areas, clip_boxes, large_boxes, pairwise_intersection, pairwise_iou};
pub use coding::BoxCoder;
pub use levels::MultiScaleRoiAlign;
pub use matcher::{BETWEEN, Matcher, UNMATCHED};
pub use overlap::Overlap;
pub use roi_align::RoiAlign;
pub use sampler::{BalancedSampler, Sampled};
pub use suppression::{batched_nms, nms};
