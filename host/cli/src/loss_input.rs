//! A loss as a user names it: a file, a reference loss, or a formula.

use anyhow::{Context, Result, bail};
use autoloss_graph::{Limits, LossFile};
use autoloss_plugin_api::TaskInfo;
use autoloss_train::Workbench;
use std::collections::BTreeMap;
use std::path::Path;

/// The texts of each branch; of those that are held, what they are held at.
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
    if named.contains('(') {
        let searched = workbench.searched().map(|branch| branch.name.as_str());
        return formula(&info.name, searched, named);
    }
    let path = Path::new(named);
    let text = std::fs::read_to_string(path).with_context(|| unreadable(info, named))?;
    let file = LossFile::from_json(&text).with_context(|| path.display().to_string())?;
    if file.task != info.name {
        bail!(
            "{named} holds a loss of task '{}', not '{}'",
            file.task,
            info.name
        );
    }
    // What the task computes itself, or a branch that is held, is no graph of this file.
    let mut graphs = file.clone();
    let known = |name: &str| info.branches.iter().any(|branch| branch.name == name);
    let computed = |name: &str| {
        let text = file.branches.get(name).filter(|_| known(name));
        text.is_some_and(|text| text.starts_with('@'))
    };
    let held = |name: &str| workbench.fixed().contains_key(name);
    graphs
        .branches
        .retain(|name, _| !computed(name) && !held(name));
    let mut signatures = workbench.signatures().clone();
    signatures.retain(|name, _| !computed(name.as_str()) && !held(name.as_str()));
    graphs
        .resolve(&signatures, limits)
        .with_context(|| path.display().to_string())?;
    Ok(file.branches)
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

/// What is said of a name that is neither a reference loss nor a file.
pub(crate) fn unreadable(info: &TaskInfo, named: &str) -> String {
    let known = info.reference_losses.iter();
    let known: Vec<&str> = known.map(|loss| loss.name.as_str()).collect();
    format!(
        "task '{}' has no reference loss '{named}' (there are: {}), and it cannot be read as a \
         loss file either",
        info.name,
        known.join(", ")
    )
}

/// What a row of a table calls it: the title of a reference loss, the name inside a loss file, or what
/// the user wrote.
pub(crate) fn title(workbench: &Workbench, named: &str) -> String {
    let references = &workbench.info().reference_losses;
    if let Some(loss) = references.iter().find(|loss| loss.name == named) {
        return loss.title.clone();
    }
    let file = std::fs::read_to_string(named).ok();
    let file = file.and_then(|text| LossFile::from_json(&text).ok());
    file.and_then(|file| file.name)
        .unwrap_or_else(|| named.to_owned())
}
