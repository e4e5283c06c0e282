//! The four branches and the inputs of their losses.
//!
//! Each is a list without order: sampled anchors or regions, of all images of a batch, as (N, C, 1, 1).

use autoloss_plugin_api::{Activation, BranchInfo, Result, Signature};

/// An output of the detector with a loss of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    /// Whether an anchor shows an object.
    RpnCls,
    /// Where from an anchor the object is.
    RpnReg,
    /// What a region shows.
    RcnnCls,
    /// Where from a region the object is.
    RcnnReg,
}

impl Branch {
    pub(crate) const ALL: [Self; 4] = [Self::RpnCls, Self::RpnReg, Self::RcnnCls, Self::RcnnReg];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RpnCls => "rpn_cls",
            Self::RpnReg => "rpn_reg",
            Self::RcnnCls => "rcnn_cls",
            Self::RcnnReg => "rcnn_reg",
        }
    }

    /// Whether it classifies; else it moves boxes.
    pub(crate) const fn classifies(self) -> bool {
        matches!(self, Self::RpnCls | Self::RcnnCls)
    }

    /// The branch of a name.
    ///
    /// # Errors
    /// Names those there are.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|branch| branch.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            let task = crate::TASK;
            format!("task '{task}' has no branch '{name}' (there are: {known})").into()
        })
    }

    /// What the host is told of it.
    pub(crate) fn info(self) -> BranchInfo {
        let (activation, inputs, score) = if self.classifies() {
            (Activation::Softmax, Signature::dense(), "balanced_accuracy")
        } else {
            (Activation::Boxes, Signature::boxes(), "mean_iou")
        };
        BranchInfo::new(self.name(), activation, score)
            .inputs(inputs.inputs().to_vec())
            .set_valued()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_refused() {
        for branch in Branch::ALL {
            assert_eq!(Branch::find(branch.name()).unwrap(), branch);
        }
        let error = Branch::find("seg").unwrap_err().to_string();
        assert!(
            error.contains("rpn_cls, rpn_reg, rcnn_cls, rcnn_reg"),
            "{error}"
        );
    }
}
