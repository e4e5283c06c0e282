//! Mean, spread and significance of scores over seeds.

use autoloss_search::{Paired, mean_and_deviation};
use serde::Serialize;

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

    /// How the score differs from another's, whose trainings had the same seeds.
    pub(crate) fn paired(&self, other: &Self) -> Option<Paired> {
        Paired::new(&self.values, &other.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_of_numbers() {
        let sample = Sample::of(vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((sample.mean, sample.deviation), (2.0, Some(1.0)));
        assert_eq!(Sample::of(vec![1.0, f64::NAN]), None);
        assert_eq!(Sample::of(Vec::new()), None);
    }
}
