//! What a finished search found, on standard output.

use crate::formats::{Comparison, Format};
use crate::session::Session;
use crate::terminal::bar::clock;
use crate::terminal::output;
use anyhow::Result;
use autoloss_plugin_api::Split;
use autoloss_run::{Findings, Found};
use std::fmt::Write;

/// Prints it.
pub(crate) fn print(session: &Session, findings: &Findings, json: bool) -> Result<()> {
    match json {
        true => output::print(&serde_json::to_string_pretty(findings)?),
        false => output::print(&told(session, findings)?),
    }
}

/// A loss and how it was found.
fn loss(text: &mut String, what: &str, found: &Found, score: &str) -> Result<()> {
    writeln!(
        text,
        "\n{what}: candidate {} ({score} {:.3} in the search)",
        found.candidate,
        found.search_score.unwrap_or_default()
    )?;
    for (branch, formula) in &found.formulas {
        writeln!(text, "  {branch}: L = {formula}")?;
        if let Some(known) = found.known.get(branch) {
            writeln!(text, "  {branch}: this is {known}")?;
        }
        writeln!(
            text,
            "  {branch}: {}",
            found.losses.get(branch).map_or("", String::as_str)
        )?;
    }
    if let Some((mean, spread)) = found.selection {
        writeln!(text, "  selection split: {mean:.3} ± {spread:.3}")?;
    }
    writeln!(text, "  written to {}", found.file.display())?;
    Ok(())
}

/// What was found, for people.
fn told(session: &Session, findings: &Findings) -> Result<String> {
    let mut text = String::new();
    let score = session.workbench.score();
    let counts = findings.verdicts.iter();
    let counts: Vec<String> = counts
        .map(|(code, count)| format!("{code} {count}"))
        .collect();
    writeln!(
        text,
        "explored {} losses in {}: {}",
        findings.explored,
        clock(findings.search_seconds),
        counts.join(", ")
    )?;
    if let Some(median) = findings.random_accepted_median {
        writeln!(
            text,
            "median {score} of random accepted losses (reward split): {median:.3}"
        )?;
    }
    let Some(best) = &findings.best else {
        return Ok(text);
    };
    loss(&mut text, "best loss", best, score)?;
    match &findings.best_new {
        Some(new) if new == best => writeln!(text, "  it is not a multiple of a known loss")?,
        Some(new) => loss(&mut text, "best new loss", new, score)?,
        None => {}
    }
    if !findings.test.is_empty() {
        let seeds = (0..findings.test[0].scores.len() as u64).map(|n| session.config.seed + 1 + n);
        let budget = Some(&session.config.proxy.budget);
        let rows = findings.test.clone();
        let comparison = Comparison::new(session, Split::Test, budget, seeds.collect(), rows);
        write!(text, "\n{}", comparison.render(Format::Text)?)?;
    }
    if let Some(floor) = findings.noise_floor {
        writeln!(
            text,
            "noise floor: {floor:.3} (standard deviation of {score} between seeds)"
        )?;
    }
    Ok(text)
}
