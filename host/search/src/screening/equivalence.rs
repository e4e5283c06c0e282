//! The gradient-equivalence check of AutoLoss-Zero (arXiv 2103.14026): losses whose gradients have
//! equal norms on B samples train alike and share one evaluation.
//!
//! The key is text, one entry for each sample: the norm in scientific notation with two significant
//! digits and the sign of ⟨∂L/∂x, ŷ − y⟩, x the raw predictions. Significant digits rather than an absolute tolerance,
//! since norms span many orders of magnitude; the standard library's decimal formatting, since it
//! rounds correctly and alike on every platform, where scaling by powers of ten does not. Text can
//! be read in the store. The sign is ours: L and −L have equal norms and opposite effects. It is
//! taken for each sample, which costs nothing and tells more than the sign of their mean.
//!
//! That is mode `paper`. A training sees less: Adam divides by the gradient's size, so that L and c·L are one
//! training, and what a softmax cancels never reaches the network. In mode `training`, ours, the key is the
//! direction of the gradient by x alone, as its projections on fixed random directions over its norm, in steps of
//! `resolution`. With SGD, several branches or clipping a factor is another training; there the norm is part of the key.
//!
//! ```
//! use autoloss_search::{EquivalenceConfig, EquivalenceMode, GradientKey, Probe};
//!
//! let config = EquivalenceConfig::default();
//! let probe = |scale: f64| Probe {
//!     losses: vec![1.0],
//!     norms: vec![0.0123 * scale.abs()],
//!     alignments: vec![-0.5 * scale],
//!     sketch: vec![0.006 * scale, -0.002 * scale],
//!     rounding_scale: 0.0,
//! };
//! let key = |scale| GradientKey::new(&probe(scale), &config, true).unwrap();
//! assert_eq!(key(1.0).as_str(), "24,-8");
//! assert_eq!(key(2.7), key(1.0));
//! assert_ne!(key(-1.0), key(1.0));
//!
//! let config = EquivalenceConfig { mode: EquivalenceMode::Paper, ..config };
//! let key = |scale| GradientKey::new(&probe(scale), &config, true).unwrap();
//! assert_eq!(key(1.0).as_str(), "1.2e-2-");
//! assert_eq!(key(1.0 + 1e-9), key(1.0));
//! assert_ne!(key(2.7), key(1.0));
//! ```

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::screener::Probe;
use crate::config::{EquivalenceConfig, EquivalenceMode};

/// What equivalent losses have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GradientKey(Box<str>);

impl GradientKey {
    /// The key of a probe; None where the probe is not finite, since such losses have nothing in common.
    /// `any_scale` tells that a positive factor changes no training. A probe without a sketch has the key of
    /// mode `paper`.
    #[must_use]
    pub fn new(probe: &Probe, config: &EquivalenceConfig, any_scale: bool) -> Option<Self> {
        if !probe.is_finite() {
            return None;
        }
        let norm = probe
            .norms
            .iter()
            .map(|norm| norm * norm)
            .sum::<f64>()
            .sqrt();
        let sketched = config.mode == EquivalenceMode::Training && !probe.sketch.is_empty();
        Some(if sketched && norm > 0.0 && norm.is_finite() {
            Self::of_direction(probe, norm, config, any_scale)
        } else {
            Self::of_norms(probe, config)
        })
    }

    fn of_direction(probe: &Probe, norm: f64, config: &EquivalenceConfig, any_scale: bool) -> Self {
        let step = |projection: &f64| (projection / (norm * config.resolution)).round() as i64;
        let steps = probe.sketch.iter().map(|p| step(p).to_string());
        let mut text = steps.collect::<Vec<_>>().join(",");
        if !any_scale {
            let precision = config.digits.saturating_sub(1);
            text += &format!("@{norm:.precision$e}");
        }
        Self(text.into_boxed_str())
    }

    fn of_norms(probe: &Probe, config: &EquivalenceConfig) -> Self {
        let precision = config.digits.saturating_sub(1);
        let mut text = String::with_capacity(probe.norms.len() * (precision + 8));
        for (index, &norm) in probe.norms.iter().enumerate() {
            let alignment = probe.alignments.get(index).copied().unwrap_or(0.0);
            // Adding zero turns −0 into 0, which would print a sign of its own.
            let written = write!(
                text,
                "{:.precision$e}{}",
                norm.abs() + 0.0,
                sign(alignment, norm, config.orthogonal)
            );
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        }
        Self(text.into_boxed_str())
    }

    /// The direction that it tells; none in mode `paper`.
    pub(crate) fn direction(&self) -> Option<Direction> {
        let mut direction = Direction::default();
        for branch in self.0.split('|') {
            let (steps, norm) = branch.split_once('@').unwrap_or((branch, ""));
            let steps: Result<Vec<i32>, _> = steps.split(',').map(str::parse).collect();
            direction.branches.push(steps.ok()?);
            direction.norms.push(norm.to_owned());
        }
        Some(direction)
    }

    /// A key read back from the store.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The keys of all branches of a loss as one, the key of the whole.
    pub(crate) fn join<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Self {
        let parts: Vec<&str> = keys.into_iter().map(Self::as_str).collect();
        Self(parts.join("|").into_boxed_str())
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The direction of a loss's gradient, as a key tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Direction {
    /// The steps of each branch's projections.
    branches: Vec<Vec<i32>>,
    /// What stands for the norms, where a factor counts.
    norms: Vec<String>,
}

impl Direction {
    /// How far apart two gradients of length 1 are, in steps of the projections: the root of the mean square of
    /// their differences, of the branch where it is largest. None where their norms differ and count.
    pub(crate) fn distance(&self, other: &Self) -> Option<f64> {
        if self.norms != other.norms {
            return None;
        }
        let mut largest = 0.0_f64;
        for (ours, theirs) in self.branches.iter().zip(&other.branches) {
            let squares = ours.iter().zip(theirs);
            let squares = squares.map(|(a, b)| f64::from(a - b).powi(2));
            let mean = squares.sum::<f64>() / ours.len().max(1) as f64;
            largest = largest.max(mean.sqrt());
        }
        Some(largest)
    }
}

fn sign(alignment: f64, norm: f64, orthogonal: f64) -> char {
    if alignment.abs() <= orthogonal * norm.abs() {
        '='
    } else if alignment > 0.0 {
        '+'
    } else {
        '-'
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn probe(norms: &[f64], alignments: &[f64]) -> Probe {
        Probe {
            losses: vec![0.0; norms.len()],
            norms: norms.to_vec(),
            alignments: alignments.to_vec(),
            sketch: Vec::new(),
            rounding_scale: 0.0,
        }
    }

    fn key(norms: &[f64], alignments: &[f64]) -> GradientKey {
        GradientKey::new(
            &probe(norms, alignments),
            &EquivalenceConfig::default(),
            true,
        )
        .unwrap()
    }

    #[test]
    fn keys_are_significant_digits_and_signs() {
        assert_eq!(key(&[1234.0], &[1.0]).as_str(), "1.2e3+");
        assert_eq!(key(&[9.96e-7], &[-1.0]).as_str(), "1.0e-6-");
        assert_eq!(key(&[0.0, 5e-324], &[0.0, 0.0]).as_str(), "0.0e0=4.9e-324=");
        assert_eq!(key(&[-0.0], &[0.0]), key(&[0.0], &[0.0]));
    }

    #[test]
    fn the_configuration_says_what_has_no_sign() {
        let strict = EquivalenceConfig {
            orthogonal: 0.1,
            ..EquivalenceConfig::default()
        };
        let probe = probe(&[1.0, 1.0], &[0.05, 0.5]);
        let key = GradientKey::new(&probe, &strict, true).unwrap();
        assert_eq!(key.as_str(), "1.0e0=1.0e0+");
    }

    #[test]
    fn small_norms_are_told_apart() {
        assert_ne!(key(&[1.0e-9], &[-1.0]), key(&[2.0e-9], &[-1.0]));
    }

    #[test]
    fn a_probe_that_is_not_finite_has_no_key() {
        let config = EquivalenceConfig::default();
        assert_eq!(
            GradientKey::new(&probe(&[f64::NAN], &[0.0]), &config, true),
            None
        );
        assert_eq!(
            GradientKey::new(&probe(&[1.0], &[f64::INFINITY]), &config, true),
            None
        );
    }

    #[test]
    fn joined_keys_keep_their_borders() {
        let (a, b) = (key(&[1.0], &[1.0]), key(&[2.0], &[1.0]));
        assert_ne!(GradientKey::join([&a, &b]), GradientKey::join([&b, &a]));
        assert_eq!(GradientKey::join([&a]), a);
    }

    fn sketched(norms: &[f64], sketch: &[f64]) -> Probe {
        Probe {
            sketch: sketch.to_vec(),
            ..probe(norms, &vec![0.0; norms.len()])
        }
    }

    #[test]
    fn with_sgd_a_factor_is_another_training() {
        let config = EquivalenceConfig::default();
        let key = |factor: f64, any_scale| {
            let probe = sketched(&[3.0 * factor, 4.0 * factor], &[factor, -2.5 * factor]);
            GradientKey::new(&probe, &config, any_scale).unwrap()
        };
        assert_eq!(key(1.0, false).as_str(), "10,-25@5.0e0");
        assert_eq!(key(1.004, false), key(1.0, false));
        assert_ne!(key(2.0, false), key(1.0, false));
        assert_eq!(key(2.0, true), key(1.0, true));
    }

    #[test]
    fn what_has_no_direction_is_told_by_its_norms() {
        let config = EquivalenceConfig::default();
        let key = GradientKey::new(&sketched(&[0.0], &[0.0]), &config, true).unwrap();
        assert_eq!(key.as_str(), "0.0e0=");
    }

    proptest! {
        /// No positive factor changes the key of a direction, and the opposite direction has another.
        #[test]
        fn a_direction_has_one_key(
            sketch in prop::collection::vec(-3.0f64..3.0, 4..17),
            exponent in -20i32..20,
        ) {
            prop_assume!(sketch.iter().any(|p| p.abs() > 0.1));
            let config = EquivalenceConfig::default();
            let key = |factor: f64| {
                let scaled: Vec<f64> = sketch.iter().map(|p| p * factor).collect();
                GradientKey::new(&sketched(&[factor.abs()], &scaled), &config, true).unwrap()
            };
            // A power of two rounds nothing.
            prop_assert_eq!(key(2f64.powi(exponent)), key(1.0));
            prop_assert_ne!(key(-1.0), key(1.0));
        }

        /// A mantissa in the middle of its bin stays there under rounding noise.
        #[test]
        fn noise_away_from_bin_edges_changes_nothing(
            mantissas in prop::collection::vec((10u32..100, -0.4f64..0.4), 1..6),
            exponent in -30i32..30,
            noise in -1e-7f64..1e-7,
        ) {
            let norms: Vec<f64> = mantissas
                .iter()
                .map(|&(bin, offset)| (f64::from(bin) + offset) * 10f64.powi(exponent))
                .collect();
            let alignments: Vec<f64> = norms.iter().map(|norm| -0.3 * norm).collect();
            let noisy: Vec<f64> = norms.iter().map(|norm| norm * (1.0 + noise)).collect();
            prop_assert_eq!(key(&norms, &alignments), key(&noisy, &alignments));
        }

        /// Norms more than one bin apart never share a key, at any magnitude.
        #[test]
        fn different_magnitudes_differ(norm in 1e-30f64..1e30, factor in 1.12f64..100.0) {
            prop_assert_ne!(key(&[norm], &[norm]), key(&[norm * factor], &[norm]));
        }

        #[test]
        fn a_loss_and_its_negative_differ(
            samples in prop::collection::vec((1e-6f64..1e6, 0.01f64..1.0, any::<bool>()), 1..6),
        ) {
            let norms: Vec<f64> = samples.iter().map(|&(norm, ..)| norm).collect();
            let alignments: Vec<f64> = samples
                .iter()
                .map(|&(norm, part, up)| if up { norm * part } else { -norm * part })
                .collect();
            let negated: Vec<f64> = alignments.iter().map(|a| -a).collect();
            prop_assert_ne!(key(&norms, &alignments), key(&norms, &negated));
        }
    }
}
