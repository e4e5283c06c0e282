//! Semantic segmentation in the manner of PASCAL VOC, as an autoloss plugin.
//!
//! It holds one task, `voc_seg` with the branch `seg`, on embedded scenes or folders of photographs; the
//! network `fpn_lite0_frozen`, a decoder on frozen pretrained features, which a search trains, `unet_tiny`,
//! which trains from scratch, and four of the literature,
//! `deeplabv3plus_r50`, `deeplabv3plus_r101`, `pspnet_r50` and `fpn_lite0`; the reference losses `ce`,
//! `wce`, `dice`, `lovasz`, `dpce`, `ssim` and `asl`; and two metrics, `region` (mIoU, FWIoU, gAcc, mAcc)
//! and `boundary` (BIoU, BF1). Pictures, folders, scenes and the counting behind the metrics are in
//! `autoloss-vision`, which knows no tensors; this crate is what turns them into batches, branch inputs
//! and scores. It knows nothing of loss graphs.
//!
//! The library also links as an ordinary Rust one, so that other plugins can reuse
//! [`one_hot`] and tests can call the traits without loading a file.

mod data;
mod inputs;
pub mod losses;
mod metrics;
mod networks;
mod pictures;
mod screening;
mod settings;
mod source;

pub use data::VocSeg;
pub use inputs::one_hot;
pub use metrics::{Boundary, Region};
pub use networks::{
    Choice, DeepLabR50, DeepLabR101, DeepLabV3PlusR50, DeepLabV3PlusR101, Design, FpnLite0,
    FpnLite0Frozen, FpnOverLite0, PspNetR50, PspR50, Segmenter, UnetTiny,
};

use autoloss_plugin_api::{
    Result, export_plugin, register_metric, register_network, register_screening_metric,
    register_task,
};
use autoloss_vision::unknown_name;

/// The task's name.
const TASK: &str = "voc_seg";
/// The name of its only branch.
const BRANCH: &str = "seg";
/// Background and the ten classes of the embedded scenes.
const CLASSES: i64 = 11;

/// Checks that a branch is the task's only one.
fn check_branch(name: &str) -> Result<()> {
    if name == BRANCH {
        return Ok(());
    }
    Err(unknown_name("task 'voc_seg'", "branch", name, [BRANCH]).into())
}

register_task!(VocSeg);
register_network!(FpnLite0Frozen);
register_network!(UnetTiny);
register_network!(DeepLabV3PlusR50);
register_network!(DeepLabV3PlusR101);
register_network!(PspNetR50);
register_network!(FpnLite0);
register_metric!(Region);
register_metric!(Boundary);
register_screening_metric!(Region);
export_plugin!();
