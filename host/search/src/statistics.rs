//! Mean, spread and significance of a few measurements.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and sample standard deviation; no mean of nothing, no deviation of one.
///
/// ```
/// use autoloss_search::mean_and_deviation;
///
/// assert_eq!(mean_and_deviation(&[1.0, 2.0, 3.0]), Some((2.0, Some(1.0))));
/// assert_eq!(mean_and_deviation(&[4.0]), Some((4.0, None)));
/// assert_eq!(mean_and_deviation(&[]), None);
/// ```
#[must_use]
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, Option<f64>)> {
    if values.is_empty() {
        return None;
    }
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
    Some((mean, deviation))
}

/// The values below which parts of the numbers lie; none of no numbers.
#[must_use]
pub fn quantiles<const N: usize>(mut values: Vec<f64>, parts: [f64; N]) -> Option<[f64; N]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(parts.map(|part| values[(part * last as f64).round() as usize]))
}

/// The two-sided p-value of Welch's unequal-variances t-test (Welch 1947; degrees of freedom by
/// Satterthwaite); none with fewer than two values on a side.
///
/// ```
/// let p = autoloss_search::welch(&[0.61, 0.62, 0.60], &[0.64, 0.66, 0.65]);
/// assert!(p.is_some_and(|p| (p - 0.00805).abs() < 1e-5));
/// assert_eq!(autoloss_search::welch(&[1.0], &[2.0, 3.0]), None);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        assert_eq!(quantiles(vec![3.0, 1.0, 2.0], [0.5]), Some([2.0]));
        assert_eq!(quantiles(Vec::new(), [0.5]), None);
    }

    #[test]
    fn p_values_are_those_of_welchs_test() {
        // By scipy.stats.ttest_ind(a, b, equal_var=False).
        let p = welch(&[0.61, 0.62, 0.60, 0.63], &[0.60, 0.66, 0.65]).unwrap();
        assert!((p - 0.365_284_858_068_518_07).abs() < 1e-9, "{p}");
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), Some(1.0));
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), Some(0.0));
    }
}
