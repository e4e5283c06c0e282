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
//! ```
//! use autoloss_search::{EquivalenceConfig, GradientKey, Probe};
//!
//! let config = EquivalenceConfig::default();
//! let probe = |scale: f64| Probe {
//!     losses: vec![1.0],
//!     norms: vec![0.0123 * scale.abs()],
//!     alignments: vec![-0.5 * scale],
//!     rounding_scale: 0.0,
//! };
//! let key = GradientKey::new(&probe(1.0), &config).unwrap();
//! assert_eq!(key.as_str(), "1.2e-2-");
//! assert_eq!(GradientKey::new(&probe(1.0 + 1e-9), &config), Some(key.clone()));
//! assert_ne!(GradientKey::new(&probe(-1.0), &config), Some(key));
//! ```

use std::fmt::Write;

use super::screener::Probe;
use crate::config::EquivalenceConfig;

/// What equivalent losses have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GradientKey(Box<str>);

impl GradientKey {
    /// The key of a probe with the configured digits; None where the probe is not finite, since such
    /// losses have nothing in common.
    #[must_use]
    pub fn new(probe: &Probe, config: &EquivalenceConfig) -> Option<Self> {
        if !probe.is_finite() {
            return None;
        }
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
        Some(Self(text.into_boxed_str()))
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
            rounding_scale: 0.0,
        }
    }

    fn key(norms: &[f64], alignments: &[f64]) -> GradientKey {
        GradientKey::new(&probe(norms, alignments), &EquivalenceConfig::default()).unwrap()
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
        let key = GradientKey::new(&probe, &strict).unwrap();
        assert_eq!(key.as_str(), "1.0e0=1.0e0+");
    }

    #[test]
    fn small_norms_are_told_apart() {
        assert_ne!(key(&[1.0e-9], &[-1.0]), key(&[2.0e-9], &[-1.0]));
    }

    #[test]
    fn a_probe_that_is_not_finite_has_no_key() {
        let config = EquivalenceConfig::default();
        assert_eq!(GradientKey::new(&probe(&[f64::NAN], &[0.0]), &config), None);
        assert_eq!(
            GradientKey::new(&probe(&[1.0], &[f64::INFINITY]), &config),
            None
        );
    }

    #[test]
    fn joined_keys_keep_their_borders() {
        let (a, b) = (key(&[1.0], &[1.0]), key(&[2.0], &[1.0]));
        assert_ne!(GradientKey::join([&a, &b]), GradientKey::join([&b, &a]));
        assert_eq!(GradientKey::join([&a]), a);
    }

    proptest! {
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
