//! What two runs were told: every key of the configuration, the run spec, plugins and versions.

use super::{ABSENT, Pair};
use anyhow::Result;
use autoloss_run::Run;
use autoloss_search::flatten;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Digits of a hash that tell two libraries apart.
const DIGITS: usize = 12;

/// The settings that differ, by name.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Settings(BTreeMap<String, Pair<Option<String>>>);

impl Settings {
    /// The settings in which the runs differ.
    pub(super) fn between(runs: &Pair<Run>) -> Result<Self> {
        Ok(Self::of([&settings(&runs[0])?, &settings(&runs[1])?]))
    }

    fn of(sides: Pair<&BTreeMap<String, String>>) -> Self {
        let keys: BTreeSet<&String> = sides.iter().flat_map(|side| side.keys()).collect();
        let both = keys.into_iter().map(|key| {
            let values = sides.map(|side| side.get(key).cloned());
            (key.clone(), values)
        });
        Self(
            both.filter(|(_, [first, second])| first != second)
                .collect(),
        )
    }

    /// A row for each.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| ABSENT.to_owned());
        let rows = self.0.iter();
        rows.map(|(key, [first, second])| vec![key.clone(), cell(first), cell(second)])
            .collect()
    }
}

fn settings(run: &Run) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    let config = Value::Table(Table::try_from(&run.header.config)?);
    flatten("", &config, &mut |key, value| {
        settings.insert(key.to_owned(), value.to_string());
    });
    for (key, value) in run.spec.by_flag() {
        // A path that was not given is absent like a key that was not set.
        if !value.is_null() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            settings.insert(key, text);
        }
    }
    let made_with = &run.header.provenance;
    for plugin in &made_with.plugins {
        let hash: String = plugin.sha256.chars().take(DIGITS).collect();
        let identity = format!("{} (sha256 {hash}…)", plugin.version);
        settings.insert(format!("plugin {}", plugin.name), identity);
    }
    for (name, version) in &made_with.versions {
        settings.insert(format!("version of {name}"), version.clone());
    }
    Ok(settings)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn side(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        owned.collect()
    }

    pub(crate) fn example() -> Settings {
        let first = side(&[("seed", "0"), ("workers", "1"), ("task.size", "64")]);
        let second = side(&[("seed", "1"), ("workers", "1")]);
        Settings::of([&first, &second])
    }

    #[test]
    fn only_what_differs_is_kept_with_both_sides() {
        let rows = example().rows();
        assert_eq!(rows, [["seed", "0", "1"], ["task.size", "64", ABSENT]]);
        let same = side(&[("seed", "0")]);
        assert!(Settings::of([&same, &same]).rows().is_empty());
    }
}
