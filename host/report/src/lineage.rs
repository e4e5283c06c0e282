//! The family of the best loss: itself, its parent and so on, back to the fresh loss it comes from. There
//! is no crossover, so every loss has one parent and the family is a line.

use autoloss_search::{CandidateId, CandidateRecord, Fitness, Origin};
use serde::Serialize;

use crate::branches::Formula;
use crate::error::ReportError;
use crate::source::Source;

/// One member of the family.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ancestor {
    pub(crate) candidate: u64,
    pub(crate) verdict: String,
    pub(crate) score: Option<f64>,
    /// What was done to each branch that was changed; all of them for a fresh loss.
    pub(crate) changes: Vec<Change>,
}

/// What became of one branch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) origin: Origin,
    pub(crate) formula: Formula,
}

/// The family, oldest first.
pub(crate) fn read(
    source: &Source,
    best: Option<CandidateId>,
) -> Result<Vec<Ancestor>, ReportError> {
    let Some(id) = best else {
        return Ok(Vec::new());
    };
    let line = source.reader.lineage(id)?;
    Ok(line
        .iter()
        .rev()
        .map(|record| ancestor(source, record))
        .collect())
}

fn ancestor(source: &Source, record: &CandidateRecord) -> Ancestor {
    let branches = source.branches.searched().iter().zip(&record.origins);
    let changes = branches
        .filter(|(_, origin)| **origin != Origin::Inherited)
        .filter_map(|((branch, _), origin)| {
            let text = record.losses.get(branch)?;
            let formula = source.branches.formula(branch, text);
            Some(Change {
                origin: *origin,
                formula,
            })
        });
    Ancestor {
        candidate: record.id.0,
        verdict: record.outcome.to_string(),
        score: record.fitness.map(Fitness::score),
        changes: changes.collect(),
    }
}

/// A mutation in words.
pub(crate) fn in_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Inherited => "inherited",
        Origin::Fresh => "drawn at random",
        Origin::Insertion => "insertion",
        Origin::Deletion => "deletion",
        Origin::Replacement => "replacement",
        Origin::Addition => "sum with another loss",
        Origin::Guess => "named by the user",
    }
}
