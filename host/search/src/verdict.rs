//! Why and where a candidate ended. Every explored candidate gets exactly one verdict, and every
//! verdict has a stable code name: reports, the store and the ablation count by it.
//!
//! A candidate has a loss graph for each branch of its task, and each branch is screened alone, so
//! there are two levels. A
//! [`BranchVerdict`](crate::BranchVerdict) says what the screens found in one graph; it is
//! cached, since the same graph always screens the same. A [`Verdict`] says what became of the
//! candidate: that of its first branch that failed, or that of its evaluation. A reused verdict is
//! not copied but pointed to (`duplicate`, `equivalent`), so counts tell work from look-ups.
//!
//! ```
//! use autoloss_search::{CandidateId, Verdict, VerdictKind};
//!
//! let verdict = Verdict::Equivalent { of: CandidateId(17) };
//! assert_eq!(verdict.code(), "equivalent");
//! assert_eq!(verdict.to_string(), "gradients equal those of candidate 17");
//! assert_eq!(VerdictKind::from_code("scored"), Some(VerdictKind::Scored));
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evaluation::EvaluationVerdict;

/// The number of a candidate within its run, from 0, in the order of exploration. It also names
/// the stream of random numbers the candidate is made from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CandidateId(pub u64);

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why and where a candidate ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The structure of a graph cannot train anything.
    Static {
        /// Code name of the [`StaticReason`](autoloss_graph::StaticReason).
        reason: Cow<'static, str>,
    },
    /// The canonical form was seen before; the earlier verdict holds.
    Duplicate {
        /// The candidate that was judged.
        of: CandidateId,
    },
    /// Loss or gradient is not finite on predictions.
    NonFinite {
        /// The step of the loss-rejection protocol; none for the probe gradient.
        step: Option<usize>,
    },
    /// The gradient at random predictions is zero.
    ZeroGradient,
    /// The gradient key was seen before; the earlier verdict holds.
    Equivalent {
        /// The candidate that was judged.
        of: CandidateId,
    },
    /// The loss-rejection protocol rejected it.
    Rejected {
        /// The gain g of the screening metric.
        gain: f64,
    },
    /// Loss or gradient of the proxy training became NaN or infinite.
    InvalidTraining {
        /// The step at which it did.
        step: usize,
    },
    /// The proxy training was ended early as hopeless.
    StoppedEarly {
        /// The step at which it was.
        step: usize,
    },
    /// The proxy evaluation ended with a score.
    Scored {
        /// The target metric.
        score: f64,
    },
    /// The proxy evaluation could not be run.
    Failed {
        /// Why.
        error: String,
    },
}

impl Verdict {
    /// The verdict without its values.
    #[must_use]
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Static { .. } => VerdictKind::Static,
            Self::Duplicate { .. } => VerdictKind::Duplicate,
            Self::NonFinite { .. } => VerdictKind::NonFinite,
            Self::ZeroGradient => VerdictKind::ZeroGradient,
            Self::Equivalent { .. } => VerdictKind::Equivalent,
            Self::Rejected { .. } => VerdictKind::Rejected,
            Self::InvalidTraining { .. } => VerdictKind::InvalidTraining,
            Self::StoppedEarly { .. } => VerdictKind::StoppedEarly,
            Self::Scored { .. } => VerdictKind::Scored,
            Self::Failed { .. } => VerdictKind::Failed,
        }
    }

    /// The stable code name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind().code()
    }

    /// The candidate whose verdict is reused.
    #[must_use]
    pub fn of(&self) -> Option<CandidateId> {
        match self {
            Self::Duplicate { of } | Self::Equivalent { of } => Some(*of),
            _ => None,
        }
    }

    /// The verdict's own value as text, for the store: reason, step, gain or error.
    pub(crate) fn detail(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Static { reason } => Some(Cow::Borrowed(reason)),
            Self::NonFinite { step } => step.map(|step| step.to_string().into()),
            Self::Rejected { gain } => Some(gain.to_string().into()),
            Self::InvalidTraining { step } | Self::StoppedEarly { step } => {
                Some(step.to_string().into())
            }
            Self::Failed { error } => Some(Cow::Borrowed(error)),
            _ => None,
        }
    }

    /// The inverse of [`code`](Self::code), [`detail`](Self::detail) and [`of`](Self::of).
    pub(crate) fn from_parts(
        code: &str,
        detail: Option<&str>,
        of: Option<CandidateId>,
        score: Option<f64>,
    ) -> Option<Self> {
        let step = || detail?.parse().ok();
        Some(match VerdictKind::from_code(code)? {
            VerdictKind::Static => Self::Static {
                reason: Cow::Owned(detail?.to_owned()),
            },
            VerdictKind::Duplicate => Self::Duplicate { of: of? },
            VerdictKind::NonFinite => Self::NonFinite { step: step() },
            VerdictKind::ZeroGradient => Self::ZeroGradient,
            VerdictKind::Equivalent => Self::Equivalent { of: of? },
            VerdictKind::Rejected => Self::Rejected {
                gain: detail?.parse().ok()?,
            },
            VerdictKind::InvalidTraining => Self::InvalidTraining { step: step()? },
            VerdictKind::StoppedEarly => Self::StoppedEarly { step: step()? },
            VerdictKind::Scored => Self::Scored { score: score? },
            VerdictKind::Failed => Self::Failed {
                error: detail?.to_owned(),
            },
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { reason } => write!(f, "its structure cannot train: {reason}"),
            Self::Duplicate { of } => write!(f, "the same loss as candidate {of}"),
            Self::NonFinite { step: None } => write!(f, "loss or gradient is not finite"),
            Self::NonFinite { step: Some(step) } => {
                write!(f, "not finite from screening step {step}")
            }
            Self::ZeroGradient => write!(f, "the gradient is zero"),
            Self::Equivalent { of } => write!(f, "gradients equal those of candidate {of}"),
            Self::Rejected { gain } => write!(f, "rejected with a gain of {gain:.3}"),
            Self::InvalidTraining { step } => {
                write!(f, "the training became invalid at step {step}")
            }
            Self::StoppedEarly { step } => write!(f, "the training was ended at step {step}"),
            Self::Scored { score } => write!(f, "scored {score:.4}"),
            Self::Failed { error } => write!(f, "the evaluation failed: {error}"),
        }
    }
}

impl From<&EvaluationVerdict> for Verdict {
    fn from(verdict: &EvaluationVerdict) -> Self {
        match verdict {
            EvaluationVerdict::Scored { score, .. } => Self::Scored { score: *score },
            EvaluationVerdict::InvalidTraining { step } => Self::InvalidTraining { step: *step },
            EvaluationVerdict::StoppedEarly { step } => Self::StoppedEarly { step: *step },
            EvaluationVerdict::Failed { error } => Self::Failed {
                error: error.clone(),
            },
        }
    }
}

/// A verdict without its values, in the order of the pipeline.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerdictKind {
    /// See [`Verdict::Static`].
    Static,
    /// See [`Verdict::Duplicate`].
    Duplicate,
    /// See [`Verdict::NonFinite`].
    NonFinite,
    /// See [`Verdict::ZeroGradient`].
    ZeroGradient,
    /// See [`Verdict::Equivalent`].
    Equivalent,
    /// See [`Verdict::Rejected`].
    Rejected,
    /// See [`Verdict::InvalidTraining`].
    InvalidTraining,
    /// See [`Verdict::StoppedEarly`].
    StoppedEarly,
    /// See [`Verdict::Scored`].
    Scored,
    /// See [`Verdict::Failed`].
    Failed,
}

impl VerdictKind {
    /// Every kind, in the order of the pipeline.
    pub const ALL: [Self; 10] = [
        Self::Static,
        Self::Duplicate,
        Self::NonFinite,
        Self::ZeroGradient,
        Self::Equivalent,
        Self::Rejected,
        Self::InvalidTraining,
        Self::StoppedEarly,
        Self::Scored,
        Self::Failed,
    ];

    /// The stable code name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Duplicate => "duplicate",
            Self::NonFinite => "non_finite",
            Self::ZeroGradient => "zero_gradient",
            Self::Equivalent => "equivalent",
            Self::Rejected => "rejected",
            Self::InvalidTraining => "invalid_training",
            Self::StoppedEarly => "stopped_early",
            Self::Scored => "scored",
            Self::Failed => "failed",
        }
    }

    /// The kind of a code name.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether a proxy evaluation was run for it.
    #[must_use]
    pub fn evaluated(self) -> bool {
        matches!(
            self,
            Self::InvalidTraining | Self::StoppedEarly | Self::Scored | Self::Failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Verdict> {
        vec![
            Verdict::Static {
                reason: "no_target".into(),
            },
            Verdict::Duplicate { of: CandidateId(3) },
            Verdict::NonFinite { step: None },
            Verdict::NonFinite { step: Some(8) },
            Verdict::ZeroGradient,
            Verdict::Equivalent { of: CandidateId(0) },
            Verdict::Rejected {
                gain: -0.1234567890123,
            },
            Verdict::InvalidTraining { step: 4 },
            Verdict::StoppedEarly { step: 5 },
            Verdict::Scored { score: 0.1 + 0.2 },
            Verdict::Failed {
                error: "worker 3 ended".into(),
            },
        ]
    }

    #[test]
    fn parts_and_json_round_trip_exactly() {
        for verdict in all() {
            let score = match verdict {
                Verdict::Scored { score } => Some(score),
                _ => None,
            };
            let back = Verdict::from_parts(
                verdict.code(),
                verdict.detail().as_deref(),
                verdict.of(),
                score,
            );
            assert_eq!(back.as_ref(), Some(&verdict));
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
        }
    }

    #[test]
    fn codes_are_distinct_and_invertible() {
        for kind in VerdictKind::ALL {
            assert_eq!(VerdictKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(VerdictKind::from_code("passed"), None);
    }

    #[test]
    fn json_names_are_the_code_names() {
        for verdict in all() {
            let json = serde_json::to_value(&verdict).unwrap();
            let name = json
                .as_str()
                .map(str::to_owned)
                .unwrap_or_else(|| json.as_object().unwrap().keys().next().unwrap().clone());
            assert_eq!(name, verdict.code());
        }
    }
}
