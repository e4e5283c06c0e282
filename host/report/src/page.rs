//! The page. It is cut into parts, each with its charts' data, so that a live page can fetch those that
//! changed and leave the others, with what the reader opened and sorted in them, as they are.

mod comparison;
mod family;
mod formula;
mod funnel;
mod overview;
mod parts;
mod pictures;
mod search;
mod setup;
mod shapes;
mod table;
mod workers;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

pub(crate) use parts::{Part, parts};

use crate::assets;
use crate::content::Content;
use crate::number::shown;
use crate::summary::{State, Summary};

/// The head of every page; a live one may fetch from where it came.
pub(crate) fn head(title: &str, live: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(assets::policy(live));
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="referrer" content="no-referrer";
            link rel="icon" href="data:,";
            title { (title) " · autoloss" }
            style { (PreEscaped(assets::STYLE)) }
        }
    }
}

/// The whole page; a live one fetches what changed.
pub(crate) fn document(content: &Content, live: bool) -> String {
    let parts = parts(content);
    let summary = &content.summary;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{} · {}", shown(&summary.task), shown(&summary.run)), live))
            body {
                a class="skip" href="#content" { "Skip to the report" }
                (masthead(summary, live))
                (navigation(&parts))
                main id="content" tabindex="-1" {
                    @for part in &parts { (section(part)) }
                }
                footer {
                    p { "Made by autoloss from a run folder. The page needs no network: everything it shows is in this file." }
                }
                script type="application/json" id="data" { (PreEscaped(embedded(&data(&parts, live)))) }
                @for script in assets::SCRIPTS {
                    script { (PreEscaped(script)) }
                }
            }
        }
    };
    page.into_string()
}

fn masthead(summary: &Summary, live: bool) -> Markup {
    html! {
        header class="masthead" {
            div {
                p class="kicker" { "Loss search" }
                h1 { bdi { (shown(&summary.task)) } }
                p class="where" {
                    "network " bdi { (shown(&summary.network)) } ", score " bdi { (shown(&summary.score)) }
                    ", run " bdi { (shown(&summary.run)) }
                }
            }
            div class="tools" {
                p id="status" role="status" class={ "status " (state_class(summary.state)) } {
                    (state_text(summary.state, live))
                }
                button type="button" id="theme" hidden { "Theme: automatic" }
            }
        }
    }
}

/// The state in a word or two.
pub(crate) fn state_text(state: State, live: bool) -> &'static str {
    match (state, live) {
        (State::Live, true) => "live",
        (State::Live, false) => "going on when this was written",
        (State::Ended, _) => "ended",
        (State::Interrupted, _) => "stopped before its final table",
    }
}

/// The class that colours it.
pub(crate) fn state_class(state: State) -> &'static str {
    match state {
        State::Live => "is-live",
        State::Ended => "is-ended",
        State::Interrupted => "is-interrupted",
    }
}

fn navigation(parts: &[Part]) -> Markup {
    html! {
        nav aria-label="Sections" {
            ul {
                @for part in parts {
                    li data-for=(part.id) hidden[part.is_empty()] {
                        a href={ "#" (part.id) } { (part.short) }
                    }
                }
            }
        }
    }
}

fn section(part: &Part) -> Markup {
    html! {
        section id=(part.id) aria-labelledby={ (part.id) "-title" } hidden[part.is_empty()] {
            h2 id={ (part.id) "-title" } { (part.title) }
            div class="part" { (PreEscaped(&part.html)) }
        }
    }
}

fn data(parts: &[Part], live: bool) -> Value {
    let hashes: serde_json::Map<String, Value> = parts
        .iter()
        .map(|part| (part.id.to_owned(), part.hash().into()))
        .collect();
    let charts: serde_json::Map<String, Value> =
        parts.iter().flat_map(|part| part.charts.clone()).collect();
    json!({ "live": live, "hashes": hashes, "charts": charts })
}

/// JSON that no browser can take for markup or for the end of its script element.
fn embedded(data: &Value) -> String {
    let text = data.to_string();
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_json_is_no_markup_and_still_the_same_json() {
        let data = json!({ "</script><b>": "<!-- & \u{2028} \u{2029} ]]> \"'" });
        let text = embedded(&data);
        assert!(
            !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), data);
    }
}
