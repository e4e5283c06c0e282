//! The samples of a folder: where their two files are and how they become a picture with labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classes::Colours;
use crate::codec::{LabelMap, decode_coloured_labels, decode_labels, decode_photograph};
use crate::data::disk::bytes_of;
use crate::data::hold_out::assign;
use crate::resize::reduced;
use crate::{LabelledImage, Split, VOID, VisionError};

/// Cityscapes' raw ids of its evaluated classes, in their order.
const EVALUATED_IDS: [u8; 19] = [
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
];

/// Cityscapes' highest raw id.
const LAST_ID: u8 = 33;

/// Checks that every label is a class, 0 to `num_classes - 1`, or void. `labels` has rows of `width`
/// pixels; `file` is for the message.
///
/// # Errors
/// [`VisionError::Label`] with the first other label, where it is and how often it occurs.
///
/// ```
/// use autoloss_vision::folder::check_labels;
/// use std::path::Path;
///
/// assert!(check_labels(&[0, 1, 255, 1], 2, 2, Path::new("m.png")).is_ok());
/// let error = check_labels(&[0, 1, 2, 1], 2, 2, Path::new("m.png")).unwrap_err();
/// assert!(error.to_string().contains("label 2 in 1 pixels, first at row 1, column 0"));
/// ```
pub fn check_labels(
    labels: &[u8],
    width: usize,
    num_classes: usize,
    file: &Path,
) -> Result<(), VisionError> {
    let wrong = |label: u8| usize::from(label) >= num_classes && label != VOID;
    let Some(first) = labels.iter().position(|&label| wrong(label)) else {
        return Ok(());
    };
    let label = labels[first];
    let width = width.max(1);
    Err(VisionError::Label {
        file: file.to_owned(),
        label,
        count: labels.iter().filter(|&&other| other == label).count(),
        row: first / width,
        column: first % width,
        num_classes,
    })
}

/// The meaning of a mask's values.
#[derive(Clone, Debug)]
pub(super) enum Coding {
    /// They are classes or void.
    Classes,
    /// Their colours are those of classes or of void.
    Colours(Arc<Colours>),
    /// They are Cityscapes' raw ids, which become classes when they are read.
    CityscapesIds,
}

/// The files of a sample.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) photograph: PathBuf,
    pub(super) mask: PathBuf,
    pub(super) coding: Coding,
}

impl Entry {
    /// The mask alone: classes and void.
    pub(super) fn mask(&self, num_classes: usize) -> Result<LabelMap, VisionError> {
        let bytes = bytes_of(&self.mask)?;
        let mask = match &self.coding {
            Coding::Classes => decode_labels(&bytes, &self.mask)?,
            Coding::Colours(colours) => decode_coloured_labels(&bytes, colours, &self.mask)?,
            Coding::CityscapesIds => {
                let mut mask = decode_labels(&bytes, &self.mask)?;
                train_ids(&mut mask, &self.mask)?;
                mask
            }
        };
        check_labels(&mask.labels, mask.width, num_classes, &self.mask)?;
        Ok(mask)
    }

    pub(super) fn read(
        &self,
        num_classes: usize,
        longest: Option<usize>,
    ) -> Result<LabelledImage, VisionError> {
        let mut photograph = decode_photograph(&bytes_of(&self.photograph)?, &self.photograph)?;
        let mask = self.mask(num_classes)?;
        // Where only the stored size is the mask's, it was drawn over the stored pixels.
        if photograph.upright_size() == (mask.height, mask.width) {
            photograph = photograph.upright();
        }
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
        let sample = LabelledImage::new(height, width, photograph.rgb, mask.labels)?;
        match longest {
            Some(longest) => reduced(sample, longest),
            None => Ok(sample),
        }
    }
}

/// Turns raw ids into classes, all others into void.
fn train_ids(mask: &mut LabelMap, file: &Path) -> Result<(), VisionError> {
    let last = usize::from(LAST_ID) + 1;
    check_labels(&mask.labels, mask.width, last, file)?;
    let mut table = [VOID; 256];
    for (class, id) in (0u8..).zip(EVALUATED_IDS) {
        table[usize::from(id)] = class;
    }
    for label in &mut mask.labels {
        *label = table[usize::from(*label)];
    }
    Ok(())
}

/// The samples of the four splits, what was noticed on the way, and what was skipped.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    splits: [Vec<Entry>; 4],
    pub(super) notes: Vec<String>,
    pub(super) skipped: Vec<String>,
}

impl Contents {
    pub(super) fn of(&self, split: Split) -> &[Entry] {
        &self.splits[split as usize]
    }

    pub(super) fn add(&mut self, split: Split, entries: Vec<Entry>) {
        self.splits[split as usize].extend(entries);
    }

    /// Has every mask read in another way.
    pub(super) fn code(&mut self, coding: &Coding) {
        for entry in self.splits.iter_mut().flatten() {
            entry.coding = coding.clone();
        }
    }

    /// Adds training entries, the shares of other splits to those.
    pub(super) fn hold_out(&mut self, entries: Vec<Entry>, shares: &[(Split, f64)]) {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let splits = assign(&names, shares);
        for (entry, split) in entries.into_iter().zip(splits) {
            self.splits[split as usize].push(entry);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.splits.iter().all(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_ids_become_classes_or_void() {
        let ids = vec![0, 7, 8, 9, 26, 33, 255];
        let mut mask = LabelMap {
            height: 1,
            width: 7,
            labels: ids,
        };
        train_ids(&mut mask, Path::new("m.png")).unwrap();
        let car = 13;
        assert_eq!(super::super::classes::CITYSCAPES_CLASSES[car], "car");
        assert_eq!(mask.labels, [255, 0, 1, 255, car as u8, 18, 255]);
        mask.labels[2] = 34;
        assert!(train_ids(&mut mask, Path::new("m.png")).is_err());
    }
}
