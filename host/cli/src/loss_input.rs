//! A loss as a user names it: a file, a reference loss, or a formula.

use anyhow::{Context, Result, bail};
use autoloss_graph::{Limits, LossFile};
use autoloss_plugin_api::TaskInfo;
use autoloss_spec::UnknownName;
use autoloss_train::Workbench;
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

/// The texts of each branch; of frozen branches, the losses that they are frozen at.
pub(crate) fn read(
    workbench: &Workbench,
    named: &str,
    limits: &Limits,
) -> Result<BTreeMap<String, String>> {
    let mut texts = said(workbench, named, limits)?;
    texts.extend(workbench.fixed().clone());
    Ok(texts)
}

fn said(workbench: &Workbench, named: &str, limits: &Limits) -> Result<BTreeMap<String, String>> {
    let info = workbench.info();
    if info.reference_losses.iter().any(|loss| loss.name == named) {
        return Ok(workbench.reference(named)?);
    }
    let computed = named.strip_prefix('@');
    if computed.is_some_and(|name| info.reference_losses.iter().any(|loss| loss.name == name)) {
        // Computed by the task itself, also where it has a formula.
        let branches = info.branches.iter().map(|branch| branch.name.clone());
        return Ok(branches.map(|branch| (branch, named.to_owned())).collect());
    }
    if is_formula(named) {
        let searched = workbench.searched().map(|branch| branch.name.as_str());
        return formula(&info.name, searched, named);
    }
    let path = Path::new(named);
    let text = read_text(path).map_err(|error| NoLoss::new(info, named, error))?;
    let file = LossFile::from_json(&text).with_context(|| path.display().to_string())?;
    if file.task != info.name {
        bail!(
            "{named} holds a loss of task '{}', not '{}'",
            file.task,
            info.name
        );
    }
    // What the task computes itself, or a frozen branch, is not a graph of this file.
    let mut graphs = file.clone();
    let known = |name: &str| info.branches.iter().any(|branch| branch.name == name);
    let computed = |name: &str| {
        let text = file.branches.get(name).filter(|_| known(name));
        text.is_some_and(|text| text.starts_with('@'))
    };
    let frozen = |name: &str| workbench.fixed().contains_key(name);
    graphs
        .branches
        .retain(|name, _| !computed(name) && !frozen(name));
    let mut signatures = workbench.signatures().clone();
    signatures.retain(|name, _| !computed(name.as_str()) && !frozen(name.as_str()));
    graphs
        .resolve(&signatures, limits)
        .with_context(|| path.display().to_string())?;
    Ok(file.branches)
}

/// Whether what a user named is a formula; a file may have brackets in its name.
pub(crate) fn is_formula(named: &str) -> bool {
    named.contains('(') && !Path::new(named).exists()
}

/// A formula as the loss of the only one of a task's branches.
pub(crate) fn formula<'a>(
    task: &str,
    mut branches: impl Iterator<Item = &'a str>,
    text: &str,
) -> Result<BTreeMap<String, String>> {
    match (branches.next(), branches.next()) {
        (Some(only), None) => Ok(BTreeMap::from([(only.to_owned(), text.to_owned())])),
        _ => bail!("task '{task}' has several branches: write the loss into a file"),
    }
}

/// A name that is neither a reference loss nor a file.
#[derive(Debug, Error)]
#[error("task '{task}' has {name}, and it cannot be read as a loss file either: {error}")]
pub(crate) struct NoLoss {
    task: String,
    #[source]
    name: UnknownName,
    error: std::io::Error,
}

impl NoLoss {
    pub(crate) fn new(info: &TaskInfo, named: &str, error: std::io::Error) -> Self {
        let known = info.reference_losses.iter().map(|loss| &loss.name);
        Self {
            task: info.name.clone(),
            name: UnknownName::new("reference loss", named, known),
            error,
        }
    }
}

/// The text of a file that a user names.
pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    autoloss_spec::text(&std::fs::read(path)?)
}

/// What a row of a table calls it: the title of a reference loss, the name inside a loss file, or what
/// the user wrote.
pub(crate) fn title(workbench: &Workbench, named: &str) -> String {
    let references = &workbench.info().reference_losses;
    if let Some(loss) = references.iter().find(|loss| loss.name == named) {
        return loss.title.clone();
    }
    let file = read_text(Path::new(named)).ok();
    let file = file.and_then(|text| LossFile::from_json(&text).ok());
    file.and_then(|file| file.name)
        .unwrap_or_else(|| named.to_owned())
}
