//! The configuration: the general defaults, the task's, the network's, the file, the flags, in rising
//! rank.

use crate::loss_input::read_text;
use anyhow::{Context, Result, anyhow, bail};
use autoloss_plugin_api::{NetworkInfo, Split, TaskInfo};
use autoloss_search::{ConfigBuilder, SearchConfig};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Settings of a task or a network itself, by key.
pub(crate) type OwnSettings = BTreeMap<String, serde_json::Value>;

/// The settings of `--set`.
#[derive(Default)]
pub(crate) struct Overrides {
    /// Of lower rank than the file.
    suggested: Vec<(String, Value)>,
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
                    own.insert(key.to_owned(), own_value(value, text)?);
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

    /// A stored configuration with these settings over it.
    pub(crate) fn over(&self, config: &SearchConfig) -> Result<SearchConfig> {
        let own = [("task", &self.task), ("network", &self.network)];
        for (kind, settings) in own {
            if let Some(key) = settings.keys().next() {
                bail!("--set {kind}.{key}: a run goes on with the {kind} that it began with");
            }
        }
        let mut builder = ConfigBuilder::default();
        builder.merge(&config.to_toml()?, "the run's configuration")?;
        for (key, value) in &self.config {
            builder
                .set(key, value.clone())
                .with_context(|| format!("--set {key}={value}"))?;
        }
        let config = builder.build()?;
        config.validate()?;
        Ok(config)
    }

    /// Adds a setting as if by `--set`.
    pub(crate) fn push(&mut self, key: &str, value: impl Into<Value>) {
        self.config.push((key.to_owned(), value.into()));
    }

    /// Adds a setting that a file or `--set` may overrule.
    pub(crate) fn suggest(&mut self, key: &str, value: impl Into<Value>) {
        self.suggested.push((key.to_owned(), value.into()));
    }
}

/// Whether `_` stands only before groups of three digits, as in `1_000`.
fn are_thousands(text: &str) -> bool {
    let mut groups = text.split('_');
    let first = groups.next().unwrap_or_default();
    let three = |group: &str| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    groups.all(three) && !first.is_empty()
}

/// A task's or a network's own value. TOML takes `1_8` for a number and `2026-11-30` for a date, which are names to it.
fn own_value(value: Value, text: &str) -> Result<serde_json::Value> {
    let is_a_name = match value {
        Value::Integer(_) | Value::Float(_) => !are_thousands(text),
        Value::Datetime(_) => true,
        _ => false,
    };
    Ok(match is_a_name {
        true => text.into(),
        false => serde_json::to_value(value)?,
    })
}

/// The configuration in force, and the keys that the user set.
pub(crate) fn compose(
    task: &TaskInfo,
    network: &NetworkInfo,
    file: Option<&Path>,
    overrides: &Overrides,
) -> Result<(SearchConfig, Vec<String>)> {
    let mut builder = ConfigBuilder::default();
    let task_defaults = ("task", &task.name, &task.defaults);
    let network_defaults = ("network", &network.name, &network.defaults);
    for (kind, name, defaults) in [task_defaults, network_defaults] {
        for (key, value) in defaults {
            let value = Value::try_from(value)
                .with_context(|| format!("{kind} '{name}', its default '{key}'"))?;
            builder
                .set(key, value)
                .with_context(|| format!("{kind} '{name}': the default '{key}' of its plugin"))?;
        }
    }
    for (key, value) in &overrides.suggested {
        builder.set(key, value.clone())?;
    }
    let mut chosen = Vec::new();
    if let Some(file) = file {
        let origin = file.display().to_string();
        let text =
            read_text(file).with_context(|| format!("cannot read the configuration {origin}"))?;
        chosen = builder.merge(&text, &origin)?;
    }
    for (key, value) in &overrides.config {
        builder
            .set(key, value.clone())
            .with_context(|| format!("--set {key}={value}"))?;
        chosen.push(key.clone());
    }
    let mut config = builder.build()?;
    if !chosen.iter().any(|key| key == "proxy.budget.warmup_steps") {
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
        name.parse::<Split>().context(key)?;
    }
    Ok((config, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> NetworkInfo {
        NetworkInfo::new("n", "", ["t"]).defaults([("proxy.budget.batch_size", 5)])
    }

    fn task() -> TaskInfo {
        TaskInfo::new("t", "").defaults([("proxy.budget.steps", 77), ("screening.steps", 88)])
    }

    #[test]
    fn each_source_goes_before_the_one_below() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[screening]\nsteps = 99\nsamples = 2\n").unwrap();
        let sets = [
            "screening.samples=3",
            "task.size=64",
            "task.list=1_8",
            "task.many=1_000",
            "task.day=2026-11-30",
        ];
        let sets = sets.map(str::to_owned);
        let overrides = Overrides::parse(&sets).unwrap();
        let (config, chosen) = compose(&task(), &network(), Some(&file), &overrides).unwrap();
        assert_eq!(
            chosen,
            ["screening.samples", "screening.steps", "screening.samples"]
        );
        assert_eq!(config.proxy.budget.steps, 77);
        assert_eq!((config.screening.steps, config.screening.samples), (99, 3));
        assert_eq!(overrides.task()["size"], 64);
        assert_eq!(overrides.task()["list"], "1_8");
        assert_eq!(overrides.task()["many"], 1000);
        assert_eq!(overrides.task()["day"], "2026-11-30");
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |pair: &str| {
            let overrides = Overrides::parse(&[pair.to_owned()]);
            let outcome =
                overrides.and_then(|overrides| compose(&task(), &network(), None, &overrides));
            format!("{:#}", outcome.unwrap_err())
        };
        assert!(refusal("seed").contains("not KEY=VALUE"));
        assert!(refusal("no.such=1").contains("no key 'no.such'"));
        assert!(refusal("screening.steps.many=1").contains("no key 'screening.steps.many'"));
        assert!(refusal("screening.nothing=1").contains("nothing"));
        assert!(refusal("screening.samples=0").contains("screening.samples"));
        assert!(refusal("screening.samples=many").contains("--set screening.samples=\"many\""));
        assert!(refusal("proxy.budget.warmup_steps=900").contains("warmup_steps"));
    }

    #[test]
    fn a_key_that_is_not_known_is_answered_with_one_that_is() {
        let meant = |pair: &str| {
            let overrides = Overrides::parse(&[pair.to_owned()]).unwrap();
            let error = compose(&task(), &network(), None, &overrides).unwrap_err();
            let error = crate::terminal::hint::with_suggestion(&error);
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
        assert_eq!(meant("evolution.strategy=randon"), "'random'?");
    }

    #[test]
    fn a_short_training_shortens_the_default_warm_up() {
        let overrides = Overrides::parse(&["proxy.budget.steps=4".to_owned()]).unwrap();
        let (config, _) = compose(&task(), &network(), None, &overrides).unwrap();
        assert_eq!(config.proxy.budget.warmup_steps, 0);
    }

    #[test]
    fn whole_numbers_serve_as_fractions() {
        let overrides = Overrides::parse(&["screening.learning_rate=1".to_owned()]).unwrap();
        let (config, _) = compose(&task(), &network(), None, &overrides).unwrap();
        assert_eq!(config.screening.learning_rate, 1.0);
    }
}
