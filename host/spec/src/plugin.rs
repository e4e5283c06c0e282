//! What a plugin offers beside tasks: networks and metrics; and all of it together.

use crate::TaskInfo;
use crate::task::pairs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a network offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NetworkInfo {
    /// Name, unique among the loaded plugins.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Names of the tasks it can serve, of this or of other plugins.
    pub tasks: Vec<String>,
    /// Whether a part of the network never trains, so that the host computes what it makes of a
    /// sample once and gives the rest that instead of the task's inputs.
    #[serde(default)]
    pub frozen_features: bool,
    /// The name of the file of weights that the network cannot do without, as the user knows it.
    #[serde(default)]
    pub weights: Option<String>,
    /// Settings of the host's configuration that suit this network better than the task's, by dotted
    /// key.
    #[serde(default)]
    pub defaults: BTreeMap<String, Value>,
}

impl NetworkInfo {
    /// A network for these tasks.
    #[must_use]
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        title: impl Into<String>,
        tasks: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            tasks: strings(tasks),
            frozen_features: false,
            weights: None,
            defaults: BTreeMap::new(),
        }
    }

    /// States that it trains on features that never change.
    #[must_use]
    pub fn frozen_features(mut self) -> Self {
        self.frozen_features = true;
        self
    }

    /// Names the file of weights that it cannot do without.
    #[must_use]
    pub fn weights(mut self, file: impl Into<String>) -> Self {
        self.weights = Some(file.into());
        self
    }

    /// Adds settings of the host's configuration, by dotted key.
    #[must_use]
    pub fn defaults<K: Into<String>, V: Into<Value>>(
        mut self,
        settings: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.defaults.extend(pairs(settings));
        self
    }

    /// Whether it can serve this task.
    #[must_use]
    pub fn serves(&self, task: &str) -> bool {
        self.tasks.iter().any(|known| known == task)
    }
}

/// What a metric offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricInfo {
    /// Name, unique among the loaded plugins.
    pub name: String,
    /// The scores it computes in one pass over a data set, each higher when better: `mIoU` …
    pub scores: Vec<String>,
    /// Names of the tasks it can evaluate; empty for all.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Those of its scores that are absent where the data does not define them, such as the score
    /// of large objects where there are none.
    #[serde(default)]
    pub optional_scores: Vec<String>,
}

impl MetricInfo {
    /// A metric for every task.
    #[must_use]
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        scores: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            scores: strings(scores),
            tasks: Vec::new(),
            optional_scores: Vec::new(),
        }
    }

    /// States the tasks it can evaluate.
    #[must_use]
    pub fn tasks<S: Into<String>>(mut self, tasks: impl IntoIterator<Item = S>) -> Self {
        self.tasks = strings(tasks);
        self
    }

    /// States which of its scores can be absent.
    #[must_use]
    pub fn optional<S: Into<String>>(mut self, scores: impl IntoIterator<Item = S>) -> Self {
        self.optional_scores = strings(scores);
        self
    }

    /// Whether it can evaluate this task.
    #[must_use]
    pub fn serves(&self, task: &str) -> bool {
        serves(&self.tasks, task)
    }
}

/// What a screening metric offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScreeningMetricInfo {
    /// Name, unique among the screening metrics of the loaded plugins.
    pub name: String,
    /// The scores it computes of optimised predictions, each higher when better. A branch names one
    /// of them as its [`screening_score`](crate::BranchInfo::screening_score).
    pub scores: Vec<String>,
    /// Names of the tasks it can evaluate; empty for all.
    #[serde(default)]
    pub tasks: Vec<String>,
}

impl ScreeningMetricInfo {
    /// A screening metric for every task.
    #[must_use]
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        scores: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            scores: strings(scores),
            tasks: Vec::new(),
        }
    }

    /// States the tasks it can evaluate.
    #[must_use]
    pub fn tasks<S: Into<String>>(mut self, tasks: impl IntoIterator<Item = S>) -> Self {
        self.tasks = strings(tasks);
        self
    }

    /// Whether it can evaluate this task.
    #[must_use]
    pub fn serves(&self, task: &str) -> bool {
        serves(&self.tasks, task)
    }
}

/// All that one plugin offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PluginInfo {
    /// Package name of the plugin.
    pub name: String,
    /// Package version of the plugin.
    pub version: String,
    /// Its tasks.
    pub tasks: Vec<TaskInfo>,
    /// Its networks.
    pub networks: Vec<NetworkInfo>,
    /// Its metrics.
    pub metrics: Vec<MetricInfo>,
    /// Its screening metrics.
    pub screening_metrics: Vec<ScreeningMetricInfo>,
    /// The methods that its objects answer, such as `Task::len`. The plugin interface fills it in.
    pub capabilities: Vec<String>,
    /// The capabilities that a host must know to use the plugin.
    #[serde(default)]
    pub requires: Vec<String>,
}

impl PluginInfo {
    /// A plugin that offers nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            tasks: Vec::new(),
            networks: Vec::new(),
            metrics: Vec::new(),
            screening_metrics: Vec::new(),
            capabilities: Vec::new(),
            requires: Vec::new(),
        }
    }

    /// Whether it offers no object of any kind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.networks.is_empty()
            && self.metrics.is_empty()
            && self.screening_metrics.is_empty()
    }
}

/// Whether a metric for these tasks, all where none is named, can evaluate this one.
fn serves(tasks: &[String], task: &str) -> bool {
    tasks.is_empty() || tasks.iter().any(|known| known == task)
}

fn strings<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}
