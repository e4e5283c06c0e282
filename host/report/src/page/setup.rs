//! What the run cost, and all that has to be known to repeat it.

use maud::{Markup, html};

use super::table::{Cell, numbers, table, texts};
use crate::content::Content;
use crate::costs::{Costs, Trainings};
use crate::number::{self, count, duration, shown, shown_lines};

/// Stage times and trainings.
pub(super) fn costs(content: &Content) -> Markup {
    let costs = &content.costs;
    let seconds = content.summary.seconds;
    let columns = [
        texts("what"),
        numbers("trainings"),
        numbers("steps"),
        numbers("time"),
        numbers("of the search’s time"),
    ];
    html! {
        (table("costs-table", "Time and trainings", &columns, cost_rows(costs, seconds)))
        p class="quiet" {
            "Stage times are summed over threads and may exceed the search’s time of " (duration(seconds)) "."
            @if costs.final_trainings > 0 {
                " The final table took " (count(costs.final_trainings)) " further trainings."
            }
        }
    }
}

fn cost_rows(costs: &Costs, seconds: f64) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = costs
        .stages
        .iter()
        .map(|(stage, spent)| {
            line(
                &format!("stage {}", stage.name()),
                None,
                *spent,
                Some(*spent / seconds),
            )
        })
        .collect();
    rows.push(trained("training for scores", &costs.search, seconds));
    rows.push(evaluated("evaluation for scores", &costs.search, seconds));
    rows.push(trained(
        "training of the best again",
        &costs.confirmation,
        f64::NAN,
    ));
    rows.push(evaluated(
        "evaluation of the best again",
        &costs.confirmation,
        f64::NAN,
    ));
    if let Some(spent) = costs.store_seconds {
        rows.push(line(
            "writing the run folder",
            None,
            spent,
            Some(spent / seconds),
        ));
    }
    rows
}

fn trained(what: &str, trainings: &Trainings, seconds: f64) -> Vec<Cell> {
    let spent = trainings.train_seconds;
    line(
        what,
        Some((trainings.count, trainings.steps)),
        spent,
        Some(spent / seconds),
    )
}

fn evaluated(what: &str, trainings: &Trainings, seconds: f64) -> Vec<Cell> {
    let spent = trainings.eval_seconds;
    line(what, None, spent, Some(spent / seconds))
}

fn line(what: &str, work: Option<(u64, u64)>, spent: f64, part: Option<f64>) -> Vec<Cell> {
    let counted = |n: Option<u64>| n.map_or_else(Cell::none, |n| Cell::number(&count(n), n as f64));
    vec![
        Cell::text(html! { (what) }),
        counted(work.map(|work| work.0)),
        counted(work.map(|work| work.1)),
        Cell::number(&duration(spent), spent),
        part.filter(|part| part.is_finite())
            .map_or_else(Cell::none, |part| {
                Cell::number(&format!("{:.1} %", 100.0 * part), part)
            }),
    ]
}

/// Plugins, versions, seeds, configuration.
pub(super) fn setup(content: &Content) -> Markup {
    let setup = &content.setup;
    let plugins = setup.plugins.iter().map(|plugin| {
        vec![
            Cell::text(html! { bdi { (shown(&plugin.name)) } }),
            Cell::text(html! { bdi { (shown(&plugin.version)) } }),
            Cell::text(html! { code class="hash" { (shown(&plugin.sha256)) } }),
        ]
    });
    html! {
        dl class="facts" {
            dt { "strategy" } dd { @if setup.random { "random search" } @else { "evolution" } }
            dt { "seed" } dd { (setup.seed) }
            @if let Some((first, last)) = setup.final_seeds {
                dt { "seeds of the final table" } dd { (first) " to " (last) }
            }
            @for (name, version) in &setup.versions {
                dt { bdi { (shown(name)) } } dd { bdi { (shown(version)) } }
            }
            dt { "sessions" }
            dd { ul class="plain" { @for (started, length) in &setup.sessions {
                li {
                    @if let Some((machine, people)) = number::moment(*started) { time datetime=(machine) { (people) } ", " }
                    (duration(*length))
                }
            } } }
        }
        @if !setup.plugins.is_empty() {
            (table("plugins", "Plugins", &[texts("name"), texts("version"), texts("SHA-256")], plugins.collect()))
        }
        details data-key="configuration" {
            summary { "Configuration" }
            button type="button" class="copy" data-copy=(setup.config) hidden { "Copy the configuration" }
            pre tabindex="0" role="group" aria-label="Configuration" { code { (shown_lines(&setup.config)) } }
        }
    }
}
