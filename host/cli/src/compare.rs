//! Trainings of several losses under one budget, side by side: mean and spread over seeds.

use crate::table;
use anyhow::Result;
use autoloss_plugin_api::{Scores, Split};
use autoloss_search::{ProxyBudget, mean_and_deviation};
use autoloss_train::{Ending, Workbench};
use serde::Serialize;
use std::collections::BTreeMap;

/// One loss of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The row's name.
    pub(crate) name: String,
    /// Texts by branch.
    pub(crate) texts: BTreeMap<String, String>,
}

/// A loss, measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The row's name.
    pub(crate) name: String,
    /// Texts by branch.
    pub(crate) losses: BTreeMap<String, String>,
    /// The scores of each seed; none where the training became invalid.
    pub(crate) scores: Vec<Option<Scores>>,
}

impl Row {
    /// Mean and sample standard deviation of a score over the seeds; none where a seed has none.
    pub(crate) fn summary(&self, score: &str) -> Option<(f64, f64)> {
        let values: Option<Vec<f64>> = self
            .scores
            .iter()
            .map(|scores| scores.as_ref()?.get(score).copied())
            .collect();
        let (mean, deviation) = mean_and_deviation(&values?)?;
        Some((mean, deviation.unwrap_or(0.0)))
    }
}

/// Trains a contender with `seeds` seeds from `first` and judges it on a split.
pub(crate) fn measure(
    workbench: &Workbench,
    contender: &Contender,
    budget: &ProxyBudget,
    seeds: impl IntoIterator<Item = u64>,
    split: Split,
) -> Result<Row> {
    let losses = workbench.losses(&contender.texts)?;
    let mut scores = Vec::new();
    for seed in seeds {
        let (network, trained) = workbench.train(&losses, budget, seed, true)?;
        scores.push(match trained.ending {
            Ending::Complete => Some(workbench.judge(&network, split, 0)?),
            Ending::Invalid(_) => None,
        });
    }
    Ok(Row {
        name: contender.name.clone(),
        losses: contender.texts.clone(),
        scores,
    })
}

/// The table: a row for each loss, a column for each score, `mean ± spread`.
pub(crate) fn table(rows: &[Row], scores: &[String]) -> String {
    let mut header = vec!["loss"];
    header.extend(scores.iter().map(String::as_str));
    let cells = rows.iter().map(|row| {
        let cell = |score: &String| match row.summary(score) {
            Some((mean, _)) if row.scores.len() == 1 => format!("{mean:.3}"),
            Some((mean, spread)) => format!("{mean:.3} ± {spread:.3}"),
            None => "invalid".to_owned(),
        };
        std::iter::once(row.name.clone())
            .chain(scores.iter().map(cell))
            .collect()
    });
    table::numbers(&header, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<f64>]) -> Row {
        let scores = |value: &Option<f64>| value.map(|value| Scores::from([("m".into(), value)]));
        Row {
            name: "n".into(),
            losses: BTreeMap::new(),
            scores: values.iter().map(scores).collect(),
        }
    }

    #[test]
    fn mean_and_spread() {
        let (mean, spread) = row(&[Some(1.0), Some(2.0), Some(3.0)])
            .summary("m")
            .unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (spread - 1.0).abs() < 1e-12);
        assert_eq!(row(&[Some(1.0), None]).summary("m"), None);
        assert_eq!(row(&[Some(1.0)]).summary("m"), Some((1.0, 0.0)));
        assert_eq!(row(&[Some(1.0)]).summary("other"), None);
    }
}
