//! A loss as one Python file that needs PyTorch and nothing else.
//!
//! Written out rather than interpreted: a file that one can read, change and check in needs no package of
//! ours where it is used. Only what the loss uses is in it. Operators are composed of PyTorch's as the
//! host composes them of libtorch's, so that gradients at 0 and at ties are the same; nothing is
//! shortened to what is equal on paper only, such as a product with `inv` to a division.
//!
//! Everything runs eagerly, under `torch.compile`, `torch.jit.script` and tracing. A target out of range is an
//! error where reading values makes nothing wait, and NaN elsewhere (`parts::TARGET`). Half precision is
//! computed in single precision: with ε = 10⁻¹² a logarithm has no meaning in it.

mod code;
mod docs;
mod names;
mod parts;

use crate::ExportError;
use crate::loss::{Branch, Loss};
use autoloss_graph::{Activation, BranchName, Convention, Op, Values};
use code::Body;
use names::{Names, camel};
use std::collections::BTreeSet;

/// What `ignore_index` is by default where a branch has no label for void, as in PyTorch.
const NO_LABEL: i64 = -100;

/// The file. `loss` is as it was found and `written` as it is to be computed.
pub(crate) fn file(loss: &Loss, written: &Loss) -> Result<String, ExportError> {
    let mut classes = Names::new(&["Tensor", "Dict", "Optional", "Tuple", "F"]);
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
    let used = [
        ("Dict", several),
        ("Optional", has(written, is_dense)),
        ("Tuple", true),
    ];
    let types: Vec<&str> = used
        .iter()
        .filter_map(|(name, used)| used.then_some(*name))
        .collect();
    let pools = ops.iter().any(|op| op.is_pool());
    let functional = if pools {
        "import torch.nn.functional as F\n"
    } else {
        ""
    };
    format!(
        "{}\n\nfrom typing import {}\n\nimport torch\n{functional}from torch import Tensor, nn",
        docs::of_file(loss, written),
        types.join(", ")
    )
}

/// Whether a branch has such an activation.
fn has(loss: &Loss, of: impl Fn(Activation) -> bool) -> bool {
    let mut branches = loss.branches.values();
    branches.any(|branch| of(branch.convention.activation))
}

/// Whether the target is classes or maps.
fn is_dense(activation: Activation) -> bool {
    activation != Activation::Boxes
}

/// The functions that the modules call.
fn helpers(written: &Loss, ops: &BTreeSet<Op>) -> Vec<String> {
    let mut texts = vec![parts::AXES, parts::SINGLE];
    if has(written, is_dense) {
        texts.extend([parts::CHECKED, parts::TARGET]);
    }
    let softmax = |activation| activation == Activation::Softmax;
    texts.extend(has(written, softmax).then_some(parts::TWO_CLASSES));
    let boxes = |activation| activation == Activation::Boxes;
    texts.extend(has(written, boxes).then_some(parts::AREAS));
    texts.push(parts::REDUCED);
    let has_epsilon = |op: &Op| matches!(op, Op::Unary(op) if op.facts().has_epsilon);
    texts.extend(ops.iter().any(has_epsilon).then_some(parts::EPSILON));
    texts.extend(ops.iter().filter_map(|op| parts::operator(*op)));
    texts.iter().map(|text| text.trim().to_owned()).collect()
}

/// The module of a branch.
fn module(class: &str, name: &BranchName, branch: &Branch, raw: &Branch) -> String {
    let convention = &branch.convention;
    let mut locals = Names::new(&[
        "self", "torch", "F", "nn", "Tensor", "Dict", "Optional", "Tuple",
    ]);
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
            "reduction: str = \"mean\",\n",
            &format!("reduction: str = \"mean\",\n        scale: float = {scale:e},\n"),
        )
        .replace(
            "reduction: str = \"mean\")",
            &format!("reduction: str = \"mean\", scale: float = {scale:e})"),
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

/// Whether the target is known to have values from 0 to 1: those of a softmax, and those declared to be 0 or 1.
fn has_unit_target(convention: &Convention) -> bool {
    let mut inputs = convention.inputs.inputs().iter();
    convention.activation == Activation::Softmax
        || inputs.any(|input| !input.prediction && input.values == Values::Binary)
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
    let unit = match has_unit_target(convention) {
        true => "True",
        false => "False",
    };
    let two_classes = match convention.activation {
        Activation::Softmax => parts::ONE_CHANNEL,
        _ => "",
    };
    parts::DENSE_FORWARD
        .replace("UNIT", unit)
        .replace("TWO_CLASSES", two_classes)
        .replace("ACTIVATED", activated)
        .replace("ARGUMENTS", &arguments.join(", "))
}

/// The module of all branches.
fn container(class: &str, loss: &Loss, branches: &[(&BranchName, String)]) -> String {
    let fields = branches.iter().map(|(name, class)| {
        let branch = loss.branches.get(name);
        let arguments = match branch.is_some_and(|own| is_dense(own.convention.activation)) {
            true => "reduction=reduction, check_target=check_target",
            false => "reduction=reduction",
        };
        format!("        self.loss_{name} = {class}({arguments})")
    });
    let losses = branches.iter().map(|(name, _)| {
        format!(
            "            \"{name}\": self.loss_{name}(predictions[\"{name}\"], targets[\"{name}\"]),"
        )
    });
    let [fields, losses] = [fields.collect::<Vec<_>>(), losses.collect()].map(|all| all.join("\n"));
    let parameters = match has(loss, is_dense) {
        true => {
            "\n        self, reduction: str = \"mean\", check_target: Optional[bool] = None\n    "
        }
        false => "self, reduction: str = \"mean\"",
    };
    format!(
        "class {class}(nn.Module):\n    {docs}\n\n    \
         def __init__({parameters}) -> None:\n        \
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
