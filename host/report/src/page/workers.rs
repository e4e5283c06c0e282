//! What worker processes did when, and why trainings failed.

use maud::{Markup, html};

use super::table::{Cell, numbers, table, texts};
use crate::content::Content;
use crate::number::{count, duration, shown};
use crate::plot;
use crate::workers::Workers;

/// Timeline and tables; nothing where there were neither workers nor failures.
pub(super) fn body(content: &Content) -> Markup {
    let workers = &content.workers;
    html! {
        @if !workers.workers.is_empty() {
            (timeline(workers))
        }
        @if !workers.failures.is_empty() {
            (failures(workers))
        }
    }
}

fn timeline(workers: &Workers) -> Markup {
    let percent = |part: f64| format!("{:.0} %", 100.0 * part);
    let all: f64 = workers.workers.iter().map(|worker| worker.busy).sum();
    let share = workers.share(all / workers.workers.len() as f64);
    let columns = [
        texts("worker"),
        numbers("trainings"),
        numbers("failed"),
        numbers("busy"),
        numbers("of the time"),
        numbers("of it waiting for data"),
        numbers("idle"),
    ];
    let whole = workers.to - workers.from;
    let rows = workers.workers.iter().map(|worker| {
        let share = workers.share(worker.busy);
        vec![
            Cell::text(html! { (worker.number) }),
            Cell::number(&count(worker.trainings), worker.trainings as f64),
            Cell::number(&count(worker.failed), worker.failed as f64),
            Cell::number(&duration(worker.busy), worker.busy),
            Cell::number(&percent(share), share),
            Cell::number(&duration(worker.waited), worker.waited),
            Cell::number(&duration(whole - worker.busy), whole - worker.busy),
        ]
    });
    html! {
        p { "Workers were busy for " (percent(share)) " of " (duration(whole)) ", the trainings of the final table left out." }
        (plot::timeline((workers.from, workers.to), &workers.workers))
        (table("workers-table", "Worker processes", &columns, rows.collect()))
    }
}

fn failures(workers: &Workers) -> Markup {
    let rows = workers.failures.iter().map(|(reason, failed)| {
        vec![
            Cell::text(html! { bdi { (shown(reason)) } }),
            Cell::number(&count(*failed), *failed as f64),
        ]
    });
    let columns = [texts("why"), numbers("candidates")];
    table("failures", "Failures by reason", &columns, rows.collect())
}
