//! One sample: the two files and how they become a picture with labels.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::check_labels;
use super::cityscapes::train_ids;
use crate::codec::{MAX_PIXELS, decode_labels, decode_photograph};
use crate::resize::reduced;
use crate::{LabelledImage, VisionError};

/// No picture of [`MAX_PIXELS`] needs more; a longer file is not read into memory.
const MAX_BYTES: u64 = 4 * MAX_PIXELS as u64;

/// What the values of a mask mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// They are classes or void.
    Classes,
    /// They are Cityscapes' raw ids.
    CityscapesIds,
}

/// Where a sample is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) photograph: PathBuf,
    pub(super) mask: PathBuf,
    pub(super) coding: Coding,
}

impl Entry {
    pub(super) fn read(
        &self,
        num_classes: usize,
        longest: Option<usize>,
    ) -> Result<LabelledImage, VisionError> {
        let photograph = decode_photograph(&bytes_of(&self.photograph)?, &self.photograph)?;
        let mut mask = decode_labels(&bytes_of(&self.mask)?, &self.mask)?;
        let (height, width) = (photograph.height, photograph.width);
        if (mask.height, mask.width) != (height, width) {
            return Err(VisionError::MaskSize {
                photograph: self.photograph.clone(),
                height,
                width,
                mask: self.mask.clone(),
                mask_height: mask.height,
                mask_width: mask.width,
            });
        }
        if self.coding == Coding::CityscapesIds {
            train_ids(&mut mask, &self.mask)?;
        }
        check_labels(&mask.labels, width, num_classes, &self.mask)?;
        let sample = LabelledImage::new(height, width, photograph.rgb, mask.labels)?;
        match longest {
            Some(longest) => reduced(sample, longest),
            None => Ok(sample),
        }
    }
}

/// The contents of a file, unless it is too long to be a picture.
pub(crate) fn bytes_of(file: &Path) -> Result<Vec<u8>, VisionError> {
    let failed = |problem: String| VisionError::File {
        action: "read",
        file: file.to_owned(),
        problem,
    };
    let length = fs::metadata(file)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if length > MAX_BYTES {
        return Err(failed(format!(
            "it has {length} bytes, more than the {MAX_BYTES} of the largest picture"
        )));
    }
    fs::read(file).map_err(|error| failed(error.to_string()))
}
