//! Settings by name, as a configuration holds them.

use serde_json::Value;

/// A named value that a user wrote. What it should have been is said in the user's words.
///
/// ```
/// use autoloss_vision::Setting;
/// use serde_json::json;
///
/// let value = json!(3.5);
/// let setting = Setting::new("size", &value);
/// assert_eq!(setting.number(|found| found > 0.0, "over 0"), Ok(3.5));
/// let wrong = setting.whole(|_| true, "a whole number").unwrap_err();
/// assert_eq!(wrong, "setting 'size' is 3.5, expected a whole number");
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

    /// A whole number from 0 that is `good`.
    ///
    /// # Errors
    /// The setting, its value and what was `expected`; so with the others.
    pub fn whole(self, good: impl Fn(usize) -> bool, expected: &str) -> Result<usize, String> {
        let found = self
            .value
            .as_u64()
            .and_then(|found| usize::try_from(found).ok());
        self.found(found.filter(|found| good(*found)), expected)
    }

    /// A number that is `good`.
    ///
    /// # Errors
    /// As [`Setting::whole`].
    pub fn number(self, good: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
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
