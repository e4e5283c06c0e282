//! The named inputs of a branch, as its task declares them.

use crate::{GraphError, Op};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Most inputs a branch can have.
pub const MAX_INPUTS: usize = 16;

/// Position of an input in its signature.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct InputId(pub(crate) u8);

impl InputId {
    /// The position from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which values an input can have.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Any number.
    #[default]
    Any,
    /// None below 0; and where it is 0, nothing of a gradient gets through it, as through a softmax.
    Nonnegative,
    /// 0 and 1.
    Binary,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Its name in formulas.
    pub name: String,
    /// Whether it depends, differentiably, on the prediction.
    #[serde(default)]
    pub prediction: bool,
    /// Whether it depends on the target.
    #[serde(default)]
    pub target: bool,
    /// Whether its mean over C is the same number everywhere, as of a softmax or a one-hot coding.
    #[serde(default)]
    pub channel_mean_constant: bool,
    /// Which values it can have.
    #[serde(default)]
    pub values: Values,
}

impl InputSpec {
    fn new(name: &str, prediction: bool, target: bool) -> Self {
        Self {
            name: name.to_owned(),
            prediction,
            target,
            channel_mean_constant: false,
            values: Values::Any,
        }
    }

    /// An input that depends on the prediction alone.
    #[must_use]
    pub fn prediction(name: &str) -> Self {
        Self::new(name, true, false)
    }

    /// An input that depends on the target alone.
    #[must_use]
    pub fn target(name: &str) -> Self {
        Self::new(name, false, true)
    }

    /// An input that depends on both, such as an intersection of boxes.
    #[must_use]
    pub fn mixed(name: &str) -> Self {
        Self::new(name, true, true)
    }

    /// States that the mean over C is constant.
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

/// The inputs of a branch, in order.
///
/// ```
/// use autoloss_graph::{InputSpec, Signature};
///
/// let boxes = ["i", "u", "e"].map(InputSpec::mixed);
/// let signature = Signature::new(boxes.to_vec())?;
/// assert_eq!(signature.index_of("u").map(|input| input.index()), Some(1));
/// # Ok::<(), autoloss_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Signature {
    inputs: Vec<InputSpec>,
    neighbours: bool,
}

/// A signature in files; a list is one with neighbours.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Dense(Vec<InputSpec>),
    List { list_of: Vec<InputSpec> },
}

impl Signature {
    /// A signature of 1 to [`MAX_INPUTS`] inputs with distinct names.
    ///
    /// # Errors
    /// The count or the name that is not possible.
    pub fn new(inputs: Vec<InputSpec>) -> Result<Self, GraphError> {
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            return Err(GraphError::InputCount {
                given: inputs.len(),
            });
        }
        let mut seen = HashSet::new();
        for input in &inputs {
            if !is_identifier(&input.name) || Op::from_name(&input.name).is_some() {
                return Err(GraphError::Name(input.name.clone()));
            }
            if !seen.insert(input.name.as_str()) {
                return Err(GraphError::DuplicateInput(input.name.clone()));
            }
        }
        Ok(Self {
            inputs,
            neighbours: true,
        })
    }

    /// The same for lists, in which what is next to each other is unrelated: no pools.
    #[must_use]
    pub fn without_neighbours(mut self) -> Self {
        self.neighbours = false;
        self
    }

    /// Whether positions have neighbours.
    pub(crate) fn has_neighbours(&self) -> bool {
        self.neighbours
    }

    /// The operators that graphs are made of.
    pub(crate) fn operators(&self) -> &'static [Op] {
        match self.neighbours {
            true => &Op::ALL,
            false => Op::LOCAL,
        }
    }

    /// `yhat` after a softmax and a one-hot `y`: dense labelling and classification.
    #[must_use]
    pub fn dense() -> Self {
        let inputs = vec![
            InputSpec::prediction("yhat")
                .with_constant_channel_mean()
                .with_values(Values::Nonnegative),
            InputSpec::target("y")
                .with_constant_channel_mean()
                .with_values(Values::Binary),
        ];
        Self {
            inputs,
            neighbours: true,
        }
    }

    /// `i`, `u` and `e`: intersection, union and smallest enclosing area of a predicted box and its
    /// target.
    #[must_use]
    pub fn boxes() -> Self {
        Self {
            inputs: ["i", "u", "e"]
                .map(|name| InputSpec::mixed(name).with_values(Values::Nonnegative))
                .to_vec(),
            neighbours: true,
        }
    }

    /// The inputs in order.
    #[must_use]
    pub fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    /// The inputs with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (InputId, &InputSpec)> {
        self.inputs
            .iter()
            .enumerate()
            .map(|(index, input)| (InputId(index as u8), input))
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
        let index = self.inputs.iter().position(|input| input.name == name)?;
        Some(InputId(index as u8))
    }

    /// The input at a position, None where the graph was made for a longer signature.
    #[must_use]
    pub fn get(&self, input: InputId) -> Option<&InputSpec> {
        self.inputs.get(input.index())
    }
}

impl TryFrom<Stored> for Signature {
    type Error = GraphError;

    fn try_from(stored: Stored) -> Result<Self, GraphError> {
        match stored {
            Stored::Dense(inputs) => Self::new(inputs),
            Stored::List { list_of } => Ok(Self::new(list_of)?.without_neighbours()),
        }
    }
}

impl From<Signature> for Stored {
    fn from(signature: Signature) -> Self {
        match signature.neighbours {
            true => Self::Dense(signature.inputs),
            false => Self::List {
                list_of: signature.inputs,
            },
        }
    }
}

/// Letters, digits and underscores, beginning with a letter or underscore.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_names_are_refused() {
        for name in ["", "1", "a b", "log", "ŷ"] {
            let refused = Signature::new(vec![InputSpec::prediction(name)]);
            assert_eq!(refused, Err(GraphError::Name(name.into())));
        }
        let twice = vec![InputSpec::prediction("a"), InputSpec::target("a")];
        assert_eq!(
            Signature::new(twice),
            Err(GraphError::DuplicateInput("a".into()))
        );
        assert_eq!(
            Signature::new(vec![]),
            Err(GraphError::InputCount { given: 0 })
        );
    }

    #[test]
    fn a_signature_read_from_json_is_checked() {
        let boxes = Signature::boxes();
        for signature in [boxes.clone(), boxes.without_neighbours()] {
            let json = serde_json::to_string(&signature).unwrap();
            assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
        }
        assert!(serde_json::from_str::<Signature>(r#"[{"name":"exp"}]"#).is_err());
    }
}
