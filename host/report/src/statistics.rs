//! Mean, spread and significance of scores over seeds.

use autoloss_search::mean_and_deviation;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The values of one score over the seeds of a training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) mean: f64,
    /// Sample standard deviation; none for a single value.
    pub(crate) deviation: Option<f64>,
    pub(crate) values: Vec<f64>,
}

impl Sample {
    /// None where there is no value, or one that is no number.
    pub(crate) fn of(values: Vec<f64>) -> Option<Self> {
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let (mean, deviation) = mean_and_deviation(&values)?;
        Some(Self {
            mean,
            deviation,
            values,
        })
    }

    /// The p-value that two scores differ.
    pub(crate) fn p_value(&self, other: &Self) -> Option<f64> {
        welch(&self.values, &other.values)
    }
}

/// The two-sided p-value of Welch's unequal-variances t-test (Welch 1947; degrees of freedom by
/// Satterthwaite); none with fewer than two values on a side.
///
/// ```
/// let p = autoloss_report::welch(&[0.61, 0.62, 0.60], &[0.64, 0.66, 0.65]);
/// assert!(p.is_some_and(|p| (p - 0.00805).abs() < 1e-5));
/// assert_eq!(autoloss_report::welch(&[1.0], &[2.0, 3.0]), None);
/// ```
#[must_use]
pub fn welch(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let (mean_a, deviation_a) = mean_and_deviation(ours)?;
    let (mean_b, deviation_b) = mean_and_deviation(theirs)?;
    let (n_a, n_b) = (ours.len() as f64, theirs.len() as f64);
    let (a, b) = (deviation_a?.powi(2) / n_a, deviation_b?.powi(2) / n_b);
    if a + b == 0.0 {
        return Some(if mean_a == mean_b { 1.0 } else { 0.0 });
    }
    let t = (mean_a - mean_b) / (a + b).sqrt();
    let freedom = (a + b).powi(2) / (a * a / (n_a - 1.0) + b * b / (n_b - 1.0));
    let distribution = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(2.0 * distribution.cdf(-t.abs()))
}

/// The value below which a part of the numbers lies; they are sorted here.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (part * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_welchs_test() {
        // By scipy.stats.ttest_ind(a, b, equal_var=False).
        let p = welch(&[0.61, 0.62, 0.60, 0.63], &[0.60, 0.66, 0.65]).unwrap();
        assert!((p - 0.365_284_858_068_518_07).abs() < 1e-9, "{p}");
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), Some(1.0));
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), Some(0.0));
    }

    #[test]
    fn samples_and_quantiles() {
        let sample = Sample::of(vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((sample.mean, sample.deviation), (2.0, Some(1.0)));
        assert_eq!(Sample::of(vec![1.0, f64::NAN]), None);
        assert_eq!(Sample::of(Vec::new()), None);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
