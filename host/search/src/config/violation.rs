//! Range checks that collect sentences, so that one look at a message repairs a whole file.

use std::fmt::{self, Debug, Display};
use std::ops::RangeInclusive;

use autoloss_spec::UnknownName;
use thiserror::Error;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML, or a value has the wrong type.
    #[error("{place}{message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong there.
        message: String,
    },
    /// A name that is not a section, a key, or a value of its key.
    #[error("{}{holder} has {name}", .place.as_ref().map(ToString::to_string).unwrap_or_default())]
    Unknown {
        /// Where, if in a file.
        place: Option<Box<Place>>,
        /// The section or key that the name was looked for in.
        holder: String,
        /// The name.
        #[source]
        name: UnknownName,
    },
    /// Values that do not fit their ranges, or each other.
    #[error("{}{}", .origin.as_ref().map(|file| format!("{file}: ")).unwrap_or_default(), join(.violations))]
    Invalid {
        /// The file, where the configuration came from one.
        origin: Option<String>,
        /// Every violation, in the order of the keys.
        violations: Vec<Violation>,
    },
    /// A value has no TOML form, or TOML holds a number that is too large for its key.
    #[error("the configuration cannot be converted: {reason}")]
    Unwritable {
        /// What the converter said.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn syntax(origin: &str, text: &str, error: &toml::de::Error) -> Self {
        Self::Syntax {
            place: Place::new(origin, text, error.span().map_or(0, |span| span.start)),
            message: error
                .message()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    pub(super) fn at(self, file: &str) -> Self {
        match self {
            Self::Invalid { violations, .. } => Self::Invalid {
                origin: Some(file.into()),
                violations,
            },
            other => other,
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the caller named it.
    pub origin: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte of a file's text.
    pub(super) fn new(origin: &str, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            origin: origin.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.origin, self.line, self.column)
    }
}

/// One key whose value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted path, such as `evolution.population`.
    pub key: String,
    /// A sentence without its full stop, beginning with the key.
    pub sentence: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

fn join(violations: &[Violation]) -> String {
    let sentences: Vec<_> = violations.iter().map(|v| v.sentence.as_str()).collect();
    sentences.join("; ")
}

/// Collects violations.
#[derive(Default)]
pub(super) struct Checker {
    violations: Vec<Violation>,
}

impl Checker {
    /// The value must lie in the closed range; NaN lies in none.
    pub(super) fn range<T: PartialOrd + Debug + Copy>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            let (low, high) = (range.start(), range.end());
            self.say(
                key,
                format!("is {value:?} but must lie in {low:?} to {high:?}"),
            );
        }
    }

    /// The value must be finite, above zero and at most `high`.
    pub(super) fn positive(&mut self, key: &str, value: f64, high: f64) {
        if !(value > 0.0 && value <= high) {
            self.say(
                key,
                format!("is {value:?} but must be above 0 and at most {high:?}"),
            );
        }
    }

    pub(super) fn holds(&mut self, key: &str, holds: bool, rest: impl Display) {
        if !holds {
            self.say(key, rest);
        }
    }

    fn say(&mut self, key: &str, rest: impl Display) {
        self.violations.push(Violation {
            key: key.to_owned(),
            sentence: format!("{key} {rest}"),
        });
    }

    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.violations.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Invalid {
            origin: None,
            violations: self.violations,
        })
    }
}
