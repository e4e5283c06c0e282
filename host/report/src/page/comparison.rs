//! The found loss beside its references.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::formula;
use super::table::{Cell, chart, numbers, table, texts};
use crate::comparison::{Comparison, Contender, Gamed, Role};
use crate::content::Content;
use crate::number::{self, shown};
use crate::summary::State;
use autoloss_run::Second;

/// The target score of every contender: chart and table.
pub(super) fn scores(content: &Content) -> (Markup, Vec<(String, Value)>) {
    let comparison = content.comparison.as_ref();
    let Some(comparison) = comparison.filter(|comparison| comparison.is_final) else {
        return (nothing(content.summary.state), Vec::new());
    };
    let score = &content.summary.score;
    let body = html! {
        (score_chart(comparison, score))
        (score_table(comparison, score))
        (second_stage(&content.second, score))
        details data-key="contenders" {
            summary { "The compared losses" }
            @for row in &comparison.rows {
                h3 { bdi { (shown(&row.name)) } }
                (formula::whole(&row.formulas))
            }
        }
    };
    let data = ("comparison".to_owned(), chart_data(comparison, score));
    (body, vec![data])
}

fn nothing(state: State) -> Markup {
    let why = match state {
        State::Ended => "The run ended without a final table.",
        _ => {
            "The comparison with reference losses is made when the search has ended, on data that \
             it never saw."
        }
    };
    html! { p class="quiet" { (why) } }
}

fn score_chart(comparison: &Comparison, score: &str) -> Markup {
    let alternative = format!(
        "{}: one dot for each training, a bar for the mean and one standard deviation to each side",
        shown(score)
    );
    let caption = html! {
        "Dots are trainings with different seeds, bars one standard deviation around the mean."
        @if let Some(floor) = comparison.noise_floor {
            " Between seeds alone the score varies by " (number::value(floor)) "."
        }
    };
    chart("comparison", &alternative, &caption, None)
}

fn score_table(comparison: &Comparison, score: &str) -> Markup {
    let columns = [
        texts("loss"),
        numbers("mean"),
        numbers("standard deviation"),
        numbers("trainings"),
        numbers("difference to reference"),
        numbers("95 % interval"),
        numbers("p"),
    ];
    let rows = comparison.rows.iter();
    let rows = rows.map(|row| score_row(comparison, row, score)).collect();
    let caption = format!("{} on the {} split", shown(score), comparison.split);
    table("scores", &caption, &columns, rows)
}

/// What the second stage scored, beside the proxy; nothing without one.
fn second_stage(second: &[Second], score: &str) -> Markup {
    if second.is_empty() {
        return html! {};
    }
    let columns = [
        texts("loss"),
        numbers("second stage"),
        numbers("trainings"),
        numbers("proxy"),
    ];
    let cell = |value: Option<f64>| {
        value.map_or_else(Cell::none, |value| {
            Cell::number(&number::value(value), value)
        })
    };
    let rows = second.iter().map(|row| {
        let name = if row.reference {
            shown(&row.name)
        } else {
            format!("candidate {}", row.name)
        };
        vec![
            Cell::text(html! { bdi { (name) } }),
            cell(row.mean()),
            Cell::number(&row.scores.len().to_string(), row.scores.len() as f64),
            cell(row.proxy),
        ]
    });
    let caption = format!(
        "{} in the second stage, on the selection split",
        shown(score)
    );
    table("second-stage", &caption, &columns, rows.collect())
}

fn score_row(comparison: &Comparison, row: &Contender, score: &str) -> Vec<Cell> {
    let name = Cell::text(html! { bdi { (shown(&row.name)) } });
    let trainings = match row.invalid {
        0 => Cell::number(&row.trainings.to_string(), row.trainings as f64),
        invalid => Cell::number(&row.trainings.to_string(), row.trainings as f64)
            .warning(&format!("{invalid} invalid")),
    };
    let Some(ours) = row.metrics.get(score) else {
        return vec![
            name,
            Cell::none(),
            Cell::none(),
            trainings,
            Cell::none(),
            Cell::none(),
            Cell::none(),
        ];
    };
    let reference = comparison
        .reference()
        .filter(|known| known.name != row.name);
    let theirs = reference.and_then(|known| known.metrics.get(score));
    let difference = theirs.map(|theirs| ours.mean - theirs.mean);
    let paired = theirs.and_then(|theirs| ours.paired(theirs));
    vec![
        name,
        Cell::number(&number::value(ours.mean), ours.mean),
        ours.deviation
            .map_or_else(Cell::none, |sd| Cell::number(&number::value(sd), sd)),
        trainings,
        difference.map_or_else(Cell::none, |d| Cell::number(&number::signed(d), d)),
        paired.map_or_else(Cell::none, |paired| {
            let (low, high) = (number::signed(paired.low), number::signed(paired.high));
            Cell::number(&format!("{low} to {high}"), paired.low)
        }),
        paired.map_or_else(Cell::none, |paired| {
            Cell::number(&number::probability(paired.p_value), paired.p_value)
        }),
    ]
}

fn chart_data(comparison: &Comparison, score: &str) -> Value {
    let rows: Vec<Value> = comparison
        .rows
        .iter()
        .map(|row| {
            let sample = row.metrics.get(score);
            json!({
                "name": shown(&row.name),
                "role": row.role,
                "mean": sample.map(|sample| sample.mean),
                "deviation": sample.and_then(|sample| sample.deviation),
                "values": sample.map(|sample| sample.values.clone()).unwrap_or_default(),
            })
        })
        .collect();
    json!({ "kind": "comparison", "score": shown(score), "rows": rows })
}

/// Every metric of every contender.
pub(super) fn metrics(content: &Content) -> Markup {
    let Some(comparison) = &content.comparison else {
        return html! {};
    };
    let mut columns = vec![texts("metric")];
    columns.extend(comparison.rows.iter().map(|row| numbers(shown(&row.name))));
    let rows = comparison.metrics.iter().map(|metric| {
        let mut cells = vec![Cell::text(html! { bdi { (shown(metric)) }
        @if *metric == content.summary.score { " " span class="tag" { "target" } } })];
        cells.extend(
            comparison
                .rows
                .iter()
                .map(|row| metric_cell(comparison, row, metric)),
        );
        cells
    });
    let caption = match comparison.is_final {
        true => format!(
            "Mean ± standard deviation on the {} split; higher is better",
            comparison.split
        ),
        false => format!(
            "One training, on the {} split, in the search; higher is better",
            shown(&comparison.split)
        ),
    };
    html! {
        @for gamed in &comparison.gamed { (warning(gamed, &content.summary.score)) }
        (table("all-metrics", &caption, &columns, rows.collect()))
        p class="quiet" {
            "A metric is called gamed where the target score rose above the reference’s while the metric fell below half "
            "of the reference’s, and by more than twice the larger standard deviation."
        }
    }
}

fn metric_cell(comparison: &Comparison, row: &Contender, metric: &str) -> Cell {
    let Some(sample) = row.metrics.get(metric) else {
        return Cell::none();
    };
    let cell = Cell::number(&number::spread(sample.mean, sample.deviation), sample.mean);
    let gamed = comparison.gamed.iter().any(|gamed| gamed.metric == metric);
    match row.role {
        Role::Found if gamed => cell.warning("gamed"),
        _ => cell,
    }
}

fn warning(gamed: &Gamed, score: &str) -> Markup {
    html! {
        p class="note warns" {
            strong { "Gamed: " }
            bdi { (shown(&gamed.metric)) } " fell to " (number::value(gamed.found_mean)) " from "
            (number::value(gamed.reference_mean)) " with " bdi { (shown(&gamed.reference)) }
            " while " bdi { (shown(score)) } " rose. A higher " bdi { (shown(score)) }
            " alone does not make this a better loss."
        }
    }
}
