//! Pages of one subject with plots that need no script.

use maud::{DOCTYPE, Markup, html};

use crate::number::{self, shown};
use crate::page::head;
use crate::workers::Worker;

/// A page that needs no other file.
pub(crate) fn small_page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false))
            body { main id="content" { (body) } }
        }
    };
    page.into_string()
}

/// Side of the plot and width of its margins, in units of the picture.
const SIDE: f64 = 420.0;
const MARGIN: f64 = 52.0;

/// A point for each loss, with its name on hovering: the proxy to the right, the long training upwards.
pub(crate) fn scatter(score: &str, points: &[(&str, f64, f64)]) -> Markup {
    let range = |of: fn(&(&str, f64, f64)) -> f64| {
        let values = points.iter().map(of);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let room = 0.06 * (high - low).max(1e-6);
        (low - room, high + room)
    };
    if points.is_empty() {
        return html! {};
    }
    let (x, y) = (range(|point| point.1), range(|point| point.2));
    let place = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
    let at_x = |value| MARGIN + place(value, x) * (SIDE - 2.0 * MARGIN);
    let at_y = |value| SIDE - MARGIN - place(value, y) * (SIDE - 2.0 * MARGIN);
    let ticks = |(low, high): (f64, f64)| [0.1, 0.5, 0.9].map(|part| low + part * (high - low));
    let (low, high) = (MARGIN, SIDE - MARGIN);
    html! {
        svg viewBox={ "0 0 " (SIDE) " " (SIDE) } width=(SIDE) height=(SIDE) role="img"
            aria-label={ (shown(score)) ": long training against proxy, a point for each loss" } {
            path d={ "M" (low) " " (low) "V" (high) "H" (high) } fill="none" stroke="currentColor" {}
            @for value in ticks(x) {
                text x=(at_x(value)) y=(high + 18.0) text-anchor="middle" font-size="12" fill="currentColor" { (number::value(value)) }
            }
            @for value in ticks(y) {
                text x=(low - 6.0) y=(at_y(value) + 4.0) text-anchor="end" font-size="12" fill="currentColor" { (number::value(value)) }
            }
            text x=(SIDE / 2.0) y=(SIDE - 10.0) text-anchor="middle" font-size="13" fill="currentColor" { "proxy" }
            text x=(low) y=(low - 12.0) text-anchor="middle" font-size="13" fill="currentColor" { "long training" }
            @for (name, proxy, long) in points {
                circle cx=(at_x(*proxy)) cy=(at_y(*long)) r="4.5" fill="currentColor" fill-opacity="0.6" {
                    title { (shown(name)) ": " (number::value(*proxy)) ", " (number::value(*long)) }
                }
            }
        }
    }
}

/// Height of a line of the dot plot.
const LINE: f64 = 26.0;
/// Width of the names beside it.
const NAMES: f64 = 230.0;

/// A line for each setting: a dot for each value and a bar at their mean. Settings without values have an empty
/// line.
pub(crate) fn dots(score: &str, lines: &[(&str, Vec<f64>)]) -> Markup {
    let values = || lines.iter().flat_map(|line| line.1.iter().copied());
    let (low, high) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    if low > high {
        return html! {};
    }
    let room = 0.05 * (high - low).max(1e-6);
    let (low, high) = (low - room, high + room);
    let width = NAMES + SIDE;
    let height = LINE * lines.len() as f64 + 2.0 * LINE;
    let at = |value: f64| NAMES + (value - low) / (high - low) * (SIDE - 20.0);
    let middle = |place: usize| LINE * (place as f64 + 0.5);
    let bottom = LINE * lines.len() as f64;
    html! {
        div class="scroll" tabindex="0" role="group" aria-label={ "Plot of " (shown(score)) } {
            svg viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img"
                aria-label={ (shown(score)) ": a line for each setting, a dot for each training, a bar at the mean" } {
                path d={ "M" (NAMES) " " (bottom) "H" (width - 20.0) } stroke="currentColor" {}
                @for part in [0.1, 0.5, 0.9] {
                    @let value = low + part * (high - low);
                    text x=(at(value)) y=(bottom + 18.0) text-anchor="middle" font-size="12" fill="currentColor" { (number::value(value)) }
                }
                text x=(NAMES + SIDE / 2.0) y=(bottom + 38.0) text-anchor="middle" font-size="13" fill="currentColor" { (shown(score)) }
                @for (place, (name, values)) in lines.iter().enumerate() {
                    text x=(NAMES - 10.0) y=(middle(place) + 4.0) text-anchor="end" font-size="12" fill="currentColor" { (shown(name)) }
                    @for value in values {
                        circle cx=(at(*value)) cy=(middle(place)) r="4" fill="currentColor" fill-opacity="0.5" {
                            title { (number::value(*value)) }
                        }
                    }
                    @if !values.is_empty() {
                        @let mean = values.iter().sum::<f64>() / values.len() as f64;
                        path d={ "M" (at(mean)) " " (middle(place) - 9.0) "V" (middle(place) + 9.0) } stroke="currentColor" stroke-width="2" {}
                    }
                }
            }
        }
    }
}

/// A line for each worker, with a bar for whatever it was busy with between two moments; what failed is marked.
pub(crate) fn timeline((from, to): (f64, f64), lines: &[Worker]) -> Markup {
    let long = 2.0 * SIDE;
    let names = 80.0;
    let (width, bottom) = (names + long + 40.0, LINE * lines.len() as f64);
    let at = |seconds: f64| names + (seconds - from) / (to - from).max(1e-9) * long;
    let middle = |place: usize| LINE * (place as f64 + 0.5);
    html! {
        div class="scroll" tabindex="0" role="group" aria-label="Timeline of the workers" {
            svg viewBox={ "0 0 " (width) " " (bottom + 28.0) } width=(width) height=(bottom + 28.0) role="img"
                aria-label="When each worker was busy" {
                path d={ "M" (names) " " (bottom) "H" (names + long) } stroke="currentColor" {}
                @for part in [0.0, 0.5, 1.0] {
                    @let seconds = from + part * (to - from);
                    text x=(at(seconds)) y=(bottom + 18.0) text-anchor="middle" font-size="12" fill="currentColor" { (number::duration(seconds)) }
                }
                @for (place, worker) in lines.iter().enumerate() {
                    text x=(names - 8.0) y=(middle(place) + 4.0) text-anchor="end" font-size="12" fill="currentColor" { "worker " (worker.number) }
                    @for bar in &worker.bars {
                        @let (fill, opacity) = if bar.failed { ("#c0392b", "1") } else { ("currentColor", "0.55") };
                        @let width = (at(bar.end) - at(bar.begin)).max(0.5);
                        rect x=(format!("{:.1}", at(bar.begin))) y=(middle(place) - 8.0) width=(format!("{width:.1}"))
                            height="16" fill=(fill) fill-opacity=(opacity) {
                            title { (number::duration(bar.begin)) " to " (number::duration(bar.end)) @if bar.failed { ": failed" } }
                        }
                    }
                }
            }
        }
    }
}
