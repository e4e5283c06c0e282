//! The named inputs of a branch's loss.

use crate::SpecError;
use crate::name::is_identifier;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Most inputs a branch can have.
pub const MAX_INPUTS: usize = 16;

/// Position of an input in its signature.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct InputId(u8);

impl InputId {
    /// The input at a position, counted from 0.
    #[must_use]
    pub const fn new(position: u8) -> Self {
        Self(position)
    }

    /// The position, counted from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which values an input can have. The more is known, the more losses are recognised as equal.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Any number.
    #[default]
    Any,
    /// At least 0; and where it is 0, no gradient passes through it, as in a softmax.
    Nonnegative,
    /// 0 and 1, as in a one-hot coding.
    Binary,
}

/// A named input of a branch's loss. A property that this version does not know is refused, since
/// ignoring it could change what a loss means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InputInfo {
    /// Name in formulas, such as `yhat` and `y`.
    pub name: String,
    /// Whether it depends, differentiably, on what the network predicts.
    #[serde(default)]
    pub prediction: bool,
    /// Whether it depends on the ground truth.
    #[serde(default)]
    pub target: bool,
    /// Whether its mean over the channels is the same number at every position, as in a softmax or
    /// a one-hot coding.
    #[serde(default)]
    pub channel_mean_constant: bool,
    /// Which values it can have.
    #[serde(default)]
    pub values: Values,
}

impl InputInfo {
    /// An input that depends on neither prediction nor target, such as a weight map.
    #[must_use]
    pub fn constant(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            prediction: false,
            target: false,
            channel_mean_constant: false,
            values: Values::Any,
        }
    }

    /// An input that depends on the prediction alone.
    #[must_use]
    pub fn prediction(name: impl Into<String>) -> Self {
        Self {
            prediction: true,
            ..Self::constant(name)
        }
    }

    /// An input that depends on the ground truth alone.
    #[must_use]
    pub fn target(name: impl Into<String>) -> Self {
        Self {
            target: true,
            ..Self::constant(name)
        }
    }

    /// An input that depends on both, such as an intersection of boxes.
    #[must_use]
    pub fn mixed(name: impl Into<String>) -> Self {
        Self {
            prediction: true,
            ..Self::target(name)
        }
    }

    /// States that the mean over the channels is the same number at every position.
    #[must_use]
    pub fn with_constant_channel_mean(mut self) -> Self {
        self.channel_mean_constant = true;
        self
    }

    /// States which values it can have.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }
}

/// The inputs of a branch's loss, in order: 1 to [`MAX_INPUTS`], with distinct names.
///
/// ```
/// use autoloss_spec::{InputInfo, Signature};
///
/// let boxes = ["i", "u", "e"].map(InputInfo::mixed);
/// let signature = Signature::new(boxes.to_vec())?;
/// assert_eq!(signature.index_of("u").map(|input| input.index()), Some(1));
/// # Ok::<(), autoloss_spec::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Signature {
    inputs: Vec<InputInfo>,
    spatial: bool,
}

/// A signature in files.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Spatial(Vec<InputInfo>),
    SetValued { list_of: Vec<InputInfo> },
}

impl Signature {
    /// The signature of a spatial branch.
    ///
    /// # Errors
    /// An impossible number of inputs, an unusable name, or a name that occurs twice.
    pub fn new(inputs: Vec<InputInfo>) -> Result<Self, SpecError> {
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            return Err(SpecError::InputCount {
                given: inputs.len(),
            });
        }
        let mut seen = HashSet::new();
        for input in &inputs {
            if !is_identifier(&input.name) {
                return Err(SpecError::Name(input.name.clone()));
            }
            if !seen.insert(input.name.as_str()) {
                return Err(SpecError::DuplicateInput(input.name.clone()));
            }
        }
        Ok(Self {
            inputs,
            spatial: true,
        })
    }

    /// The same for a set-valued branch, in which adjacent positions are unrelated.
    #[must_use]
    pub fn set_valued(mut self) -> Self {
        self.spatial = false;
        self
    }

    /// Whether adjacent positions belong together, as pixels do; only then a loss can pool.
    #[must_use]
    pub fn is_spatial(&self) -> bool {
        self.spatial
    }

    /// `yhat` after a softmax and a one-hot `y`: dense labelling and classification.
    #[must_use]
    pub fn dense() -> Self {
        let inputs = vec![
            InputInfo::prediction("yhat")
                .with_constant_channel_mean()
                .with_values(Values::Nonnegative),
            InputInfo::target("y")
                .with_constant_channel_mean()
                .with_values(Values::Binary),
        ];
        Self {
            inputs,
            spatial: true,
        }
    }

    /// `i`, `u` and `e`: the areas of the intersection, the union and the smallest enclosing box of
    /// a predicted box and its target.
    #[must_use]
    pub fn boxes() -> Self {
        Self {
            inputs: ["i", "u", "e"]
                .map(|name| InputInfo::mixed(name).with_values(Values::Nonnegative))
                .to_vec(),
            spatial: true,
        }
    }

    /// The inputs in order.
    #[must_use]
    pub fn inputs(&self) -> &[InputInfo] {
        &self.inputs
    }

    /// The inputs with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (InputId, &InputInfo)> {
        (0..).map(InputId).zip(&self.inputs)
    }

    /// Number of inputs.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a signature is never empty")]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// The position of the input of this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<InputId> {
        let mut inputs = self.iter();
        inputs.find_map(|(id, input)| (input.name == name).then_some(id))
    }

    /// The input at a position, None beyond the last.
    #[must_use]
    pub fn get(&self, input: InputId) -> Option<&InputInfo> {
        self.inputs.get(input.index())
    }
}

impl TryFrom<Stored> for Signature {
    type Error = SpecError;

    fn try_from(stored: Stored) -> Result<Self, SpecError> {
        match stored {
            Stored::Spatial(inputs) => Self::new(inputs),
            Stored::SetValued { list_of } => Ok(Self::new(list_of)?.set_valued()),
        }
    }
}

impl From<Signature> for Stored {
    fn from(signature: Signature) -> Self {
        match signature.spatial {
            true => Self::Spatial(signature.inputs),
            false => Self::SetValued {
                list_of: signature.inputs,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_names_are_refused() {
        for name in ["", "1", "a b", "ŷ"] {
            let refused = Signature::new(vec![InputInfo::prediction(name)]);
            assert_eq!(refused, Err(SpecError::Name(name.into())));
        }
        let twice = vec![InputInfo::prediction("a"), InputInfo::target("a")];
        assert_eq!(
            Signature::new(twice),
            Err(SpecError::DuplicateInput("a".into()))
        );
        assert_eq!(
            Signature::new(vec![]),
            Err(SpecError::InputCount { given: 0 })
        );
    }

    #[test]
    fn a_signature_read_from_json_is_checked() {
        let boxes = Signature::boxes();
        for signature in [boxes.clone(), boxes.set_valued()] {
            let json = serde_json::to_string(&signature).unwrap();
            assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
        }
        assert!(serde_json::from_str::<Signature>(r#"[{"name":"1x"}]"#).is_err());
        assert!(serde_json::from_str::<Signature>(r#"[{"name":"x","depth":2}]"#).is_err());
    }
}
