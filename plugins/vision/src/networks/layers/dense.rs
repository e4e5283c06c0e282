//! Fully connected layers.

use crate::networks::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// A fully connected layer: `weight` (outputs, inputs) and `bias` (outputs), as PyTorch's `Linear`.
#[derive(Debug)]
pub struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    /// A layer from `inputs` to `outputs` numbers; its tensors are `name.weight`, drawn by `start`, and
    /// `name.bias`, 0 at the start.
    ///
    /// # Errors
    /// Sizes below 1.
    pub fn new(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        start: Start,
    ) -> Result<Self> {
        if inputs < 1 || outputs < 1 {
            return Err(
                format!("layer '{name}' is to go from {inputs} to {outputs} numbers").into(),
            );
        }
        Ok(Self {
            weight: weights.matrix(format!("{name}.weight"), [outputs, inputs], start)?,
            bias: weights.vector(format!("{name}.bias"), outputs, 0.0)?,
        })
    }

    /// (…, inputs) → (…, outputs), also without any row.
    ///
    /// # Errors
    /// Another last size.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_linear(&self.weight, Some(&self.bias))?)
    }
}
