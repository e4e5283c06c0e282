//! The best losses of a run, with what was measured of each again.

use std::collections::BTreeMap;

use autoloss_search::{BestLoss, CandidateId, Fitness, KnownAs, Purpose};
use serde::Serialize;

use crate::branches::Formula;
use crate::error::ReportError;
use crate::source::Source;
use crate::statistics::Sample;

/// One of the best losses.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Loss {
    pub(crate) candidate: u64,
    /// Score in the search.
    pub(crate) score: f64,
    /// Scores of the repeated measurement.
    pub(crate) again: Option<Sample>,
    /// Split of the repeated measurement.
    pub(crate) again_split: Option<String>,
    /// Whether the report is about this one.
    pub(crate) chosen: bool,
    /// What it is known as, for each branch that is.
    pub(crate) known: Vec<String>,
    pub(crate) formulas: Vec<Formula>,
}

/// The best losses, best first, the chosen one among them.
pub(crate) fn read(
    source: &Source,
    chosen: Option<CandidateId>,
    limit: usize,
) -> Result<Vec<Loss>, ReportError> {
    let mut again: BTreeMap<CandidateId, (String, Vec<Option<f64>>)> = BTreeMap::new();
    for record in source.reader.evaluations(Purpose::Confirmation)? {
        let entry = again.entry(record.key.candidate);
        let (_, scores) = entry.or_insert_with(|| (record.key.split.clone(), Vec::new()));
        scores.push(record.evaluation.fitness().map(Fitness::score));
    }
    let mut best = source.reader.best(limit)?;
    if let Some(id) = chosen
        && best.iter().all(|loss| loss.id != id)
        && let Ok(record) = source.reader.candidate(id)
        && let Some(fitness) = record.fitness
    {
        best.push(BestLoss {
            id,
            fitness,
            losses: record.losses,
        });
    }
    let losses = best.into_iter().map(|loss| {
        let measured = again.get(&loss.id);
        let values = measured.and_then(|(_, scores)| scores.iter().copied().collect());
        Loss {
            candidate: loss.id.0,
            score: loss.fitness.score(),
            again: values.and_then(Sample::of),
            again_split: measured.map(|(split, _)| split.clone()),
            chosen: chosen == Some(loss.id),
            known: known(source, loss.id),
            formulas: source.branches.formulas(&loss.losses),
        }
    });
    Ok(losses.collect())
}

/// What the branches of a candidate are known as; with their names where there are several.
fn known(source: &Source, id: CandidateId) -> Vec<String> {
    let findings = source.findings.iter();
    let names = findings.filter_map(|findings| findings.known.get(&id.0));
    let several = source.header.task.branches.len() > 1;
    let told = |(branch, known): (&String, &KnownAs)| match several {
        true => format!("{branch}: {known}"),
        false => known.to_string(),
    };
    names.flatten().map(told).collect()
}
