//! The four branches and the inputs of their losses.
//!
//! Each is set-valued: sampled anchors or regions of all images of a batch in no order, (N, C, 1, 1).

use autoloss_plugin_api::{Activation, BranchInfo, InputInfo, Result, Values};
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
        let (inputs, activation, score) = if self.classifies() {
            let inputs = vec![
                InputInfo::prediction("yhat")
                    .with_constant_channel_mean()
                    .with_values(Values::Nonnegative),
                InputInfo::target("y")
                    .with_constant_channel_mean()
                    .with_values(Values::Binary),
            ];
            (inputs, Activation::Softmax, "balanced_accuracy")
        } else {
            let area = |name| InputInfo::mixed(name).with_values(Values::Nonnegative);
            let inputs = ["i", "u", "e"].map(area).to_vec();
            (inputs, Activation::Boxes, "mean_iou")
        };
        BranchInfo {
            name: self.name().to_owned(),
            inputs,
            neighbours: false,
            activation,
            screening_score: score.to_owned(),
        }
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
