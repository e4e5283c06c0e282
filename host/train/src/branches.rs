//! What a task declares of its branches, and the losses that users name for them, checked.

use crate::trainer::BranchLoss;
use crate::{Result, TrainError};
use autoloss_graph::{
    Activation, BranchName, Convention, InputSpec, Limits, LossGraph, Signature, Values,
};
use autoloss_plugin_api::{
    Activation as DeclaredActivation, BranchInfo, ReferenceLoss, TaskInfo, Values as Declared,
};
use autoloss_spec::UnknownName;
use std::collections::BTreeMap;

/// The text of a reference loss for a branch.
fn reference_text(loss: &ReferenceLoss, branch: &str) -> String {
    let formula = loss.formulas.get(branch).cloned();
    formula.unwrap_or_else(|| format!("@{}", loss.name))
}

/// The text of a frozen branch's loss.
pub(crate) fn fixed_text(info: &TaskInfo, branch: &str, loss: &str) -> Result<String> {
    if info.branches.iter().all(|known| known.name != branch) {
        let known = info.branches.iter().map(|branch| branch.name.clone());
        return Err(UnknownName::new("branch", branch, known).into());
    }
    let mut references = info.reference_losses.iter();
    let serves = |loss: &ReferenceLoss| {
        loss.only.is_empty() || loss.only.iter().any(|known| known == branch)
    };
    if let Some(found) = references.find(|known| known.name == loss && serves(known)) {
        return Ok(reference_text(found, branch));
    }
    let computed = loss.strip_prefix('@');
    let mut references = info.reference_losses.iter();
    let is_known = references.any(|known| Some(known.name.as_str()) == computed && serves(known));
    if loss.contains('(') || is_known {
        return Ok(loss.to_owned());
    }
    let known = info.reference_losses.iter().filter(|loss| serves(loss));
    let known = known.map(|loss| loss.name.clone());
    Err(UnknownName::new("reference loss", loss, known).into())
}

/// A loss from its text.
pub(crate) fn branch_loss(
    branch: &str,
    text: &str,
    signature: &Signature,
    limits: &Limits,
) -> Result<BranchLoss> {
    if let Some(reference) = text.strip_prefix('@') {
        return Ok(BranchLoss::Reference(reference.to_owned()));
    }
    match LossGraph::parse(text, signature, limits) {
        Ok(graph) => Ok(BranchLoss::Graph(graph)),
        Err(error) => Err(TrainError::Loss {
            branch: branch.to_owned(),
            error,
        }),
    }
}

/// The inputs of each branch's loss.
pub(crate) fn signatures(info: &TaskInfo) -> Result<BTreeMap<BranchName, Signature>> {
    let declaration = |what: String| TrainError::Declaration {
        task: info.name.clone(),
        what,
    };
    let mut signatures = BTreeMap::new();
    for branch in &info.branches {
        let inputs = branch.inputs.iter().map(|input| InputSpec {
            name: input.name.clone(),
            prediction: input.prediction,
            target: input.target,
            channel_mean_constant: input.channel_mean_constant,
            values: match input.values {
                Declared::Nonnegative => Values::Nonnegative,
                Declared::Binary => Values::Binary,
                _ => Values::Any,
            },
        });
        let wrong = |why: autoloss_graph::GraphError| {
            declaration(format!(
                "branch '{}' with inputs that cannot be: {why}",
                branch.name
            ))
        };
        let name = BranchName::new(branch.name.as_str()).map_err(wrong)?;
        let mut signature = Signature::new(inputs.collect()).map_err(wrong)?;
        if !branch.neighbours {
            signature = signature.without_neighbours();
        }
        if signatures.insert(name, signature).is_some() {
            return Err(declaration(format!("two branches named '{}'", branch.name)));
        }
    }
    if signatures.is_empty() {
        return Err(declaration("no branch".into()));
    }
    Ok(signatures)
}

/// What loss files say of a task's branches, as it declares them without its data.
///
/// # Errors
/// A declaration that cannot be.
pub fn conventions_of(info: &TaskInfo) -> Result<BTreeMap<String, Convention>> {
    Ok(conventions(info, &signatures(info)?))
}

/// The texts of a reference loss by branch; `@NAME` where the task computes it. None of a name that is none.
#[must_use]
pub fn reference_texts(info: &TaskInfo, name: &str) -> Option<BTreeMap<String, String>> {
    let found = info
        .reference_losses
        .iter()
        .find(|loss| loss.name == name)?;
    let serves = |branch: &&BranchInfo| found.only.is_empty() || found.only.contains(&branch.name);
    let branches = info.branches.iter().filter(serves);
    let text = |branch: &BranchInfo| (branch.name.clone(), reference_text(found, &branch.name));
    Some(branches.map(text).collect())
}

/// What loss files say of the branches.
pub(crate) fn conventions(
    info: &TaskInfo,
    signatures: &BTreeMap<BranchName, Signature>,
) -> BTreeMap<String, Convention> {
    let void_label = info.attributes.get("void_label");
    let void_label = void_label.and_then(serde_json::Value::as_i64);
    let convention = |branch: &BranchInfo| {
        let mut known = signatures.iter();
        let (_, inputs) = known.find(|(name, _)| name.as_str() == branch.name)?;
        let convention = Convention {
            inputs: inputs.clone(),
            activation: match branch.activation {
                DeclaredActivation::Softmax => Activation::Softmax,
                DeclaredActivation::Sigmoid => Activation::Sigmoid,
                DeclaredActivation::Boxes => Activation::Boxes,
                _ => Activation::Identity,
            },
            void_label,
        };
        Some((branch.name.clone(), convention))
    };
    info.branches.iter().filter_map(convention).collect()
}
