//! Losses beside one another: what each scored with every seed, and whether two differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::paired::Paired;
use crate::statistics::mean_and_deviation;

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
/// let paired = ours.paired(&theirs, "mIoU").unwrap();
/// assert!((paired.difference + 0.04).abs() < 1e-9);
/// assert_eq!(paired.p_value, 0.25); // the least that three pairs can have
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

    /// How a score differs from another row's, whose trainings had the same seeds; none with fewer than two
    /// values on a side, or other numbers of them.
    #[must_use]
    pub fn paired(&self, other: &Self, score: &str) -> Option<Paired> {
        Paired::new(&self.values(score)?, &other.values(score)?)
    }
}

/// How a found loss stands against a reference.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Standing {
    /// Better, at 0.05.
    Beats(Paired),
    /// Worse, at 0.05.
    FallsShort(Paired),
    /// Not established either way.
    Open(Paired),
    /// One training each: the difference.
    Single(f64),
    /// One of the two has no value with some seed.
    Unmeasured {
        /// Whether it is the found one.
        found: bool,
    },
}

impl Standing {
    /// Of a row against a reference, in a score.
    #[must_use]
    pub fn of(found: &Row, reference: &Row, score: &str) -> Self {
        let Some(ours) = found.values(score) else {
            return Self::Unmeasured { found: true };
        };
        let Some(theirs) = reference.values(score) else {
            return Self::Unmeasured { found: false };
        };
        match Paired::new(&ours, &theirs) {
            Some(paired) if !paired.is_significant() => Self::Open(paired),
            Some(paired) if paired.difference > 0.0 => Self::Beats(paired),
            Some(paired) => Self::FallsShort(paired),
            None => Self::Single(ours.iter().sum::<f64>() - theirs.iter().sum::<f64>()),
        }
    }

    /// The sentence that says so, with the rows' names: `found` is 'the found loss'.
    #[must_use]
    pub fn sentence(&self, found: &Row, reference: &Row, score: &str, split: &str) -> String {
        let (ours, name) = (&found.name, &reference.name);
        let beginning = match self {
            Self::Beats(_) => format!("The {ours} loss beats {name}"),
            Self::FallsShort(_) => format!("The {ours} loss falls short of {name}"),
            Self::Open(_) => format!("The {ours} loss cannot be told from {name}"),
            Self::Single(difference) if *difference > 0.0 => {
                format!("In a single training, the {ours} loss is above {name}")
            }
            Self::Single(_) => format!("In a single training, the {ours} loss is not above {name}"),
            Self::Unmeasured { found } => {
                let name = if *found {
                    format!("the {ours} loss")
                } else {
                    name.clone()
                };
                return format!(
                    "On the {split} split {name} could not be measured: a training became invalid."
                );
            }
        };
        let spread = |row: &Row| match row.summary(score) {
            Some((mean, _)) if row.scores.len() == 1 => format!("{mean:.3}"),
            Some((mean, deviation)) => format!("{mean:.3} ± {deviation:.3}"),
            None => "–".to_owned(),
        };
        let statistics = match self {
            Self::Beats(paired) | Self::FallsShort(paired) | Self::Open(paired) => format!(
                ", difference {:+.3} ({:+.3} to {:+.3}), p = {:.3} by sign flips",
                paired.difference, paired.low, paired.high, paired.p_value
            ),
            _ => String::new(),
        };
        format!(
            "{beginning}: {score} {} against {} on the {split} split ({} trainings each{statistics}).",
            spread(found),
            spread(reference),
            found.scores.len()
        )
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
    fn a_claim_takes_six_pairs() {
        let of = |ours: &[f64], theirs: &[f64]| {
            let rows = [ours, theirs]
                .map(|values| row(&values.iter().copied().map(Some).collect::<Vec<_>>()));
            let standing = Standing::of(&rows[0], &rows[1], "m");
            standing.sentence(
                &Row {
                    name: "found".into(),
                    ..rows[0].clone()
                },
                &Row {
                    name: "ce".into(),
                    ..rows[1].clone()
                },
                "m",
                "test",
            )
        };
        let (ours, theirs) = ([0.62, 0.63, 0.61, 0.65, 0.62, 0.64], [0.6; 6]);
        assert_eq!(
            of(&ours, &theirs),
            "The found loss beats ce: m 0.628 ± 0.015 against 0.600 ± 0.000 on the test split (6 trainings each, \
             difference +0.028 (+0.018 to +0.040), p = 0.031 by sign flips)."
        );
        assert!(of(&theirs, &ours).starts_with("The found loss falls short of ce: "));
        assert!(
            of(&ours[..5], &theirs[..5]).starts_with("The found loss cannot be told from ce: ")
        );
        assert!(
            of(&ours[..1], &theirs[..1])
                .starts_with("In a single training, the found loss is above ce")
        );
        let lost = Standing::of(&row(&[None]), &row(&[Some(1.0)]), "m");
        assert_eq!(lost, Standing::Unmeasured { found: true });
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
