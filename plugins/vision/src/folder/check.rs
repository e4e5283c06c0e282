//! Labels that are no class.

use std::path::Path;

use crate::{VOID, VisionError};

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
