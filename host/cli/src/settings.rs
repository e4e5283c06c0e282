//! The configuration: the general defaults, the task's, the file, the flags, in rising rank.

use crate::hint;
use anyhow::{Context, Result, anyhow, bail};
use autoloss_plugin_api::TaskInfo;
use autoloss_search::SearchConfig;
use autoloss_train::split;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Settings of a task or a network itself, by key.
pub(crate) type OwnSettings = BTreeMap<String, serde_json::Value>;

/// What `--set` said.
#[derive(Default)]
pub(crate) struct Overrides {
    config: Vec<(String, Value)>,
    task: OwnSettings,
    network: OwnSettings,
}

impl Overrides {
    /// Reads `KEY=VALUE` pairs; a value is TOML, or else a plain text.
    pub(crate) fn parse(pairs: &[String]) -> Result<Self> {
        let mut overrides = Self::default();
        for pair in pairs {
            let (key, text) = pair
                .split_once('=')
                .ok_or_else(|| anyhow!("--set {pair}: this is not KEY=VALUE"))?;
            let value = toml::from_str::<Table>(&format!("value = {text}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::String(text.to_owned()));
            let own = match key.split_once('.') {
                Some(("task", rest)) => Some((&mut overrides.task, rest)),
                Some(("network", rest)) => Some((&mut overrides.network, rest)),
                _ => None,
            };
            match own {
                Some((own, key)) => {
                    own.insert(key.to_owned(), serde_json::to_value(value)?);
                }
                None => overrides.config.push((key.to_owned(), value)),
            }
        }
        Ok(overrides)
    }

    /// The task's own settings.
    pub(crate) fn task(&self) -> &OwnSettings {
        &self.task
    }

    /// The network's own settings.
    pub(crate) fn network(&self) -> &OwnSettings {
        &self.network
    }

    /// Adds a setting as if by `--set`.
    pub(crate) fn push(&mut self, key: &str, value: impl Into<Value>) {
        self.config.push((key.to_owned(), value.into()));
    }
}

/// The configuration in force.
pub(crate) fn compose(
    task: &TaskInfo,
    file: Option<&Path>,
    overrides: &Overrides,
) -> Result<SearchConfig> {
    let mut table =
        Table::try_from(SearchConfig::default()).context("the default configuration")?;
    for (key, value) in &task.defaults {
        let value = Value::try_from(value)
            .with_context(|| format!("task '{}', its default '{key}'", task.name))?;
        set(&mut table, key, value)
            .with_context(|| format!("task '{}' suggests settings", task.name))?;
    }
    let mut file_sets_warm_up = false;
    if let Some(file) = file {
        let origin = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the configuration {origin}"))?;
        // For its errors, which have line and column.
        SearchConfig::from_toml(&text, &origin)?;
        let own: Table = toml::from_str(&text)?;
        file_sets_warm_up = own
            .get("proxy")
            .and_then(|proxy| proxy.get("budget")?.get("warmup_steps"))
            .is_some();
        merge(&mut table, own);
    }
    for (key, value) in &overrides.config {
        let typed = set(&mut table, key, value.clone()).and_then(|()| typed(&table));
        typed
            .map_err(|error| meant(error, key))
            .with_context(|| format!("--set {key}={value}"))?;
    }
    let mut config = typed(&table)?;
    let warm_up = "proxy.budget.warmup_steps";
    if !file_sets_warm_up && !overrides.config.iter().any(|(key, _)| key == warm_up) {
        // A default that a short training cannot hold is no mistake of the user's.
        let budget = &mut config.proxy.budget;
        budget.warmup_steps = budget.warmup_steps.min(budget.steps / 5);
    }
    config.validate()?;
    for (key, name) in [
        ("proxy.split", &config.proxy.split),
        ("confirmation.split", &config.confirmation.split),
        ("retrain.split", &config.retrain.split),
    ] {
        // Some are used only after hours.
        split(name).context(key)?;
    }
    Ok(config)
}

fn typed(table: &Table) -> Result<SearchConfig> {
    let config = table.clone().try_into();
    config.map_err(|error: toml::de::Error| anyhow!("{}", error.message()))
}

/// An error that says which key was probably meant, where one is not known: a similar one, or the same
/// word in another section.
fn meant(error: anyhow::Error, key: &str) -> anyhow::Error {
    let message = error.to_string();
    if !message.contains("unknown field") && !message.contains("no section") {
        return error;
    }
    let known = known_keys();
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let namesakes = || {
        let same = known.iter().filter(|other| last(other) == last(key));
        same.map(|other| format!("'{other}'")).collect::<Vec<_>>()
    };
    let suggestion = match hint::nearest(key, known.iter().map(String::as_str)) {
        Some(near) => format!("'{near}'"),
        None => namesakes().join(" or "),
    };
    if suggestion.is_empty() {
        return error;
    }
    anyhow!("{message}: did you mean {suggestion}?")
}

/// Every key there is. Those without a default value are not among the defaults, so each section is asked
/// for its keys by way of one that it refuses.
fn known_keys() -> Vec<String> {
    let defaults = Table::try_from(SearchConfig::default()).unwrap_or_default();
    let mut sections = vec![String::new()];
    visit_sections("", &defaults, &mut |section| {
        sections.push(section.to_owned());
    });
    let mut keys = Vec::new();
    for section in &sections {
        let mut table = defaults.clone();
        let refused =
            set(&mut table, &joined(section, "?"), true.into()).and_then(|()| typed(&table));
        let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
        let fields = hint::by_serde(&message).map_or(Vec::new(), |(_, fields)| fields);
        keys.extend(fields.iter().map(|field| joined(section, field)));
    }
    keys.retain(|key| !sections.contains(key));
    keys
}

fn visit_sections(above: &str, table: &Table, visit: &mut impl FnMut(&str)) {
    for (name, value) in table {
        if let Value::Table(inner) = value {
            let section = joined(above, name);
            visit(&section);
            visit_sections(&section, inner, visit);
        }
    }
}

/// Visits every value that is no table with its dotted key.
pub(crate) fn flatten(key: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Table(table) => {
            for (name, inner) in table {
                flatten(&joined(key, name), inner, visit);
            }
        }
        _ => visit(key, value),
    }
}

fn joined(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

fn sections(table: &Table) -> Vec<&str> {
    let sections = table.iter().filter(|(_, value)| value.is_table());
    sections.map(|(name, _)| name.as_str()).collect()
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn set(table: &mut Table, key: &str, value: Value) -> Result<()> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut table = table;
    for part in parts {
        let known = sections(table).join(", ");
        table = match table.get_mut(part) {
            Some(Value::Table(inner)) => inner,
            _ => bail!("the configuration has no section '{part}' (there are: {known})"),
        };
    }
    let value = match (table.get(last), value) {
        // `--set learning_rate=1` means 1.0.
        (Some(Value::Float(_)), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, value) => value,
    };
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskInfo {
        TaskInfo::new("t", "").defaults([("proxy.budget.steps", 77), ("screening.steps", 88)])
    }

    #[test]
    fn each_source_goes_before_the_one_below() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[screening]\nsteps = 99\nsamples = 2\n").unwrap();
        let sets = ["screening.samples=3".to_owned(), "task.size=64".to_owned()];
        let overrides = Overrides::parse(&sets).unwrap();
        let config = compose(&task(), Some(&file), &overrides).unwrap();
        assert_eq!(config.proxy.budget.steps, 77);
        assert_eq!((config.screening.steps, config.screening.samples), (99, 3));
        assert_eq!(overrides.task()["size"], 64);
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |pair: &str| {
            let overrides = Overrides::parse(&[pair.to_owned()]);
            let outcome = overrides.and_then(|overrides| compose(&task(), None, &overrides));
            format!("{:#}", outcome.unwrap_err())
        };
        assert!(refusal("seed").contains("not KEY=VALUE"));
        assert!(refusal("no.such=1").contains("no section 'no' (there are: "));
        assert!(refusal("screening.steps.many=1").contains("no section 'steps' (there are: )"));
        assert!(refusal("screening.nothing=1").contains("nothing"));
        assert!(refusal("screening.samples=0").contains("screening.samples"));
        assert!(refusal("screening.samples=many").contains("--set screening.samples=\"many\""));
        assert!(refusal("proxy.budget.warmup_steps=900").contains("warmup_steps"));
    }

    #[test]
    fn a_key_that_is_not_known_is_answered_with_one_that_is() {
        let meant = |pair: &str| {
            let overrides = Overrides::parse(&[pair.to_owned()]).unwrap();
            let error = compose(&task(), None, &overrides).unwrap_err();
            let error = format!("{error:#}");
            let meant = error.split_once("did you mean ").map(|(_, meant)| meant);
            meant.unwrap_or_default().to_owned()
        };
        assert_eq!(meant("screening.stesp=5"), "'screening.steps'?");
        assert_eq!(meant("sceening.steps=5"), "'screening.steps'?");
        assert_eq!(meant("budget.max_proxy=5"), "'budget.max_proxies'?");
        assert_eq!(
            meant("steps=5"),
            "'proxy.budget.steps' or 'retrain.budget.steps' or 'screening.steps'?"
        );
        assert_eq!(meant("max_proxies=5"), "'budget.max_proxies'?");
        assert_eq!(meant("proxy.budget.clip=5"), "'proxy.budget.clip_norm'?");
        assert_eq!(meant("beauty=5"), "");
        assert_eq!(meant("screening.steps=many"), "");
        assert_eq!(meant("evolution.strategy=randon"), "");
    }

    #[test]
    fn a_short_training_shortens_the_default_warm_up() {
        let overrides = Overrides::parse(&["proxy.budget.steps=4".to_owned()]).unwrap();
        let config = compose(&task(), None, &overrides).unwrap();
        assert_eq!(config.proxy.budget.warmup_steps, 0);
    }

    #[test]
    fn whole_numbers_serve_as_fractions() {
        let overrides = Overrides::parse(&["screening.learning_rate=1".to_owned()]).unwrap();
        assert_eq!(
            compose(&task(), None, &overrides)
                .unwrap()
                .screening
                .learning_rate,
            1.0
        );
    }
}
