//! The run in a few numbers and one sentence.

use autoloss_run::Tally;
use autoloss_search::OutcomeKind;
use serde::Serialize;

use crate::comparison::{Comparison, Contender};
use crate::error::ReportError;
use crate::losses::Loss;
use crate::number;
use crate::source::Source;

/// How far a run is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// A process works on it.
    Live,
    /// It ended with its final table or without wanting one.
    Ended,
    /// It ended before its final table; `resume` goes on with it.
    Interrupted,
}

/// The run in a few numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) network: String,
    pub(crate) score: String,
    pub(crate) branches: usize,
    pub(crate) created: u64,
    pub(crate) state: State,
    pub(crate) explored: u64,
    pub(crate) trained: u64,
    pub(crate) scored: u64,
    pub(crate) seconds: f64,
    pub(crate) best_candidate: Option<u64>,
    pub(crate) best_score: Option<f64>,
    pub(crate) random_accepted_median: Option<f64>,
    pub(crate) verdict: String,
    pub(crate) notes: Vec<String>,
}

pub(crate) fn read(
    source: &Source,
    tally: &Tally,
    losses: &[Loss],
    comparison: Option<&Comparison>,
) -> Result<Summary, ReportError> {
    let counts = &tally.counts;
    let findings = source.findings.as_ref();
    let state = match findings {
        _ if source.reader.in_use() => State::Live,
        Some(found) if found.explored == counts.explored() => State::Ended,
        _ => State::Interrupted,
    };
    let chosen = losses.iter().find(|loss| loss.chosen);
    let mut notes = source.notes.clone();
    if let Some(found) = findings
        && found.explored != counts.explored()
    {
        notes.push(format!(
            "The final table was made after {} explored candidates; the run has {} by now.",
            number::count(found.explored),
            number::count(counts.explored())
        ));
    }
    let task = &source.header.task;
    Ok(Summary {
        run: source.name(),
        task: task.task.clone(),
        network: task.network.clone(),
        score: source.score.clone(),
        branches: task.branches.len(),
        created: source.header.created,
        state,
        explored: counts.explored(),
        trained: counts.proxies(),
        scored: counts.of(OutcomeKind::Scored),
        seconds: source.reader.elapsed_seconds()?.max(tally.elapsed),
        best_candidate: chosen.map(|loss| loss.candidate),
        best_score: chosen.map(|loss| loss.score),
        random_accepted_median: findings.and_then(|found| found.random_accepted_median),
        verdict: verdict(source, counts.explored(), chosen, comparison),
        notes,
    })
}

/// What came out, in one or two sentences.
fn verdict(
    source: &Source,
    explored: u64,
    chosen: Option<&Loss>,
    comparison: Option<&Comparison>,
) -> String {
    let score = &source.score;
    let Some(best) = chosen else {
        return match explored {
            0 => "Nothing has been explored yet.".to_owned(),
            _ => "No loss has a score yet.".to_owned(),
        };
    };
    let in_search = format!(
        "The best loss so far has {score} {} in the search; it has not been compared with a reference.",
        number::value(best.score)
    );
    let Some(comparison) = comparison.filter(|comparison| comparison.is_final) else {
        return in_search;
    };
    let (Some(found), Some(reference)) = (comparison.found(), comparison.reference()) else {
        return in_search;
    };
    compared(score, &comparison.split, found, reference)
}

/// How the found loss stands against a reference.
fn compared(score: &str, split: &str, found: &Contender, reference: &Contender) -> String {
    let broken = |name: &str| {
        format!("On the {split} split {name} could not be measured: a training became invalid.")
    };
    let Some(ours) = found.metrics.get(score) else {
        return broken("the found loss");
    };
    let Some(theirs) = reference.metrics.get(score) else {
        return broken(&reference.name);
    };
    let difference = ours.mean - theirs.mean;
    let p = ours.p_value(theirs);
    let verb = match p {
        Some(p) if p < 0.05 && difference > 0.0 => "The found loss beats",
        Some(p) if p < 0.05 && difference < 0.0 => "The found loss falls short of",
        Some(_) => "The found loss cannot be told from",
        None if difference > 0.0 => "In a single training, the found loss is above",
        None => "In a single training, the found loss is not above",
    };
    let significance = p.map_or(String::new(), |p| match number::probability(p) {
        text if text.starts_with('<') => format!(", p {text} in Welch’s test"),
        text => format!(", p = {text} in Welch’s test"),
    });
    format!(
        "{verb} {}: {score} {} against {} on the {split} split ({} trainings each{significance}).",
        reference.name,
        number::spread(ours.mean, ours.deviation),
        number::spread(theirs.mean, theirs.deviation),
        found.trainings,
    )
}
