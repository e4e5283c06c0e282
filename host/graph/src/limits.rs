//! How large a graph may become.

use serde::{Deserialize, Serialize};

/// Upper bounds that generation, mutation and parsing keep (the values are ours).
///
/// The tree size bounds the text form: shared nodes are written out at every use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most nodes, inputs and constants included.
    pub max_nodes: usize,
    /// Most operators on a path from the root to an input.
    pub max_depth: usize,
    /// Most nodes of the graph written out as a tree.
    pub max_tree_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nodes: 32,
            max_depth: 12,
            max_tree_size: 256,
        }
    }
}
