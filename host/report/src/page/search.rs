//! The search's curve, with the curve of a random search where there is one.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::table::{Cell, chart, legend, numbers, table, texts};
use crate::content::Content;
use crate::curve::{Curve, Point, WINDOW};
use crate::number::{self, shown};

/// Most rows of the table behind the chart, for each run.
const ROWS: usize = 120;

/// Score against effort.
pub(super) fn curve(content: &Content) -> (Markup, Vec<(String, Value)>) {
    let Some(own) = content.curves.first().filter(|curve| curve.scored > 0) else {
        let body = html! { p class="quiet" { "The curve begins with the first score." } };
        return (body, Vec::new());
    };
    let score = shown(&content.summary.score);
    let beside = content.curves.get(1);
    let body = html! {
        fieldset class="switch" data-axis="curve" {
            legend { "Effort" }
            label { input type="radio" name="curve-axis" value="explored" checked; " explored candidates" }
            label { input type="radio" name="curve-axis" value="time"; " time" }
        }
        (legend(&entries(own, beside)))
        (chart(
            "curve",
            &format!(
                "{score} of trained losses against effort: each score, the best so far and the running median; the best is {}",
                own.best.last().map_or_else(|| "–".to_owned(), |best| number::value(best.2))
            ),
            &caption(own, beside),
            Some(&data(&content.curves)),
        ))
    };
    let data = json!({ "kind": "curve", "score": score, "curves": content.curves });
    (body, vec![("curve".to_owned(), data)])
}

fn entries(own: &Curve, beside: Option<&Curve>) -> Vec<(&'static str, String)> {
    let mut entries = vec![
        ("line c1", "best so far".to_owned()),
        ("line c1 dashed", format!("median of the latest {WINDOW}")),
        ("dot c1", "each score".to_owned()),
    ];
    if own.random {
        entries[0].1 = "best so far (random search)".to_owned();
    }
    if let Some(other) = beside.filter(|other| other.scored > 0) {
        let what = if other.random {
            "random search"
        } else {
            "beside it"
        };
        entries.push((
            "line c2",
            format!("best of {} ({what})", shown(&other.name)),
        ));
        entries.push((
            "line c2 dashed",
            format!("its median of the latest {WINDOW}"),
        ));
    }
    entries
}

fn caption(own: &Curve, beside: Option<&Curve>) -> Markup {
    html! {
        (number::count(own.scored)) " scores from " (number::count(own.evaluations)) " trainings."
        @if own.scores.len() < own.scored as usize {
            " Drawn are the lowest and the highest of each short stretch."
        }
        @if let Some(other) = beside {
            " Beside it the run " bdi { (shown(&other.name)) } " with "
            (number::count(other.scored)) " scores from " (number::count(other.evaluations)) " trainings."
        }
    }
}

/// The improvements of each run, with the running median there.
fn data(curves: &[Curve]) -> Markup {
    let columns = [
        texts("run"),
        numbers("explored"),
        numbers("time"),
        numbers("best"),
        numbers("running median"),
    ];
    let rows = curves.iter().flat_map(|curve| {
        let every = curve.best.len().div_ceil(ROWS).max(1);
        let last = curve.best.len().saturating_sub(1);
        let kept = curve.best.iter().enumerate();
        kept.filter(move |(at, _)| at % every == 0 || *at == last)
            .map(|(_, point)| row(curve, point))
    });
    table(
        "curve-data",
        "Improvements of the best score",
        &columns,
        rows.collect(),
    )
}

fn row(curve: &Curve, point: &Point) -> Vec<Cell> {
    let (explored, seconds, best) = *point;
    let until = curve.median.partition_point(|median| median.0 <= explored);
    let median = until
        .checked_sub(1)
        .and_then(|at| curve.median.get(at))
        .map(|at| at.2);
    vec![
        Cell::text(html! { bdi { (shown(&curve.name)) } }),
        Cell::number(&number::count(explored), explored as f64),
        Cell::number(&number::duration(seconds), seconds),
        Cell::number(&number::value(best), best),
        median.map_or_else(Cell::none, |median| {
            Cell::number(&number::value(median), median)
        }),
    ]
}
