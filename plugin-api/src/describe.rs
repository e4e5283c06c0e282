//! What a plugin says of itself: plain values that cross the boundary as JSON.
//!
//! Every field added later has a default, so that an older side reads a newer one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How raw network outputs become the prediction ŷ of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// Softmax over the channels.
    Softmax,
    /// Logistic function of each value.
    Sigmoid,
    /// The raw values themselves.
    Identity,
    /// Boxes. Raw values are (B, 4, H, W), a box each: dx, dy, ln w and ln h in units of a box of
    /// reference, as Faster R-CNN codes them (arXiv 1506.01497, equation 2). The branch has three
    /// prediction inputs, (B, 1, H, W), in this order: the areas of the intersection with the target's
    /// box, of their union and of their smallest enclosing box, in units of the reference's. The
    /// target's box, coded alike, is [`ScreeningSamples::fixed`](crate::ScreeningSamples::fixed)
    /// [`TARGET_BOXES`].
    Boxes,
}

/// The name of the boxes that screened predictions should become.
pub const TARGET_BOXES: &str = "boxes";

impl Activation {
    /// How many prediction inputs it makes of raw values; 1 may be had under several names.
    #[must_use]
    pub fn parts(self) -> usize {
        match self {
            Self::Boxes => 3,
            _ => 1,
        }
    }
}

/// Which values an input of a loss can have. What is known of them makes more losses recognisably equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Values {
    /// Any number.
    #[default]
    Any,
    /// None below 0; and where it is 0, nothing of a gradient gets through it, as through a softmax.
    Nonnegative,
    /// 0 and 1, as of a one-hot coding.
    Binary,
}

/// A named input of a branch's loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInfo {
    /// Name in loss formulas, such as `yhat` and `y`.
    pub name: String,
    /// Whether it depends, differentiably, on what the network predicts.
    pub prediction: bool,
    /// Whether it depends on the ground truth.
    pub target: bool,
    /// Whether its mean over the channels is the same number at every position, as of a softmax
    /// or of a one-hot coding.
    #[serde(default)]
    pub channel_mean_constant: bool,
    /// Which values it can have.
    #[serde(default)]
    pub values: Values,
}

impl InputInfo {
    fn new(name: impl Into<String>, prediction: bool, target: bool) -> Self {
        Self {
            name: name.into(),
            prediction,
            target,
            channel_mean_constant: false,
            values: Values::Any,
        }
    }

    /// An input that depends on the prediction alone.
    pub fn prediction(name: impl Into<String>) -> Self {
        Self::new(name, true, false)
    }

    /// An input that depends on the ground truth alone.
    pub fn target(name: impl Into<String>) -> Self {
        Self::new(name, false, true)
    }

    /// An input that depends on both, such as an intersection of boxes.
    pub fn mixed(name: impl Into<String>) -> Self {
        Self::new(name, true, true)
    }

    /// States that the mean over the channels is constant.
    #[must_use]
    pub fn with_constant_channel_mean(mut self) -> Self {
        self.channel_mean_constant = true;
        self
    }

    /// States which values it can have.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }
}

/// One output of a network that is trained by its own loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchInfo {
    /// Name, unique in the task: `seg`, `rpn_cls` …
    pub name: String,
    /// The inputs of its loss.
    pub inputs: Vec<InputInfo>,
    /// Whether positions next to each other in H and W belong together, as pixels do. False for lists,
    /// of boxes or regions, whose losses then have no pools; true where it is not said.
    #[serde(default = "yes")]
    pub neighbours: bool,
    /// How screening turns raw values into the prediction.
    pub activation: Activation,
    /// The score (of a [`Metric`](crate::Metric) with a screening form) that optimised predictions
    /// are judged by.
    pub screening_score: String,
}

fn yes() -> bool {
    true
}

/// A loss from the literature that a search is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceLoss {
    /// Name on the command line and in tables: `ce`, `dice` …
    pub name: String,
    /// Name in full.
    pub title: String,
    /// The loss of each branch in the text form of loss files. Empty when it has none; the host
    /// then asks [`Task::reference_loss`](crate::Task::reference_loss) for its value.
    #[serde(default)]
    pub formulas: BTreeMap<String, String>,
    /// The branches it is a loss for, where it is not one for all: such a loss can be what a branch is
    /// held at, and is no row of comparisons. Empty for all.
    #[serde(default)]
    pub only: Vec<String>,
}

/// What a task offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Name, unique among the loaded plugins: `voc_seg`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The searched branches; at least one.
    pub branches: Vec<BranchInfo>,
    /// The network that trains when the user names none.
    pub default_network: String,
    /// The score a search raises when the user names none.
    pub default_score: String,
    /// Losses to compare with; the first is the usual choice of the field.
    pub reference_losses: Vec<ReferenceLoss>,
    /// Facts that networks and metrics of any plugin may need, such as `num_classes`.
    #[serde(default)]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Settings of the host's configuration that suit this task better than the general defaults,
    /// by dotted key: `"proxy.steps"` → `120`. The user's own settings go before them.
    #[serde(default)]
    pub defaults: BTreeMap<String, serde_json::Value>,
}

impl TaskInfo {
    /// An attribute that must be a whole number, such as `num_classes`.
    ///
    /// # Errors
    /// Says which attribute of which task is missing or not a whole number.
    pub fn whole(&self, name: &str) -> crate::Result<i64> {
        self.attributes
            .get(name)
            .and_then(serde_json::Value::as_i64)
            .ok_or_else(|| {
                format!(
                    "task '{}' has no whole-number attribute '{name}'",
                    self.name
                )
                .into()
            })
    }
}

/// What a network offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Name, unique among the loaded plugins.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Names of the tasks it can serve, of this or of other plugins.
    pub tasks: Vec<String>,
}

/// What a metric offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricInfo {
    /// Name, unique among the loaded plugins.
    pub name: String,
    /// The scores it computes in one pass, each higher when better: `mIoU`, `BIoU` …
    pub scores: Vec<String>,
    /// Names of the tasks it can judge; empty for all.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Those of its scores that can judge optimised predictions in screening. They need not be among
    /// those that are computed over a data set.
    #[serde(default)]
    pub screening_scores: Vec<String>,
    /// Those of its scores that are left out where the data does not define them, such as one of large
    /// objects where there is none.
    #[serde(default)]
    pub optional_scores: Vec<String>,
}

impl MetricInfo {
    /// A metric for every task, without screening form.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        scores: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            scores: scores.into_iter().map(Into::into).collect(),
            tasks: Vec::new(),
            screening_scores: Vec::new(),
            optional_scores: Vec::new(),
        }
    }
}

/// All that one plugin offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}
