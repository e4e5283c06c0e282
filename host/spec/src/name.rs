//! Names that formulas and tables can contain.

use crate::SpecError;
use serde::{Deserialize, Serialize};
use std::fmt;

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
