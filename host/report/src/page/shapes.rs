//! The shape of the found loss on each branch, and of the reference beside it.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::formula;
use super::table::{Cell, chart, legend, numbers, table};
use crate::content::Content;
use crate::number::{self, shown};
use crate::shape::{Panel, Shape};

/// Rows of the table behind a chart, about.
const ROWS: usize = 12;

/// The shapes, branch by branch.
pub(super) fn body(content: &Content) -> (Markup, Vec<(String, Value)>) {
    if content.shapes.is_empty() {
        return (html! {}, Vec::new());
    }
    let mut charts = Vec::new();
    let mut branches: Vec<(&str, Vec<Markup>)> = Vec::new();
    for (at, shape) in content.shapes.iter().enumerate() {
        let name = format!("shape-{at}");
        charts.extend(shape.panels.iter().enumerate().map(|(at, panel)| {
            let data = json!({ "kind": "shape", "x": shape.x, "panel": panel });
            (format!("{name}-{at}"), data)
        }));
        let drawn = one(shape, &name);
        match branches.last_mut() {
            Some((branch, shapes)) if *branch == shape.branch => shapes.push(drawn),
            _ => branches.push((&shape.branch, vec![drawn])),
        }
    }
    let setting = |branch: &str| content.shapes.iter().find(|shape| shape.branch == branch);
    let body = html! {
        @for (branch, shapes) in branches {
            div class="branch" {
                h3 { "Branch " bdi { (shown(branch)) } }
                @if let Some(shape) = setting(branch) { p class="quiet" { (shape.setting) } }
                div class="pair" { @for shape in shapes { (shape) } }
            }
        }
    };
    (body, charts)
}

fn one(shape: &Shape, name: &str) -> Markup {
    let lines = shape.panels.first().map_or(&[][..], |panel| &panel.lines);
    let entries: Vec<(&str, String)> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| (["line c1", "line c2"][at % 2], line.name.to_owned()))
        .collect();
    html! {
        div class="shape" {
            h4 { bdi { (shown(&shape.loss)) } }
            (formula::mathematics(&shape.formula))
            @if entries.len() > 1 { (legend(&entries)) }
            div class="panels" {
                @for (at, panel) in shape.panels.iter().enumerate() {
                    (drawn(shape, panel, &format!("{name}-{at}")))
                }
            }
        }
    }
}

fn drawn(shape: &Shape, panel: &Panel, id: &str) -> Markup {
    let mut alternative = format!(
        "{} of the loss {} on branch {} against {}",
        panel.title,
        shown(&shape.loss),
        shown(&shape.branch),
        shape.x
    );
    for line in &panel.lines {
        let mut known = line
            .points
            .iter()
            .filter_map(|(x, value)| Some((*x, (*value)?)));
        if let (Some(first), Some(last)) = (known.next(), known.next_back()) {
            let point = |(x, y)| format!("{} at {}", number::value(y), number::value(x));
            alternative.push_str(&format!(
                "; {} from {} to {}",
                line.name,
                point(first),
                point(last)
            ));
        }
    }
    let caption = html! {
        (panel.title)
        @if panel.clipped { ", which goes on beyond the chart" }
        @for (name, value) in &panel.beyond {
            ". The line " (name) " lies beyond it, near " (number::value(*value))
        }
        "."
    };
    chart(id, &alternative, &caption, Some(&data(shape, panel, id)))
}

fn data(shape: &Shape, panel: &Panel, id: &str) -> Markup {
    let mut columns = vec![numbers(shape.x)];
    columns.extend(panel.lines.iter().map(|line| numbers(line.name)));
    let first = panel.lines.first().map_or(&[][..], |line| &line.points);
    let every = first.len().div_ceil(ROWS).max(1);
    let rows = first.iter().enumerate().step_by(every).map(|(at, (x, _))| {
        let mut cells = vec![Cell::number(&number::value(*x), *x)];
        cells.extend(panel.lines.iter().map(|line| {
            let value = line.points.get(at).and_then(|point| point.1);
            value.map_or_else(Cell::none, |value| {
                Cell::number(&number::value(value), value)
            })
        }));
        cells
    });
    table(&format!("{id}-data"), panel.title, &columns, rows.collect())
}
