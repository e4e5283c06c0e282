//! The trainings: a candidate's, which scores it and may be pruned, and the full-length one.

use autoloss_spec::TrainingBudget;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// Section `[proxy]`: what is trained and what the score is measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// Split whose metric is the score. Default `"reward"`.
    pub split: String,
    /// End a training at its first NaN or infinity in loss or gradient. Default true.
    pub stop_invalid: bool,
    /// Whether a loss that scores more than every one before it is trained once more, with another seed, before it
    /// counts: its score is then the mean of the two. Default true, ours: a lucky score would be the parent of all
    /// that follows.
    pub repeat_best: bool,
    /// Most megabytes of memory for the features of a network's frozen part, `0..=1048576`; what exceeds
    /// them is computed at each use. Default 256.
    pub features_mb: usize,
    /// When a training is pruned.
    #[serde(alias = "hopeless")]
    pub pruning: PruningConfig,
    /// Length and shape of the training.
    pub budget: TrainingBudget,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            split: "reward".into(),
            stop_invalid: true,
            repeat_best: true,
            features_mb: 256,
            pruning: PruningConfig::default(),
            budget: TrainingBudget::default(),
        }
    }
}

impl ProxyConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.holds("proxy.split", !self.split.is_empty(), "must name a split");
        check.range("proxy.features_mb", self.features_mb, 0..=1 << 20);
        self.pruning.check(check);
        check_budget(&self.budget, check, "proxy.budget");
    }
}

/// Section `[proxy.pruning]`: early stopping. At one step on its way the network of a training is scored;
/// the training ends there where the better part of the earlier ones scored more at that step (the median
/// stopping rule of Golovin et al., *Google Vizier*, KDD 2017, section 3.2.2, at a single step). The numbers
/// are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PruningConfig {
    /// Whether trainings are pruned. Default true.
    pub enabled: bool,
    /// Part of the steps after which a network is scored, above 0 and below 1. Default 0.2.
    pub after: f64,
    /// Samples of the split that are scored then, `1..=1000000`. Default 50.
    pub images: usize,
    /// The better part of the earlier trainings, which a training must keep up with, above 0 and at most 1.
    /// Default 0.5.
    pub share: f64,
    /// Trainings that are scored on their way before the first may be pruned, `1..=1000000`. Default 10.
    pub history: usize,
    /// Whether a training is pruned, from the first one on, that scores no more than the best predictions that do
    /// not depend on the input, such as one class everywhere; a tie with the better part ends it then as well.
    /// Default true.
    pub constant: bool,
    /// Part of the steps after which a network is compared with constant predictions for the first time, above 0 and
    /// below 1; where it is not below `after`, the first time is then. Default 0.05.
    pub constant_after: f64,
}

impl Default for PruningConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            after: 0.2,
            images: 50,
            share: 0.5,
            history: 10,
            constant: true,
            constant_after: 0.05,
        }
    }
}

impl PruningConfig {
    fn check(&self, check: &mut Checker) {
        let inside = self.after > 0.0 && self.after < 1.0;
        check.holds("proxy.pruning.after", inside, "must be above 0 and below 1");
        let inside = self.constant_after > 0.0 && self.constant_after < 1.0;
        check.holds(
            "proxy.pruning.constant_after",
            inside,
            "must be above 0 and below 1",
        );
        check.range("proxy.pruning.images", self.images, 1..=1_000_000);
        check.positive("proxy.pruning.share", self.share, 1.0);
        check.range("proxy.pruning.history", self.history, 1..=1_000_000);
    }
}

/// Section `[retrain]`: the full-length training of one loss, for `retrain` and `compare --full`.
/// It decides nothing of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// Split the finished network is evaluated on. Default `"test"`.
    pub split: String,
    /// Steps between two checkpoints, `1..=10000000`. Default 500.
    pub checkpoint_every: usize,
    /// Length and shape of the training. Defaults differ from a proxy's: 20000 steps of 16 images,
    /// SGD with momentum and a peak learning rate of 0.01 that falls by the poly rule, all images evaluated.
    pub budget: TrainingBudget,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self {
            split: "test".into(),
            checkpoint_every: 500,
            budget: TrainingBudget {
                steps: 20_000,
                batch_size: 16,
                learning_rate: 0.01,
                weight_decay: 1e-4,
                warmup_steps: 500,
                eval_images: 0,
                ..TrainingBudget::default()
            },
        }
    }
}

impl RetrainConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.holds("retrain.split", !self.split.is_empty(), "must name a split");
        check.range(
            "retrain.checkpoint_every",
            self.checkpoint_every,
            1..=10_000_000,
        );
        check_budget(&self.budget, check, "retrain.budget");
    }
}

/// Checks every range of a training; `section` is its dotted path.
fn check_budget(budget: &TrainingBudget, check: &mut Checker, section: &str) {
    let key = |name: &str| format!("{section}.{name}");
    check.range(&key("steps"), budget.steps, 1..=10_000_000);
    check.range(&key("batch_size"), budget.batch_size, 1..=65_536);
    check.positive(&key("learning_rate"), budget.learning_rate, 1000.0);
    check.range(&key("momentum"), budget.momentum, 0.0..=0.9999);
    check.range(&key("weight_decay"), budget.weight_decay, 0.0..=1.0);
    let warm_up = 0..=budget.steps.max(1);
    check.range(&key("warmup_steps"), budget.warmup_steps, warm_up);
    if let Some(norm) = budget.clip_norm {
        check.positive(&key("clip_norm"), norm, 1e12);
    }
}
