//! How a network is trained.
//!
//! A [`TrainingBudget`] is self-contained: it travels inside an evaluation request to another process
//! or machine, and means the same there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The optimiser of a training.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// Adam; `momentum` is its β₁.
    Adam,
}

/// How the learning rate falls after the warm-up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// `(1 − t/T)^0.9`, usual for segmentation. The exponent is fixed: it is what the rule is known by.
    #[default]
    Poly,
    /// Half a cosine to zero.
    Cosine,
}

/// The numbers a network computes with. Losses, optimiser and parameters stay in f32.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingBudget {
    /// Optimiser steps, `1..=10000000`.
    pub steps: usize,
    /// Images of a step, `1..=65536`.
    pub batch_size: usize,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Peak learning rate, above 0 and at most 1000.
    pub learning_rate: f64,
    /// Momentum of SGD or β₁ of Adam, `0..=0.9999`.
    pub momentum: f64,
    /// Weight decay, `0..=1`.
    pub weight_decay: f64,
    /// How the learning rate falls after the warm-up.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises linearly, `0..=steps`.
    pub warmup_steps: usize,
    /// Largest norm of a gradient; larger ones are scaled down. Absent: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Images of the evaluated split that are scored; 0 means all.
    pub eval_images: usize,
    /// The numbers that the network computes with.
    pub precision: Precision,
    /// The order in which images and kernels lie in memory.
    pub memory_format: MemoryFormat,
}

impl Default for TrainingBudget {
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
