//! Losses beside one another: what each scored with every seed, and whether two differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::{mean_and_deviation, welch};

/// Scores by name, each higher when better.
pub type Scores = BTreeMap<String, f64>;

/// A loss to be measured under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// The row's name.
    pub name: String,
    /// Texts by branch, those of branches that are not searched included.
    pub losses: BTreeMap<String, String>,
}

impl Contender {
    /// Its row, with the scores of each seed.
    #[must_use]
    pub fn row(&self, scores: Vec<Option<Scores>>) -> Row {
        Row {
            name: self.name.clone(),
            losses: self.losses.clone(),
            scores,
        }
    }
}

/// A loss, measured.
///
/// ```
/// use autoloss_search::{Row, Scores};
///
/// let row = |values: [f64; 3]| Row {
///     scores: values.map(|value| Some(Scores::from([("mIoU".into(), value)]))).to_vec(),
///     ..Row::default()
/// };
/// let (ours, theirs) = (row([0.61, 0.62, 0.60]), row([0.64, 0.66, 0.65]));
/// assert!(ours.p_value(&theirs, "mIoU").is_some_and(|p| (p - 0.00805).abs() < 1e-5));
/// assert_eq!(ours.summary("mAP"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// The row's name.
    pub name: String,
    /// Texts by branch.
    pub losses: BTreeMap<String, String>,
    /// The scores of each seed; absent where the training ended without.
    pub scores: Vec<Option<Scores>>,
}

impl Row {
    /// The values of a score, one for each seed; none where a seed has none.
    #[must_use]
    pub fn values(&self, score: &str) -> Option<Vec<f64>> {
        let value = |scores: &Option<Scores>| scores.as_ref()?.get(score).copied();
        self.scores.iter().map(value).collect()
    }

    /// Mean and sample standard deviation of a score over the seeds; none where a seed has none.
    #[must_use]
    pub fn summary(&self, score: &str) -> Option<(f64, f64)> {
        let (mean, deviation) = mean_and_deviation(&self.values(score)?)?;
        Some((mean, deviation.unwrap_or(0.0)))
    }

    /// The two-sided p-value of Welch's t-test that a score differs from another row's; none with
    /// fewer than two values on a side.
    #[must_use]
    pub fn p_value(&self, other: &Self, score: &str) -> Option<f64> {
        welch(&self.values(score)?, &other.values(score)?)
    }
}

/// The standard deviation of a score between seeds: the root of the rows' mean variance.
#[must_use]
pub fn noise_floor(rows: &[Row], score: &str) -> Option<f64> {
    let summaries = rows.iter().filter_map(|row| row.summary(score));
    let variances: Vec<f64> = summaries
        .map(|(_, deviation)| deviation * deviation)
        .collect();
    let (mean, _) = mean_and_deviation(&variances)?;
    Some(mean.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<f64>]) -> Row {
        let scores = |value: &Option<f64>| value.map(|value| Scores::from([("m".into(), value)]));
        Row {
            scores: values.iter().map(scores).collect(),
            ..Row::default()
        }
    }

    #[test]
    fn mean_and_spread() {
        let summary = |values: &[Option<f64>], score| row(values).summary(score);
        let (mean, spread) = summary(&[Some(1.0), Some(2.0), Some(3.0)], "m").unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (spread - 1.0).abs() < 1e-12);
        assert_eq!(summary(&[Some(1.0), None], "m"), None);
        assert_eq!(summary(&[Some(1.0)], "m"), Some((1.0, 0.0)));
        assert_eq!(summary(&[Some(1.0)], "other"), None);
    }

    #[test]
    fn the_noise_floor_is_of_rows_with_every_seed() {
        let rows = [
            row(&[Some(1.0), Some(3.0)]),
            row(&[Some(5.0), Some(5.0)]),
            row(&[Some(0.0), None]),
        ];
        let floor = noise_floor(&rows, "m").unwrap();
        assert!((floor - 1.0).abs() < 1e-12, "{floor}");
        assert_eq!(noise_floor(&rows, "other"), None);
    }
}
