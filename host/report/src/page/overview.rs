//! What came out: the verdict, the run in numbers, the best losses.

use maud::{Markup, html};

use super::formula;
use crate::content::Content;
use crate::losses::Loss;
use crate::number::{self, shown};
use crate::summary::Summary;

/// The verdict and the run in numbers.
pub(super) fn summary(content: &Content) -> Markup {
    let summary = &content.summary;
    html! {
        p class="verdict" { (shown_sentence(&summary.verdict)) }
        @for note in &summary.notes {
            p class="note" { (shown_sentence(note)) }
        }
        dl class="tiles" {
            @for (name, value, more) in tiles(content) {
                div { dt { (name) } dd { (value) @if let Some(more) = more { small { (more) } } } }
            }
        }
        @if let Some((machine, people)) = number::moment(summary.created) {
            p class="quiet" { "Started " time datetime=(machine) { (people) } "." }
        }
    }
}

/// A sentence of ours with foreign names in it.
fn shown_sentence(text: &str) -> String {
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

type Tile = (String, String, Option<String>);

fn tiles(content: &Content) -> Vec<Tile> {
    let summary = &content.summary;
    let mut tiles = Vec::new();
    tiles.extend(final_tile(content));
    if let Some(score) = summary.best_score {
        let name = format!("{} in the search", shown(&summary.score));
        let more = summary
            .random_accepted_median
            .map(|median| format!("median random {}", number::value(median)));
        tiles.push((name, number::value(score), more));
    }
    tiles.push((
        "explored".to_owned(),
        number::count(summary.explored),
        pace(summary),
    ));
    let given_up = summary.trained.saturating_sub(summary.scored);
    let more = format!("{} ended early or failed", number::count(given_up));
    tiles.push((
        "trained".to_owned(),
        number::count(summary.trained),
        Some(more),
    ));
    tiles.push(("time".to_owned(), number::duration(summary.seconds), None));
    tiles
}

/// The found loss beside its reference.
fn final_tile(content: &Content) -> Option<Tile> {
    let score = &content.summary.score;
    let comparison = content
        .comparison
        .as_ref()
        .filter(|comparison| comparison.is_final)?;
    let ours = comparison.found()?.metrics.get(score)?;
    let reference = comparison
        .reference()
        .and_then(|row| Some((row, row.metrics.get(score)?)));
    let more = reference.map(|(row, theirs)| {
        let spread = number::spread(theirs.mean, theirs.deviation);
        format!("{}: {spread}", shown(&row.name))
    });
    let name = format!("{} on the {} split", shown(score), comparison.split);
    Some((name, number::value(ours.mean), more))
}

fn pace(summary: &Summary) -> Option<String> {
    if summary.explored == 0 || summary.seconds <= 0.0 {
        return None;
    }
    let pace = summary.explored as f64 / summary.seconds;
    Some(match pace {
        pace if pace >= 10.0 => format!("{} a second", number::count(pace.round() as u64)),
        pace => format!("{pace:.1} a second"),
    })
}

/// The best losses.
pub(super) fn losses(content: &Content) -> Markup {
    let (chosen, others): (Vec<&Loss>, Vec<&Loss>) =
        content.best.iter().partition(|loss| loss.chosen);
    let score = &content.summary.score;
    html! {
        @if content.best.is_empty() {
            p class="quiet" { "No loss has a score yet." }
        }
        @for loss in chosen {
            article class="loss chosen" {
                h3 { "Candidate " (number::count(loss.candidate)) }
                (measured(loss, score))
                (formula::whole(&loss.formulas))
            }
        }
        @if !others.is_empty() {
            details class="others" data-key="other-losses" {
                summary { "The next " (others.len()) " by score in the search" }
                @for loss in others {
                    article class="loss" {
                        h3 { "Candidate " (number::count(loss.candidate)) }
                        (measured(loss, score))
                        (formula::whole(&loss.formulas))
                    }
                }
            }
        }
    }
}

fn measured(loss: &Loss, score: &str) -> Markup {
    html! {
        p class="measured" {
            bdi { (shown(score)) } " " strong { (number::value(loss.score)) } " in the search"
            @if let (Some(again), Some(split)) = (&loss.again, &loss.again_split) {
                "; " strong { (number::spread(again.mean, again.deviation)) }
                " on the " bdi { (shown(split)) } " split (" (again.values.len()) " seeds)"
            }
        }
        @if !loss.known.is_empty() {
            p class="known" { "Known as " (loss.known.join("; ")) "." }
        }
    }
}
