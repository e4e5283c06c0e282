//! The losses of the literature, which searched ones are compared with.
//!
//! Losses that a loss graph can express have a formula, with which the host trains as with any candidate;
//! `@NAME` is the computation here, so that two independent ways to the same number check each other.
//! Classification losses are means over the sampled anchors or regions. Of regression losses, those of
//! areas are means over the positives; those of offsets are divided by the number of all sampled, as
//! torchvision divides them.

mod classification;
mod regression;

use crate::branches::Branch;
use autoloss_plugin_api::{ReferenceLoss, Result, Tensors};
use autoloss_vision::unknown_name;
use tch::Tensor;

/// Added to divisors and under logarithms, as the operators of loss graphs do it.
const EPSILON: f64 = 1e-12;

type Compute = fn(&Tensors) -> Result<Tensor>;

/// A loss of a classifying or of a regressing branch.
struct Half {
    formula: Option<&'static str>,
    compute: Compute,
}

struct Entry {
    name: &'static str,
    title: &'static str,
    classify: Option<Half>,
    regress: Option<Half>,
}

const CE: Half = Half {
    formula: Some(classification::CE),
    compute: classification::cross_entropy,
};
const L1: Half = Half {
    formula: None,
    compute: regression::l1,
};

/// In the order of the tables.
const ENTRIES: [Entry; 7] = [
    Entry {
        name: "l1",
        title: "cross entropy, L1",
        classify: Some(CE),
        regress: Some(L1),
    },
    Entry {
        name: "smooth_l1",
        title: "cross entropy, smooth L1",
        classify: Some(CE),
        regress: Some(Half {
            formula: None,
            compute: regression::smooth_l1,
        }),
    },
    Entry {
        name: "iou",
        title: "cross entropy, IoU",
        classify: Some(CE),
        regress: Some(Half {
            formula: Some(regression::IOU),
            compute: regression::iou,
        }),
    },
    Entry {
        name: "giou",
        title: "cross entropy, GIoU",
        classify: Some(CE),
        regress: Some(Half {
            formula: Some(regression::GIOU),
            compute: regression::giou,
        }),
    },
    Entry {
        name: "focal",
        title: "focal, L1",
        classify: Some(Half {
            formula: Some(classification::FOCAL),
            compute: classification::focal,
        }),
        regress: Some(L1),
    },
    Entry {
        name: "cse_auto_a",
        title: "CSE-Auto-A",
        classify: Some(Half {
            formula: None,
            compute: classification::cse_auto_a,
        }),
        regress: Some(Half {
            formula: Some(regression::CSE_AUTO_A),
            compute: regression::cse_auto_a,
        }),
    },
    Entry {
        name: "ce",
        title: "cross entropy",
        classify: Some(CE),
        regress: None,
    },
];

impl Entry {
    fn half(&self, branch: Branch) -> Option<&Half> {
        match branch.classifies() {
            true => self.classify.as_ref(),
            false => self.regress.as_ref(),
        }
    }

    fn declared(&self) -> ReferenceLoss {
        let mut loss = ReferenceLoss::new(self.name, self.title);
        let mut served = Vec::new();
        for branch in Branch::ALL {
            let Some(half) = self.half(branch) else {
                continue;
            };
            served.push(branch.name());
            if let Some(formula) = half.formula {
                loss = loss.formula(branch.name(), formula);
            }
        }
        match served.len() == Branch::ALL.len() {
            true => loss,
            false => loss.only(served),
        }
    }
}

/// The reference losses that the task declares: `l1`, `smooth_l1`, `iou`, `giou`, `focal` and `cse_auto_a`, and `ce` for the
/// classifying branches alone.
pub(crate) fn reference_losses() -> Vec<ReferenceLoss> {
    ENTRIES.iter().map(Entry::declared).collect()
}

/// The value of a reference loss, a scalar with gradient. `inputs` are the branch's own and what the
/// networks of this plugin give beside them.
///
/// # Errors
/// An unknown name, a branch that it has no loss for, missing tensors, or libtorch's own.
pub(crate) fn reference_loss(name: &str, branch: Branch, inputs: &Tensors) -> Result<Tensor> {
    let found = ENTRIES.iter().find(|entry| entry.name == name);
    match found.and_then(|entry| entry.half(branch)) {
        Some(half) => (half.compute)(inputs),
        None => {
            let known = ENTRIES.iter().filter(|entry| entry.half(branch).is_some());
            let owner = format!("branch '{}'", branch.name());
            let known = known.map(|entry| entry.name);
            Err(unknown_name(owner, "reference loss", name, known).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_computed() {
        for loss in reference_losses() {
            for branch in Branch::ALL {
                let has = loss.serves(branch.name());
                let message = reference_loss(&loss.name, branch, &Tensors::new())
                    .unwrap_err()
                    .to_string();
                // With no inputs, those that there are miss a tensor.
                assert_eq!(
                    has,
                    message.starts_with("no tensor"),
                    "{} {message}",
                    loss.name
                );
                assert!(has || !loss.formulas.contains_key(branch.name()));
            }
        }
    }
}
