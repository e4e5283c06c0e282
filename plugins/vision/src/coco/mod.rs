//! COCO: object detection data in folders, and the scores that are COCO's.
//!
//! - [`CocoFolder`] reads a folder of COCO's layout, [`write_coco`] writes one;
//! - [`CocoObject`] is an object as training and scoring want it;
//! - [`DetectionScorer`] counts detections picture by picture and computes the twelve scores.
//!
//! Two rules run through all of it. What is *trained on* is cleaned: boxes end inside the picture, crowds
//! and boxes without extent are marked. What is *scored* is the file as it is, because the reference
//! implementation, pycocotools, scores files as they are; `python/oracles/coco.py` holds the scores here
//! against it, on real annotations and in every case that is known to be treated differently elsewhere.
//! Layout and scores: Lin and others, "Microsoft COCO: Common Objects in Context" (ECCV 2014), and
//! <https://cocodataset.org/#format-data>, <https://cocodataset.org/#detection-eval>.

mod annotations;
mod categories;
mod folder;
mod json;
mod mask;
mod object;
mod options;
mod places;
mod scores;
mod splits;
mod write;

pub use folder::CocoFolder;
pub use object::{CocoObject, CocoSample, scene_objects};
pub use options::CocoOptions;
pub use scores::{Detection, DetectionScorer, DetectionScores};
pub use write::write_coco;
