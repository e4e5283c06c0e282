//! A loss for a terminal: formulas in Unicode, and the text form that loss files hold.

use crate::escape::shown;
use crate::loss::Loss;
use autoloss_graph::{Activation, Convention};
use std::fmt::Write;

/// The branches of a loss, as it is written and as it was.
pub(crate) fn listing(loss: &Loss, written: &Loss) -> String {
    let mut out = format!("{}\n", title(loss));
    for (name, branch) in &written.branches {
        let inputs = &branch.convention.inputs;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n{name}\n  formula  {}\n  text     {}\n",
            branch.graph.formula(inputs),
            branch.graph.display(inputs)
        );
        let raw = loss.branches.get(name).map(|branch| &branch.graph);
        if let Some(raw) = raw.filter(|raw| **raw != branch.graph) {
            let _ = writeln!(out, "  as found {}", raw.display(inputs));
        }
        let _ = writeln!(out, "  inputs   {}", meaning(&branch.convention));
        if branch.scale != 1.0 {
            let _ = writeln!(out, "  scale    {} × the formula in training", branch.scale);
        }
    }
    for line in left_out(loss).into_iter().chain(provenance(loss)) {
        let _ = write!(out, "\n{line}");
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// The first line of everything that describes a loss.
pub(crate) fn title(loss: &Loss) -> String {
    let task = shown(&loss.task);
    match &loss.name {
        Some(name) => format!("Loss of task {task}: {}.", shown(name)),
        None => format!("Loss of task {task}."),
    }
}

/// What is said of branches that are not exported.
pub(crate) fn left_out(loss: &Loss) -> Vec<String> {
    let branches = loss.left_out.iter();
    branches
        .map(|(name, text)| {
            format!(
                "Left out: branch {}, whose loss {} the task's plugin computes.",
                shown(name),
                shown(text)
            )
        })
        .collect()
}

/// Where a loss comes from, an entry a line.
pub(crate) fn provenance(loss: &Loss) -> Vec<String> {
    let entries = loss.provenance.iter();
    entries
        .map(|(key, value)| {
            let value = match value {
                serde_json::Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            format!("{}: {}", shown(key), shown(&value))
        })
        .collect()
}

/// What the inputs of a branch are.
pub(crate) fn meaning(convention: &Convention) -> String {
    let inputs = convention.inputs.inputs();
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    if convention.activation == Activation::Boxes {
        return format!(
            "{}: areas of the intersection, the union and the smallest enclosing box",
            names.join(", ")
        );
    }
    let activation = activation(convention.activation);
    let each = inputs.iter().map(|input| match input.prediction {
        true => format!("{}: {activation}", input.name),
        false => format!("{}: target", input.name),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// What makes a prediction of raw outputs.
pub(crate) fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Softmax => "softmax of the logits",
        Activation::Sigmoid => "sigmoid of the logits",
        Activation::Boxes => "areas of boxes",
        Activation::Identity => "the raw outputs",
    }
}
