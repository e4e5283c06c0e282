//! How far two measurements rank the same things alike.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

use crate::random::fixed;
use crate::statistics::{mean_and_deviation, quantiles};

/// Samples of a bootstrap.
const SAMPLES: usize = 2_000;

/// A correlation with its 95 % interval, by bootstrap of the things that are ranked (percentiles).
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// From −1, the reverse order, to 1, the same.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Two rankings of the same things beside one another.
///
/// ```
/// use autoloss_search::RankAgreement;
///
/// let proxy = [0.31, 0.33, 0.35, 0.36, 0.38];
/// let long = [0.40, 0.52, 0.50, 0.55, 0.61];
/// let agreement = RankAgreement::new(&proxy, &long).unwrap();
/// assert!((agreement.kendall.value - 0.8).abs() < 1e-12);
/// assert!((agreement.spearman.value - 0.9).abs() < 1e-12);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankAgreement {
    /// How many were ranked.
    pub count: usize,
    /// Kendall's τ-b.
    pub kendall: Correlation,
    /// Spearman's ρ.
    pub spearman: Correlation,
}

impl RankAgreement {
    /// Compares what two measurements say of the same things, in the same order. None with fewer than three, or
    /// where one of the measurements is the same for all.
    #[must_use]
    pub fn new(first: &[f64], second: &[f64]) -> Option<Self> {
        let count = first.len();
        if count != second.len() || count < 3 {
            return None;
        }
        let pairs: Vec<(f64, f64)> = first.iter().copied().zip(second.iter().copied()).collect();
        Some(Self {
            count,
            kendall: correlation(&pairs, kendall)?,
            spearman: correlation(&pairs, spearman)?,
        })
    }
}

fn correlation(pairs: &[(f64, f64)], of: fn(&[(f64, f64)]) -> Option<f64>) -> Option<Correlation> {
    let value = of(pairs)?;
    let mut generator = fixed();
    let values = (0..SAMPLES).filter_map(|_| {
        let draws = (0..pairs.len()).map(|_| pairs[generator.random_range(0..pairs.len())]);
        of(&draws.collect::<Vec<_>>())
    });
    let [low, high] = quantiles(values.collect(), [0.025, 0.975])?;
    Some(Correlation { value, low, high })
}

/// τ-b: pairs in the same order less pairs in the reverse one, over those that are tied in neither.
fn kendall(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut sum, mut untied) = (0.0_f64, [0.0_f64; 2]);
    for (place, a) in pairs.iter().enumerate() {
        for b in &pairs[..place] {
            let sign = |a: f64, b: f64| match a.total_cmp(&b) {
                _ if a == b => 0.0_f64,
                Ordering::Less => -1.0,
                _ => 1.0,
            };
            let signs = [sign(a.0, b.0), sign(a.1, b.1)];
            sum += signs[0] * signs[1];
            untied[0] += signs[0].abs();
            untied[1] += signs[1].abs();
        }
    }
    let all = (untied[0] * untied[1]).sqrt();
    (all > 0.0).then(|| sum / all)
}

/// Pearson's correlation of the ranks; tied values share the mean of theirs.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (a, b) = (ranks(&a), ranks(&b));
    let ((mean_a, deviation_a), (mean_b, deviation_b)) =
        (mean_and_deviation(&a)?, mean_and_deviation(&b)?);
    let spread = deviation_a? * deviation_b? * (pairs.len() - 1) as f64;
    let products = a.iter().zip(&b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    (spread > 0.0).then(|| products.sum::<f64>() / spread)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_scipy() {
        // By scipy.stats.kendalltau and spearmanr.
        let first = [0.1, 0.4, 0.4, 0.2, 0.9, 0.7, 0.7];
        let second = [1.0, 3.0, 2.0, 2.0, 5.0, 4.0, 6.0];
        let agreement = RankAgreement::new(&first, &second).unwrap();
        assert!(
            (agreement.kendall.value - 0.820_782_681_668_123_2).abs() < 1e-9,
            "{agreement:?}"
        );
        assert!(
            (agreement.spearman.value - 0.908_295_106_229_247_6).abs() < 1e-9,
            "{agreement:?}"
        );
    }

    #[test]
    fn the_same_order_and_its_reverse() {
        let (up, down) = ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]);
        let same = RankAgreement::new(&up, &up).unwrap();
        assert_eq!((same.kendall.value, same.spearman.value), (1.0, 1.0));
        let reverse = RankAgreement::new(&up, &down).unwrap();
        assert_eq!(
            (reverse.kendall.value, reverse.spearman.value),
            (-1.0, -1.0)
        );
    }

    #[test]
    fn what_cannot_be_ranked_has_no_correlation() {
        assert_eq!(RankAgreement::new(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(RankAgreement::new(&[1.0, 2.0], &[1.0, 2.0]), None);
        assert_eq!(RankAgreement::new(&[1.0, 2.0, 3.0], &[1.0, 2.0]), None);
    }
}
