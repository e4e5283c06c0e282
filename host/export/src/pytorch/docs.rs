//! What a Python file says of itself.

use super::has_unit_target;
use crate::escape::python;
use crate::loss::{Branch, Loss};
use crate::text::{left_out, meaning, provenance, title};
use autoloss_graph::{Activation, BranchName, Convention};

/// Width of lines.
const WIDTH: usize = 88;

/// The docstring of the file.
pub(super) fn of_file(loss: &Loss, written: &Loss) -> String {
    let mut lines = vec![
        title(loss),
        String::new(),
        "Written by autoloss; it needs PyTorch alone. In formulas ε = 1e-12 is left out: 1/x is 1/(x + ε), \
         log x is sign(x)·log(|x| + ε), √x is sign(x)·√(|x| + ε)."
            .to_owned(),
        String::new(),
    ];
    for (name, branch) in &written.branches {
        lines.push(format!(
            "Branch {name}: {}",
            branch.graph.formula(&branch.convention.inputs)
        ));
    }
    lines.extend(left_out(loss));
    let provenance = provenance(loss);
    if !provenance.is_empty() {
        lines.push(String::new());
        lines.push("Where it comes from:".to_owned());
        lines.extend(provenance.into_iter().map(|entry| format!("- {entry}")));
    }
    docstring(&lines, "")
}

/// What boxes are.
const BOXES: &str = "forward(deltas, target_deltas): boxes (N, 4) as dx, dy, ln w, ln h in units of one box of \
     reference, the same for both (Faster R-CNN, arXiv 1506.01497, equation 2). Also (N, 4, L) and (N, 4, H, W).";

/// What classes and maps are.
fn of_target(convention: &Convention) -> [&'static str; 4] {
    let usage = match has_unit_target(convention) {
        true => {
            "forward(logits, target): logits (N, C), (N, C, L) or (N, C, H, W). The target holds the \
             labels, without the axis C, or is of the logits' shape and holds what to predict, from 0 to 1."
        }
        false => {
            "forward(logits, target): logits (N, C), (N, C, L) or (N, C, H, W). The target holds the \
             labels, without the axis C, or is of the logits' shape and holds what to predict."
        }
    };
    let one_channel = match convention.activation {
        Activation::Softmax => {
            "One channel is the logit z of class 1 of two, the softmax that of (0, z); labels are 0 and 1."
        }
        _ => "One channel is that of class 1; labels are 0 and 1, and what to predict.",
    };
    [
        usage,
        "Where a label is ignore_index, prediction and target are 0; such positions still count in means.",
        one_channel,
        "check_target: whether a target out of range is an error. None: on the CPU, since elsewhere \
         the check waits for the device. Unchecked, and always in compiled, traced and exported graphs, \
         prediction and target are NaN there.",
    ]
}

/// The docstring of a branch's module; `raw` is the branch as it was found.
pub(super) fn of_branch(name: &BranchName, branch: &Branch, raw: &Branch) -> String {
    let inputs = &branch.convention.inputs;
    let mut lines = vec![
        format!("The loss of branch {name}."),
        String::new(),
        format!("Formula: {}", branch.graph.formula(inputs)),
        format!("Inputs: {}.", meaning(&branch.convention)),
        format!("Text form: {}", branch.graph.display(inputs)),
    ];
    if raw.graph != branch.graph {
        lines.push(format!("As it was found: {}", raw.graph.display(inputs)));
        if has_unit_target(&branch.convention) {
            lines.push("Both are equal where the target is 0 or 1.".to_owned());
        }
    }
    lines.push(String::new());
    match branch.convention.activation {
        Activation::Boxes => lines.push(BOXES.to_owned()),
        Activation::Softmax | Activation::Sigmoid | Activation::Identity => {
            lines.extend(of_target(&branch.convention).map(str::to_owned));
        }
    }
    lines.push(
        "reduction: 'sum' over all values, 'mean' divides it by the number of positions N·H·W, 'none' \
         gives the sum over C at each position."
            .to_owned(),
    );
    docstring(&lines, "    ")
}

/// The docstring of the module of all branches.
pub(super) fn of_container(loss: &Loss) -> String {
    let lines = [
        format!(
            "All branches of task {}.",
            crate::escape::shown(&loss.task)
        ),
        String::new(),
        "forward(predictions, targets): both by the names of the branches; the losses by the same names. \
         Train with their sum."
            .to_owned(),
    ];
    docstring(&lines, "    ")
}

/// Lines as a docstring, wrapped and escaped.
fn docstring(lines: &[String], indent: &str) -> String {
    let mut out = String::from("\"\"\"");
    for (at, line) in lines.iter().enumerate() {
        let line = wrapped(&python(line), indent, if at == 0 { 3 } else { 0 });
        if at > 0 {
            out.push('\n');
            if !line.is_empty() {
                out.push_str(indent);
            }
        }
        out.push_str(&line);
    }
    format!("{out}\n{indent}\"\"\"")
}

/// A line broken at spaces; its further lines stand deeper.
fn wrapped(line: &str, indent: &str, begun: usize) -> String {
    let mut out = String::new();
    let mut width = indent.len() + begun;
    for word in line.split(' ') {
        let length = word.chars().count();
        if !out.is_empty() && width + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(indent);
            out.push_str("    ");
            width = indent.len() + 4;
        } else if !out.is_empty() {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.trim_end().to_owned()
}
