//! Settings by name, and the message about names that are not known.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

/// The message about a name that `owner` does not know, with the names of that kind that it does.
///
/// ```
/// use autoloss_vision::unknown_name;
///
/// let message = unknown_name("task 'voc_seg'", "branch", "mask", ["seg"]);
/// assert_eq!(message, "task 'voc_seg' has no branch 'mask' (there is: seg)");
/// ```
#[must_use]
pub fn unknown_name<'a>(
    owner: impl Display,
    kind: &str,
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let known = match known[..] {
        [] => "there are none".to_owned(),
        [one] => format!("there is: {one}"),
        _ => format!("there are: {}", known.join(", ")),
    };
    format!("{owner} has no {kind} '{given}' ({known})")
}

/// Hands every setting of `owner` to `set`, which answers whether it knows its name.
///
/// # Errors
/// Those of `set`, or the message about a setting that is not among the `known` ones.
pub fn read_settings(
    owner: impl Display,
    known: &[&str],
    named: &BTreeMap<String, Value>,
    mut set: impl FnMut(Setting) -> Result<bool, String>,
) -> Result<(), String> {
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

    /// A text.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn text(self, expected: &str) -> Result<String, String> {
        self.found(self.value.as_str().map(str::to_owned), expected)
    }

    fn found<T>(self, found: Option<T>, expected: &str) -> Result<T, String> {
        let Self { name, value } = self;
        found.ok_or_else(|| format!("setting '{name}' is {value}, expected {expected}"))
    }
}
