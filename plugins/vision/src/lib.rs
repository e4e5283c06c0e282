//! The common parts of vision plugins: pictures, scenes with exact masks, data sets, metrics, layers.
//!
//! Without the feature `networks` the crate is pure Rust and knows no tensors. A plugin turns its byte
//! buffers into tensors; this part builds and tests in seconds, and a scene or a score can be checked
//! without a network. With it there are layers, encoders and the parts of detectors.
//!
//! - [`pack`]: the embedded photographs, decoded once, split into train, reward, selection and test;
//! - [`scene`]: a generator of scenes from that pack, with class and instance masks, boxes, keypoints;
//! - [`data`]: a task's samples, from that generator or from a data set in a folder;
//! - [`folder`]: data sets for segmentation (PASCAL VOC with SBD, labelme, Cityscapes), read and written;
//! - [`coco`]: COCO's annotations, folders and scores;
//! - [`codec`] and [`resize`]: pictures and label maps as files, and reduced;
//! - [`mod@augment`]: flips, crops and colour changes of any picture with its label map;
//! - [`confusion`] and [`segmentation`]: mIoU, FWIoU, gAcc, mAcc, BIoU, BF1 over label maps;
//! - [`palette`]: the colours in which PASCAL VOC stores label maps;
//! - `networks` and `detection`, with the feature: on libtorch's tensors.
//!
//! ```
//! use autoloss_vision::{SceneConfig, SceneGenerator, SegmentationMetrics, Split};
//!
//! let generator = SceneGenerator::embedded(SceneConfig::default())?;
//! let scene = generator.scene(Split::Train, 7, 0);
//! let mut metrics = SegmentationMetrics::new(generator.num_classes(), Default::default())?;
//! metrics.update(&scene.classes, &scene.classes, scene.height, scene.width)?;
//! assert_eq!(metrics.compute()?.mean_iou, 1.0);
//! # Ok::<(), autoloss_vision::VisionError>(())
//! ```

pub mod augment;
pub mod coco;
pub mod codec;
pub mod confusion;
pub mod data;
#[cfg(feature = "networks")]
pub mod detection;
mod draw;
mod error;
pub mod folder;
#[cfg(feature = "networks")]
pub mod networks;
pub mod pack;
pub mod palette;
pub mod resize;
pub mod scene;
pub mod segmentation;
mod setting;

pub use autoloss_spec::Split;

pub use augment::{AugmentConfig, LabelledImage, augment};
pub use codec::jpeg_round_trip;
pub use confusion::ConfusionMatrix;
pub use draw::{GOLDEN, splitmix64};
pub use error::VisionError;
pub use folder::{FolderOptions, SegmentationFolder};
pub use pack::Pack;
pub use scene::{Frequencies, Scene, SceneConfig, SceneGenerator, SceneObject};
pub use segmentation::{SegmentationConfig, SegmentationMetrics, SegmentationScores};
pub use setting::{ErrorAt, NamedError, Setting, read_settings, unknown_name};

/// The label of a pixel that is neither trained on nor scored, as in PASCAL VOC.
pub const VOID: u8 = 255;
