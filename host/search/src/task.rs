//! What the search knows of a task: names and inputs of the searched branches, nothing more.

use std::collections::{BTreeMap, BTreeSet};

use autoloss_graph::{BranchName, Convention, Limits, LossGraph, Signature};
use serde::{Deserialize, Serialize};

/// Most branches a task may have.
pub const MAX_BRANCHES: usize = 16;

/// What a branch looks like to the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchSpec {
    /// Its name, unique within the task.
    pub name: BranchName,
    /// The inputs its loss graphs may use.
    pub signature: Signature,
    /// Whether there is a reference loss at whose scale its losses can be trained.
    #[serde(default)]
    pub scaled: bool,
}

/// The searched branches of a task, and the network that is trained with their losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Name of the task.
    pub task: String,
    /// Name of the proxy network.
    pub network: String,
    /// The searched branches; their order is the order of screening.
    pub branches: Vec<BranchSpec>,
    /// What loss files say of the task's branches, frozen ones included. Of it the search only
    /// takes how many branches are trained.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conventions: BTreeMap<String, Convention>,
}

impl TaskSpec {
    /// Checks that there are 1 to [`MAX_BRANCHES`] branches with distinct names.
    ///
    /// # Errors
    ///
    /// A sentence that names the task.
    pub fn validate(&self) -> Result<(), String> {
        let count = self.branches.len();
        if !(1..=MAX_BRANCHES).contains(&count) {
            return Err(self.error(format!(
                "has {count} searched branches but must have 1 to {MAX_BRANCHES}"
            )));
        }
        let mut names = BTreeSet::new();
        for branch in &self.branches {
            if !names.insert(branch.name.as_str()) {
                return Err(
                    self.error(format!("has two branches named {:?}", branch.name.as_str()))
                );
            }
        }
        Ok(())
    }

    /// The text forms of a loss by branch name, from graphs in branch order.
    #[must_use]
    pub fn texts(&self, graphs: &[LossGraph]) -> BTreeMap<String, String> {
        self.branches
            .iter()
            .zip(graphs)
            .map(|(branch, graph)| {
                let text = graph.display(&branch.signature).to_string();
                (branch.name.as_str().to_owned(), text)
            })
            .collect()
    }

    /// The graphs of a loss in branch order, from its texts by branch name.
    pub(crate) fn parse(
        &self,
        losses: &BTreeMap<String, String>,
        limits: &Limits,
    ) -> Result<Vec<LossGraph>, String> {
        let graph = |branch: &BranchSpec| {
            let name = branch.name.as_str();
            let text = losses
                .get(name)
                .ok_or_else(|| format!("it has no loss for {name:?}"))?;
            LossGraph::parse(text, &branch.signature, limits).map_err(|error| error.to_string())
        };
        self.branches.iter().map(graph).collect()
    }

    /// The graphs of a loss that a user wrote, by branch: a formula where one branch is searched, or a JSON object of
    /// formulas by branch, which may leave branches out.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn written(&self, text: &str, limits: &Limits) -> Result<Vec<Option<LossGraph>>, String> {
        let texts: BTreeMap<String, String> = match (&self.branches[..], text.trim_start()) {
            (_, text) if text.starts_with('{') => {
                serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?
            }
            ([branch], text) => [(branch.name.as_str().to_owned(), text.to_owned())].into(),
            _ => return Err(format!("{text:?} must say which branch it is for")),
        };
        let known = |name: &&String| self.branches.iter().all(|b| b.name.as_str() != *name);
        if let Some(unknown) = texts.keys().find(known) {
            return Err(format!("no searched branch is named {unknown:?}"));
        }
        let graph = |branch: &BranchSpec| {
            let text = texts.get(branch.name.as_str());
            let graph = text.map(|text| LossGraph::parse(text, &branch.signature, limits));
            graph.transpose().map_err(|error| error.to_string())
        };
        self.branches.iter().map(graph).collect()
    }

    /// The first difference to another task, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.task != other.task {
            return Some("it has another name".into());
        }
        if self.network != other.network {
            return Some(format!(
                "its network was {:?} and is now {:?}",
                self.network, other.network
            ));
        }
        if self.branches.len() != other.branches.len() {
            return Some(format!(
                "it had {} branches and has now {}",
                self.branches.len(),
                other.branches.len()
            ));
        }
        let mut pairs = self.branches.iter().zip(&other.branches);
        pairs.find_map(|(then, now)| {
            let same = then.name == now.name && then.signature == now.signature;
            (!same).then(|| {
                let (then, now) = (then.name.as_str(), now.name.as_str());
                format!("branch {then:?} or its inputs changed (now {now:?})")
            })
        })
    }

    fn error(&self, rest: impl std::fmt::Display) -> String {
        format!("task {:?} {rest}", self.task)
    }
}

#[cfg(test)]
impl TaskSpec {
    /// A task with so many dense branches, `b0`, `b1` …
    pub(crate) fn toy(branches: usize) -> Self {
        Self {
            task: "toy".into(),
            network: "net".into(),
            branches: (0..branches)
                .map(|index| BranchSpec {
                    name: BranchName::new(format!("b{index}")).unwrap(),
                    signature: Signature::dense(),
                    scaled: false,
                })
                .collect(),
            conventions: BTreeMap::new(),
        }
    }
}
