//! Names: those that formulas and tables can contain, and those that nothing goes by.

use crate::SpecError;
use serde::{Deserialize, Serialize};
use std::fmt;
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

/// Name of a branch: letters, digits and underscores, not starting with a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`SpecError::Name`].
    pub fn new(name: impl Into<String>) -> Result<Self, SpecError> {
        let name = name.into();
        match is_identifier(&name) {
            true => Ok(Self(name)),
            false => Err(SpecError::Name(name)),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BranchName {
    type Error = SpecError;

    fn try_from(name: String) -> Result<Self, SpecError> {
        Self::new(name)
    }
}

impl From<BranchName> for String {
    fn from(name: BranchName) -> Self {
        name.0
    }
}

/// Letters, digits and underscores, not starting with a digit.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
