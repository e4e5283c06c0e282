//! `check`: one loss through every screen, each verdict with its figures.

use crate::args::CheckArgs;
use crate::session::Session;
use crate::terminal::{logging, output};
use crate::{Outcome, loss_input};
use anyhow::{Context, Result};
use autoloss_graph::{LossGraph, Signature, static_check};
use autoloss_plugin_api::{BranchInfo, Split};
use autoloss_search::{Gain, Probe, Screener, ScreeningConfig};
use autoloss_train::TaskScreener;
use serde::Serialize;
use std::fmt::{Result as Written, Write};

/// How often the protocol's metric is read.
const EVERY_SHARE: usize = 10;

/// What the screens say of one branch.
#[derive(Serialize)]
struct Report {
    branch: String,
    loss: String,
    formula: String,
    canonical: String,
    verdict: String,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<ProtocolReport>,
}

#[derive(Serialize)]
struct ProbeReport {
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
    alignments: Vec<f64>,
}

#[derive(Serialize)]
struct ProtocolReport {
    score: String,
    initial: f64,
    reached: Option<f64>,
    gain: Option<f64>,
    course: Vec<(usize, f64)>,
}

/// Runs the screens and prints what they say.
pub(crate) fn run(args: &CheckArgs) -> Result<Outcome> {
    let session = Session::open(&args.task, |_| Ok(()))?;
    session.check(&[Split::Train])?;
    let config = &session.config;
    let texts = loss_input::read(&session.workbench, &args.loss, &config.limits)?;
    let mut screener = session
        .workbench
        .screener(&config.screening, 0, config.seed)?;
    let mut reports = Vec::new();
    let searched: Vec<&BranchInfo> = session.workbench.searched().collect();
    for (index, branch) in session.workbench.spec()?.branches.iter().enumerate() {
        let name = branch.name.as_str();
        let text = texts
            .get(name)
            .with_context(|| format!("branch '{name}' has no loss"))?;
        if text.starts_with('@') {
            logging::line(&format!(
                "{name}: a loss the task computes itself; screens are for loss graphs"
            ));
            continue;
        }
        let graph = LossGraph::parse(text, &branch.signature, &config.limits)
            .with_context(|| format!("the loss of branch '{name}', {text:?}"))?;
        let score = &searched[index].screening_score;
        let screens = Screens {
            branch: index,
            graph: &graph,
            signature: &branch.signature,
            score,
        };
        reports.push(screens.report(name, &mut screener, &config.screening)?);
    }
    if args.task.json {
        output::json(&reports)?;
    } else {
        let mut text = String::new();
        reports
            .iter()
            .try_for_each(|report| report.write(&mut text))?;
        output::print(&text)?;
    }
    Ok(Outcome::Done)
}

struct Screens<'a> {
    branch: usize,
    graph: &'a LossGraph,
    signature: &'a Signature,
    score: &'a str,
}

impl Screens<'_> {
    /// Every screen in the order of the search, up to the first that rejects.
    fn report(
        &self,
        name: &str,
        screener: &mut TaskScreener,
        config: &ScreeningConfig,
    ) -> Result<Report> {
        let graph = self.graph;
        let mut report = Report {
            branch: name.to_owned(),
            loss: graph.display(self.signature).to_string(),
            formula: graph.formula(self.signature).to_string(),
            canonical: graph
                .training_form(self.signature)
                .display(self.signature)
                .to_string(),
            verdict: String::new(),
            accepted: false,
            probe: None,
            protocol: None,
        };
        if let Err(reason) = static_check(graph, self.signature) {
            report.verdict = format!("rejected by its structure: {reason}");
            return Ok(report);
        }
        let probe = screener.probe(self.branch, graph)?;
        let (finite, zero) = (probe.is_finite(), probe.is_zero());
        report.probe = Some(ProbeReport::from(probe));
        if !finite || zero {
            let what = if finite { "zero" } else { "not finite" };
            report.verdict = format!("rejected by one gradient: it is {what}");
            return Ok(report);
        }
        self.protocol(&mut report, screener, config)?;
        Ok(report)
    }

    fn protocol(
        &self,
        report: &mut Report,
        screener: &mut TaskScreener,
        config: &ScreeningConfig,
    ) -> Result<()> {
        let every = (config.steps / EVERY_SHARE).max(1);
        let (found, trace) = screener.trace(self.branch, self.graph, every)?;
        let initial = trace.points.first().map_or(0.0, |(_, score)| *score);
        let mut protocol = ProtocolReport {
            score: self.score.to_owned(),
            initial,
            reached: None,
            gain: None,
            course: trace.points,
        };
        let Gain {
            gain,
            reached,
            steps,
            ..
        } = found;
        report.accepted = config.accepts(gain);
        if gain.is_finite() {
            (protocol.gain, protocol.reached) = (Some(gain), Some(reached));
            report.verdict = match report.accepted {
                true => format!("accepted: it gains {gain:.3} of {}", self.score),
                false => format!(
                    "rejected in the protocol: it gains {gain:.3} of {}, the threshold is {}",
                    self.score, config.threshold
                ),
            };
        } else {
            report.verdict = format!("rejected in the protocol: not finite at step {steps}");
        }
        report.protocol = Some(protocol);
        Ok(())
    }
}

impl From<Probe> for ProbeReport {
    fn from(probe: Probe) -> Self {
        Self {
            losses: probe.losses,
            gradient_norms: probe.norms,
            alignments: probe.alignments,
        }
    }
}

impl Report {
    fn write(&self, text: &mut String) -> Written {
        writeln!(text, "branch {}: {}", self.branch, self.verdict)?;
        writeln!(text, "  loss       {}", self.loss)?;
        writeln!(text, "  formula    {}", self.formula)?;
        writeln!(text, "  canonical  {}", self.canonical)?;
        if let Some(probe) = &self.probe {
            writeln!(
                text,
                "  loss of each sample           {}",
                numbers(&probe.losses)
            )?;
            writeln!(
                text,
                "  gradient norm of each sample  {}",
                numbers(&probe.gradient_norms)
            )?;
            writeln!(
                text,
                "  ⟨∂L/∂x, ŷ−y⟩ of each sample   {}",
                numbers(&probe.alignments)
            )?;
        }
        if let Some(protocol) = &self.protocol {
            let course: Vec<String> = protocol
                .course
                .iter()
                .map(|(step, score)| format!("{step}: {score:.3}"))
                .collect();
            writeln!(
                text,
                "  {} while predictions are optimised, by step: {}",
                protocol.score,
                course.join("  ")
            )?;
        }
        Ok(())
    }
}

fn numbers(values: &[f64]) -> String {
    let words: Vec<String> = values.iter().map(|value| format!("{value:.3e}")).collect();
    words.join("  ")
}
