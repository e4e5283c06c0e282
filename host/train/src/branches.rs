//! What a task declares of its branches, and the losses that users name for them, checked.

use crate::trainer::BranchLoss;
use crate::{Result, TrainError};
use autoloss_graph::{Limits, LossGraph, check_names};
use autoloss_spec::{
    BranchInfo, BranchName, Convention, ReferenceLoss, Signature, TaskInfo, UnknownName,
};
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
    let serves = |loss: &ReferenceLoss| loss.serves(branch);
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
        Ok(graph) => Ok(BranchLoss::Graph(graph, 1.0)),
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
        let wrong = |why: &dyn std::fmt::Display| {
            declaration(format!(
                "branch '{}', which is not usable: {why}",
                branch.name
            ))
        };
        let name = BranchName::new(branch.name.as_str()).map_err(|error| wrong(&error))?;
        let signature = branch.signature().map_err(|error| wrong(&error))?;
        check_names(&signature).map_err(|error| wrong(&error))?;
        if signatures.insert(name, signature).is_some() {
            return Err(declaration(format!("two branches named '{}'", branch.name)));
        }
    }
    if signatures.is_empty() {
        return Err(declaration("no branch".into()));
    }
    Ok(signatures)
}

/// The conventions of a task's branches for loss files, as the task declares them before its data is open.
///
/// # Errors
/// A declaration that is not usable.
pub fn conventions_of(info: &TaskInfo) -> Result<BTreeMap<String, Convention>> {
    Ok(conventions(info, &signatures(info)?))
}

/// The texts of a reference loss by branch; `@NAME` where the task computes it. None for an unknown name.
#[must_use]
pub fn reference_texts(info: &TaskInfo, name: &str) -> Option<BTreeMap<String, String>> {
    let found = info
        .reference_losses
        .iter()
        .find(|loss| loss.name == name)?;
    let branches = info.branches.iter();
    let branches = branches.filter(|branch| found.serves(&branch.name));
    let text = |branch: &BranchInfo| (branch.name.clone(), reference_text(found, &branch.name));
    Some(branches.map(text).collect())
}

/// The conventions of the branches for loss files.
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
            activation: branch.activation,
            void_label,
        };
        Some((branch.name.clone(), convention))
    };
    info.branches.iter().filter_map(convention).collect()
}
