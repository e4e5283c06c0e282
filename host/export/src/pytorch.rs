//! A loss as one Python file that needs PyTorch and nothing else.
//!
//! Written out rather than interpreted: a file that one can read, change and check in needs no package of
//! ours where it is used. Only what the loss uses is in it. Operators are composed of PyTorch's as the
//! host composes them of libtorch's, so that gradients at 0 and at ties are the same; nothing is
//! shortened to what is equal on paper only, such as a product with `inv` to a division.
//!
//! Everything runs eagerly, under `torch.compile`, `torch.jit.script` and tracing. Half precision is
//! computed in single precision: with ε = 10⁻¹² a logarithm has no meaning in it.

mod code;
mod docs;
mod names;
mod parts;

use crate::ExportError;
use crate::loss::{Branch, Loss};
use autoloss_graph::{Activation, BranchName, Convention, Op};
use code::Body;
use names::{Names, camel};
use std::collections::BTreeSet;

/// What `ignore_index` is by default where a branch has no label for void, as in PyTorch.
const NO_LABEL: i64 = -100;

/// The file. `loss` is as it was found and `written` as it is to be computed.
pub(crate) fn file(loss: &Loss, written: &Loss) -> Result<String, ExportError> {
    let mut classes = Names::new(&["Tensor", "Dict", "Tuple", "F"]);
    let mut modules = Vec::new();
    let mut names = Vec::new();
    let mut ops = BTreeSet::new();
    for (name, branch) in &written.branches {
        check(name, &branch.convention)?;
        let class = classes.unique(&format!("{}Loss", camel(name.as_str(), "Branch")));
        let raw = loss.branches.get(name).unwrap_or(branch);
        modules.push(module(&class, name, branch, raw));
        names.push((name, class));
        ops.extend(branch.graph.nodes().iter().filter_map(|node| node.op()));
    }
    if names.len() > 1 {
        let class = classes.unique(&format!("{}Loss", camel(&loss.task, "Task")));
        modules.push(container(&class, loss, &names));
    }
    let mut parts = vec![header(loss, written, &ops, names.len() > 1)];
    parts.extend(helpers(written, &ops));
    parts.extend(modules);
    Ok(format!("{}\n", parts.join("\n\n\n")))
}

/// Whether code can be written for the inputs of a branch.
fn check(name: &BranchName, convention: &Convention) -> Result<(), ExportError> {
    let inputs = convention.inputs.inputs();
    let predictions = inputs.iter().filter(|input| input.prediction).count();
    let (fits, expected) = match convention.activation {
        Activation::Boxes => (
            inputs.len() == 3,
            "three: the areas of intersection, union and enclosing box",
        ),
        Activation::Softmax | Activation::Sigmoid | Activation::Identity => (
            inputs.len() <= 2 && predictions <= 1 && inputs.len() - predictions <= 1,
            "one prediction and one target",
        ),
    };
    let found: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    match fits {
        true => Ok(()),
        false => Err(ExportError::Inputs {
            branch: name.to_string(),
            activation: crate::text::activation(convention.activation),
            found: found.join(", "),
            expected,
        }),
    }
}

fn header(loss: &Loss, written: &Loss, ops: &BTreeSet<Op>, several: bool) -> String {
    let types = if several { "Dict, Tuple" } else { "Tuple" };
    let pools = ops.iter().any(|op| op.is_pool());
    let functional = if pools {
        "import torch.nn.functional as F\n"
    } else {
        ""
    };
    format!(
        "{}\n\nfrom typing import {types}\n\nimport torch\n{functional}from torch import Tensor, nn",
        docs::of_file(loss, written)
    )
}

/// The functions that the modules call.
fn helpers(written: &Loss, ops: &BTreeSet<Op>) -> Vec<String> {
    let has = |boxes: bool| {
        let mut branches = written.branches.values();
        branches.any(|branch| (branch.convention.activation == Activation::Boxes) == boxes)
    };
    let mut texts = vec![parts::AXES, parts::SINGLE];
    texts.extend(has(false).then_some(parts::TARGET));
    texts.extend(has(true).then_some(parts::AREAS));
    texts.push(parts::REDUCED);
    let has_epsilon = |op: &Op| matches!(op, Op::Unary(op) if op.facts().has_epsilon);
    texts.extend(ops.iter().any(has_epsilon).then_some(parts::EPSILON));
    texts.extend(ops.iter().filter_map(|op| parts::operator(*op)));
    texts.iter().map(|text| text.trim().to_owned()).collect()
}

/// The module of a branch.
fn module(class: &str, name: &BranchName, branch: &Branch, raw: &Branch) -> String {
    let convention = &branch.convention;
    let mut locals = Names::new(&["self", "torch", "F", "nn", "Tensor", "Dict", "Tuple"]);
    let inputs: Vec<String> = convention
        .inputs
        .inputs()
        .iter()
        .map(|input| locals.unique(&input.name))
        .collect();
    let parameters: Vec<String> = inputs
        .iter()
        .map(|name| format!("{name}: Tensor"))
        .collect();
    let body = Body::of(&branch.graph, &inputs, &mut locals);
    let (fields, forward) = if convention.activation == Activation::Boxes {
        let [fields, forward] = [parts::REDUCTION_FIELD, parts::BOX_FORWARD];
        (fields.to_owned(), forward.to_owned())
    } else {
        let label = convention.void_label.unwrap_or(NO_LABEL);
        let fields = parts::LABEL_FIELDS.replace("LABEL", &label.to_string());
        (fields, dense_forward(convention))
    };
    let (fields, forward) = scaled(branch.scale, fields, forward);
    format!(
        "class {class}(nn.Module):\n    {docs}\n{fields}{forward}\n    \
         def formula(self, {parameters}) -> Tensor:\n        \
         \"\"\"The value of the formula, everywhere.\"\"\"\n{body}",
        docs = docs::of_branch(name, branch, raw),
        parameters = parameters.join(", "),
        body = body.lines("        "),
    )
}

/// The parts of a module whose loss is multiplied by a number.
fn scaled(scale: f64, fields: String, forward: String) -> (String, String) {
    if scale == 1.0 {
        return (fields, forward);
    }
    let fields = fields
        .replace(
            ") -> None:",
            &format!(", scale: float = {scale:e}) -> None:"),
        )
        .replace(
            "        self.reduction = reduction\n",
            "        self.reduction = reduction\n        self.scale = scale\n",
        );
    let forward = forward.replace(
        "_reduced(self.formula(",
        "_reduced(self.scale * self.formula(",
    );
    (fields, forward)
}

fn dense_forward(convention: &Convention) -> String {
    let activated = match convention.activation {
        Activation::Softmax => "scores.softmax(dim=1)",
        Activation::Sigmoid => "scores.sigmoid()",
        Activation::Identity | Activation::Boxes => "scores",
    };
    let arguments = convention.inputs.inputs().iter();
    let arguments: Vec<&str> = arguments
        .map(|input| {
            if input.prediction {
                "prediction"
            } else {
                "wanted"
            }
        })
        .collect();
    parts::DENSE_FORWARD
        .replace("ACTIVATED", activated)
        .replace("ARGUMENTS", &arguments.join(", "))
}

/// The module of all branches.
fn container(class: &str, loss: &Loss, branches: &[(&BranchName, String)]) -> String {
    let each = |line: fn(&str, &str) -> String| -> String {
        let lines: Vec<String> = branches
            .iter()
            .map(|(name, class)| line(name.as_str(), class))
            .collect();
        lines.join("\n")
    };
    let fields =
        each(|name, class| format!("        self.loss_{name} = {class}(reduction=reduction)"));
    let losses = each(|name, _| {
        format!(
            "            \"{name}\": self.loss_{name}(predictions[\"{name}\"], targets[\"{name}\"]),"
        )
    });
    format!(
        "class {class}(nn.Module):\n    {docs}\n\n    \
         def __init__(self, reduction: str = \"mean\") -> None:\n        \
         super().__init__()\n{fields}\n\n    \
         def forward(\n        \
         self, predictions: Dict[str, Tensor], targets: Dict[str, Tensor]\n    \
         ) -> Dict[str, Tensor]:\n        \
         return {{\n{losses}\n        }}",
        docs = docs::of_container(loss),
    )
}

#[cfg(test)]
mod tests;
