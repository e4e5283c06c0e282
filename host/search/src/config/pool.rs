//! How worker processes are looked after.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// Section `[pool]`: when a worker process is given up and replaced, so that its job is tried in another. It decides
/// nothing without `workers`.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Most seconds that it may be silent: it does not even say that it is there; above 0. Default 30.
    pub silence_seconds: f64,
    /// Most seconds of one training with its evaluation; above 0. Default none, since a long one is as good as a short
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_seconds: Option<f64>,
    /// Most megabytes of resident memory, at least 1. Default its share of nine tenths of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Workers that a job may lose before it fails, `1..=100`. Default 3.
    pub tries: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            silence_seconds: 30.0,
            job_seconds: None,
            memory_mb: None,
            tries: 3,
        }
    }
}

impl PoolConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.positive("pool.silence_seconds", self.silence_seconds, 1e9);
        if let Some(seconds) = self.job_seconds {
            check.positive("pool.job_seconds", seconds, 1e9);
        }
        if let Some(megabytes) = self.memory_mb {
            check.range("pool.memory_mb", megabytes, 1..=1 << 40);
        }
        check.range("pool.tries", self.tries, 1..=100);
    }
}
