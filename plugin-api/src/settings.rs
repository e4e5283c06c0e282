//! Settings that a user chose for one task or one network, such that none is chosen in vain.

use crate::{Error, Result, UnknownName};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Settings by name, from `[task]` or `[network]` of the configuration or from `--set task.NAME=VALUE`.
///
/// A setting that nobody asks for while its task is opened or its network is built is an error, with the names that
/// were asked for: a misspelt one would otherwise change nothing, without a word.
///
/// ```
/// use autoloss_plugin_api::Settings;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(default)]
/// struct Own {
///     side: usize,
///     flip: bool,
/// }
/// impl Default for Own {
///     fn default() -> Self {
///         Self { side: 64, flip: true }
///     }
/// }
///
/// let settings = Settings::from([("side".to_owned(), 32.into())]);
/// let own: Own = settings.read()?;
/// assert_eq!((own.side, own.flip), (32, true));
///
/// let misspelt = Settings::from([("sied".to_owned(), 32.into())]);
/// let error = misspelt.read::<Own>().err().unwrap();
/// assert_eq!(error.to_string(), "no setting 'sied' (there are: side, flip)");
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings {
    values: BTreeMap<String, Value>,
    /// Names that were asked for, in the order they were; a clone's too.
    #[serde(skip)]
    asked: Arc<Mutex<Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    names: BTreeSet<String>,
    all: bool,
}

impl Settings {
    /// A setting, where the user chose one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.asked(|asked| asked.names.insert(name.to_owned()));
        self.values.get(name)
    }

    /// All of them. Whoever asks for all is to refuse what it does not know, as with [`UnknownName`].
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, Value> {
        self.asked(|asked| asked.all = true);
        &self.values
    }

    /// All of them as a struct, best with `#[serde(default)]`, so that each may be left out.
    ///
    /// # Errors
    /// A name other than those of the struct's fields, or a value that does not fit, with its name.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        if let Some(fields) = fields_of::<T>() {
            let mut names = self.values.keys();
            if let Some(unknown) = names.find(|name| !fields.contains(&name.as_str())) {
                return Err(Box::new(UnknownName::new(
                    "setting",
                    unknown,
                    fields.iter().copied(),
                )));
            }
        }
        let values = self.all().clone().into_iter().collect();
        serde_json::from_value(Value::Object(values)).map_err(|error| {
            // Only one at a time tells which.
            let wrong = self.values.iter().find_map(|(name, value)| {
                let alone = [(name.clone(), value.clone())].into_iter().collect();
                let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
                (!error.to_string().starts_with("missing field"))
                    .then(|| Error::from(format!("setting '{name}' is {value}: {error}")))
            });
            wrong.unwrap_or_else(|| error.into())
        })
    }

    /// The first setting that nobody asked for, with those that were.
    pub(crate) fn in_vain(&self) -> Option<UnknownName> {
        self.asked(|asked| {
            let mut names = self.values.keys().filter(|_| !asked.all);
            let name = names.find(|name| !asked.names.contains(*name))?;
            Some(UnknownName::new(
                "setting",
                name,
                asked.names.iter().cloned(),
            ))
        })
    }

    fn asked<T>(&self, work: impl FnOnce(&mut Asked) -> T) -> T {
        work(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl From<BTreeMap<String, Value>> for Settings {
    fn from(values: BTreeMap<String, Value>) -> Self {
        Self {
            values,
            asked: Arc::default(),
        }
    }
}

impl<const N: usize> From<[(String, Value); N]> for Settings {
    fn from(settings: [(String, Value); N]) -> Self {
        Self::from(BTreeMap::from(settings))
    }
}

impl FromIterator<(String, Value)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(settings: I) -> Self {
        Self::from(BTreeMap::from_iter(settings))
    }
}

/// The fields that a struct is read from, with their aliases; None of what is no plain struct.
fn fields_of<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    // Reading ends where the fields are known.
    drop(T::deserialize(Fields(&mut fields)));
    fields
}

struct Fields<'a>(&'a mut Option<&'static [&'static str]>);

#[derive(Debug)]
struct Seen;

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the fields are known")
    }
}

impl std::error::Error for Seen {}

impl de::Error for Seen {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Seen;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Seen> {
        *self.0 = Some(fields);
        Err(Seen)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Own {
        side: usize,
        #[serde(alias = "mirror")]
        flip: bool,
    }

    fn of(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_nobody_asked_for_was_chosen_in_vain() {
        let settings = of(json!({"side": 3, "sied": 4}));
        assert_eq!(settings.get("side"), Some(&json!(3)));
        let clone = settings.clone();
        assert_eq!(clone.get("depth"), None);
        let unknown = settings.in_vain().unwrap();
        assert_eq!(
            unknown.to_string(),
            "no setting 'sied' (there are: depth, side)"
        );
        assert_eq!(clone.all().len(), 2);
        assert!(settings.in_vain().is_none());
        assert!(of(json!({})).in_vain().is_none());
    }

    #[test]
    fn a_struct_is_read_with_its_names_alone() {
        let own: Own = of(json!({"mirror": true})).read().unwrap();
        assert_eq!(
            own,
            Own {
                side: 0,
                flip: true
            }
        );
        let said = |value| of(value).read::<Own>().unwrap_err().to_string();
        let unknown = said(json!({"side": 1, "colour": 2}));
        assert!(unknown.starts_with("no setting 'colour'"), "{unknown}");
        let wrong = said(json!({"flip": false, "side": -1}));
        assert!(
            wrong.starts_with("setting 'side' is -1: invalid value"),
            "{wrong}"
        );
        let read = of(json!({"side": 1}));
        read.read::<Own>().unwrap();
        assert!(read.in_vain().is_none());
    }
}
