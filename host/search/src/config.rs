//! The configuration of a run is one value, written as one TOML file and stored whole in the run
//! folder, so that a run can be repeated from its folder alone.
//!
//! Every key has a default and unknown keys are errors: a misspelt key that is silently ignored
//! costs its owner a search. Ranges are checked in one place, [`SearchConfig::validate`], which
//! reports *all* violations, since a search is started unattended. The sections are separate
//! structs because the screening engine and the training loop each take only their own.
//!
//! ```
//! use autoloss_search::SearchConfig;
//!
//! let config = SearchConfig::from_toml("seed = 7\n[evolution]\npopulation = 100", "run.toml")?;
//! assert_eq!(config.evolution.population, 100);
//! assert_eq!(config.evolution.initial, 20); // untouched keys keep their defaults
//!
//! let error = SearchConfig::from_toml("[evolution]\npopulatoin = 100", "run.toml").unwrap_err();
//! assert!(error.to_string().starts_with("run.toml:2:1: "));
//! # Ok::<(), autoloss_search::ConfigError>(())
//! ```

mod evolution;
mod keys;
mod limits;
mod pool;
mod proxy;
mod screening;
mod violation;

pub use evolution::{EvolutionConfig, SearchMethod};
pub use keys::{ConfigBuilder, ConfigKey, KeyKind, flatten};
pub use limits::{Budget, Confirmation, PromotionConfig, PromotionMode};
pub use pool::PoolConfig;
pub use proxy::{ProxyConfig, PruningConfig, RetrainConfig};
pub use screening::{
    EarlyStopping, EquivalenceConfig, EquivalenceMode, ScreeningConfig, ScreeningEngine,
    ScreeningMode,
};
pub use violation::{ConfigError, Place, Violation};

use autoloss_graph::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use violation::Checker;

/// Everything that decides how a search goes; see the sections for ranges and sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Seed of the whole run, `0..=2⁶³−1` (what a TOML integer can hold). Default 0.
    pub seed: u64,
    /// Trainings that run at the same time, each in a process of its own, `1..=4096`; 1 is in this process. Default 1; a command takes as many as the machine has room for (`--workers`).
    ///
    /// With several, a child is planned from what has ended by then, so that chance decides too, and the run tells what followed from what (`replay --verify`). With 1 a resumed run repeats the uninterrupted one exactly, wherever it was cut.
    pub workers: usize,
    /// How many of the best losses are kept as files in `best/`, `1..=1000`. Default 10.
    pub keep_best: usize,
    /// Whether losses with a formula are trained at one scale: multiplied so that their gradient is as large, at the
    /// screening's random predictions, as that of the task's first reference loss with a formula for the branch.
    /// Default true.
    ///
    /// A factor then changes no training, whatever the optimiser, and a loss suits the learning rate that the
    /// reference loss does.
    pub normalised: bool,
    /// How children are made.
    pub evolution: EvolutionConfig,
    /// Size limits of every loss graph.
    pub limits: Limits,
    /// The tests before a proxy training.
    pub screening: ScreeningConfig,
    /// The gradient-equivalence check.
    pub equivalence: EquivalenceConfig,
    /// The proxy training that scores a loss.
    pub proxy: ProxyConfig,
    /// The full-length training of one loss, outside of any search.
    pub retrain: RetrainConfig,
    /// When the search ends.
    pub budget: Budget,
    /// The repeated measurement of the best losses after the search.
    pub confirmation: Confirmation,
    /// The second stage.
    pub promotion: PromotionConfig,
    /// How worker processes are looked after.
    pub pool: PoolConfig,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            workers: 1,
            keep_best: 10,
            normalised: true,
            evolution: EvolutionConfig::default(),
            limits: Limits::default(),
            screening: ScreeningConfig::default(),
            equivalence: EquivalenceConfig::default(),
            proxy: ProxyConfig::default(),
            retrain: RetrainConfig::default(),
            budget: Budget {
                max_seconds: Some(3600.0),
                ..Budget::default()
            },
            confirmation: Confirmation::default(),
            promotion: PromotionConfig::default(),
            pool: PoolConfig::default(),
        }
    }
}

impl SearchConfig {
    /// Reads and validates a configuration; `origin` is the file's name for messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Syntax`] with file, line and column (both from 1) where the text is not TOML or a
    /// value has the wrong type; [`ConfigError::Unknown`] with the same where a key or a value's name is
    /// unknown; [`ConfigError::Invalid`] where values are out of range.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        keys::check_names(origin, text)?;
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::syntax(origin, text, &error))?;
        config.validate().map_err(|error| error.at(origin))?;
        Ok(config)
    }

    /// Reads the configuration of a stored run: a key that it lacks, since it is of an earlier version, has
    /// the value that stands for what that version did.
    ///
    /// # Errors
    ///
    /// As [`SearchConfig::from_toml`].
    pub fn from_stored(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let Ok(mut table) = text.parse::<toml::Table>() else {
            return Self::from_toml(text, origin);
        };
        table.entry("normalised").or_insert(false.into());
        let pruning = match table.get("proxy").and_then(|proxy| proxy.get("hopeless")) {
            Some(_) => "hopeless",
            None => "pruning",
        };
        let equivalence: (&[&str], _, toml::Value) = (&["equivalence"], "mode", "paper".into());
        let repeat = (&["proxy"][..], "repeat_best", false.into());
        let near = (&["equivalence"][..], "near", 0.0.into());
        let addition = (&["evolution"][..], "addition", 0.0.into());
        let adaptive = (&["evolution"][..], "adaptive", false.into());
        let parsimony = (&["evolution"][..], "parsimony", 0.0.into());
        let constant = (&["proxy", pruning][..], "constant", false.into());
        let after = table
            .get("proxy")
            .and_then(|proxy| proxy.get(pruning)?.get("after"));
        let after = after.cloned().unwrap_or(0.2.into());
        let constant_after = (&["proxy", pruning][..], "constant_after", after);
        for (path, key, then) in [
            equivalence,
            near,
            repeat,
            constant,
            constant_after,
            addition,
            adaptive,
            parsimony,
        ] {
            let mut section = &mut table;
            for name in path {
                let inner = section.entry(*name);
                let inner = inner.or_insert_with(|| toml::Table::new().into());
                let Some(inner) = inner.as_table_mut() else {
                    return Self::from_toml(text, origin);
                };
                section = inner;
            }
            section.entry(key).or_insert(then);
        }
        Self::from_toml(&table.to_string(), origin)
    }

    /// The configuration as TOML, every key written out.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unwritable`] where a value has no TOML form, which validation excludes.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|error| ConfigError::Unwritable {
            reason: error.to_string(),
        })
    }

    /// Checks every range and collects a sentence for each violation.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with all violations.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut check = Checker::default();
        check.range("seed", self.seed, 0..=i64::MAX as u64);
        check.range("workers", self.workers, 1..=4096);
        check.range("keep_best", self.keep_best, 1..=1000);
        check.range("limits.max_nodes", self.limits.max_nodes, 2..=4096);
        check.range("limits.max_depth", self.limits.max_depth, 1..=256);
        check.range(
            "limits.max_tree_size",
            self.limits.max_tree_size,
            2..=1 << 32,
        );
        self.evolution.check(&mut check, &self.limits);
        self.screening.check(&mut check);
        self.equivalence.check(&mut check);
        self.proxy.check(&mut check);
        self.retrain.check(&mut check);
        self.budget.check(&mut check);
        self.confirmation
            .check(&mut check, self.proxy.split.as_str());
        self.promotion.check(&mut check);
        self.pool.check(&mut check);
        check.finish()
    }

    /// The first key in which two configurations differ so that a run started with one cannot go
    /// on with the other, as a dotted path.
    ///
    /// `[budget]`, `[confirmation]`, `[promotion]`, `[retrain]` and `keep_best` decide only where a run ends and what is kept
    /// of it, and the journal tells what `workers` decided, so they may change on resume, as may `[pool]`.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<String> {
        let mut other = other.clone();
        other.budget = self.budget;
        other.confirmation = self.confirmation.clone();
        other.promotion = self.promotion.clone();
        other.retrain = self.retrain.clone();
        other.keep_best = self.keep_best;
        (other.workers, other.pool) = (self.workers, self.pool);
        if *self == other {
            return None;
        }
        let values = serde_json::to_value(self)
            .ok()
            .zip(serde_json::to_value(&other).ok());
        let path = values.and_then(|(ours, theirs)| difference(&ours, &theirs));
        let path = path.map(|difference| difference.key);
        Some(path.unwrap_or_else(|| "configuration".into()))
    }
}

/// Where two values differ first.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Dotted path of the key; empty where the values are no objects.
    pub key: String,
    /// The first value there; null where it has no such key.
    pub before: Value,
    /// The second value there; null where it has no such key.
    pub now: Value,
}

/// The first place, in the order of the keys, at which two values differ.
///
/// ```
/// use autoloss_search::difference;
/// use serde_json::json;
///
/// let found = difference(&json!({"a": {"b": 1, "c": 2}}), &json!({"a": {"b": 1}})).unwrap();
/// assert_eq!((found.key.as_str(), found.before, found.now), ("a.c", json!(2), json!(null)));
/// assert_eq!(difference(&json!([1]), &json!([1])), None);
/// ```
#[must_use]
pub fn difference(before: &Value, now: &Value) -> Option<Difference> {
    if let (Value::Object(ours), Value::Object(theirs)) = (before, now) {
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        return keys.into_iter().find_map(|name| {
            let side = |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
            let mut inner = difference(&side(ours), &side(theirs))?;
            inner.key = match inner.key.as_str() {
                "" => name.clone(),
                key => format!("{name}.{key}"),
            };
            Some(inner)
        });
    }
    (before != now).then(|| Difference {
        key: String::new(),
        before: before.clone(),
        now: now.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runnable() -> SearchConfig {
        let mut config = SearchConfig::default();
        config.budget.max_proxies = Some(5);
        config
    }

    #[test]
    fn a_budget_section_sets_only_what_it_says() {
        let config = SearchConfig::from_toml("[budget]\nmax_proxies = 5", "x").unwrap();
        assert_eq!(config.budget.max_seconds, None);
        let absent = SearchConfig::from_toml("", "x").unwrap();
        assert_eq!(absent.budget.max_seconds, Some(3600.0));
        let text = config.to_toml().unwrap();
        assert_eq!(SearchConfig::from_toml(&text, "x").unwrap(), config);
        assert!(SearchConfig::from_toml("[budget]", "x").is_err());
    }

    #[test]
    fn toml_round_trip_keeps_every_value() {
        let mut config = runnable();
        config.seed = i64::MAX as u64;
        config.evolution.strategy = SearchMethod::Random;
        config.screening.mode = ScreeningMode::Positive;
        config.proxy.budget.clip_norm = Some(2.5);
        let text = config.to_toml().unwrap();
        assert_eq!(SearchConfig::from_toml(&text, "x").unwrap(), config);
    }

    #[test]
    fn defaults_are_the_documented_ones_and_only_the_budget_is_missing() {
        let error = SearchConfig {
            budget: Budget::default(),
            ..SearchConfig::default()
        }
        .validate()
        .unwrap_err()
        .to_string();
        assert!(error.contains("budget"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        SearchConfig::default().validate().unwrap();
    }

    #[test]
    fn a_stored_configuration_of_the_last_release_is_the_same_with_the_defaults() {
        let mut config = runnable();
        (config.proxy.pruning.share, config.screening.steps) = (0.3, 99);
        let mut stored = toml::Table::try_from(&config).unwrap();
        let section = |table: &mut toml::Table, name: &str| match table.remove(name) {
            Some(toml::Value::Table(section)) => section,
            other => panic!("{name} is {other:?}"),
        };
        let mut screening = section(&mut stored, "screening");
        for later in [
            "rounding",
            "initial_deviation",
            "early_stopping",
            "coarse_scale",
            "coarse_min_size",
            "coarse_share",
        ] {
            assert!(screening.remove(later).is_some(), "{later}");
        }
        stored.insert("screening".into(), screening.into());
        let mut equivalence = section(&mut stored, "equivalence");
        for later in ["orthogonal", "mode", "projections", "resolution", "near"] {
            assert!(equivalence.remove(later).is_some(), "{later}");
        }
        stored.insert("equivalence".into(), equivalence.into());
        let mut proxy = section(&mut stored, "proxy");
        assert!(proxy.remove("repeat_best").is_some());
        let mut pruning = section(&mut proxy, "pruning");
        for later in ["constant", "constant_after"] {
            assert!(pruning.remove(later).is_some(), "{later}");
        }
        proxy.insert("hopeless".into(), pruning.into());
        stored.insert("proxy".into(), proxy.into());
        let mut evolution = section(&mut stored, "evolution");
        for later in ["addition", "adaptive", "guesses", "terms"] {
            assert!(evolution.remove(later).is_some(), "{later}");
        }
        stored.insert("evolution".into(), evolution.into());
        for later in ["normalised", "promotion", "pool"] {
            assert!(stored.remove(later).is_some(), "{later}");
        }

        let json = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<SearchConfig>(&json).unwrap(), config);
        let text = toml::to_string(&stored).unwrap();
        assert_eq!(SearchConfig::from_toml(&text, "x").unwrap(), config);
        config.equivalence.mode = EquivalenceMode::Paper;
        config.equivalence.near = 0.0;
        config.proxy.repeat_best = false;
        config.proxy.pruning.constant = false;
        config.proxy.pruning.constant_after = config.proxy.pruning.after;
        (config.evolution.addition, config.evolution.adaptive) = (0.0, false);
        config.normalised = false;
        assert_eq!(SearchConfig::from_stored(&text, "x").unwrap(), config);
        config.equivalence.mode = EquivalenceMode::Training;
        let text = config.to_toml().unwrap();
        assert_eq!(SearchConfig::from_stored(&text, "x").unwrap(), config);
    }

    #[test]
    fn the_numbers_of_screening_have_ranges() {
        let text = "[equivalence]\northogonal = 2\n[screening]\nrounding = -1\ncoarse_scale = 0\n\
                    initial_deviation = 0\ncoarse_min_size = 0\ncoarse_share = 2\n\
                    [screening.early_stopping]\nreadings = [20, 20]\nflat = 2\nflat_after = 0\n";
        match SearchConfig::from_toml(text, "x").unwrap_err() {
            ConfigError::Invalid { violations, .. } => assert_eq!(violations.len(), 9),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn syntax_errors_name_file_line_and_column() {
        let text = "seed = 1\n\n[screening]\nsteps = \"many\"\n";
        let error = SearchConfig::from_toml(text, "a/run.toml").unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("a/run.toml:4:9: "), "{message}");
        assert!(message.contains("expected usize"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }

    #[test]
    fn all_violations_are_reported_each_with_its_key_and_value() {
        let text =
            "workers = 0\n[evolution]\ntournament_fraction = 1.5\n[equivalence]\ndigits = 0\n";
        let message = SearchConfig::from_toml(text, "run.toml")
            .unwrap_err()
            .to_string();
        assert!(message.contains("workers"), "{message}");
        assert!(message.contains("evolution.tournament_fraction"));
        assert!(message.contains("1.5"));
        assert!(message.contains("equivalence.digits"));
        assert!(message.starts_with("run.toml: "));
    }

    #[test]
    fn not_a_number_is_out_of_every_range() {
        let mut config = runnable();
        config.evolution.fresh_probability = f64::NAN;
        config.proxy.budget.learning_rate = f64::INFINITY;
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("evolution.fresh_probability is NaN"));
        assert!(message.contains("proxy.budget.learning_rate is inf"));
    }

    #[test]
    fn difference_names_the_key_and_ignores_the_budget() {
        let ours = runnable();
        let mut theirs = runnable();
        theirs.budget.max_proxies = Some(99);
        theirs.confirmation.top = 7;
        assert_eq!(ours.first_difference(&theirs), None);
        theirs.screening.steps = 99;
        assert_eq!(
            ours.first_difference(&theirs).as_deref(),
            Some("screening.steps")
        );
    }
}
