//! The tests a candidate passes before it costs a proxy training. Each has a switch, because the
//! ablation (naive; with loss rejection; with equivalence; with early stop) is a result of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// When the loss-rejection protocol rejects.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScreeningMode {
    /// Reject where the gain g is below the threshold η (AutoLoss-Zero).
    #[default]
    Threshold,
    /// Reject only where g ≤ 0 (as in EvoMAL).
    Positive,
}

/// What computes the probe gradient and the protocol.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScreeningEngine {
    /// The fused engine of autoloss-engine.
    #[default]
    Fused,
    /// libtorch's operators and its autograd.
    Libtorch,
}

/// Section `[screening]`: structure tests, the probe gradient and the loss-rejection protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScreeningConfig {
    /// Reject graphs whose structure alone shows that they cannot train anything. Default true.
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
    /// Learning rate of the descent, above 0 and at most 1000. Default 0.1.
    pub learning_rate: f64,
    /// Side in pixels of the screened maps, for dense branches, `1..=4096`. Default 16, ours:
    /// outcomes agree with those at 32 on 99.5 % of graphs.
    pub size: usize,
    /// Threshold η on the gain of the screening metric, `-1..=1`. Default 0.6 (recalled).
    pub threshold: f64,
    /// When the protocol rejects.
    pub mode: ScreeningMode,
    /// What computes probe and protocol; `libtorch` is many times slower. The two may differ on losses whose
    /// outcome hangs on the rounding of single precision.
    pub engine: ScreeningEngine,
    /// A gradient whose norm is at most this share of the norm of the terms it sums is zero, `0..=1`.
    /// Default 1e-5, ours: the rounding of single precision.
    pub rounding: f64,
    /// Standard deviation of the random raw predictions, above 0 and at most 1000. Default 1.
    pub initial_deviation: f64,
    /// End the protocol where the rest of its steps would not change the outcome; of the fused engine
    /// in mode `"threshold"`. Default true.
    pub early: bool,
    /// When it ends early.
    pub early_stopping: EarlyStopping,
    /// Run the protocol on smaller maps first, and reject what gains next to nothing there; with
    /// `early`. Default true.
    pub coarse: bool,
    /// Side of the smaller maps as a share of `size`, rounded down, above 0 and at most 1. Default 0.5.
    pub coarse_scale: f64,
    /// Smallest side of maps that a loss may be rejected on, `1..=4096`. Default 4.
    pub coarse_min_size: usize,
    /// A gain on the smaller maps below this share of the threshold rejects, `0..=1`. Default 0.25.
    pub coarse_share: f64,
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
            rounding: 1e-5,
            initial_deviation: 1.0,
            early: true,
            early_stopping: EarlyStopping::default(),
            coarse: true,
            coarse_scale: 0.5,
            coarse_min_size: 4,
            coarse_share: 0.25,
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
        check.range("screening.rounding", self.rounding, 0.0..=1.0);
        check.positive(
            "screening.initial_deviation",
            self.initial_deviation,
            1000.0,
        );
        check.positive("screening.coarse_scale", self.coarse_scale, 1.0);
        check.range("screening.coarse_min_size", self.coarse_min_size, 1..=4096);
        check.range("screening.coarse_share", self.coarse_share, 0.0..=1.0);
        self.early_stopping.check(check);
    }
}

/// Section `[screening.early_stopping]`: when the loss-rejection protocol ends before its last step, see
/// [`EarlyStopper`](crate::EarlyStopper). Gains count as shares of the threshold. The numbers are ours;
/// docs/method.md says how often they err.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Steps after which the metric is read, each above the one before, at least 1. Default 20, 40, 60,
    /// 100, 150, 200, 300, 400.
    pub readings: Vec<usize>,
    /// A loss whose gain never reached this share has none, `0..=1`. Default 0.05.
    pub flat: f64,
    /// Steps after which a loss without gain is rejected, `1..=100000`. Default 60.
    pub flat_after: usize,
    /// The same where the first gradient leads away from the targets, `1..=100000`. Default 40.
    pub misaligned_after: usize,
    /// Gain in the last half of the steps below which a loss is rejected, `0..=1`. Default 0.02.
    pub rise: f64,
    /// Steps from which on the gain has to rise, `1..=100000`. Default 150.
    pub rises_after: usize,
    /// A loss whose gain is at this share or above is not rejected for rising too little, `0..=1`.
    /// Default 0.95.
    pub close: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            readings: vec![20, 40, 60, 100, 150, 200, 300, 400],
            flat: 0.05,
            flat_after: 60,
            misaligned_after: 40,
            rise: 0.02,
            rises_after: 150,
            close: 0.95,
        }
    }
}

impl EarlyStopping {
    fn check(&self, check: &mut Checker) {
        let key = |name: &str| format!("screening.early_stopping.{name}");
        let rising = self.readings.is_sorted_by(|before, after| before < after);
        check.holds(
            &key("readings"),
            rising && self.readings.first() != Some(&0),
            "must be at least 1 and rise from each to the next",
        );
        for (name, share) in [
            ("flat", self.flat),
            ("rise", self.rise),
            ("close", self.close),
        ] {
            check.range(&key(name), share, 0.0..=1.0);
        }
        for (name, steps) in [
            ("flat_after", self.flat_after),
            ("misaligned_after", self.misaligned_after),
            ("rises_after", self.rises_after),
        ] {
            check.range(&key(name), steps, 1..=100_000);
        }
    }
}

/// Which gradients a fingerprint takes for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EquivalenceMode {
    /// Those of one direction: with Adam, one branch and no clipping a positive factor changes no training.
    /// Otherwise it does, and the norm has to be the same as well.
    #[default]
    Training,
    /// Those with equal norms and signs on every sample, as AutoLoss-Zero has it.
    Paper,
}

/// Section `[equivalence]`: which losses share one evaluation, after the gradient-equivalence check of
/// AutoLoss-Zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EquivalenceConfig {
    /// Whether losses with equal fingerprints share one evaluation. Default true.
    pub enabled: bool,
    /// Which gradients a fingerprint takes for the same. Default `"training"`, ours.
    pub mode: EquivalenceMode,
    /// Random directions that the gradient is projected on in mode `training`, `1..=32`. Default 16.
    pub projections: usize,
    /// Width of a step in which a projection, over the gradient's norm, is told in mode `training`, above 0
    /// and at most 1. Default 0.02: gradients of one fingerprint have a cosine of 0.999 and more.
    pub resolution: f64,
    /// Distance within which a loss shares the outcome of one that was evaluated, since the proxy cannot tell them apart
    /// in mode `training`, `0..=1`; 0: never. It is the root mean square difference of the projections, about the
    /// length of the difference of two gradients of length 1. Default 0.05, ours.
    pub near: f64,
    /// Significant digits of the gradient norms in a fingerprint, `1..=12`. Default 2.
    pub digits: usize,
    /// An alignment of at most this share of the gradient's norm has no sign, `0..=1`: the gradient is
    /// orthogonal to ŷ − y up to the rounding of single-precision sums. Default 1e-6, ours.
    pub orthogonal: f64,
}

impl Default for EquivalenceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: EquivalenceMode::default(),
            projections: 16,
            resolution: 0.02,
            near: 0.05,
            digits: 2,
            orthogonal: 1e-6,
        }
    }
}

impl EquivalenceConfig {
    /// How many projections of a gradient a screener has to tell.
    #[must_use]
    pub fn sketched(&self) -> usize {
        match self.mode {
            EquivalenceMode::Training if self.enabled => self.projections,
            _ => 0,
        }
    }

    pub(super) fn check(&self, check: &mut Checker) {
        check.range("equivalence.projections", self.projections, 1..=32);
        check.positive("equivalence.resolution", self.resolution, 1.0);
        check.range("equivalence.near", self.near, 0.0..=1.0);
        check.range("equivalence.digits", self.digits, 1..=12);
        check.range("equivalence.orthogonal", self.orthogonal, 0.0..=1.0);
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
