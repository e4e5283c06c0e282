//! What came of two runs: counts, the best losses, and trainings with several seeds.

use super::{ABSENT, Pair};
use crate::terminal::bar::clock;
use anyhow::Result;
use autoloss_graph::{Limits, LossGraph};
use autoloss_plugin_api::Scores;
use autoloss_run::Run;
use autoloss_search::{BestLoss, Counts, Fitness, OutcomeKind, Purpose, Row, TaskSpec, welch};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How much of the lists of best losses is compared.
const TOP: usize = 20;

/// A loss by its canonical forms, and its score.
type Judged = (BTreeMap<String, String>, f64);

/// What came of both.
#[derive(Serialize)]
pub(super) struct Results {
    state: Pair<&'static str>,
    explored: Pair<u64>,
    proxies: Pair<u64>,
    seconds: Pair<f64>,
    verdicts: BTreeMap<&'static str, Pair<u64>>,
    best: Pair<Option<Best>>,
    trained: Vec<Trained>,
    /// Losses among the best of both runs, in their canonical form.
    common: Vec<Common>,
}

/// A loss of the search.
#[derive(Clone, Serialize)]
struct Best {
    candidate: u64,
    score: f64,
    losses: BTreeMap<String, String>,
}

/// Trainings with several seeds under one name in both runs.
#[derive(Serialize)]
struct Trained {
    name: String,
    score: String,
    /// Mean and sample standard deviation; none where a training failed or there is none.
    summary: Pair<Option<(f64, f64)>>,
    seeds: Pair<usize>,
    /// Of Welch's t-test, where both have two seeds or more and measured the same thing.
    p_value: Option<f64>,
}

#[derive(Serialize)]
struct Common {
    losses: BTreeMap<String, String>,
    /// Place in each list, from 1.
    places: Pair<usize>,
    scores: Pair<f64>,
}

impl Results {
    pub(super) fn of(runs: &Pair<Run>) -> Result<Self> {
        let [first, second] = runs;
        let lists = [first.reader.best(TOP)?, second.reader.best(TOP)?];
        let comparable = is_comparable(runs);
        Ok(Self {
            state: [first, second].map(|run| run.summary.state.name()),
            explored: [first, second].map(|run| run.summary.explored),
            proxies: [first, second].map(|run| run.summary.proxies),
            seconds: [first, second].map(|run| run.summary.seconds),
            verdicts: paired(&[verdicts(first)?, verdicts(second)?]),
            best: [&lists[0], &lists[1]].map(|list| list.first().map(Best::of)),
            trained: trained([&rows(first)?, &rows(second)?], comparable),
            common: common(&[canonical(&lists[0], first), canonical(&lists[1], second)]),
        })
    }

    /// A row for each count.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, values: Pair<String>| {
            let [first, second] = values;
            vec![name.to_owned(), first, second]
        };
        let mut rows = vec![
            row("state", self.state.map(str::to_owned)),
            row("explored", self.explored.map(|n| n.to_string())),
            row("proxies", self.proxies.map(|n| n.to_string())),
            row("time", self.seconds.map(clock)),
        ];
        let counts = OutcomeKind::ALL.iter().map(|kind| kind.code());
        for code in counts {
            if let Some(counts) = self.verdicts.get(code) {
                rows.push(row(&code.replace('_', " "), counts.map(|n| n.to_string())));
            }
        }
        let best = [&self.best[0], &self.best[1]];
        let score = best.map(|best| {
            best.as_ref()
                .map_or(ABSENT.to_owned(), |best| format!("{:.4}", best.score))
        });
        rows.push(row("best score", score));
        rows
    }

    /// A row for each score of a loss that was trained with several seeds.
    pub(super) fn trained(&self) -> Vec<Vec<String>> {
        let cell = |summary: Option<(f64, f64)>| {
            summary.map_or(ABSENT.to_owned(), |(mean, spread)| {
                format!("{mean:.3} ± {spread:.3}")
            })
        };
        let row = |trained: &Trained| {
            let [first, second] = trained.summary.map(cell);
            let p = trained.p_value;
            let p = p.map_or(ABSENT.to_owned(), |p| format!("{p:.3}"));
            vec![
                trained.name.clone(),
                trained.score.clone(),
                first,
                second,
                p,
            ]
        };
        self.trained.iter().map(row).collect()
    }

    /// The best loss of each run.
    pub(super) fn best(&self) -> Pair<Option<String>> {
        [&self.best[0], &self.best[1]].map(|best| best.as_ref().map(|best| told(&best.losses)))
    }

    /// The losses in common, a line each.
    pub(super) fn common_text(&self) -> String {
        if self.common.is_empty() {
            return format!("\nno loss is among the best {TOP} of both\n");
        }
        let mut text = format!("\namong the best {TOP} of both:\n");
        for loss in &self.common {
            let [first, second] = loss.places;
            text += &format!("  place {first} and {second}: {}\n", told(&loss.losses));
        }
        text
    }
}

impl Best {
    fn of(best: &BestLoss) -> Self {
        Self {
            candidate: best.id.0,
            score: best.fitness.score(),
            losses: best.losses.clone(),
        }
    }
}

fn told(losses: &BTreeMap<String, String>) -> String {
    let texts = losses
        .iter()
        .map(|(branch, text)| format!("{branch}: {text}"));
    texts.collect::<Vec<_>>().join("; ")
}

/// Whether a score means the same in both runs: one task, one score, the same data.
fn is_comparable(runs: &Pair<Run>) -> bool {
    let measured = |run: &Run| {
        let mut settings = run.spec.by_flag();
        settings.retain(|key, _| {
            ["--task", "--score", "--data"].contains(&key.as_str()) || key.starts_with("task.")
        });
        settings
    };
    measured(&runs[0]) == measured(&runs[1])
}

fn verdicts(run: &Run) -> Result<BTreeMap<&'static str, u64>> {
    // What a finished search wrote down; counting millions takes seconds.
    let written = run.findings.as_ref().map(|found| &found.verdicts);
    let counted = match written {
        Some(_) => Counts::default(),
        None => run.reader.counts()?,
    };
    let count = |kind: OutcomeKind| match written {
        Some(written) => written.get(kind.code()).copied().unwrap_or(0),
        None => counted.of(kind),
    };
    let kinds = OutcomeKind::ALL.iter();
    Ok(kinds.map(|&kind| (kind.code(), count(kind))).collect())
}

/// Both counts of every verdict that one of them has.
fn paired(sides: &Pair<BTreeMap<&'static str, u64>>) -> BTreeMap<&'static str, Pair<u64>> {
    let count = |side: &BTreeMap<_, _>, code| side.get(code).copied().unwrap_or(0);
    let codes: BTreeSet<&str> = sides.iter().flat_map(|side| side.keys().copied()).collect();
    let both = codes
        .into_iter()
        .map(|code| (code, [count(&sides[0], code), count(&sides[1], code)]));
    both.filter(|(_, counts)| *counts != [0, 0]).collect()
}

/// What was trained with several seeds: the best on the selection split, then the rows of the final
/// table on the test split.
fn rows(run: &Run) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = confirmed(run)?.into_iter().collect();
    if let Some(found) = &run.findings {
        rows.extend(found.test.iter().map(|row| Row {
            name: format!("{}, test split", row.name),
            ..row.clone()
        }));
    }
    Ok(rows)
}

/// The loss with the best mean among those that were measured again most often.
fn confirmed(run: &Run) -> Result<Option<Row>> {
    let mut candidates: BTreeMap<u64, Row> = BTreeMap::new();
    for record in run.reader.evaluations(Purpose::Confirmation)? {
        let row = candidates
            .entry(record.key.candidate.0)
            .or_insert_with(|| Row {
                name: format!("best again, {} split", record.key.split),
                losses: record.losses.clone(),
                scores: Vec::new(),
            });
        let score = record.evaluation.fitness().map(Fitness::score);
        row.scores
            .push(score.map(|score| Scores::from([(run.summary.score.clone(), score)])));
    }
    let mean = |row: &Row| row.summary(&run.summary.score).map(|(mean, _)| mean);
    let measured = candidates.into_values().filter(|row| mean(row).is_some());
    Ok(measured.max_by(|a, b| {
        let [mean_a, mean_b] = [a, b].map(|row| mean(row).unwrap_or(f64::NEG_INFINITY));
        let seeds = a.scores.len().cmp(&b.scores.len());
        seeds.then(mean_a.total_cmp(&mean_b))
    }))
}

fn trained<'a>(sides: Pair<&'a [Row]>, comparable: bool) -> Vec<Trained> {
    let mut trained = Vec::new();
    for first in sides[0] {
        let Some(second) = sides[1].iter().find(|row| row.name == first.name) else {
            continue;
        };
        let names = |row: &'a Row| -> BTreeSet<&'a String> {
            row.scores.iter().flatten().flat_map(Scores::keys).collect()
        };
        for score in names(first).intersection(&names(second)).copied() {
            trained.push(Trained {
                name: first.name.clone(),
                score: score.clone(),
                summary: [first, second].map(|row| row.summary(score)),
                seeds: [first, second].map(|row| row.scores.len()),
                p_value: comparable
                    .then(|| welch(&first.values(score)?, &second.values(score)?))
                    .flatten(),
            });
        }
    }
    trained
}

/// The losses of a list as what they compute; as they are written where they cannot be read.
fn canonical(list: &[BestLoss], run: &Run) -> Vec<Judged> {
    let (task, limits) = (&run.header.task, &run.header.config.limits);
    let loss = |best: &BestLoss| {
        let texts = best.losses.iter();
        let texts = texts.map(|(name, text)| (name.clone(), form(task, limits, name, text)));
        (texts.collect(), best.fitness.score())
    };
    list.iter().map(loss).collect()
}

fn form(task: &TaskSpec, limits: &Limits, branch: &str, text: &str) -> String {
    let spec = task
        .branches
        .iter()
        .find(|known| known.name.as_str() == branch);
    let canonical = spec.and_then(|spec| {
        let graph = LossGraph::parse(text, &spec.signature, limits).ok()?;
        let form = graph.training_form(&spec.signature);
        Some(form.display(&spec.signature).to_string())
    });
    canonical.unwrap_or_else(|| text.to_owned())
}

fn common([first, second]: &Pair<Vec<Judged>>) -> Vec<Common> {
    let mut common = Vec::new();
    for (at, (losses, score)) in first.iter().enumerate() {
        let place = second.iter().position(|(others, _)| others == losses);
        if let Some(place) = place {
            common.push(Common {
                losses: losses.clone(),
                places: [at + 1, place + 1],
                scores: [*score, second[place].1],
            });
        }
    }
    common
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::formats::tests::row;

    fn loss(text: &str, score: f64) -> Judged {
        (BTreeMap::from([("seg".to_owned(), text.to_owned())]), score)
    }

    pub(crate) fn example() -> Results {
        let first = [row("found", &[Some(0.61), Some(0.62), Some(0.60)])];
        let second = [row("found", &[Some(0.64), Some(0.66), Some(0.65)])];
        let list = [loss("neg(mul(y, yhat))", 0.62), loss("abs(y)", 0.5)];
        let (losses, score) = list[0].clone();
        let best = Best {
            candidate: 7,
            score,
            losses,
        };
        Results {
            state: ["ended", "running"],
            explored: [400, 52],
            proxies: [3, 1],
            seconds: [61.0, 5.0],
            verdicts: BTreeMap::from([("scored", [3, 1]), ("zero_gradient", [12, 0])]),
            best: [Some(best), None],
            trained: trained([&first, &second], true),
            common: common(&[list.to_vec(), vec![loss("abs(y)", 0.6)]]),
        }
    }

    #[test]
    fn rows_of_one_name_are_held_against_each_other() {
        let first = [
            row("found", &[Some(0.61), Some(0.62), Some(0.60)]),
            row("x", &[None]),
        ];
        let second = [row("found", &[Some(0.64), Some(0.66), Some(0.65)])];
        let same = trained([&first, &second], true);
        assert_eq!(same.len(), 1);
        let p = same[0].p_value.unwrap();
        assert!((p - 0.008_049_893).abs() < 1e-6, "{p}");
        assert_eq!(same[0].seeds, [3, 3]);
        assert_eq!(trained([&first, &second], false)[0].p_value, None);
    }

    #[test]
    fn one_seed_has_no_p_value() {
        let one = [row("found", &[Some(0.6)])];
        assert_eq!(trained([&one, &one], true)[0].p_value, None);
    }

    #[test]
    fn losses_in_both_lists_have_both_places() {
        let loss = |text: &str| loss(text, 0.5);
        let found = common(&[
            vec![loss("y"), loss("abs(y)")],
            vec![loss("abs(y)"), loss("1")],
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].places, [2, 1]);
    }

    #[test]
    fn verdicts_that_neither_has_are_left_out() {
        let side = |scored| BTreeMap::from([("scored", scored), ("static", 0)]);
        let both = paired(&[side(2), side(3)]);
        assert_eq!(both, BTreeMap::from([("scored", [2, 3])]));
    }
}
