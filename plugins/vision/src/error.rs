//! One error type for the crate; every variant carries the values that did not fit.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::Split;

/// An error of pictures, scenes, data sets or metrics.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// A file of the embedded pack cannot be read or contradicts the others.
    #[error("the embedded pack is damaged: {file}: {problem}")]
    Pack {
        /// The file's name inside the pack.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A split of the pack has no item of a class, or no background.
    #[error("the pack's {split} split has no {missing}")]
    EmptySplit {
        /// The split.
        split: Split,
        /// What it lacks.
        missing: String,
    },
    /// A configuration value is out of range.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// Its value.
        found: String,
        /// The values it may have.
        expected: &'static str,
    },
    /// A buffer does not hold as many values as its height and width say.
    #[error("{what} has {found} values, expected {expected} for {height}x{width} pixels")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that height and width ask for.
        expected: usize,
        /// Rows, pixels.
        height: usize,
        /// Columns, pixels.
        width: usize,
    },
    /// The number of classes is zero or too large for a confusion matrix.
    #[error("{found} classes, expected 1 to {max}")]
    ClassCount {
        /// The number asked for.
        found: usize,
        /// The largest number supported.
        max: usize,
    },
    /// Two accumulators cannot be added up: they count differently.
    #[error("cannot add up {what}: {left} and {right}")]
    Merge {
        /// What differs.
        what: &'static str,
        /// Its value on the left.
        left: String,
        /// Its value on the right.
        right: String,
    },
    /// A score was asked for although no pixel had a class.
    #[error("no pixel has a class, so there is no score")]
    NothingLabelled,
    /// The operating system refused a file or folder.
    #[error("cannot {action} {}: {problem}", file.display())]
    File {
        /// What was tried: list, read, write, create, rename.
        action: &'static str,
        /// The file or folder.
        file: PathBuf,
        /// The system's answer.
        problem: String,
    },
    /// A picture file holds no picture that can be used.
    #[error("cannot decode {}: {problem}", file.display())]
    Decode {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A picture cannot be stored in a file format.
    #[error("cannot encode a picture of {height}x{width} pixels: {problem}")]
    Encode {
        /// Rows, pixels.
        height: usize,
        /// Columns, pixels.
        width: usize,
        /// Why not.
        problem: String,
    },
    /// A photograph and its mask have different sizes.
    #[error(
        "{} has {mask_height}x{mask_width} pixels but its photograph {} has {height}x{width}; labels \
         must lie pixel on pixel",
        mask.display(),
        photograph.display()
    )]
    MaskSize {
        /// The photograph's file.
        photograph: PathBuf,
        /// Rows of the photograph, pixels.
        height: usize,
        /// Columns of the photograph, pixels.
        width: usize,
        /// The mask's file.
        mask: PathBuf,
        /// Rows of the mask, pixels.
        mask_height: usize,
        /// Columns of the mask, pixels.
        mask_width: usize,
    },
    /// A label is neither a class nor void.
    #[error(
        "{} has label {label} in {count} pixels, first at row {row}, column {column}; expected 0 to {} \
         or 255 (void): correct the mask or the list of classes",
        file.display(),
        num_classes - 1
    )]
    Label {
        /// The mask's file, or the sample's name where it comes from no file.
        file: PathBuf,
        /// The label that occurs first.
        label: u8,
        /// How many pixels have it.
        count: usize,
        /// Its first row, from 0.
        row: usize,
        /// Its first column, from 0.
        column: usize,
        /// The number of classes.
        num_classes: usize,
    },
    /// A line of a list of names cannot be used.
    #[error("{}, line {line}: {problem}", file.display())]
    List {
        /// The list.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder is not a data set that can be read, or not one that can be written.
    #[error("{}: {problem}", folder.display())]
    Folder {
        /// The folder or the file in it.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A sample was asked for that the split does not have.
    #[error("the {split} split has {len} samples, so there is no sample {index}")]
    NoSample {
        /// The split.
        split: Split,
        /// The index asked for, from 0.
        index: usize,
        /// The number of samples.
        len: usize,
    },
    /// Every sample of a split was skipped.
    #[error("no sample of split '{split}' can be read")]
    NothingReadable {
        /// The split.
        split: Split,
    },
}

impl VisionError {
    /// [`VisionError::Folder`] about a folder or a file in it.
    pub(crate) fn folder(folder: &Path, problem: impl Into<String>) -> VisionError {
        VisionError::Folder {
            folder: folder.to_owned(),
            problem: problem.into(),
        }
    }

    /// [`VisionError::File`] with the system's answer.
    pub(crate) fn file(action: &'static str, file: &Path, problem: &dyn Display) -> VisionError {
        VisionError::File {
            action,
            file: file.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// Ok where a configuration value is good, [`VisionError::Config`] where it is not.
    pub(crate) fn check(
        field: &'static str,
        found: String,
        good: bool,
        expected: &'static str,
    ) -> Result<(), VisionError> {
        if good {
            return Ok(());
        }
        Err(VisionError::Config {
            field,
            found,
            expected,
        })
    }
}
