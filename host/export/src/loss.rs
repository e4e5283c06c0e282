//! A loss with all that must be known to leave the host: graphs, and what their inputs are.

use crate::ExportError;
use autoloss_graph::{BranchName, Convention, Limits, LossFile, LossGraph};
use std::collections::BTreeMap;

/// Far beyond what a search makes; a file is still read in an instant.
const LIMITS: Limits = Limits {
    max_nodes: 4096,
    max_depth: 512,
    max_tree_size: 1 << 17,
};

/// A loss to be exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Name of the task.
    pub task: String,
    /// Name of the loss, where it has one.
    pub name: Option<String>,
    /// The branches that have a graph; at least one.
    pub branches: BTreeMap<BranchName, Branch>,
    /// The texts of branches whose loss the task's plugin computes, and no export has.
    pub left_out: BTreeMap<String, String>,
    /// Where it comes from.
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// A loss of one branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Its graph.
    pub graph: LossGraph,
    /// What the graph's inputs are.
    pub convention: Convention,
    /// What the loss is multiplied by in training.
    pub scale: f64,
}

impl Branch {
    /// The scale for a reader, four digits that count; none where it is 1.
    pub(crate) fn shown_scale(&self) -> Option<String> {
        let digits = (3.0 - self.scale.log10().floor()).clamp(0.0, 300.0) as usize;
        (self.scale != 1.0).then(|| format!("{:.digits$}", self.scale))
    }
}

impl Loss {
    /// The loss of a file. `known` are the conventions of branches for which the file has none.
    ///
    /// ```
    /// use autoloss_graph::LossFile;
    /// use std::collections::BTreeMap;
    ///
    /// let file = LossFile::from_json(
    ///     r#"{"schema": 1, "task": "t", "branches": {"cls": "neg(mul(y, log(p)))"}, "conventions": {
    ///         "cls": {"inputs": [{"name": "p"}, {"name": "y"}], "activation": "softmax"}}}"#,
    /// )?;
    /// let loss = autoloss_export::Loss::from_file(&file, &BTreeMap::new())?;
    /// assert_eq!(loss.branches.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A branch of which nobody says what its inputs are, a text that cannot be read, a scale that is not above 0, or a
    /// file in which no branch has a graph.
    pub fn from_file(
        file: &LossFile,
        known: &BTreeMap<String, Convention>,
    ) -> Result<Self, ExportError> {
        let mut branches = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for (name, text) in &file.branches {
            if text.trim_start().starts_with('@') {
                left_out.insert(name.clone(), text.clone());
                continue;
            }
            let branch_name =
                BranchName::new(name.as_str()).map_err(|error| ExportError::Name {
                    branch: name.clone(),
                    error,
                })?;
            let convention = file.conventions.get(name).or_else(|| known.get(name));
            let convention = convention
                .ok_or_else(|| ExportError::NoConvention(name.clone()))?
                .clone();
            let graph = LossGraph::parse(text, &convention.inputs, &LIMITS).map_err(|error| {
                ExportError::Parse {
                    branch: name.clone(),
                    error,
                }
            })?;
            let scale = file.scales.get(name).copied().unwrap_or(1.0);
            if !(scale.is_finite() && scale > 0.0) {
                return Err(ExportError::Scale {
                    branch: name.clone(),
                    scale,
                });
            }
            branches.insert(
                branch_name,
                Branch {
                    graph,
                    convention,
                    scale,
                },
            );
        }
        if branches.is_empty() {
            return Err(match left_out.is_empty() {
                true => ExportError::NoBranch,
                false => ExportError::Computed(left_out.into_iter().collect()),
            });
        }
        Ok(Self {
            task: file.task.clone(),
            name: file.name.clone(),
            branches,
            left_out,
            provenance: file.provenance.clone(),
        })
    }

    /// The same with every graph simplified.
    #[must_use]
    pub fn simplified(&self) -> Self {
        let mut loss = self.clone();
        for branch in loss.branches.values_mut() {
            branch.graph = crate::simplify(&branch.graph, &branch.convention.inputs);
        }
        loss
    }

    /// The portable loss file.
    #[must_use]
    pub fn to_file(&self) -> LossFile {
        let text = |(name, branch): (&BranchName, &Branch)| {
            let text = branch.graph.display(&branch.convention.inputs);
            (name.to_string(), text.to_string())
        };
        let mut texts: BTreeMap<String, String> = self.branches.iter().map(text).collect();
        texts.extend(self.left_out.clone());
        let mut file = LossFile::new(&self.task, texts);
        file.name = self.name.clone();
        file.provenance = self.provenance.clone();
        let conventions = self.branches.iter();
        file.conventions = conventions
            .map(|(name, branch)| (name.to_string(), branch.convention.clone()))
            .collect();
        let scaled = self
            .branches
            .iter()
            .filter(|(_, branch)| branch.scale != 1.0);
        file.scales = scaled
            .map(|(name, branch)| (name.to_string(), branch.scale))
            .collect();
        file
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use autoloss_graph::{Activation, Signature};

    pub(crate) fn dense() -> Convention {
        Convention {
            inputs: Signature::dense(),
            activation: Activation::Softmax,
            void_label: Some(255),
        }
    }

    pub(crate) fn areas() -> Convention {
        Convention {
            inputs: Signature::boxes().set_valued(),
            activation: Activation::Boxes,
            void_label: None,
        }
    }

    /// A file of these branches with conventions.
    pub(crate) fn file(branches: &[(&str, &str, Convention)]) -> LossFile {
        let texts = branches.iter();
        let texts = texts.map(|(name, text, _)| ((*name).to_owned(), (*text).to_owned()));
        let mut file = LossFile::new("voc_seg", texts.collect());
        for (name, _, convention) in branches {
            file.conventions
                .insert((*name).to_owned(), convention.clone());
        }
        file
    }

    pub(crate) fn loss(branches: &[(&str, &str, Convention)]) -> Loss {
        Loss::from_file(&file(branches), &BTreeMap::new()).unwrap()
    }

    #[test]
    fn conventions_come_from_the_file_or_the_caller() {
        let mut bare = file(&[("seg", "neg(yhat)", dense())]);
        let conventions = std::mem::take(&mut bare.conventions);
        let refused = Loss::from_file(&bare, &BTreeMap::new()).unwrap_err();
        assert!(refused.to_string().contains("inputs of branch 'seg'"));
        let loss = Loss::from_file(&bare, &conventions).unwrap();
        assert_eq!(loss.branches.values().next().unwrap().convention, dense());
    }

    #[test]
    fn what_the_plugin_computes_is_left_out() {
        let mut mixed = file(&[("seg", "neg(yhat)", dense())]);
        mixed.branches.insert("edge".into(), "@lovasz".into());
        let loss = Loss::from_file(&mixed, &BTreeMap::new()).unwrap();
        assert_eq!((loss.branches.len(), loss.left_out.len()), (1, 1));
        assert_eq!(loss.to_file(), mixed);
        mixed.branches.remove("seg");
        let refused = Loss::from_file(&mixed, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no branch has a loss graph: the task's plugin computes '@lovasz' of branch 'edge'"
        );
    }

    #[test]
    fn faults_are_named() {
        let refusal = |name: &str, text: &str| {
            let file = file(&[(name, text, dense())]);
            let refused = Loss::from_file(&file, &BTreeMap::new());
            refused.unwrap_err().to_string()
        };
        let unknown = refusal("seg", "neg(q)");
        let place = "branch 'seg', line 1, column 5: this branch has no input or operator 'q'";
        assert!(unknown.contains(place), "{unknown}");
        assert!(refusal("a\"b", "neg(y)").contains("branch 'a\"b'"));
        let mut flat = file(&[("seg", "neg(y)", dense())]);
        flat.scales.insert("seg".into(), 0.0);
        let refused = Loss::from_file(&flat, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the scale of branch 'seg' is 0, expected a number above 0"
        );
        let none = Loss::from_file(&file(&[]), &BTreeMap::new());
        assert_eq!(none, Err(ExportError::NoBranch));
    }
}
