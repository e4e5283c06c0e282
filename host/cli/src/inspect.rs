//! `inspect`: what plugins offer.

use crate::Outcome;
use crate::args::InspectArgs;
use crate::table;
use anyhow::Result;
use autoloss_plugin_api::{PluginInfo, TaskInfo};
use autoloss_train::plugin::{Plugin, Registry};

/// Prints it.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let registry = Registry::load(&args.plugins.plugins)?;
    if args.json {
        let infos: Vec<&PluginInfo> = registry
            .plugins()
            .iter()
            .map(|plugin| plugin.info())
            .collect();
        println!("{}", serde_json::to_string_pretty(&infos)?);
        return Ok(Outcome::Done);
    }
    for plugin in registry.plugins() {
        show(plugin);
    }
    Ok(Outcome::Done)
}

fn show(plugin: &Plugin) {
    let info = plugin.info();
    println!(
        "{} {}  {}",
        info.name,
        info.version,
        plugin.path().display()
    );
    println!("sha256 {}", plugin.sha256());
    for task in &info.tasks {
        show_task(task);
    }
    for network in &info.networks {
        println!("\nnetwork {}: {}", network.name, network.title);
        println!("  serves {}", network.tasks.join(", "));
    }
    for metric in &info.metrics {
        println!("\nmetric {}: {}", metric.name, metric.scores.join(", "));
        if !metric.screening_scores.is_empty() {
            println!("  in screening: {}", metric.screening_scores.join(", "));
        }
    }
}

fn show_task(task: &TaskInfo) {
    println!("\ntask {}: {}", task.name, task.title);
    let rows = task.branches.iter().map(|branch| {
        let inputs: Vec<&str> = branch
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        vec![
            branch.name.clone(),
            inputs.join(", "),
            format!("{:?}", branch.activation).to_lowercase(),
            branch.screening_score.clone(),
        ]
    });
    let header = ["branch", "inputs of its loss", "activation", "screened by"];
    println!("{}", table::plain(&header, rows));
    println!(
        "default network {}, default score {}",
        task.default_network, task.default_score
    );
    for loss in &task.reference_losses {
        let formulas: Vec<String> = loss
            .formulas
            .iter()
            .map(|(branch, text)| format!("{branch}: {text}"))
            .collect();
        println!(
            "reference loss {} ({}) {}",
            loss.name,
            loss.title,
            formulas.join("; ")
        );
    }
}
