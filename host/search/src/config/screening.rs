//! The tests a candidate passes before it costs a proxy training. Each has a switch, because the
//! ablation (naive; with loss rejection; with equivalence; with early stop) is a result of its own.

use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// When the loss-rejection protocol rejects.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreeningMode {
    /// Reject where the gain g is below the threshold η (AutoLoss-Zero).
    #[default]
    Threshold,
    /// Reject only where g ≤ 0 (as in EvoMAL).
    Positive,
}

/// What computes the probe gradient and the protocol.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreeningEngine {
    /// The fused engine of autoloss-engine.
    #[default]
    Fused,
    /// libtorch's operators and its autograd.
    Libtorch,
}

/// Section `[screening]`: structure tests, the probe gradient and the loss-rejection protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScreeningConfig {
    /// Reject graphs that cannot train anything by their structure alone. Default true.
    pub static_checks: bool,
    /// Look the training form up among those seen. Default true.
    pub duplicates: bool,
    /// Reject where one gradient at random predictions is non-finite or zero. Default true.
    pub probe: bool,
    /// Run the loss-rejection protocol. Default true.
    pub lrp: bool,
    /// Samples B, `1..=1024`. Default 5 (recalled).
    pub samples: usize,
    /// Steps of gradient descent on the predictions, `1..=100000`. Default 500 (recalled).
    pub steps: usize,
    /// Learning rate of that descent, above 0 and at most 1000. Default 0.1.
    pub learning_rate: f64,
    /// Side in pixels of the screened maps, for dense branches, `1..=4096`. Default 16, ours:
    /// verdicts agree with those at 32 on 99.5 % of graphs.
    pub size: usize,
    /// Threshold η on the gain of the screening metric, `-1..=1`. Default 0.6 (recalled).
    pub threshold: f64,
    /// `"threshold"` (default) or `"positive"`.
    pub mode: ScreeningMode,
    /// `"fused"` (default) or `"libtorch"`, which is many times slower. Losses whose verdict hangs on the
    /// rounding of single precision may be judged differently.
    pub engine: ScreeningEngine,
    /// End the protocol where the rest of its steps would not change the verdict; of the fused engine
    /// in mode `"threshold"`. Default true.
    pub early: bool,
    /// Run the protocol on maps of half the side first, and reject what gains next to nothing there; with
    /// `early`. Default true.
    pub coarse: bool,
}

impl Default for ScreeningConfig {
    fn default() -> Self {
        Self {
            static_checks: true,
            duplicates: true,
            probe: true,
            lrp: true,
            samples: 5,
            steps: 500,
            learning_rate: 0.1,
            size: 16,
            threshold: 0.6,
            mode: ScreeningMode::Threshold,
            engine: ScreeningEngine::Fused,
            early: true,
            coarse: true,
        }
    }
}

impl ScreeningConfig {
    /// Whether a gain is good enough to train with. NaN never is.
    #[must_use]
    pub fn accepts(&self, gain: f64) -> bool {
        match self.mode {
            ScreeningMode::Threshold => gain >= self.threshold,
            ScreeningMode::Positive => gain > 0.0,
        }
    }

    pub(super) fn check(&self, check: &mut Checker) {
        check.range("screening.samples", self.samples, 1..=1024);
        check.range("screening.steps", self.steps, 1..=100_000);
        check.positive("screening.learning_rate", self.learning_rate, 1000.0);
        check.range("screening.size", self.size, 1..=4096);
        check.range("screening.threshold", self.threshold, -1.0..=1.0);
    }
}

/// Section `[equivalence]`: the gradient-equivalence check of AutoLoss-Zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EquivalenceConfig {
    /// Whether losses with equal gradient keys share one evaluation. Default true.
    pub enabled: bool,
    /// Significant digits of the gradient norms in the key, `1..=12`. Default 2.
    pub digits: usize,
}

impl Default for EquivalenceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            digits: 2,
        }
    }
}

impl EquivalenceConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.range("equivalence.digits", self.digits, 1..=12);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_differ_between_zero_and_the_threshold() {
        let mut config = ScreeningConfig::default();
        assert!(!config.accepts(0.3) && config.accepts(0.6));
        config.mode = ScreeningMode::Positive;
        assert!(config.accepts(0.3) && !config.accepts(0.0));
        assert!(!config.accepts(f64::NAN));
    }
}
