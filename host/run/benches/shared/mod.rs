//! What the benches search for.

use autoloss_graph::{BranchName, Signature};
use autoloss_search::{BranchSpec, TaskSpec};

/// A task of one branch, with no data behind it.
pub(crate) fn task() -> TaskSpec {
    TaskSpec {
        task: "voc_seg".into(),
        network: "none".into(),
        branches: vec![BranchSpec {
            name: BranchName::new("seg").unwrap(),
            signature: Signature::dense(),
            scaled: false,
        }],
        conventions: Default::default(),
    }
}
