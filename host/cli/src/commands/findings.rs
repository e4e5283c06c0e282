//! What a finished search found, on standard output.

use crate::formats::{Comparison, Format};
use crate::session::Session;
use crate::terminal::bar::clock;
use crate::terminal::{output, table};
use anyhow::Result;
use autoloss_plugin_api::Split;
use autoloss_run::{Findings, Found};
use autoloss_search::{Row, Standing};
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
        if let Some(scale) = found.scales.get(branch) {
            writeln!(
                text,
                "  {branch}: trained as {scale} × L, whose gradient is as large as the reference loss's"
            )?;
        }
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
    if let (Some(found), Some(reference)) = (findings.test.first(), reference(findings)) {
        let standing = Standing::of(found, reference, score);
        let split = Split::Test.name();
        writeln!(
            text,
            "{}",
            findings.verdict(&standing.sentence(found, reference, score, split))
        )?;
    }
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
    second_stage(&mut text, session, findings)?;
    if !findings.test.is_empty() {
        let budget = Some(&session.config.proxy.budget);
        let (seeds, rows) = (findings.seeds.clone(), findings.test.clone());
        let comparison = Comparison::new(session, Split::Test, budget, seeds, rows);
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

/// The row of the task's first reference loss, which follows those of the search.
fn reference(findings: &Findings) -> Option<&Row> {
    let of_the_search = |row: &&Row| ["found", "best new"].contains(&row.name.as_str());
    findings.test.iter().find(|row| !of_the_search(row))
}

/// What the second stage came to, where there was one.
fn second_stage(text: &mut String, session: &Session, findings: &Findings) -> Result<()> {
    if findings.second.is_empty() {
        return Ok(());
    }
    let score = session.workbench.score();
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    let rows = findings.second.iter().map(|row| {
        let name = match row.reference {
            true => row.name.clone(),
            false => format!("candidate {}", row.name),
        };
        let seeds = row.scores.len().to_string();
        vec![name, number(row.mean()), seeds, number(row.proxy)]
    });
    let header = ["loss", &format!("{score}, second stage"), "seeds", "proxy"];
    writeln!(text, "\n{}", table::numbers(&header, rows))?;
    writeln!(
        text,
        "selection split, network {}",
        session.config.promotion.network
    )?;
    Ok(())
}
