//! The networks by name.

use super::design::{Choice, Design, Encoder};
use super::detector::FasterRcnn;
use autoloss_vision::networks::resnet::{BLOCKS_50, BLOCKS_101};

/// Faster R-CNN over ResNet-50 with a pyramid of 256 channels: torchvision's `fasterrcnn_resnet50_fpn`.
pub type FasterRcnnR50 = FasterRcnn<Resnet50>;
/// [`FasterRcnnR50`] over ResNet-101.
pub type FasterRcnnR101 = FasterRcnn<Resnet101>;
/// Faster R-CNN over an encoder of five convolutions, for the embedded scenes.
pub type FasterRcnnTiny = FasterRcnn<Tiny>;

/// Chooses ResNet-50.
#[derive(Debug)]
pub struct Resnet50;
/// Chooses ResNet-101.
#[derive(Debug)]
pub struct Resnet101;
/// Chooses the small encoder.
#[derive(Debug)]
pub struct Tiny;

const RESNET: Design = Design {
    name: "faster_rcnn_r50",
    title: "Faster R-CNN over ResNet-50 with a feature pyramid (torchvision's)",
    encoder: Encoder::ResNet(BLOCKS_50),
    strides: &[4, 8, 16, 32],
    width: 256,
    anchors: &[32.0, 64.0, 128.0, 256.0, 512.0],
    canonical: [224, 4],
    pooled: 7,
    hidden: 1024,
    proposals: [2000, 1000],
    sampled: [256, 512],
    frozen_norms: true,
};

impl Choice for Resnet50 {
    const DESIGN: Design = RESNET;
}

impl Choice for Resnet101 {
    const DESIGN: Design = Design {
        name: "faster_rcnn_r101",
        title: "Faster R-CNN over ResNet-101 with a feature pyramid",
        encoder: Encoder::ResNet(BLOCKS_101),
        ..RESNET
    };
}

impl Choice for Tiny {
    const DESIGN: Design = Design {
        name: "faster_rcnn_tiny",
        title: "Faster R-CNN over a small encoder, trained from scratch in minutes",
        encoder: Encoder::Tiny,
        strides: &[8, 16],
        width: 48,
        anchors: &[24.0, 40.0, 72.0],
        canonical: [32, 3],
        pooled: 5,
        hidden: 128,
        proposals: [200, 60],
        sampled: [64, 48],
        frozen_norms: false,
    };
}
