//! Mean and spread of a few measurements.

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
