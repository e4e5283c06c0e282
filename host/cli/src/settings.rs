//! The configuration: the general defaults, the task's, the file, the flags, in rising rank.

use anyhow::{Context, Result, anyhow, bail};
use autoloss_plugin_api::TaskInfo;
use autoloss_search::SearchConfig;
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
        typed.with_context(|| format!("--set {key}={value}"))?;
    }
    let mut config = typed(&table)?;
    let warm_up = "proxy.budget.warmup_steps";
    if !file_sets_warm_up && !overrides.config.iter().any(|(key, _)| key == warm_up) {
        // A default that a short training cannot hold is no mistake of the user's.
        let budget = &mut config.proxy.budget;
        budget.warmup_steps = budget.warmup_steps.min(budget.steps / 5);
    }
    config.validate()?;
    Ok(config)
}

fn typed(table: &Table) -> Result<SearchConfig> {
    let config = table.clone().try_into();
    config.map_err(|error: toml::de::Error| anyhow!("{}", error.message()))
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
        table = match table.get_mut(part) {
            Some(Value::Table(inner)) => inner,
            _ => bail!("there is no section '{part}' in the configuration (key '{key}')"),
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
        TaskInfo {
            name: "t".into(),
            title: String::new(),
            branches: vec![],
            default_network: "n".into(),
            default_score: "s".into(),
            reference_losses: vec![],
            attributes: BTreeMap::new(),
            defaults: BTreeMap::from([
                ("proxy.budget.steps".to_owned(), 77.into()),
                ("screening.steps".to_owned(), 88.into()),
            ]),
        }
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
        assert!(refusal("no.such=1").contains("no section 'no'"));
        assert!(refusal("screening.nothing=1").contains("nothing"));
        assert!(refusal("screening.samples=0").contains("screening.samples"));
        assert!(refusal("screening.samples=many").contains("--set screening.samples=\"many\""));
        assert!(refusal("proxy.budget.warmup_steps=900").contains("warmup_steps"));
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
