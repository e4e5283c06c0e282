//! Whole losses: one graph for every branch of a task, and the file they live in.

use crate::{
    BranchName, Convention, GraphError, Limits, LossGraph, ParseError, Signature, check_names,
};
use autoloss_spec::UnknownName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Version of the loss file this crate writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// One loss graph for every branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// The graphs by branch.
    pub branches: BTreeMap<BranchName, LossGraph>,
}

/// A loss as it lies on disk: versioned JSON.
///
/// ```
/// use autoloss_graph::{BranchName, Limits, LossFile, Signature};
/// use std::collections::BTreeMap;
///
/// let file = LossFile::from_json(
///     r#"{"schema": 1, "task": "voc_seg", "branches": {"seg": "neg(mul(y, log(yhat)))"}}"#,
/// )?;
/// let branches = BTreeMap::from([(BranchName::new("seg")?, Signature::dense())]);
/// let loss = file.resolve(&branches, &Limits::default())?;
/// assert_eq!(loss.branches.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossFile {
    /// Version of the format.
    pub schema: u32,
    /// Name of the task.
    pub task: String,
    /// The text form of each branch's graph.
    pub branches: BTreeMap<String, String>,
    /// What each branch's loss is multiplied by, so that its gradient is as large as that of the task's first
    /// reference loss and the same learning rate suits both; 1 where it is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scales: BTreeMap<String, f64>,
    /// Name of the loss, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the branches' inputs are, so that the loss can be used without its task's plugin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conventions: BTreeMap<String, Convention>,
    /// Where it comes from: run, scores, seeds.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// Why a loss file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LossFileError {
    /// Not JSON, or not of this form; the message has line and column.
    #[error("this is no loss file: {0}")]
    Json(#[from] serde_json::Error),
    /// A convention whose inputs formulas cannot name.
    #[error("the loss file's convention of branch '{branch}': {error}")]
    Convention {
        /// The branch.
        branch: String,
        /// What is wrong.
        error: GraphError,
    },
    /// Written by a newer version.
    #[error("the loss file has schema {found}, this version reads up to {SCHEMA}: update autoloss")]
    Schema {
        /// Its schema.
        found: u64,
    },
    /// A branch the task does not have.
    #[error("the task has {0}")]
    UnknownBranch(#[from] UnknownName),
    /// A branch of the task without a loss.
    #[error("branch '{0}' has no loss in the file")]
    MissingBranch(BranchName),
    /// A text that is no loss.
    #[error("branch '{branch}', {error}")]
    Parse {
        /// The branch.
        branch: String,
        /// What is wrong, and where.
        #[source]
        error: ParseError,
    },
}

impl LossFile {
    /// A file of the newest schema.
    #[must_use]
    pub fn new(task: &str, branches: BTreeMap<String, String>) -> Self {
        Self {
            schema: SCHEMA,
            task: task.to_owned(),
            branches,
            scales: BTreeMap::new(),
            name: None,
            conventions: BTreeMap::new(),
            provenance: serde_json::Map::new(),
        }
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`LossFileError::Schema`] for a newer schema whatever else it holds,
    /// [`LossFileError::Json`] with line and column, or [`LossFileError::Convention`].
    pub fn from_json(text: &str) -> Result<Self, LossFileError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u64,
        }
        if let Ok(Version { schema }) = serde_json::from_str(text)
            && schema > u64::from(SCHEMA)
        {
            return Err(LossFileError::Schema { found: schema });
        }
        let file: Self = serde_json::from_str(text)?;
        for (branch, convention) in &file.conventions {
            check_names(&convention.inputs).map_err(|error| LossFileError::Convention {
                branch: branch.clone(),
                error,
            })?;
        }
        Ok(file)
    }

    /// The JSON, for people to read.
    #[must_use]
    pub fn to_json_pretty(&self) -> String {
        // Maps with string keys and plain fields always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The graphs, checked against a task's branches.
    ///
    /// # Errors
    /// An unknown or missing branch, or a text that is no loss.
    pub fn resolve(
        &self,
        branches: &BTreeMap<BranchName, Signature>,
        limits: &Limits,
    ) -> Result<Loss, LossFileError> {
        let unknown = |name: &&String| !branches.keys().any(|known| known.as_str() == **name);
        if let Some(name) = self.branches.keys().find(unknown) {
            let known = branches.keys().map(BranchName::as_str);
            return Err(UnknownName::new("branch", name, known).into());
        }
        let graph = |(name, signature): (&BranchName, &Signature)| {
            let text = self.branches.get(name.as_str());
            let text = text.ok_or_else(|| LossFileError::MissingBranch(name.clone()))?;
            let graph = LossGraph::parse(text, signature, limits).map_err(|error| {
                LossFileError::Parse {
                    branch: name.to_string(),
                    error,
                }
            })?;
            Ok((name.clone(), graph))
        };
        Ok(Loss {
            branches: branches
                .iter()
                .map(graph)
                .collect::<Result<_, LossFileError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    fn branches() -> BTreeMap<BranchName, Signature> {
        BTreeMap::from([(BranchName::new("seg").unwrap(), Signature::dense())])
    }

    fn refusal(json: &str) -> String {
        let outcome = LossFile::from_json(json)
            .and_then(|file| file.resolve(&branches(), &Limits::default()));
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn a_written_file_is_read_back() {
        let branches = BTreeMap::from([("seg".to_owned(), "neg(yhat)".to_owned())]);
        let mut file = LossFile::new("voc_seg", branches);
        file.name = Some("a \"quoted\" name".into());
        file.provenance.insert("seed".into(), 3.into());
        let convention = Convention {
            inputs: Signature::dense(),
            activation: Activation::Softmax,
            void_label: Some(255),
        };
        file.conventions.insert("seg".into(), convention);
        assert_eq!(LossFile::from_json(&file.to_json_pretty()).unwrap(), file);
    }

    #[test]
    fn each_fault_is_named() {
        assert!(refusal("{\n  \"schema\": 1,\n").contains("line 3 column 0"));
        assert!(refusal(r#"{"schema": 2, "new": []}"#).contains("schema 2"));
        let wrap =
            |branches: &str| format!(r#"{{"schema": 1, "task": "t", "branches": {branches}}}"#);
        assert!(refusal(&wrap(r#"{"box": "y"}"#)).contains("no branch 'box' (there are: seg)"));
        assert!(refusal(&wrap("{}")).contains("branch 'seg' has no loss"));
        let convention = |input: &str, activation: &str| {
            refusal(&format!(
                r#"{{"schema": 1, "task": "t", "branches": {{"seg": "y"}}, "conventions": {{"seg":
                {{"inputs": [{{"name": "{input}"}}], "activation": "{activation}"}}}}}}"#
            ))
        };
        assert!(convention("exp", "softmax").contains("branch 'seg': an input is named 'exp'"));
        assert!(convention("y", "tanh").contains("unknown variant `tanh`"));
        let message = refusal(&wrap(r#"{"seg": "neg(q)"}"#));
        assert!(
            message.contains(
                "branch 'seg', line 1, column 5: this branch has no input or operator 'q'"
            ),
            "{message}"
        );
    }
}
