//! Whether a proxy ranks losses as a long training does: the numbers, and a page with a scatter plot for each
//! score.

use std::collections::BTreeMap;
use std::fmt;

use autoloss_search::{RankAgreement, Row};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::number::{self, shown};
use crate::plot::{scatter, small_page};

/// How losses were trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedBy {
    /// Name of the network.
    pub network: String,
    /// Optimiser steps.
    pub steps: usize,
    /// Samples of a step.
    pub batch_size: usize,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Settings of the task that are not its defaults.
    pub settings: BTreeMap<String, Value>,
}

impl fmt::Display for TrainedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steps, batch, seeds) = (self.steps, self.batch_size, self.seeds.len());
        write!(f, "network {}, {steps} steps of {batch}", self.network)?;
        write!(f, ", {seeds} {}", if seeds == 1 { "seed" } else { "seeds" })?;
        for (key, value) in &self.settings {
            write!(f, ", {key} {value}")?;
        }
        Ok(())
    }
}

/// The same losses, trained in two ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// The task.
    pub task: String,
    /// The target score.
    pub score: String,
    /// The split of all scores.
    pub split: String,
    /// The proxy training.
    pub by_proxy: TrainedBy,
    /// The long training.
    pub by_long: TrainedBy,
    /// What each loss scored on the proxy.
    pub proxy: Vec<Row>,
    /// What it scored in long training, in the same order.
    pub long: Vec<Row>,
    /// How far the two rank the losses alike, by score; absent where fewer than three losses have the score both
    /// ways, or all have the same.
    pub agreement: BTreeMap<String, Option<RankAgreement>>,
}

impl Fidelity {
    /// Compares the rankings. Losses of which a training ended without scores are left out of them.
    #[must_use]
    pub fn new(
        task: &str,
        score: &str,
        split: &str,
        scores: &[String],
        (by_proxy, proxy): (TrainedBy, Vec<Row>),
        (by_long, long): (TrainedBy, Vec<Row>),
    ) -> Self {
        let agreement = |score: &String| {
            let (ours, theirs): (Vec<f64>, Vec<f64>) = points(&proxy, &long, score)
                .map(|(_, proxy, long)| (proxy, long))
                .unzip();
            (score.clone(), RankAgreement::new(&ours, &theirs))
        };
        Self {
            task: task.to_owned(),
            score: score.to_owned(),
            split: split.to_owned(),
            agreement: scores.iter().map(agreement).collect(),
            by_proxy,
            by_long,
            proxy,
            long,
        }
    }

    /// What was measured, as a search takes it in the setting `promotion.fidelity`.
    #[must_use]
    pub fn setting(&self) -> String {
        let known = self.agreement.iter();
        let pair = |(score, agreement): (&String, &Option<RankAgreement>)| {
            let tau = agreement.as_ref()?.kendall.value;
            Some(format!("{:?}", format!("{score}={tau:.2}")))
        };
        let pairs: Vec<String> = known.filter_map(pair).collect();
        format!("[{}]", pairs.join(", "))
    }

    /// One page that needs no other file.
    #[must_use]
    pub fn page(&self) -> String {
        // The target score first.
        let mut scores: Vec<&String> = self.agreement.keys().collect();
        scores.sort_by_key(|score| **score != self.score);
        small_page(
            &format!("{} · fidelity", shown(&self.task)),
            &html! {
                h1 { "Does the proxy rank losses as long training does?" }
                p { "Task " (shown(&self.task)) ", " (self.proxy.len()) " losses, " (self.split) " split." }
                p { "Proxy: " (self.by_proxy.to_string()) "." }
                p { "Long: " (self.by_long.to_string()) "." }
                @for score in scores { (self.section(score)) }
            },
        )
    }

    fn section(&self, score: &str) -> Markup {
        let points: Vec<(&str, f64, f64)> = points(&self.proxy, &self.long, score).collect();
        let interval = |c: &autoloss_search::Correlation| {
            format!("{:.2} ({:.2} to {:.2})", c.value, c.low, c.high)
        };
        html! {
            section {
                h2 { (shown(score)) @if score == self.score { " " span class="tag" { "target" } } }
                @match self.agreement.get(score).and_then(Option::as_ref) {
                    Some(agreement) => p {
                        "Kendall’s τ " (interval(&agreement.kendall)) ", Spearman’s ρ " (interval(&agreement.spearman))
                        " over " (agreement.count) " losses; in brackets the 95 % interval by bootstrap of the losses."
                    },
                    None => p class="quiet" { "Too few losses have this score to rank them." },
                }
                (scatter(score, &points))
                details {
                    summary { "The numbers" }
                    div class="scroll" tabindex="0" role="group" aria-label={ "Numbers of " (shown(score)) } {
                        table {
                            thead { tr { th scope="col" { "loss" } th scope="col" { "proxy" } th scope="col" { "long" } } }
                            tbody {
                                @for (name, proxy, long) in &points {
                                    tr { td { bdi { (shown(name)) } } td { (number::value(*proxy)) } td { (number::value(*long)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The means of a score both ways, for the losses that have them.
fn points<'a>(
    proxy: &'a [Row],
    long: &'a [Row],
    score: &'a str,
) -> impl Iterator<Item = (&'a str, f64, f64)> {
    proxy.iter().zip(long).filter_map(move |(proxy, long)| {
        let ((ours, _), (theirs, _)) = (proxy.summary(score)?, long.summary(score)?);
        Some((proxy.name.as_str(), ours, theirs))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_search::Scores;

    fn fidelity() -> Fidelity {
        let row = |name: &str, value: Option<f64>| Row {
            name: name.into(),
            scores: vec![value.map(|value| Scores::from([("mIoU".into(), value)]))],
            ..Row::default()
        };
        let by = |network: &str| TrainedBy {
            network: network.into(),
            steps: 700,
            batch_size: 4,
            seeds: vec![0],
            settings: BTreeMap::from([("size".into(), 128.into())]),
        };
        let rows = |values: [Option<f64>; 5]| {
            let names = ["ce", "<b>", "c", "d", "e"];
            names
                .into_iter()
                .zip(values)
                .map(|(name, value)| row(name, value))
                .collect()
        };
        let proxy = rows([Some(0.1), Some(0.2), Some(0.3), Some(0.4), Some(0.9)]);
        let long = rows([Some(0.2), Some(0.1), Some(0.3), Some(0.4), None]);
        let scores = ["mIoU".to_owned(), "BF1".to_owned()];
        Fidelity::new(
            "t",
            "mIoU",
            "test",
            &scores,
            (by("small"), proxy),
            (by("real"), long),
        )
    }

    #[test]
    fn losses_that_have_both_scores_are_ranked() {
        let fidelity = fidelity();
        let agreement = fidelity.agreement["mIoU"].unwrap();
        assert_eq!(agreement.count, 4);
        assert!((agreement.kendall.value - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(fidelity.agreement["BF1"], None);
        assert_eq!(fidelity.setting(), r#"["mIoU=0.67"]"#);
    }

    #[test]
    fn the_page_has_a_point_for_each_loss_and_no_markup_of_theirs() {
        let page = fidelity().page();
        assert_eq!(page.matches("<circle").count(), 4);
        assert!(
            page.contains("&lt;b&gt;") && !page.contains("<b>"),
            "{page}"
        );
        assert!(page.contains("0.67 ("), "{page}");
        assert!(page.contains("network real, 700 steps of 4, 1 seed, size 128"));
    }
}
