//! Names that nothing goes by.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longer lists of known names are left out of the sentence.
const LISTED: usize = 32;

/// A name that was given and is not known.
///
/// Errors have it as their source, so that whoever prints them can compute from its values what was
/// probably meant. The sentence continues that of an error: 'the task has no branch 'x' (there are: y)'.
///
/// ```
/// use autoloss_spec::UnknownName;
///
/// let unknown = UnknownName::new("score", "miou", ["mIoU", "accuracy"]);
/// assert_eq!(unknown.to_string(), "no score 'miou' (there are: mIoU, accuracy)");
/// let unknown = UnknownName::new("setting", "depth", [""; 0]);
/// assert_eq!(unknown.to_string(), "no setting 'depth' (there are none)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("no {kind} '{given}'{}", listed(.known))]
pub struct UnknownName {
    /// What was to be named, in the singular: a task, a score, a key.
    pub kind: String,
    /// The name given.
    pub given: String,
    /// Every name there is, in the order to list them.
    pub known: Vec<String>,
}

impl UnknownName {
    /// A name of some kind and those that are known.
    #[must_use]
    pub fn new(
        kind: impl Into<String>,
        given: impl Into<String>,
        known: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            kind: kind.into(),
            given: given.into(),
            known: known.into_iter().map(Into::into).collect(),
        }
    }
}

fn listed(known: &[String]) -> String {
    match known.len() {
        0 => " (there are none)".to_owned(),
        1..=LISTED => format!(" (there are: {})", known.join(", ")),
        _ => String::new(),
    }
}
