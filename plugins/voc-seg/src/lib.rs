//! Semantic segmentation in the manner of PASCAL VOC, as an autoloss plugin.
//!
//! It holds one task, `voc_seg` with the branch `seg`; one network, `unet_tiny`; and two metrics,
//! `region` (mIoU, FWIoU, gAcc, mAcc) and `boundary` (BIoU, BF1). Pictures, scenes and the counting
//! behind the metrics are in `autoloss-vision`, which knows no tensors; this crate is what turns
//! them into batches, branch inputs and scores. It knows nothing of loss graphs.
//!
//! The library also links as an ordinary Rust one, so that other plugins can reuse
//! [`one_hot`] and tests can call the traits without loading a file.

mod data;
mod inputs;
mod layers;
pub mod losses;
mod metrics;
mod network;
mod pictures;
mod scenes;
mod screening;
mod settings;
mod source;

pub use data::VocSeg;
pub use inputs::one_hot;
pub use metrics::{Boundary, Region};
pub use network::UnetTiny;

use autoloss_plugin_api::{export_plugin, register_metric, register_network, register_task};

/// The task's name.
const TASK: &str = "voc_seg";
/// The name of its only branch.
const BRANCH: &str = "seg";
/// Background and the ten classes of the embedded scenes.
const CLASSES: i64 = 11;

register_task!(VocSeg);
register_network!(UnetTiny);
register_metric!(Region);
register_metric!(Boundary);
export_plugin!();
