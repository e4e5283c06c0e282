//! The family of the best loss as a list, newest first, with the scores along it.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::formula;
use super::table::{Cell, chart, numbers, table};
use crate::content::Content;
use crate::lineage::{Ancestor, in_words};
use crate::number::{self, shown};

/// So many of the newest are shown without being asked for.
const SHOWN: usize = 8;

/// The list, and the chart where there are enough members for one.
pub(super) fn body(content: &Content) -> (Markup, Vec<(String, Value)>) {
    let family = &content.lineage;
    if family.is_empty() {
        return (html! {}, Vec::new());
    }
    let score = shown(&content.summary.score);
    let scored = family
        .iter()
        .filter(|member| member.score.is_some())
        .count();
    let newest: Vec<&Ancestor> = family.iter().rev().collect();
    let (near, far) = newest.split_at(newest.len().min(SHOWN));
    let body = html! {
        p {
            @match family.len() - 1 {
                0 => "It was drawn at random; it has no ancestors.",
                1 => "It is a mutation of a loss drawn at random.",
                steps => { "It descends in " (steps) " steps from a loss drawn at random." }
            }
        }
        @if scored > 2 {
            (chart(
                "family",
                &format!("{score} of each member of the family, from the oldest to the newest"),
                &html! { bdi { (score) } " from the oldest ancestor to the best loss." },
                Some(&data(family, &score)),
            ))
        }
        ol class="family" { @for member in near { (item(member, &score)) } }
        @if !far.is_empty() {
            details data-key="family-list" {
                summary { "The " (far.len()) " before these" }
                ol class="family" { @for member in far { (item(member, &score)) } }
            }
        }
    };
    if scored <= 2 {
        return (body, Vec::new());
    }
    let points: Vec<Value> = family
        .iter()
        .enumerate()
        .map(|(at, member)| json!([at, member.score, member.candidate]))
        .collect();
    let data = json!({ "kind": "family", "score": score, "points": points });
    (body, vec![("family".to_owned(), data)])
}

fn data(family: &[Ancestor], score: &str) -> Markup {
    let columns = [numbers("generation"), numbers("candidate"), numbers(score)];
    let rows = family.iter().enumerate().map(|(at, member)| {
        vec![
            Cell::number(&at.to_string(), at as f64),
            Cell::number(&number::count(member.candidate), member.candidate as f64),
            member.score.map_or_else(Cell::none, |value| {
                Cell::number(&number::value(value), value)
            }),
        ]
    });
    table(
        "family-data",
        "Scores along the family",
        &columns,
        rows.collect(),
    )
}

fn item(member: &Ancestor, score: &str) -> Markup {
    html! {
        li {
            p class="who" {
                strong { "Candidate " (number::count(member.candidate)) }
                " "
                @match member.score {
                    Some(value) => span { bdi { (score) } " " (number::value(value)) },
                    None => span { (shown(&member.verdict)) },
                }
            }
            @for change in &member.changes {
                p class="change" {
                    span class="tag" { (in_words(change.origin)) }
                    " " bdi { (shown(&change.formula.branch)) }
                }
                (formula::mathematics(&change.formula))
            }
        }
    }
}
