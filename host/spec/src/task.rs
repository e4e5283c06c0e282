//! Tasks: data, branches, and the losses to compare with.

use crate::{BranchInfo, SpecError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A loss from the literature that a search is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReferenceLoss {
    /// Name on the command line and in tables: `ce`, `dice` …
    pub name: String,
    /// Name in full.
    pub title: String,
    /// The loss of each branch in the text form of loss files. For a branch without one the host
    /// asks the task for the loss's value.
    #[serde(default)]
    pub formulas: BTreeMap<String, String>,
    /// The branches it is a loss of; empty for all of the task. A loss of some branches only can
    /// freeze a branch, and no comparison has a row for it.
    #[serde(default)]
    pub only: Vec<String>,
}

impl ReferenceLoss {
    /// A loss of every branch, without formulas.
    #[must_use]
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            formulas: BTreeMap::new(),
            only: Vec::new(),
        }
    }

    /// Adds the loss of a branch in the text form of loss files.
    #[must_use]
    pub fn formula(mut self, branch: impl Into<String>, text: impl Into<String>) -> Self {
        self.formulas.insert(branch.into(), text.into());
        self
    }

    /// States the branches it is a loss of.
    #[must_use]
    pub fn only<S: Into<String>>(mut self, branches: impl IntoIterator<Item = S>) -> Self {
        self.only = branches.into_iter().map(Into::into).collect();
        self
    }

    /// Whether it is a loss of this branch.
    #[must_use]
    pub fn serves(&self, branch: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|known| known == branch)
    }
}

/// What a task offers.
///
/// ```
/// use autoloss_spec::{Activation, BranchInfo, InputInfo, TaskInfo};
///
/// let branch = BranchInfo::new("seg", Activation::Softmax, "mIoU")
///     .inputs([InputInfo::prediction("yhat"), InputInfo::target("y")]);
/// let task = TaskInfo::new("leaves", "Leaves and soil")
///     .branches([branch])
///     .default_network("unet_tiny")
///     .default_score("mIoU")
///     .attributes([("num_classes", 2)])
///     .defaults([("proxy.budget.steps", 120)]);
/// assert_eq!(task.whole("num_classes")?, 2);
/// # Ok::<(), autoloss_spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Name, unique among the loaded plugins: `voc_seg`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The branches; at least one.
    pub branches: Vec<BranchInfo>,
    /// The network that trains when the user names none.
    pub default_network: String,
    /// The network that trains instead where the default one needs weights that are not there.
    #[serde(default)]
    pub network_without_weights: Option<String>,
    /// The target score when the user names none: a search maximises it.
    pub default_score: String,
    /// Losses to compare with; the first is the usual choice of the field.
    pub reference_losses: Vec<ReferenceLoss>,
    /// Facts that networks and metrics of any plugin can need, such as `num_classes`.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// Settings of the host's configuration that suit this task better than the general defaults,
    /// by dotted key: `"proxy.budget.steps"` → `120`. The user's own settings override them.
    #[serde(default)]
    pub defaults: BTreeMap<String, Value>,
}

impl TaskInfo {
    /// A task without branches.
    #[must_use]
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            branches: Vec::new(),
            default_network: String::new(),
            network_without_weights: None,
            default_score: String::new(),
            reference_losses: Vec::new(),
            attributes: BTreeMap::new(),
            defaults: BTreeMap::new(),
        }
    }

    /// Adds branches.
    #[must_use]
    pub fn branches(mut self, branches: impl IntoIterator<Item = BranchInfo>) -> Self {
        self.branches.extend(branches);
        self
    }

    /// Names the network that trains when the user names none.
    #[must_use]
    pub fn default_network(mut self, name: impl Into<String>) -> Self {
        self.default_network = name.into();
        self
    }

    /// Names the network that trains where the default one's weights are not there.
    #[must_use]
    pub fn network_without_weights(mut self, name: impl Into<String>) -> Self {
        self.network_without_weights = Some(name.into());
        self
    }

    /// Names the target score when the user names none.
    #[must_use]
    pub fn default_score(mut self, name: impl Into<String>) -> Self {
        self.default_score = name.into();
        self
    }

    /// Adds losses to compare with.
    #[must_use]
    pub fn reference_losses(mut self, losses: impl IntoIterator<Item = ReferenceLoss>) -> Self {
        self.reference_losses.extend(losses);
        self
    }

    /// Adds facts that networks and metrics can need.
    #[must_use]
    pub fn attributes<K: Into<String>, V: Into<Value>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.attributes.extend(pairs(attributes));
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

    /// An attribute that must be a whole number, such as `num_classes`.
    ///
    /// # Errors
    /// [`SpecError::Attribute`].
    pub fn whole(&self, name: &str) -> Result<i64, SpecError> {
        let value = self.attributes.get(name).and_then(Value::as_i64);
        value.ok_or_else(|| SpecError::Attribute {
            task: self.name.clone(),
            name: name.to_owned(),
        })
    }
}

pub(crate) fn pairs<K: Into<String>, V: Into<Value>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> impl Iterator<Item = (String, Value)> {
    let pairs = pairs.into_iter();
    pairs.map(|(key, value)| (key.into(), value.into()))
}
