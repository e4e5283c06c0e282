//! Object detection in the manner of COCO, as an autoloss plugin.
//!
//! It holds one task, `coco_det`, on embedded scenes or folders of COCO's layout, with four branches, each
//! trained by a loss of its own: `rpn_cls` and `rpn_reg` of the network that proposes regions, `rcnn_cls`
//! and `rcnn_reg` of the head that classifies and refines them (Faster R-CNN, arXiv 1506.01497). Networks
//! are `faster_rcnn_tiny`, which a search trains from scratch, and `faster_rcnn_r50` and
//! `faster_rcnn_r101` with feature pyramids, whose checkpoints are torchvision's. The metric is `coco`
//! (mAP and its companions); the screening metric `fit` evaluates optimised predictions.
//!
//! Boxes, anchors, pooling, COCO's files and scores are in `autoloss-vision`; this crate makes a task of
//! them. It knows nothing of loss graphs.

mod batch;
mod branches;
mod data;
mod losses;
mod metrics;
mod networks;
mod screening;
mod settings;
mod source;
mod targets;

pub use data::CocoDet;
pub use metrics::{Coco, Fit};
pub use networks::{
    Choice, Design, FasterRcnn, FasterRcnnR50, FasterRcnnR101, FasterRcnnTiny, Resnet50, Resnet101,
    Tiny,
};

use autoloss_plugin_api::{
    export_plugin, register_metric, register_network, register_screening_metric, register_task,
};

/// The task's name.
const TASK: &str = "coco_det";

register_task!(CocoDet);
register_network!(FasterRcnnTiny);
register_network!(FasterRcnnR50);
register_network!(FasterRcnnR101);
register_metric!(Coco);
register_screening_metric!(Fit);
export_plugin!();
