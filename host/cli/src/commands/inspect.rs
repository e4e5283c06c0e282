//! `inspect`: what plugins offer.

use crate::Outcome;
use crate::args::InspectArgs;
use crate::terminal::{output, table};
use anyhow::Result;
use autoloss_plugin_api::{PluginInfo, TaskInfo};
use autoloss_train::plugin::{Plugin, Registry};
use serde::Serialize;
use std::fmt::{Result as Written, Write};
use std::path::Path;

/// A plugin and its file.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    info: &'a PluginInfo,
    path: &'a Path,
    sha256: &'a str,
}

/// Prints it.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let registry = Registry::load(&args.plugins.plugins)?;
    if args.json {
        let inspected = registry.plugins().iter().map(|plugin| Inspected {
            info: plugin.info(),
            path: plugin.path(),
            sha256: plugin.sha256(),
        });
        output::json(&inspected.collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for plugin in registry.plugins() {
        show(&mut text, plugin)?;
    }
    output::print(&text)?;
    Ok(Outcome::Done)
}

fn show(text: &mut String, plugin: &Plugin) -> Written {
    let info = plugin.info();
    writeln!(
        text,
        "{} {}  {}",
        info.name,
        info.version,
        plugin.path().display()
    )?;
    writeln!(text, "sha256 {}", plugin.sha256())?;
    for task in &info.tasks {
        show_task(text, task)?;
    }
    for network in &info.networks {
        writeln!(text, "\nnetwork {}: {}", network.name, network.title)?;
        writeln!(text, "  serves {}", network.tasks.join(", "))?;
    }
    for metric in &info.metrics {
        writeln!(
            text,
            "\nmetric {}: {}",
            metric.name,
            metric.scores.join(", ")
        )?;
    }
    for metric in &info.screening_metrics {
        let scores = metric.scores.join(", ");
        writeln!(text, "\nscreening metric {}: {scores}", metric.name)?;
    }
    Ok(())
}

fn show_task(text: &mut String, task: &TaskInfo) -> Written {
    writeln!(text, "\ntask {}: {}", task.name, task.title)?;
    let rows = task.branches.iter().map(|branch| {
        let inputs: Vec<&str> = branch
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        vec![
            branch.name.clone(),
            inputs.join(", "),
            branch.activation.to_string(),
            branch.screening_score.clone(),
        ]
    });
    let header = ["branch", "inputs of its loss", "activation", "screened by"];
    writeln!(text, "{}", table::plain(&header, rows))?;
    writeln!(
        text,
        "default network {}, default score {}",
        task.default_network, task.default_score
    )?;
    for loss in &task.reference_losses {
        let formulas: Vec<String> = loss
            .formulas
            .iter()
            .map(|(branch, text)| format!("{branch}: {text}"))
            .collect();
        writeln!(
            text,
            "reference loss {} ({}) {}",
            loss.name,
            loss.title,
            formulas.join("; ")
        )?;
    }
    Ok(())
}
