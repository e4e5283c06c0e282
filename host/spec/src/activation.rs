//! From what a network computes to what a loss is given.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How the raw predictions x of a network become the prediction ŷ of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Softmax over the channels.
    Softmax,
    /// Logistic function of each value.
    Sigmoid,
    /// ŷ = x.
    Identity,
    /// x is one box per position, (B, 4, H, W): dx, dy, ln w and ln h in units of a reference box,
    /// as Faster R-CNN encodes them (arXiv 1506.01497, equation 2). ŷ has three parts, (B, 1, H, W)
    /// each, one for each prediction input in this order: the areas of the intersection with the
    /// target's box, of their union and of their smallest enclosing box, in units of the reference
    /// box's area. Screening samples hold the target's box, encoded alike, as [`TARGET_BOXES`].
    Boxes,
}

/// Name of the tensor of target boxes in the screening samples of a branch with
/// [`Activation::Boxes`].
pub const TARGET_BOXES: &str = "boxes";

impl Activation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Softmax, Self::Sigmoid, Self::Identity, Self::Boxes];

    /// Number of parts of ŷ. A single part can be an input under several names.
    #[must_use]
    pub fn parts(self) -> usize {
        match self {
            Self::Boxes => 3,
            Self::Softmax | Self::Sigmoid | Self::Identity => 1,
        }
    }

    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Identity => "identity",
            Self::Boxes => "boxes",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
