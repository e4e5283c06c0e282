//! Trainings of a loss with several seeds: mean, spread, and whether two losses differ.

use crate::steps::StepProgress;
use anyhow::Result;
use autoloss_plugin_api::{Scores, Split};
use autoloss_report::welch;
use autoloss_search::{TrainingBudget, mean_and_deviation};
use autoloss_train::{Ending, Network, Workbench};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One loss of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The row's name.
    pub(crate) name: String,
    /// Texts by branch.
    pub(crate) texts: BTreeMap<String, String>,
}

impl Contender {
    /// Its row, with the scores of each seed.
    pub(crate) fn row(&self, scores: Vec<Option<Scores>>) -> Row {
        Row {
            name: self.name.clone(),
            losses: self.texts.clone(),
            scores,
        }
    }
}

/// A loss, measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The row's name.
    pub(crate) name: String,
    /// Texts by branch.
    pub(crate) losses: BTreeMap<String, String>,
    /// The scores of each seed; none where the training became invalid.
    pub(crate) scores: Vec<Option<Scores>>,
}

impl Row {
    /// The values of a score, one for each seed; none where a seed has none.
    pub(crate) fn values(&self, score: &str) -> Option<Vec<f64>> {
        let value = |scores: &Option<Scores>| scores.as_ref()?.get(score).copied();
        self.scores.iter().map(value).collect()
    }

    /// Mean and sample standard deviation of a score over the seeds; none where a seed has none.
    pub(crate) fn summary(&self, score: &str) -> Option<(f64, f64)> {
        let (mean, deviation) = mean_and_deviation(&self.values(score)?)?;
        Some((mean, deviation.unwrap_or(0.0)))
    }

    /// The two-sided p-value of Welch's t-test that a score differs from another row's; none with
    /// fewer than two values on a side.
    pub(crate) fn p_value(&self, other: &Row, score: &str) -> Option<f64> {
        welch(&self.values(score)?, &other.values(score)?)
    }
}

/// One training of a contender and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The seed.
    pub(crate) seed: u64,
    /// The scores; none where the training became invalid.
    pub(crate) scores: Option<Scores>,
    /// Seconds of the training.
    pub(crate) train_seconds: f64,
    /// Seconds of these spent waiting for batches.
    pub(crate) waited_seconds: f64,
}

/// Trains once and judges on a split, the first `images` samples of it or, for 0, all. The network is there where
/// its training came to its end.
pub(crate) fn once(
    workbench: &Workbench,
    contender: &Contender,
    budget: &TrainingBudget,
    seed: u64,
    (split, images): (Split, usize),
) -> Result<(Measured, Option<Network>)> {
    let losses = workbench.losses(&contender.texts)?;
    let what = format!("{}, seed {seed}", contender.name);
    let mut progress = StepProgress::new(&what, 0, budget);
    let watched = workbench.train(&losses, budget, seed, true, &mut |step| progress.step(step));
    progress.finish();
    let (network, trained) = watched?;
    let scores = match trained.ending {
        Ending::Complete => Some(workbench.judge(&network, split, images)?),
        Ending::Invalid(_) => None,
    };
    let network = scores.is_some().then_some(network);
    let measured = Measured {
        seed,
        scores,
        train_seconds: trained.seconds,
        waited_seconds: trained.waited_seconds,
    };
    Ok((measured, network))
}

/// Trains a contender with every seed and judges it on the whole of a split; `trained` is given every network
/// whose training came to its end.
pub(crate) fn measure(
    workbench: &Workbench,
    contender: &Contender,
    budget: &TrainingBudget,
    seeds: impl IntoIterator<Item = u64>,
    split: Split,
    mut trained: impl FnMut(Network),
) -> Result<Row> {
    let mut scores = Vec::new();
    for seed in seeds {
        let (measured, network) = once(workbench, contender, budget, seed, (split, 0))?;
        network.map(&mut trained);
        scores.push(measured.scores);
    }
    Ok(contender.row(scores))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(name: &str, values: &[Option<f64>]) -> Row {
        let scores = |value: &Option<f64>| value.map(|value| Scores::from([("m".into(), value)]));
        Row {
            name: name.into(),
            losses: BTreeMap::new(),
            scores: values.iter().map(scores).collect(),
        }
    }

    #[test]
    fn mean_and_spread() {
        let summary = |values: &[Option<f64>], score| row("n", values).summary(score);
        let (mean, spread) = summary(&[Some(1.0), Some(2.0), Some(3.0)], "m").unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (spread - 1.0).abs() < 1e-12);
        assert_eq!(summary(&[Some(1.0), None], "m"), None);
        assert_eq!(summary(&[Some(1.0)], "m"), Some((1.0, 0.0)));
        assert_eq!(summary(&[Some(1.0)], "other"), None);
    }
}
