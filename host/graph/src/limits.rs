//! How large a graph may become.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Upper bounds that generation, mutation and parsing keep (the values are ours; the ranges are
/// those of a configuration).
///
/// The defaults hold the sum of any two reference losses of the plugins in the tree. The tree size bounds the text
/// form: shared nodes are written out at every use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most nodes, inputs and constants included, `2..=4096`.
    pub max_nodes: usize,
    /// Most operators on a path from the root to an input, `1..=256`.
    pub max_depth: usize,
    /// Most nodes of the graph written out as a tree, `2..=4294967296`.
    pub max_tree_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nodes: 48,
            max_depth: 14,
            max_tree_size: 256,
        }
    }
}
