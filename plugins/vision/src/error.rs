//! One error type for the crate; every variant carries the values that did not fit.

use crate::Split;

/// What can go wrong with pictures, scenes and metrics.
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
}
