//! Settings by name, and errors about names that are not known.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use autoloss_spec::UnknownName;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why something that a user named was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NamedError {
    /// Nothing goes by the name.
    #[error("{owner} has {name}")]
    Unknown {
        /// Who was to know it: a task or a network with its name.
        owner: String,
        /// The name, with those that are known.
        #[source]
        name: UnknownName,
    },
    /// A value does not fit; a sentence.
    #[error("{0}")]
    Value(String),
}

impl From<String> for NamedError {
    fn from(sentence: String) -> Self {
        Self::Value(sentence)
    }
}

/// An error about what lies at a place on disk.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct ErrorAt {
    /// The place.
    pub path: PathBuf,
    /// What is wrong there.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The error about a name that `owner` does not know, with the names of that kind that it does.
///
/// ```
/// use autoloss_vision::unknown_name;
///
/// let error = unknown_name("task 'voc_seg'", "branch", "mask", ["seg"]);
/// assert_eq!(error.to_string(), "task 'voc_seg' has no branch 'mask' (there are: seg)");
/// ```
#[must_use]
pub fn unknown_name<'a>(
    owner: impl Display,
    kind: &str,
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> NamedError {
    NamedError::Unknown {
        owner: owner.to_string(),
        name: UnknownName::new(kind, given, known),
    }
}

/// Hands every setting of `owner` to `set`, which answers whether it knows its name.
///
/// # Errors
/// Those of `set`, or the error about a setting that is not among the `known` ones.
pub fn read_settings(
    owner: impl Display,
    known: &[&str],
    named: &BTreeMap<String, Value>,
    mut set: impl FnMut(Setting) -> Result<bool, String>,
) -> Result<(), NamedError> {
    for (name, value) in named {
        if !set(Setting { name, value })? {
            return Err(unknown_name(owner, "setting", name, known.iter().copied()));
        }
    }
    Ok(())
}

/// A named value that a user wrote. Errors say in the user's words what it should have been.
///
/// ```
/// use autoloss_vision::Setting;
/// use serde_json::json;
///
/// let value = json!(3.5);
/// let setting = Setting::new("size", &value);
/// assert_eq!(setting.number(0.0..=4.0), Ok(3.5));
/// let wrong = setting.whole(1..=9, "pixels").unwrap_err();
/// assert_eq!(wrong, "setting 'size' is 3.5, expected 1 to 9 pixels");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    name: &'a str,
    value: &'a Value,
}

impl<'a> Setting<'a> {
    /// A value under its name.
    #[must_use]
    pub fn new(name: &'a str, value: &'a Value) -> Self {
        Self { name, value }
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.name
    }

    /// The value as it was written.
    #[must_use]
    pub fn value(self) -> &'a Value {
        self.value
    }

    /// A whole number of the range, counted in `unit`.
    ///
    /// # Errors
    /// The setting, its value and the values that it may have; so with the others.
    pub fn whole(self, range: RangeInclusive<usize>, unit: &str) -> Result<usize, String> {
        let expected = format!("{} to {} {unit}", range.start(), range.end());
        self.whole_where(|found| range.contains(&found), &expected)
    }

    /// A whole number from 0 that is `good`.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn whole_where(
        self,
        good: impl Fn(usize) -> bool,
        expected: &str,
    ) -> Result<usize, String> {
        let found = self.value.as_u64();
        let found = found.and_then(|found| usize::try_from(found).ok());
        self.found(found.filter(|found| good(*found)), expected)
    }

    /// A number of the range.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn number(self, range: RangeInclusive<f64>) -> Result<f64, String> {
        let expected = format!("{} to {}", range.start(), range.end());
        self.number_where(|found| range.contains(&found), &expected)
    }

    /// A number that is `good`.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn number_where(self, good: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
        self.found(self.value.as_f64().filter(|found| good(*found)), expected)
    }

    /// True or false.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn switch(self) -> Result<bool, String> {
        self.found(self.value.as_bool(), "true or false")
    }

    /// A text. A whole number is the text of its digits: on a command line `2012` is not marked as either.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn text(self, expected: &str) -> Result<String, String> {
        let text = self.value.as_str().map(str::to_owned);
        let digits = || self.value.as_u64().map(|number| number.to_string());
        self.found(text.or_else(digits), expected)
    }

    /// One of the values of an enum, by its name.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn variant<T: DeserializeOwned>(self, expected: &str) -> Result<T, String> {
        self.found(T::deserialize(self.value).ok(), expected)
    }

    fn found<T>(self, found: Option<T>, expected: &str) -> Result<T, String> {
        let Self { name, value } = self;
        found.ok_or_else(|| format!("setting '{name}' is {value}, expected {expected}"))
    }
}
