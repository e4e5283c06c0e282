//! The found loss beside its references, on every metric, and a warning where the target score was
//! raised at another's cost.
//!
//! A metric counts as *gamed* where all of this holds: the found loss has a higher mean of the target score
//! than the reference; its mean of the other metric is below half of the reference's; and it lies below by
//! more than twice the larger of the two standard deviations over the seeds, where there are several. Half
//! is ours: a loss tuned for one score usually costs others a few per cent, which is a trade and no
//! collapse, while losses found for boundary scores alone have left the mean IoU at a few per cent.

use std::collections::{BTreeMap, BTreeSet};

use autoloss_run::Findings;
use autoloss_search::{CandidateId, Row, Standing};
use serde::Serialize;

use crate::branches::Formula;
use crate::error::ReportError;
use crate::source::Source;
use crate::statistics::Sample;

/// What a row of the comparison is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Found,
    /// The best loss without a name, where another was chosen.
    New,
    Reference,
    Random,
}

/// One loss of the comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) trainings: usize,
    /// Trainings that became invalid.
    pub(crate) invalid: usize,
    /// What was measured, by metric; nothing where a training became invalid.
    pub(crate) metrics: BTreeMap<String, Sample>,
    pub(crate) formulas: Vec<Formula>,
}

/// A metric that collapsed while the target score rose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Gamed {
    pub(crate) metric: String,
    pub(crate) reference: String,
    pub(crate) found_mean: f64,
    pub(crate) reference_mean: f64,
}

/// The comparison, on one split.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) split: String,
    /// Whether it is the final table; else only the found loss's evaluation in the search.
    pub(crate) is_final: bool,
    pub(crate) rows: Vec<Contender>,
    pub(crate) metrics: Vec<String>,
    pub(crate) gamed: Vec<Gamed>,
    pub(crate) noise_floor: Option<f64>,
    /// The sentence that compares the found loss with the first reference loss; of a final table only.
    pub(crate) standing: Option<String>,
}

impl Comparison {
    /// The loss that the search is for: the chosen one, or the best new one where the chosen one is a reference.
    pub(crate) fn found(&self) -> Option<&Contender> {
        found(&self.rows)
    }

    /// The first reference loss.
    pub(crate) fn reference(&self) -> Option<&Contender> {
        self.rows.iter().find(|row| row.role == Role::Reference)
    }
}

/// The final table where there is one, else what the search measured of the best loss.
pub(crate) fn read(
    source: &Source,
    best: Option<CandidateId>,
) -> Result<Option<Comparison>, ReportError> {
    if let Some(findings) = &source.findings
        && !findings.test.is_empty()
    {
        return Ok(Some(of_findings(source, findings)));
    }
    let Some(id) = best else { return Ok(None) };
    let Some(record) = source.reader.search_evaluation(id)? else {
        return Ok(None);
    };
    if record.evaluation.fitness().is_none() {
        return Ok(None);
    }
    let metrics = record.evaluation.metrics;
    let row = Row {
        name: "found".to_owned(),
        losses: record.losses,
        scores: vec![Some(metrics)],
    };
    Ok(Some(table(source, record.key.split, false, &[row])))
}

fn of_findings(source: &Source, findings: &Findings) -> Comparison {
    let mut comparison = table(source, "test".to_owned(), true, &findings.test);
    comparison.noise_floor = findings.noise_floor;
    let row = |of: Option<&Contender>| {
        let name = &of?.name;
        findings.test.iter().find(|row| row.name == *name)
    };
    let rows = row(comparison.found()).zip(row(comparison.reference()));
    comparison.standing = rows.map(|(found, reference)| {
        let standing = Standing::of(found, reference, &source.score);
        standing.sentence(found, reference, &source.score, &comparison.split)
    });
    comparison
}

fn table(source: &Source, split: String, is_final: bool, rows: &[Row]) -> Comparison {
    let rows: Vec<Contender> = rows.iter().map(|row| contender(source, row)).collect();
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.metrics.keys()).collect();
    // The target score first, the others by name.
    let mut metrics: Vec<String> = names.into_iter().cloned().collect();
    metrics.sort_by_key(|name| *name != source.score);
    Comparison {
        split,
        is_final,
        gamed: gamed(&rows, &source.score),
        rows,
        metrics,
        noise_floor: None,
        standing: None,
    }
}

fn contender(source: &Source, row: &Row) -> Contender {
    let finished: Vec<&BTreeMap<String, f64>> = row.scores.iter().flatten().collect();
    let invalid = row.scores.len() - finished.len();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in finished.iter().copied().flatten() {
        values.entry(name.clone()).or_default().push(*value);
    }
    // A mean over the trainings that happened to end would flatter a loss that often breaks down.
    values.retain(|_, values| values.len() == row.scores.len());
    Contender {
        role: match row.name.as_str() {
            "found" => Role::Found,
            "best new" => Role::New,
            "median random" => Role::Random,
            _ => Role::Reference,
        },
        name: row.name.clone(),
        trainings: row.scores.len(),
        invalid,
        metrics: values
            .into_iter()
            .filter_map(|(name, values)| Some((name, Sample::of(values)?)))
            .collect(),
        formulas: source.branches.formulas(&row.losses),
    }
}

fn found(rows: &[Contender]) -> Option<&Contender> {
    let role = |role| rows.iter().find(move |row| row.role == role);
    role(Role::Found).or_else(|| role(Role::New))
}

fn gamed(rows: &[Contender], score: &str) -> Vec<Gamed> {
    let reference = rows.iter().find(|row| row.role == Role::Reference);
    let (Some(found), Some(reference)) = (found(rows), reference) else {
        return Vec::new();
    };
    let target = |row: &Contender| row.metrics.get(score).map(|sample| sample.mean);
    if target(found) <= target(reference) {
        return Vec::new();
    }
    let collapsed = |(name, theirs): (&String, &Sample)| {
        let ours = found.metrics.get(name)?;
        (name != score && has_collapsed(ours, theirs)).then(|| Gamed {
            metric: name.clone(),
            reference: reference.name.clone(),
            found_mean: ours.mean,
            reference_mean: theirs.mean,
        })
    };
    reference.metrics.iter().filter_map(collapsed).collect()
}

/// Whether a metric fell below half of a reference, beyond the spread of both.
fn has_collapsed(ours: &Sample, theirs: &Sample) -> bool {
    let spread = ours
        .deviation
        .into_iter()
        .chain(theirs.deviation)
        .fold(0.0, f64::max);
    theirs.mean > 0.0 && ours.mean < 0.5 * theirs.mean && theirs.mean - ours.mean > 2.0 * spread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(role: Role, metrics: &[(&str, &[f64])]) -> Contender {
        let sample = |(name, values): &(&str, &[f64])| {
            ((*name).to_owned(), Sample::of(values.to_vec()).unwrap())
        };
        Contender {
            name: format!("{role:?}"),
            role,
            trainings: 2,
            invalid: 0,
            metrics: metrics.iter().map(sample).collect(),
            formulas: Vec::new(),
        }
    }

    fn names(found: &[(&str, &[f64])], reference: &[(&str, &[f64])]) -> Vec<String> {
        let rows = [
            contender(Role::Found, found),
            contender(Role::Reference, reference),
        ];
        gamed(&rows, "BF1")
            .into_iter()
            .map(|gamed| gamed.metric)
            .collect()
    }

    #[test]
    fn a_metric_is_gamed_where_it_collapsed_while_the_target_rose() {
        let reference: &[(&str, &[f64])] = &[
            ("BF1", &[0.2, 0.22]),
            ("mIoU", &[0.4, 0.42]),
            ("gAcc", &[0.7, 0.7]),
        ];
        let found: &[(&str, &[f64])] = &[
            ("BF1", &[0.3, 0.31]),
            ("mIoU", &[0.02, 0.03]),
            ("gAcc", &[0.6, 0.6]),
        ];
        assert_eq!(names(found, reference), ["mIoU"]);
        // The target did not rise.
        let worse: &[(&str, &[f64])] = &[("BF1", &[0.1, 0.1]), ("mIoU", &[0.02, 0.03])];
        assert_eq!(names(worse, reference), [""; 0]);
        // What fell lies within the spread.
        let noisy: &[(&str, &[f64])] = &[("BF1", &[0.3, 0.3]), ("mIoU", &[0.0, 0.38])];
        assert_eq!(names(noisy, reference), [""; 0]);
        // Nothing to compare with.
        let alone = [contender(Role::Found, found)];
        assert_eq!(gamed(&alone, "BF1"), []);
    }
}
