//! `sensitivity`: how a loss's score depends on what a recipe sets beside it.

use crate::Outcome;
use crate::args::SensitivityArgs;
use crate::loss_input;
use crate::session::Session;
use crate::terminal::{logging, output, table};
use crate::trainings::{Plan, Records, rows, shown, write_results};
use crate::workers;
use anyhow::Result;
use autoloss_graph::{Limits, LossGraph, sum};
use autoloss_plugin_api::Split;
use autoloss_report::{Sensitivity, Variant};
use autoloss_search::{Contender, TrainingBudget};
use std::collections::BTreeMap;

/// What the learning rate is multiplied by.
const RATES: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// Trains the loss in every setting, prints.
pub(crate) fn run(args: &SensitivityArgs) -> Result<Outcome> {
    let mut session = workers::session(&args.task, args.workers)?;
    session.check(&[Split::Train, args.split])?;
    session.identify()?;
    let workbench = &session.workbench;
    let losses = loss_input::read(workbench, &args.loss, &session.config.limits)?;
    workbench.losses(&losses)?;
    let contender = Contender {
        name: loss_input::title(workbench, &args.loss),
        losses,
    };
    let settings = settings(&session, &contender)?;
    let mut records = Records::open(&args.out)?;
    session.prepare(&[Split::Train, args.split])?;
    let plan = |(_, _, budget): &(String, Contender, TrainingBudget)| {
        Plan::new(&session, budget, args.seeds, args.split)
    };
    let plans: Vec<Plan> = settings.iter().map(plan).collect();
    let wanted = plans
        .iter()
        .zip(settings.iter().map(|(_, contender, _)| contender));
    let wanted: Vec<(&Plan, &Contender)> = wanted.collect();
    let trainings = wanted.iter().map(|(plan, _)| plan.seeds.len()).sum();
    let mut pool = workers::of(&session, trainings)?;
    let rows = rows(&session, &wanted, Some(&mut records), pool.as_mut())?;
    let variants = settings.iter().zip(rows).map(|((label, ..), row)| Variant {
        label: label.clone(),
        row,
    });
    let variants = variants.collect();
    let sensitivity = Sensitivity {
        task: workbench.info().name.clone(),
        network: workbench.network().name.clone(),
        score: workbench.score().to_owned(),
        split: args.split.name().to_owned(),
        loss: contender.name,
        budget: session.proxy_budget(),
        variants,
    };
    let json = serde_json::to_string_pretty(&sensitivity)? + "\n";
    write_results(
        &args.out,
        [
            ("sensitivity.json", json),
            ("sensitivity.txt", told(&sensitivity)),
            ("sensitivity.html", sensitivity.page()),
        ],
    )?;
    match args.task.json {
        true => output::print(&(serde_json::to_string_pretty(&sensitivity)? + "\n"))?,
        false => output::print(&told(&sensitivity))?,
    }
    Ok(Outcome::Done)
}

/// Every setting: the recipe as it is, other learning rates, other batch sizes, and each reference loss added.
fn settings(
    session: &Session,
    contender: &Contender,
) -> Result<Vec<(String, Contender, TrainingBudget)>> {
    let budget = &session.proxy_budget();
    let mut settings = Vec::new();
    for factor in RATES {
        let label = match factor {
            1.0 => "as it is".to_owned(),
            _ => format!("learning rate × {factor}"),
        };
        let budget = TrainingBudget {
            learning_rate: budget.learning_rate * factor,
            ..budget.clone()
        };
        let named = Contender {
            name: format!("{} ({label})", contender.name),
            losses: contender.losses.clone(),
        };
        settings.push((label, named, budget));
    }
    for batch_size in [budget.batch_size / 2, budget.batch_size * 2] {
        if batch_size > 0 {
            let label = format!("batches of {batch_size}");
            let budget = TrainingBudget {
                batch_size,
                ..budget.clone()
            };
            let named = Contender {
                name: format!("{} ({label})", contender.name),
                losses: contender.losses.clone(),
            };
            settings.push((label, named, budget));
        }
    }
    let references = session.workbench.whole_references(usize::MAX)?;
    for reference in references
        .iter()
        .filter(|reference| reference.losses != contender.losses)
    {
        let label = format!("with {}", reference.name);
        match added(session, &contender.losses, &reference.losses)? {
            Some(losses) => {
                let name = format!("{} + {}", contender.name, reference.name);
                settings.push((label, Contender { name, losses }, budget.clone()));
            }
            None => logging::line(&format!(
                "{} is computed by the task, as a loss without a formula; it cannot be added",
                reference.name
            )),
        }
    }
    Ok(settings)
}

/// The sum of two losses, branch by branch; none where one of the searched branches has no formula.
fn added(
    session: &Session,
    losses: &BTreeMap<String, String>,
    others: &BTreeMap<String, String>,
) -> Result<Option<BTreeMap<String, String>>> {
    // Sums of two losses are larger than the losses of a search may be.
    let limits = Limits {
        max_nodes: 256,
        max_depth: 64,
        max_tree_size: 1 << 16,
    };
    let mut sums = losses.clone();
    for branch in session.workbench.spec()?.branches {
        let graph = |losses: &BTreeMap<String, String>| {
            let text = losses.get(branch.name.as_str())?;
            LossGraph::parse(text, &branch.signature, &limits).ok()
        };
        let (Some(ours), Some(theirs)) = (graph(losses), graph(others)) else {
            return Ok(None);
        };
        let Some(both) = sum(&ours, &theirs, &limits) else {
            return Ok(None);
        };
        let text = both.display(&branch.signature).to_string();
        sums.insert(branch.name.as_str().to_owned(), text);
    }
    Ok(Some(sums))
}

fn told(sensitivity: &Sensitivity) -> String {
    let score = &sensitivity.score;
    let rows = sensitivity.variants.iter();
    let rows = rows.map(|variant| vec![variant.label.clone(), shown(&variant.row, score)]);
    let mut text = table::numbers(&["setting", score], rows);
    let budget = &sensitivity.budget;
    text += &format!(
        "\n{}, {} split, network {}, {} steps of {} images, learning rate {}\n",
        sensitivity.loss,
        sensitivity.split,
        sensitivity.network,
        budget.steps,
        budget.batch_size,
        budget.learning_rate
    );
    text
}
