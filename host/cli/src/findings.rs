//! What a finished search found: as `final.json` in the run folder, and on standard output.

use crate::bar::clock;
use crate::formats::{Comparison, Format};
use crate::measure::Row;
use crate::output;
use crate::session::Session;
use anyhow::{Context, Result};
use autoloss_plugin_api::Split;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a finished search found.
#[derive(Serialize)]
pub(crate) struct Findings {
    pub(crate) run: PathBuf,
    pub(crate) explored: u64,
    pub(crate) proxies: u64,
    pub(crate) verdicts: BTreeMap<&'static str, u64>,
    pub(crate) search_seconds: f64,
    pub(crate) store_seconds: f64,
    pub(crate) score: String,
    pub(crate) best: Option<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) random_accepted_median: Option<f64>,
    /// The loss of that score.
    #[serde(skip)]
    pub(crate) median_random: Option<BTreeMap<String, String>>,
    pub(crate) test: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise_floor: Option<f64>,
}

/// The chosen loss.
#[derive(Serialize)]
pub(crate) struct Found {
    pub(crate) candidate: String,
    pub(crate) losses: BTreeMap<String, String>,
    pub(crate) formulas: BTreeMap<String, String>,
    pub(crate) search_score: f64,
    pub(crate) selection: Option<(f64, f64)>,
    pub(crate) file: PathBuf,
}

/// Writes it into the run folder and prints it.
pub(crate) fn publish(
    session: &Session,
    findings: &Findings,
    folder: &Path,
    json: bool,
) -> Result<()> {
    let text = serde_json::to_string_pretty(findings)?;
    let path = folder.join("final.json");
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    if json {
        return output::print(&text);
    }
    output::print(&told(session, findings)?)
}

/// What was found, for people.
fn told(session: &Session, findings: &Findings) -> Result<String> {
    let mut text = String::new();
    let verdicts: Vec<String> = findings
        .verdicts
        .iter()
        .map(|(code, count)| format!("{code} {count}"))
        .collect();
    writeln!(
        text,
        "explored {} losses in {}: {}",
        findings.explored,
        clock(findings.search_seconds),
        verdicts.join(", ")
    )?;
    if let Some(median) = findings.random_accepted_median {
        writeln!(
            text,
            "median {} of random accepted losses (reward split): {median:.3}",
            findings.score
        )?;
    }
    let Some(best) = &findings.best else {
        return Ok(text);
    };
    writeln!(
        text,
        "\nbest loss: candidate {} ({} {:.3} in the search)",
        best.candidate, findings.score, best.search_score
    )?;
    for (branch, formula) in &best.formulas {
        writeln!(text, "  {branch}: L = {formula}")?;
        writeln!(
            text,
            "  {branch}: {}",
            best.losses.get(branch).map_or("", String::as_str)
        )?;
    }
    if let Some((mean, spread)) = best.selection {
        writeln!(text, "  selection split: {mean:.3} ± {spread:.3}")?;
    }
    writeln!(text, "  written to {}", best.file.display())?;
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
            "noise floor: {floor:.3} (standard deviation of {} between seeds)",
            findings.score
        )?;
    }
    Ok(text)
}
