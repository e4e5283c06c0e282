//! The funnel: how many candidates reached each stage, and what ended there.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::table::{Cell, chart, numbers, table, texts};
use crate::content::Content;
use crate::funnel::Step;
use crate::number::{count, duration, share};

/// Chart and table.
pub(super) fn body(content: &Content) -> (Markup, Vec<(String, Value)>) {
    let explored = content.summary.explored;
    if explored == 0 {
        let body = html! { p class="quiet" { "Nothing has been explored yet." } };
        return (body, Vec::new());
    }
    let columns = [
        texts("stage"),
        numbers("reached it"),
        texts("ended there"),
        numbers("went on"),
        numbers("of those"),
        numbers("time"),
        numbers("time for each"),
    ];
    let rows = content.funnel.iter().map(row).collect();
    let caption = html! {
        "Candidates that passed each stage, on a logarithmic scale."
        @if content.summary.branches > 1 {
            " Branches are screened one by one; a candidate ends where its first branch fails."
        }
    };
    let body = html! {
        (chart("funnel", "Candidates that passed each stage of the pipeline", &caption, None))
        (table("stages", "Stages of the pipeline", &columns, rows))
    };
    let steps: Vec<Value> = content
        .funnel
        .iter()
        .map(|step| json!({ "title": step.title, "passed": step.passed, "share": share(step.passed, explored) }))
        .collect();
    let data = json!({ "kind": "funnel", "steps": steps });
    (body, vec![("funnel".to_owned(), data)])
}

fn row(step: &Step) -> Vec<Cell> {
    let ended: Vec<String> = step
        .ended
        .iter()
        .filter(|(_, lost)| *lost > 0)
        .map(|(code, lost)| format!("{} {}", code.replace('_', " "), count(*lost)))
        .collect();
    let passed_share = step.passed as f64 / step.entered.max(1) as f64;
    let each = step.seconds / step.entered.max(1) as f64;
    vec![
        Cell::text(html! { (step.title) }),
        Cell::number(&count(step.entered), step.entered as f64),
        Cell::text(html! { (ended.join(", ")) }),
        Cell::number(&count(step.passed), step.passed as f64),
        Cell::number(&share(step.passed, step.entered), passed_share),
        Cell::number(&duration(step.seconds), step.seconds),
        Cell::number(&small_duration(each), each),
    ]
}

/// Screens take microseconds.
fn small_duration(seconds: f64) -> String {
    match seconds {
        s if s > 0.0 && s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s > 0.0 && s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => duration(s),
    }
}
