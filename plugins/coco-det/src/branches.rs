//! The four branches and the inputs of their losses.
//!
//! Each is set-valued: sampled anchors or regions of all images of a batch in no order, (N, C, 1, 1).

use autoloss_plugin_api::{Activation, BranchInfo, Result, Signature};
use autoloss_vision::unknown_name;

/// An output of the detector with a loss of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    /// Whether an anchor shows an object.
    RpnCls,
    /// Where the object lies, as offsets from an anchor.
    RpnReg,
    /// What a region shows.
    RcnnCls,
    /// Where the object lies, as offsets from a region.
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

    /// Whether it classifies; the others regress boxes.
    pub(crate) const fn classifies(self) -> bool {
        matches!(self, Self::RpnCls | Self::RcnnCls)
    }

    /// The branch of that name.
    ///
    /// # Errors
    /// Another name, with the known ones.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|branch| branch.name() == name);
        let known = || Self::ALL.map(Self::name);
        found.ok_or_else(|| unknown_name("task 'coco_det'", "branch", name, known()).into())
    }

    /// Its declaration to the host.
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
