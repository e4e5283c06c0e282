//! The keys of a configuration, and a configuration made key by key.
//!
//! The list is read off the structs: names, types and descriptions come from their JSON Schema, which is
//! derived from the same declarations as serde's code, and values from the default configuration. It needs
//! no upkeep.
//!
//! ```
//! use autoloss_search::{ConfigKey, KeyKind};
//!
//! let keys = ConfigKey::all();
//! let steps = keys.iter().find(|key| key.path == "screening.steps").unwrap();
//! assert_eq!(steps.kind, KeyKind::Integer);
//! assert_eq!(steps.default, Some(500.into()));
//! assert!(steps.description.starts_with("Steps of gradient descent"));
//! ```

use std::fmt;
use std::sync::LazyLock;

use autoloss_spec::UnknownName;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::SearchConfig;
use super::violation::{ConfigError, Place, Violation};

/// Sections and keys of earlier versions, each with the name that it has now. serde reads the old names
/// as aliases.
const RENAMED: [(&str, &str); 3] = [
    (
        "evolution.attempts_per_parent",
        "evolution.proposals_per_parent",
    ),
    ("evolution.max_attempts", "evolution.max_proposals"),
    ("proxy.hopeless", "proxy.pruning"),
];

/// One key of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigKey {
    /// Dotted path, such as `evolution.population`.
    pub path: String,
    /// Which values it takes.
    pub kind: KeyKind,
    /// The default value; None where the key is absent by default.
    pub default: Option<Value>,
    /// What the value means, with its range, in one line.
    pub description: String,
}

/// Which values a key takes; ranges are checked by [`SearchConfig::validate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// true or false.
    Boolean,
    /// A whole number, 0 or more.
    Integer,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list of whole numbers.
    Integers,
    /// A list of texts.
    Texts,
    /// One of these texts.
    Choice(Vec<String>),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Integers => "a list of whole numbers",
            Self::Texts => "a list of texts",
            Self::Choice(choices) => return f.write_str(&choices.join(", ")),
        })
    }
}

impl ConfigKey {
    /// Every key there is, section by section.
    #[must_use]
    pub fn all() -> &'static [ConfigKey] {
        static KEYS: LazyLock<Vec<ConfigKey>> = LazyLock::new(|| {
            let settings = SchemaSettings::default().with(|settings| {
                settings.inline_subschemas = true;
            });
            let schema = settings
                .into_generator()
                .into_root_schema_for::<SearchConfig>();
            let defaults = Table::try_from(SearchConfig::default()).unwrap_or_default();
            let mut keys = Vec::new();
            collect("", schema.as_value(), Some(&defaults), &mut keys);
            keys
        });
        &KEYS
    }

    /// The key of a path, or of the path it had in an earlier version.
    fn find(path: &str) -> Option<&'static ConfigKey> {
        let path = current(path);
        Self::all().iter().find(|key| key.path == path)
    }

    /// The value as this key takes it; a whole number serves as a number.
    fn accept(&self, value: Value) -> Result<Value, ConfigError> {
        let fits = match (&self.kind, &value) {
            (KeyKind::Number, Value::Integer(whole)) => return Ok(Value::Float(*whole as f64)),
            (KeyKind::Choice(choices), Value::String(given)) => {
                if choices.contains(given) {
                    return Ok(value);
                }
                return Err(ConfigError::Unknown {
                    place: None,
                    holder: self.path.clone(),
                    name: UnknownName::new("value", given, choices),
                });
            }
            (KeyKind::Boolean, Value::Boolean(_))
            | (KeyKind::Number, Value::Float(_))
            | (KeyKind::Text, Value::String(_)) => true,
            (KeyKind::Integer, value) => is_whole(value),
            (KeyKind::Integers, Value::Array(values)) => values.iter().all(is_whole),
            (KeyKind::Texts, Value::Array(values)) => values.iter().all(Value::is_str),
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let (key, kind) = (&self.path, &self.kind);
        Err(ConfigError::Invalid {
            origin: None,
            violations: vec![Violation {
                key: key.clone(),
                sentence: format!("{key} is {value} but must be {kind}"),
            }],
        })
    }
}

fn is_whole(value: &Value) -> bool {
    value.as_integer().is_some_and(|whole| whole >= 0)
}

/// The path that a path of an earlier version has now.
fn current(path: &str) -> String {
    let renamed = RENAMED.iter().find_map(|(old, new)| {
        let rest = path.strip_prefix(old)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{new}{rest}"))
    });
    renamed.unwrap_or_else(|| path.to_owned())
}

fn joined(section: &str, name: &str) -> String {
    match section {
        "" => name.to_owned(),
        _ => format!("{section}.{name}"),
    }
}

/// Adds the keys that a schema describes.
fn collect(path: &str, schema: &Json, default: Option<&Table>, keys: &mut Vec<ConfigKey>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, schema) in properties {
        let path = joined(path, name);
        let default = default.and_then(|table| table.get(name));
        if schema["properties"].is_object() {
            collect(&path, schema, default.and_then(Value::as_table), keys);
            continue;
        }
        let description = schema["description"].as_str().unwrap_or_default();
        keys.push(ConfigKey {
            path,
            kind: kind(schema),
            default: default.cloned(),
            description: description.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
}

fn kind(schema: &Json) -> KeyKind {
    if let Some(choices) = schema["oneOf"].as_array() {
        let names = choices.iter().filter_map(|choice| choice["const"].as_str());
        return KeyKind::Choice(names.map(str::to_owned).collect());
    }
    // An optional key has the types of its value and null.
    let types = &schema["type"];
    match types[0].as_str().or(types.as_str()) {
        Some("boolean") => KeyKind::Boolean,
        Some("integer") => KeyKind::Integer,
        Some("number") => KeyKind::Number,
        Some("array") if schema["items"]["type"] == "string" => KeyKind::Texts,
        Some("array") => KeyKind::Integers,
        _ => KeyKind::Text,
    }
}

/// Refuses the first name in a file that is not a section, a key, or a value of its key.
pub(super) fn check_names(origin: &str, text: &str) -> Result<(), ConfigError> {
    let parsed = toml::de::DeTable::parse(text);
    let table = parsed.map_err(|error| ConfigError::syntax(origin, text, &error))?;
    check_table(origin, text, "", table.get_ref())
}

fn check_table(
    origin: &str,
    text: &str,
    section: &str,
    table: &toml::de::DeTable<'_>,
) -> Result<(), ConfigError> {
    use toml::de::DeValue;
    let place = |byte| Some(Box::new(Place::new(origin, text, byte)));
    for (name, value) in table {
        let path = current(&joined(section, name.get_ref()));
        let inside = format!("{path}.");
        let is_section = ConfigKey::all()
            .iter()
            .any(|key| key.path.starts_with(&inside));
        match (value.get_ref(), ConfigKey::find(&path)) {
            (DeValue::Table(table), None) if is_section => {
                check_table(origin, text, &path, table)?;
            }
            // What is no table where a section should be is serde's to refuse.
            (_, None) if is_section => {}
            (DeValue::String(given), Some(key)) => {
                let accepted = key.accept(Value::String(given.to_string()));
                if let Err(ConfigError::Unknown { holder, name, .. }) = accepted {
                    let place = place(value.span().start);
                    return Err(ConfigError::Unknown {
                        place,
                        holder,
                        name,
                    });
                }
            }
            (_, Some(_)) => {}
            (_, None) => {
                return Err(ConfigError::Unknown {
                    place: place(name.span().start),
                    holder: match section {
                        "" => "the top level".to_owned(),
                        _ => format!("section [{section}]"),
                    },
                    name: UnknownName::new("key", &**name.get_ref(), names_in(section)),
                });
            }
        }
    }
    Ok(())
}

/// The keys and sections directly inside a section.
fn names_in(section: &str) -> Vec<&'static str> {
    let inside = joined(section, "");
    let names = ConfigKey::all().iter().filter_map(|key| {
        let rest = key.path.strip_prefix(&*inside)?;
        rest.split('.').next()
    });
    let mut names: Vec<_> = names.collect();
    names.dedup();
    names
}

/// A configuration in the making: the defaults, changed by files and by single keys.
///
/// ```
/// use autoloss_search::ConfigBuilder;
///
/// let mut builder = ConfigBuilder::default();
/// builder.merge("[screening]\nsteps = 99", "run.toml")?;
/// builder.set("screening.learning_rate", 1.into())?;
/// let config = builder.build()?;
/// assert_eq!((config.screening.steps, config.screening.learning_rate), (99, 1.0));
/// # Ok::<(), autoloss_search::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConfigBuilder(Table);

impl Default for ConfigBuilder {
    fn default() -> Self {
        // Every default has a TOML form; a test builds it.
        Self(Table::try_from(SearchConfig::default()).unwrap_or_default())
    }
}

impl ConfigBuilder {
    /// Sets one key by its dotted path.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unknown`] for a path that is not a key or a text that is not a value of it,
    /// [`ConfigError::Invalid`] for a value of another type.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), ConfigError> {
        let Some(key) = ConfigKey::find(path) else {
            let known = ConfigKey::all().iter().map(|key| &key.path);
            return Err(ConfigError::Unknown {
                place: None,
                holder: "the configuration".into(),
                name: UnknownName::new("key", path, known),
            });
        };
        let value = key.accept(value)?;
        let (sections, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
        let mut table = &mut self.0;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else {
                unreachable!("the builder holds no value where a section belongs")
            };
            table = inner;
        }
        table.insert(name.to_owned(), value);
        Ok(())
    }

    /// Sets the keys that a file sets, and returns their paths.
    ///
    /// # Errors
    ///
    /// Those of [`SearchConfig::from_toml`]; the file must be a valid configuration by itself.
    pub fn merge(&mut self, text: &str, origin: &str) -> Result<Vec<String>, ConfigError> {
        SearchConfig::from_toml(text, origin)?;
        let table =
            toml::from_str(text).map_err(|error| ConfigError::syntax(origin, text, &error))?;
        let mut values = Vec::new();
        flatten("", &Value::Table(table), &mut |path, value| {
            values.push((current(path), value.clone()));
        });
        for (path, value) in &values {
            self.set(path, value.clone())?;
        }
        Ok(values.into_iter().map(|(path, _)| path).collect())
    }

    /// The configuration; [`SearchConfig::validate`] checks its ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unwritable`] for a number beyond what its key can hold.
    pub fn build(&self) -> Result<SearchConfig, ConfigError> {
        let config = self.0.clone().try_into();
        config.map_err(|error: toml::de::Error| ConfigError::Unwritable {
            reason: error.message().to_owned(),
        })
    }
}

/// Visits every value that is not a table with its dotted key.
pub fn flatten(path: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Table(table) => {
            for (name, inner) in table {
                flatten(&joined(path, name), inner, visit);
            }
        }
        _ => visit(path, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every dotted path that serde writes of a configuration whose optional keys are set.
    fn written() -> BTreeSet<String> {
        let mut config = SearchConfig::default();
        config.budget.max_explored = Some(1);
        config.budget.max_proxies = Some(1);
        config.budget.max_seconds = Some(1.0);
        config.proxy.budget.clip_norm = Some(1.0);
        config.retrain.budget.clip_norm = Some(1.0);
        config.pool.job_seconds = Some(1.0);
        config.pool.memory_mb = Some(1);
        let mut paths = BTreeSet::new();
        let table = Table::try_from(&config).unwrap();
        flatten("", &Value::Table(table), &mut |path, _| {
            paths.insert(path.to_owned());
        });
        paths
    }

    #[test]
    fn the_keys_are_the_fields_that_serde_knows() {
        let listed: BTreeSet<_> = ConfigKey::all()
            .iter()
            .map(|key| key.path.clone())
            .collect();
        assert_eq!(listed, written());
        assert_eq!(listed.len(), ConfigKey::all().len());
    }

    #[test]
    fn every_key_takes_its_default_and_a_value_of_its_kind_only() {
        for key in ConfigKey::all() {
            let kind = match &key.kind {
                KeyKind::Boolean => true.into(),
                KeyKind::Integer => 1.into(),
                KeyKind::Number => 0.5.into(),
                KeyKind::Text => "text".into(),
                KeyKind::Integers => vec![Value::Integer(1)].into(),
                KeyKind::Texts => vec![Value::String("m=1".into())].into(),
                KeyKind::Choice(choices) => choices[0].as_str().into(),
            };
            for value in key.default.clone().into_iter().chain([kind]) {
                let mut builder = ConfigBuilder::default();
                builder.set(&key.path, value).unwrap();
                builder.build().unwrap();
            }
            let wrong = match &key.kind {
                KeyKind::Boolean => Value::Integer(1),
                KeyKind::Integer => Value::Integer(-1),
                _ => Value::Boolean(true),
            };
            let error = ConfigBuilder::default().set(&key.path, wrong).unwrap_err();
            assert!(error.to_string().starts_with(&key.path), "{error}");
            assert!(!key.description.is_empty(), "{} says nothing", key.path);
        }
    }

    #[test]
    fn every_text_of_a_choice_is_a_variant() {
        for key in ConfigKey::all() {
            if let KeyKind::Choice(choices) = &key.kind {
                assert!(choices.len() > 1, "{} is no choice", key.path);
                for choice in choices {
                    let mut builder = ConfigBuilder::default();
                    builder.set(&key.path, choice.as_str().into()).unwrap();
                    builder.build().unwrap();
                }
            }
        }
    }

    #[test]
    fn unknown_names_come_with_the_known_ones() {
        let unknown = |error: ConfigError| match error {
            ConfigError::Unknown { name, .. } => name,
            other => panic!("{other}"),
        };
        let file = |text| SearchConfig::from_toml(text, "a.toml").unwrap_err();
        let error = file("[screening]\n  stesp = 5");
        assert!(
            error
                .to_string()
                .starts_with("a.toml:2:3: section [screening] has no key 'stesp' (there are: "),
            "{error}"
        );
        assert!(unknown(error).known.contains(&"steps".to_owned()));
        let error = file("sed = 5");
        assert!(
            error
                .to_string()
                .starts_with("a.toml:1:1: the top level has no key 'sed'")
        );
        let error = file("evolution.strategy = 'randon'");
        assert_eq!(
            error.to_string(),
            "a.toml:1:22: evolution.strategy has no value 'randon' (there are: evolution, random)"
        );
        assert_eq!(unknown(error).known, ["evolution", "random"]);
        let error = ConfigBuilder::default().set("steps", 5.into()).unwrap_err();
        assert_eq!(error.to_string(), "the configuration has no key 'steps'");
        assert!(unknown(error).known.contains(&"screening.steps".to_owned()));
    }

    #[test]
    fn names_of_the_last_version_mean_what_they_meant() {
        let old = "[evolution]\nmax_attempts = 9\nattempts_per_parent = 3\n\
                   [proxy.hopeless]\nafter = 0.5\nhistory = 7\n";
        let config = SearchConfig::from_toml(old, "old.toml").unwrap();
        assert_eq!(
            (
                config.evolution.max_proposals,
                config.evolution.proposals_per_parent
            ),
            (9, 3)
        );
        assert_eq!(
            (config.proxy.pruning.after, config.proxy.pruning.history),
            (0.5, 7)
        );
        let mut builder = ConfigBuilder::default();
        let set = builder.merge(old, "old.toml").unwrap();
        assert_eq!(
            set,
            [
                "evolution.proposals_per_parent",
                "evolution.max_proposals",
                "proxy.pruning.after",
                "proxy.pruning.history"
            ]
        );
        assert_eq!(builder.build().unwrap(), config);
        builder.set("proxy.hopeless.after", 0.75.into()).unwrap();
        assert_eq!(builder.build().unwrap().proxy.pruning.after, 0.75);
    }
    /// The page of all keys, as docs/configuration.md has it.
    fn page() -> String {
        let mut page = String::from(
            "# The configuration\n\n\
             Every key, from the declarations in `host/search/src/config`. A file (`--config FILE.toml`) sets some of\n\
             them in TOML, `--set KEY=VALUE` one; the rest keep their defaults, or what the task suggests instead.\n",
        );
        let mut sections: BTreeMap<&str, Vec<(&str, &ConfigKey)>> = BTreeMap::new();
        for key in ConfigKey::all() {
            let (section, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
            sections.entry(section).or_default().push((name, key));
        }
        for (section, keys) in sections {
            let title = match section {
                "" => "Top level".to_owned(),
                _ => format!("`[{section}]`"),
            };
            page += &format!(
                "\n## {title}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n"
            );
            for (name, key) in keys {
                let default = key.default.as_ref().map(|value| format!("`{value}`"));
                let default = default.as_deref().unwrap_or("absent");
                let (kind, meaning) = (&key.kind, &key.description);
                page += &format!("| `{name}` | {kind} | {default} | {meaning} |\n");
            }
        }
        page
    }

    #[test]
    fn the_documented_keys_are_these() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("AUTOLOSS_WRITE_DOCS").is_some() {
            std::fs::write(file, page()).unwrap();
        }
        let documented = std::fs::read_to_string(file).unwrap();
        assert_eq!(
            documented,
            page(),
            "run this test with AUTOLOSS_WRITE_DOCS=1 and look at the difference"
        );
    }
}
