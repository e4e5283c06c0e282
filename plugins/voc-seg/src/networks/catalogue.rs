//! The pretrainable networks by name.

use super::deeplab::{self, DeepLabV3Plus};
use super::fpn::{self, FpnLite};
use super::pspnet::{self, PspNet};
use super::segmenter::{Choice, Design, Segmenter};
use autoloss_vision::networks::normalisation::{IMAGENET, SYMMETRIC};
use autoloss_vision::networks::resnet::{BLOCKS_50, BLOCKS_101};
use autoloss_vision::networks::weights::Weights;

/// DeepLabV3+ over ResNet-50; H and W are multiples of 16, logits at a quarter of the resolution.
/// In segmentation-models-pytorch: `DeepLabV3Plus("resnet50")`.
pub type DeepLabV3PlusR50 = Segmenter<DeepLabR50>;
/// DeepLabV3+ over ResNet-101; H and W are multiples of 16, logits at a quarter of the resolution.
/// In segmentation-models-pytorch: `DeepLabV3Plus("resnet101")`.
pub type DeepLabV3PlusR101 = Segmenter<DeepLabR101>;
/// PSPNet over ResNet-50; H and W are multiples of 8, logits at an eighth of the resolution. In
/// segmentation-models-pytorch: `PSPNet("resnet50", encoder_depth=5, output_stride=8)`.
pub type PspNetR50 = Segmenter<PspR50>;
/// A feature pyramid over EfficientNet-Lite0; H and W are multiples of 32, logits at a quarter of
/// the resolution. In segmentation-models-pytorch: `FPN("tu-tf_efficientnet_lite0",
/// decoder_pyramid_channels=64, decoder_segmentation_channels=64)`.
pub type FpnLite0 = Segmenter<FpnOverLite0>;

/// Chooses [`DeepLabV3PlusR50`].
#[derive(Debug)]
pub enum DeepLabR50 {}
/// Chooses [`DeepLabV3PlusR101`].
#[derive(Debug)]
pub enum DeepLabR101 {}
/// Chooses [`PspNetR50`].
#[derive(Debug)]
pub enum PspR50 {}
/// Chooses [`FpnLite0`].
#[derive(Debug)]
pub enum FpnOverLite0 {}

const DEEPLAB_R50: Design = Design {
    name: "deeplabv3plus_r50",
    title: "DeepLabV3+ over ResNet-50 (27 M parameters), pretrainable",
    encoder: "encoder.",
    pretraining: IMAGENET,
    step: deeplab::ENCODER_STRIDE,
    stride: 4,
    channels: deeplab::CHANNELS,
    kernel: 1,
    dropout: 0.5,
    body: |weights: &mut Weights, dropout| {
        Ok(Box::new(DeepLabV3Plus::new(weights, BLOCKS_50, dropout)?))
    },
};

impl Choice for DeepLabR50 {
    const DESIGN: Design = DEEPLAB_R50;
}

impl Choice for DeepLabR101 {
    const DESIGN: Design = Design {
        name: "deeplabv3plus_r101",
        title: "DeepLabV3+ over ResNet-101 (46 M parameters), pretrainable",
        body: |weights, dropout| Ok(Box::new(DeepLabV3Plus::new(weights, BLOCKS_101, dropout)?)),
        ..DEEPLAB_R50
    };
}

impl Choice for PspR50 {
    const DESIGN: Design = Design {
        name: "pspnet_r50",
        title: "PSPNet over ResNet-50 (30 M parameters), pretrainable",
        encoder: "encoder.",
        pretraining: IMAGENET,
        step: pspnet::STRIDE,
        stride: pspnet::STRIDE,
        channels: pspnet::CHANNELS,
        kernel: 3,
        dropout: 0.2,
        body: |weights, dropout| Ok(Box::new(PspNet::new(weights, BLOCKS_50, dropout)?)),
    };
}

impl Choice for FpnOverLite0 {
    const DESIGN: Design = Design {
        name: "fpn_lite0",
        title: "Feature pyramid over EfficientNet-Lite0 (3 M parameters), pretrainable",
        encoder: fpn::ENCODER,
        pretraining: SYMMETRIC,
        step: fpn::ENCODER_STRIDE,
        stride: 4,
        channels: fpn::CHANNELS,
        kernel: 1,
        dropout: 0.2,
        body: |weights, dropout| Ok(Box::new(FpnLite::new(weights, dropout)?)),
    };
}
