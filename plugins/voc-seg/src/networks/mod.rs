//! The networks of the plugin.
//!
//! `fpn_lite0_frozen` trains a decoder on features of a pretrained encoder, computed once for each picture,
//! and is the default of a search; `unet_tiny` trains from scratch in seconds, for those without weights.
//! The others are the
//! networks of the literature, with published names, shapes and arithmetic, for retraining at full
//! length and for comparisons: a loss found here can be evaluated on what others use, and a checkpoint
//! trained here goes on in PyTorch. Their encoders and layers are in [`autoloss_vision::networks`].

mod catalogue;
mod deeplab;
mod fpn;
mod frozen;
mod pspnet;
mod segmenter;
mod unet_tiny;

pub use catalogue::{
    DeepLabR50, DeepLabR101, DeepLabV3PlusR50, DeepLabV3PlusR101, FpnLite0, FpnOverLite0,
    PspNetR50, PspR50,
};
pub use frozen::FpnLite0Frozen;
pub use segmenter::{Choice, Design, Segmenter};
pub use unet_tiny::UnetTiny;
