//! The proxy training. [`ProxyBudget`] is self-contained: it travels inside an evaluation request
//! to another process or machine, and means the same there.

use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// The optimiser of a training.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// Adam; `momentum` is its β₁.
    Adam,
}

/// How the learning rate falls after the warm-up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// `(1 − t/T)^0.9`, usual for segmentation.
    #[default]
    Poly,
    /// Half a cosine to zero.
    Cosine,
}

/// The numbers a network computes with. Losses, optimiser and parameters stay in f32.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// `bf16` on a GPU, `f32` on the CPU.
    #[default]
    Auto,
    /// Single precision throughout.
    F32,
    /// Convolutions and products of matrices in bf16, by libtorch's autocast.
    Bf16,
}

/// The order in which images and kernels lie in memory. It changes speed and the last bits of results.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryFormat {
    /// `channels_last` on a GPU, `contiguous` on the CPU.
    #[default]
    Auto,
    /// Channel after channel.
    Contiguous,
    /// Position after position, its channels together.
    ChannelsLast,
}

/// How long and how a network is trained and evaluated. All defaults are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyBudget {
    /// Optimiser steps, `1..=10000000`. Default 200.
    pub steps: usize,
    /// Images of a step, `1..=65536`. Default 8.
    pub batch_size: usize,
    /// `"sgd"` (default) or `"adam"`.
    pub optimizer: Optimizer,
    /// Peak learning rate, above 0 and at most 1000. Default 0.02.
    pub learning_rate: f64,
    /// Momentum of SGD or β₁ of Adam, `0..=0.9999`. Default 0.9.
    pub momentum: f64,
    /// Weight decay, `0..=1`. Default 5e-4.
    pub weight_decay: f64,
    /// `"poly"` (default), `"constant"` or `"cosine"`.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises linearly, `0..=steps`. Default 10.
    pub warmup_steps: usize,
    /// Largest norm of a gradient; larger ones are scaled down. Absent (default): no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Images of the evaluated split that are scored; 0 means all. Default 200.
    pub eval_images: usize,
    /// `"auto"` (default), `"f32"` or `"bf16"`.
    pub precision: Precision,
    /// `"auto"` (default), `"contiguous"` or `"channels_last"`.
    pub memory_format: MemoryFormat,
}

impl Default for ProxyBudget {
    fn default() -> Self {
        Self {
            steps: 200,
            batch_size: 8,
            optimizer: Optimizer::Sgd,
            learning_rate: 0.02,
            momentum: 0.9,
            weight_decay: 5e-4,
            schedule: Schedule::Poly,
            warmup_steps: 10,
            clip_norm: None,
            eval_images: 200,
            precision: Precision::default(),
            memory_format: MemoryFormat::default(),
        }
    }
}

impl ProxyBudget {
    /// Checks every range; `section` is the dotted path of this budget.
    fn check(&self, check: &mut Checker, section: &str) {
        let key = |name: &str| format!("{section}.{name}");
        check.range(&key("steps"), self.steps, 1..=10_000_000);
        check.range(&key("batch_size"), self.batch_size, 1..=65_536);
        check.positive(&key("learning_rate"), self.learning_rate, 1000.0);
        check.range(&key("momentum"), self.momentum, 0.0..=0.9999);
        check.range(&key("weight_decay"), self.weight_decay, 0.0..=1.0);
        let warm_up = 0..=self.steps.max(1);
        check.range(&key("warmup_steps"), self.warmup_steps, warm_up);
        if let Some(norm) = self.clip_norm {
            check.positive(&key("clip_norm"), norm, 1e12);
        }
    }
}

/// Section `[proxy]`: what is trained and what the score is measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// Split whose metric is the score. Default `"reward"`.
    pub split: String,
    /// End a training at its first NaN or infinity in loss or gradient. Default true.
    pub stop_invalid: bool,
    /// When a training is given up.
    pub hopeless: HopelessConfig,
    /// Length and shape of the training.
    pub budget: ProxyBudget,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            split: "reward".into(),
            stop_invalid: true,
            hopeless: HopelessConfig::default(),
            budget: ProxyBudget::default(),
        }
    }
}

impl ProxyConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.holds("proxy.split", !self.split.is_empty(), "must name a split");
        self.hopeless.check(check);
        self.budget.check(check, "proxy.budget");
    }
}

/// Section `[proxy.hopeless]`: a training of a search is looked at once on its way, and given up where
/// the network then scores less than the better part of the others did at that step (as the median stopping
/// rule of Golovin et al., *Google Vizier*, KDD 2017, section 3.2.2, does at every step). The numbers are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HopelessConfig {
    /// Whether trainings are looked at. Default true.
    pub enabled: bool,
    /// Part of the steps after which, above 0 and below 1. Default 0.2.
    pub after: f64,
    /// Samples of the split that are scored then, `1..=1000000`. Default 50.
    pub images: usize,
    /// The better part of the trainings before this one, which it must not fall short of, above 0 and at most
    /// 1. Default 0.4.
    pub share: f64,
    /// Trainings that are looked at before the first may be given up, at least 1. Default 20.
    pub history: usize,
}

impl Default for HopelessConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            after: 0.2,
            images: 50,
            share: 0.4,
            history: 20,
        }
    }
}

impl HopelessConfig {
    fn check(&self, check: &mut Checker) {
        let inside = self.after > 0.0 && self.after < 1.0;
        check.holds(
            "proxy.hopeless.after",
            inside,
            "must be above 0 and below 1",
        );
        check.range("proxy.hopeless.images", self.images, 1..=1_000_000);
        check.positive("proxy.hopeless.share", self.share, 1.0);
        check.range("proxy.hopeless.history", self.history, 1..=1_000_000);
    }
}

/// Section `[retrain]`: the full-length training of one loss, for `retrain` and `compare --full`.
/// It decides nothing of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// Split the finished network is judged on. Default `"test"`.
    pub split: String,
    /// Steps between two checkpoints, `1..=10000000`. Default 500.
    pub checkpoint_every: usize,
    /// Length and shape of the training. Defaults differ from a proxy's: 20000 steps of 16 images,
    /// SGD with momentum and a peak learning rate of 0.01 that falls by the poly rule, all images judged.
    pub budget: ProxyBudget,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self {
            split: "test".into(),
            checkpoint_every: 500,
            budget: ProxyBudget {
                steps: 20_000,
                batch_size: 16,
                learning_rate: 0.01,
                weight_decay: 1e-4,
                warmup_steps: 500,
                eval_images: 0,
                ..ProxyBudget::default()
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
        self.budget.check(check, "retrain.budget");
    }
}
