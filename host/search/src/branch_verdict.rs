//! What the screens say of one graph. It is a type of its own beside [`Verdict`], because it is
//! cached and shared by every candidate with that graph, and because a branch can pass, which is no
//! end of a candidate.

use std::borrow::Cow;

use autoloss_graph::StaticReason;
use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What the screens found in one branch's graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BranchVerdict {
    /// It may be trained with.
    Passed {
        /// The gain g, where the loss-rejection protocol ran.
        gain: Option<f64>,
    },
    /// See [`Verdict::Static`].
    Static {
        /// Code name of the [`StaticReason`].
        reason: Cow<'static, str>,
    },
    /// See [`Verdict::NonFinite`].
    NonFinite {
        /// The step of the loss-rejection protocol; none for the probe gradient.
        step: Option<usize>,
    },
    /// See [`Verdict::ZeroGradient`].
    ZeroGradient,
    /// See [`Verdict::Rejected`].
    Rejected {
        /// The gain g.
        gain: f64,
    },
}

impl BranchVerdict {
    /// Whether the graph may be trained with.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }

    /// The verdict of a candidate that this branch decides; none for a pass.
    #[must_use]
    pub fn rejection(&self) -> Option<Verdict> {
        Some(match self {
            Self::Passed { .. } => return None,
            Self::Static { reason } => Verdict::Static {
                reason: reason.clone(),
            },
            Self::NonFinite { step } => Verdict::NonFinite { step: *step },
            Self::ZeroGradient => Verdict::ZeroGradient,
            Self::Rejected { gain } => Verdict::Rejected { gain: *gain },
        })
    }

    /// Code name and value as text, for the store.
    pub(crate) fn parts(&self) -> (&'static str, Option<String>) {
        match self.rejection() {
            Some(verdict) => (verdict.code(), verdict.detail().map(Cow::into_owned)),
            None => match self {
                Self::Passed { gain: Some(gain) } => ("passed", Some(gain.to_string())),
                _ => ("passed", None),
            },
        }
    }

    /// The inverse of [`parts`](Self::parts).
    pub(crate) fn from_parts(code: &str, detail: Option<&str>) -> Option<Self> {
        if code == "passed" {
            let gain = detail.map(str::parse).transpose().ok()?;
            return Some(Self::Passed { gain });
        }
        Some(match Verdict::from_parts(code, detail, None, None)? {
            Verdict::Static { reason } => Self::Static { reason },
            Verdict::NonFinite { step } => Self::NonFinite { step },
            Verdict::ZeroGradient => Self::ZeroGradient,
            Verdict::Rejected { gain } => Self::Rejected { gain },
            _ => return None,
        })
    }
}

impl From<StaticReason> for BranchVerdict {
    fn from(reason: StaticReason) -> Self {
        Self::Static {
            reason: Cow::Borrowed(reason.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_parts_round_trip() {
        for verdict in [
            BranchVerdict::Passed { gain: None },
            BranchVerdict::Passed { gain: Some(0.75) },
            BranchVerdict::Static { reason: "x".into() },
            BranchVerdict::NonFinite { step: Some(2) },
            BranchVerdict::ZeroGradient,
            BranchVerdict::Rejected { gain: 0.5 },
        ] {
            let (code, detail) = verdict.parts();
            let back = BranchVerdict::from_parts(code, detail.as_deref());
            assert_eq!(back.as_ref(), Some(&verdict));
            assert_eq!(verdict.passed(), verdict.rejection().is_none());
        }
        assert_eq!(BranchVerdict::from_parts("scored", None), None);
    }
}
