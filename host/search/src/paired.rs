//! Whether two losses differ, from trainings with the same seeds.
//!
//! Trainings with one seed share their initial weights and the order of their images, so scores are compared
//! seed by seed. The test assumes nothing of how scores are distributed: were there no difference, each
//! pair's could as well have the other sign (Fisher's randomisation test). With five pairs its smallest p-value
//! is 1/16, so fewer than six can show nothing at 0.05.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::random::fixed;
use crate::statistics::{mean_and_deviation, quantiles};

/// Pairs up to which every combination of signs is tried.
const EXACT: usize = 16;
/// Combinations of signs that are drawn where there are more pairs.
const DRAWN: usize = 1 << EXACT;
/// Samples of a bootstrap.
const SAMPLES: usize = 10_000;

/// How one loss's scores differ from another's, seed by seed.
///
/// ```
/// use autoloss_search::Paired;
///
/// let ours = [0.62, 0.63, 0.61, 0.65, 0.62, 0.64];
/// let theirs = [0.60, 0.60, 0.60, 0.61, 0.61, 0.60];
/// let paired = Paired::new(&ours, &theirs).unwrap();
/// assert!((paired.difference - 0.025).abs() < 1e-9);
/// assert_eq!(paired.p_value, 2.0 / 64.0);
/// assert!(paired.low > 0.01 && paired.high < 0.04);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Seeds.
    pub pairs: usize,
    /// Mean of the differences; above 0 where the first is better.
    pub difference: f64,
    /// Lower end of the mean's 95 % interval, by bootstrap of the pairs (percentiles).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Two-sided p-value of the sign-flip test: the share of all combinations of signs whose mean is as
    /// far from 0; of more than 16 pairs, of 65,536 random ones.
    pub p_value: f64,
}

impl Paired {
    /// Compares the scores of two losses, in the order of the same seeds. None where their numbers differ, or there
    /// are fewer than two.
    #[must_use]
    pub fn new(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        if ours.len() != theirs.len() || ours.len() < 2 {
            return None;
        }
        let pairs = ours.iter().zip(theirs);
        let differences: Vec<f64> = pairs.map(|(ours, theirs)| ours - theirs).collect();
        let (difference, _) = mean_and_deviation(&differences)?;
        let mut generator = fixed();
        let count = differences.len();
        let means = (0..SAMPLES).map(|_| {
            let draws = (0..count).map(|_| differences[generator.random_range(0..count)]);
            draws.sum::<f64>() / count as f64
        });
        let [low, high] = quantiles(means.collect(), [0.025, 0.975])?;
        Some(Self {
            pairs: count,
            difference,
            low,
            high,
            p_value: sign_flips(&differences),
        })
    }

    /// Whether the difference is established at 0.05.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p_value < 0.05
    }
}

fn sign_flips(differences: &[f64]) -> f64 {
    let sum: f64 = differences.iter().sum();
    // Sums of the same numbers in another order differ by rounding.
    let size: f64 = differences.iter().map(|value| value.abs()).sum();
    let least = sum.abs() - 1e-9 * size;
    let is_as_far = |flips: &mut dyn FnMut(usize) -> bool| {
        let terms = differences.iter().enumerate();
        let sum: f64 = terms
            .map(|(place, value)| if flips(place) { -value } else { *value })
            .sum();
        sum.abs() >= least
    };
    if differences.len() <= EXACT {
        let all = 1u64 << differences.len();
        let far = |signs: &u64| is_as_far(&mut |place| signs >> place & 1 == 1);
        return (0..all).filter(far).count() as f64 / all as f64;
    }
    let mut generator = fixed();
    let far = (0..DRAWN).filter(|_| is_as_far(&mut |_| generator.random()));
    // The observed signs are one of the combinations.
    (1 + far.count()) as f64 / (1 + DRAWN) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(differences: &[f64]) -> f64 {
        let zeros = vec![0.0; differences.len()];
        Paired::new(differences, &zeros).unwrap().p_value
    }

    #[test]
    fn p_values_are_those_of_the_permutation_test() {
        // By scipy.stats.permutation_test(permutation_type="samples", n_resamples=inf).
        assert!((p(&[0.3, -0.1, 0.2, 0.4, 0.1, -0.05, 0.2]) - 0.09375).abs() < 1e-12);
        assert_eq!(p(&[1.0, 1.0, 1.0, 1.0, 1.0]), 2.0 / 32.0);
        assert_eq!(p(&[1.0, 2.0, 0.5, 0.1, 3.0, 1.0]), 2.0 / 64.0);
        assert_eq!(p(&[0.0; 8]), 1.0);
    }

    #[test]
    fn many_pairs_are_sampled() {
        let alike: Vec<f64> = (0..40)
            .map(|n| if n % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        assert!(p(&alike) > 0.9);
        assert!(p(&[1.0; 40]) < 1e-4);
    }

    #[test]
    fn nothing_is_said_of_one_pair_or_of_none() {
        assert_eq!(Paired::new(&[1.0], &[2.0]), None);
        assert_eq!(Paired::new(&[1.0, 2.0], &[2.0]), None);
    }

    #[test]
    fn the_interval_holds_the_mean_and_narrows_with_the_spread() {
        let wide = Paired::new(&[1.0, 2.0, 3.0, 4.0], &[0.0; 4]).unwrap();
        let narrow = Paired::new(&[2.4, 2.5, 2.5, 2.6], &[0.0; 4]).unwrap();
        for paired in [wide, narrow] {
            assert!(paired.low < paired.difference && paired.difference < paired.high);
        }
        assert!(narrow.high - narrow.low < wide.high - wide.low);
    }
}
