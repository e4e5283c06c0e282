//! Faster R-CNN (arXiv 1506.01497) with feature pyramids (arXiv 1612.03144).
//!
//! Names, shapes and arithmetic of the larger ones are torchvision's, so that its checkpoints load and
//! ours go on there. `faster_rcnn_tiny` is the same over a small encoder, for scenes of some hundred
//! pixels on a few cores.

mod backbone;
mod catalogue;
mod design;
mod detector;
mod heads;
mod inputs;
mod proposals;

pub use catalogue::{FasterRcnnR50, FasterRcnnR101, FasterRcnnTiny, Resnet50, Resnet101, Tiny};
pub use design::{Choice, Design};
pub use detector::FasterRcnn;
