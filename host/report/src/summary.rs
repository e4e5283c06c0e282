//! The run in a few numbers and one sentence.

use autoloss_run::Tally;
use autoloss_search::OutcomeKind;
use serde::Serialize;

use crate::comparison::Comparison;
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
    let standing = comparison.and_then(|comparison| comparison.standing.clone());
    let standing = standing.map(|sentence| match &source.findings {
        Some(findings) => findings.verdict(&sentence),
        None => sentence,
    });
    standing.unwrap_or_else(|| {
        format!(
            "The best loss so far has {score} {} in the search; it has not been compared with a reference.",
            number::value(best.score)
        )
    })
}
