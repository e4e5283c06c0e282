//! Layers, encoders and feature pyramids that several plugins use, on tensors.
//!
//! Names, shapes and arithmetic are those of published networks, so that published weights load and
//! checkpoints go on in PyTorch. A plugin makes [`Weights`](weights::Weights), then encoder, pyramid and
//! its own layers from them, then loads a file into them if there is one ([`pretrained::load`]).
//!
//! - [`weights`]: all tensors of a network by name, and how fresh ones are drawn;
//! - [`layers`]: convolutions, normalisations, fully connected layers;
//! - [`resnet`] and [`efficientnet_lite`]: encoders, from images to maps at a quarter to a 32nd of the
//!   resolution;
//! - [`pyramid`]: from an encoder's maps to levels of one width, for detectors;
//! - [`normalisation`]: from a task's normalisation of images to an encoder's;
//! - [`pretrained`]: weights from files;
//! - [`pictures`]: images, label maps and boxes drawn for people;
//! - [`check_screening`], [`num_classes`], [`image_sides`]: checks of what a network or a task is given.

pub mod efficientnet_lite;
pub mod layers;
pub mod normalisation;
pub mod pictures;
pub mod pretrained;
pub mod pyramid;
pub mod resnet;
pub mod weights;

use autoloss_plugin_api::{Result, ScreeningRequest, TaskInfo};
use tch::Tensor;

/// The sides of a batch's canvas are multiples of this, pixels: the deepest networks halve them five times.
pub const CANVAS_STEP: i64 = 32;

/// The largest number and the largest side of screening samples.
const LARGEST_SCREENING: usize = 1024;

/// Checks the number and the side of requested screening samples: 1 to 1024 samples of 2x2 to 1024x1024.
///
/// # Errors
/// Names both numbers where one is out of range.
pub fn check_screening(request: &ScreeningRequest) -> Result<()> {
    let (samples, size, most) = (request.samples, request.size, LARGEST_SCREENING);
    if (1..=most).contains(&samples) && (2..=most).contains(&size) {
        return Ok(());
    }
    Err(format!(
        "{samples} screening samples of {size}x{size} were asked for, expected 1 to {most} samples of \
         2x2 to {most}x{most}"
    )
    .into())
}

/// The number of classes of a task, background included: its attribute `num_classes`, 2 to `most`.
///
/// # Errors
/// A missing attribute, or another number.
pub fn num_classes(task: &TaskInfo, most: i64) -> Result<i64> {
    let classes = task.whole("num_classes")?;
    if (2..=most).contains(&classes) {
        return Ok(classes);
    }
    Err(format!("{classes} classes, expected 2 to {most}").into())
}

/// Height and width of images (N, 3, H, W) that a network is given, pixels.
///
/// # Errors
/// Names the network and the shape where it is another, or where a side is not a multiple of `step`.
pub fn image_sides(network: &str, image: &Tensor, step: i64) -> Result<[i64; 2]> {
    match image.size()[..] {
        [n, 3, h, w] if n > 0 && h > 0 && w > 0 && h % step == 0 && w % step == 0 => Ok([h, w]),
        ref shape => Err(format!(
            "network '{network}': image has shape {shape:?}, expected (N, 3, H, W) with H and W \
             multiples of {step}"
        )
        .into()),
    }
}
