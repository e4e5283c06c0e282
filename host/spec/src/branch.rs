//! Branches: outputs of a network that are trained by their own loss.

use crate::{Activation, InputInfo, Signature, SpecError};
use serde::{Deserialize, Serialize};

/// An output of a network that is trained by its own loss.
///
/// ```
/// use autoloss_spec::{Activation, BranchInfo, InputInfo};
///
/// let branch = BranchInfo::new("seg", Activation::Softmax, "mIoU")
///     .inputs([InputInfo::prediction("yhat"), InputInfo::target("y")]);
/// assert_eq!(branch.signature()?.len(), 2);
/// # Ok::<(), autoloss_spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BranchInfo {
    /// Name, unique in the task: `seg`, `rpn_cls` …
    pub name: String,
    /// The inputs of its loss.
    pub inputs: Vec<InputInfo>,
    /// Whether positions adjacent in H and W belong together, as pixels do (the default). A
    /// set-valued branch, such as one of boxes or regions, is false here; its losses never pool.
    #[serde(default = "yes", alias = "neighbours")]
    pub spatial: bool,
    /// How screening turns raw predictions into the prediction.
    pub activation: Activation,
    /// The score of a screening metric by which optimised predictions are evaluated.
    pub screening_score: String,
}

fn yes() -> bool {
    true
}

impl BranchInfo {
    /// A spatial branch without inputs.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        activation: Activation,
        screening_score: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: Vec::new(),
            spatial: true,
            activation,
            screening_score: screening_score.into(),
        }
    }

    /// Adds inputs of its loss, in order.
    #[must_use]
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = InputInfo>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// States that adjacent positions are unrelated.
    #[must_use]
    pub fn set_valued(mut self) -> Self {
        self.spatial = false;
        self
    }

    /// The inputs of its loss, checked.
    ///
    /// # Errors
    /// As [`Signature::new`].
    pub fn signature(&self) -> Result<Signature, SpecError> {
        let signature = Signature::new(self.inputs.clone())?;
        Ok(match self.spatial {
            true => signature,
            false => signature.set_valued(),
        })
    }
}

/// What must be known of a branch, beside its loss, to train a network with the loss elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convention {
    /// The inputs of the loss.
    pub inputs: Signature,
    /// How raw predictions become the prediction.
    pub activation: Activation,
    /// The label of positions that do not count, where targets are labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void_label: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_name_of_spatial_is_read() {
        let json = r#"{"name": "b", "inputs": [{"name": "y"}], "neighbours": false,
            "activation": "boxes", "screening_score": "s"}"#;
        let branch: BranchInfo = serde_json::from_str(json).unwrap();
        assert!(!branch.spatial && !branch.signature().unwrap().is_spatial());
        let branch: BranchInfo =
            serde_json::from_str(&json.replace(r#""neighbours": false,"#, "")).unwrap();
        assert!(branch.spatial && branch.signature().unwrap().is_spatial());
    }
}
