//! Why and where a candidate ended. Every explored candidate gets exactly one outcome, and every
//! outcome has a stable code name: the store, JSON, progress and reports count by it.
//!
//! One table below declares them all; the enum with values, the kinds without, their names and the
//! text form of their values follow from it, so that another outcome is one entry. An outcome that is
//! shared with an earlier candidate is not copied but pointed to (`duplicate`, `equivalent`, `near`), so that
//! counts tell work from look-ups.
//!
//! ```
//! use autoloss_search::{CandidateId, Outcome, OutcomeKind};
//!
//! let outcome = Outcome::Equivalent { of: CandidateId(17) };
//! assert_eq!(outcome.kind().code(), "equivalent");
//! assert_eq!(outcome.to_string(), "gradients equal those of candidate 17");
//! assert_eq!(Outcome::parse("equivalent", Some("17")), Some(outcome));
//! assert_eq!(OutcomeKind::from_code("scored"), Some(OutcomeKind::Scored));
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fitness::Fitness;
use crate::id::CandidateId;

/// Where a candidate met its outcome.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Met {
    /// Before any network was trained.
    Screening,
    /// In a proxy training that was asked for, whatever came of it.
    Evaluation,
}

/// The table: documentation, name, value, code name, where it is met.
macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident $({ $(#[$about:meta])* $field:ident: $value:ty })?
        = $code:literal, $met:ident;)*) => {
        /// Why and where a candidate ended, in the order of the pipeline.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Outcome {
            $($(#[$doc])* $name $({ $(#[$about])* $field: $value })?,)*
        }

        /// An [`Outcome`] without its value.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OutcomeKind {
            $($(#[$doc])* $name,)*
        }

        impl OutcomeKind {
            /// Every kind, in the order of the pipeline.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code name.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Whether a proxy training was asked for.
            #[must_use]
            pub fn evaluated(self) -> bool {
                let met = match self {
                    $(Self::$name => Met::$met,)*
                };
                met == Met::Evaluation
            }
        }

        impl Outcome {
            /// The outcome without its value.
            #[must_use]
            pub fn kind(&self) -> OutcomeKind {
                match self {
                    $(Self::$name { .. } => OutcomeKind::$name,)*
                }
            }

            /// Its value as text, which [`parse`](Self::parse) reads back exactly.
            #[must_use]
            pub fn detail(&self) -> Option<String> {
                match self {
                    $(Self::$name $({ $field })? => None$(.or_else(|| Value::text($field)))?,)*
                }
            }

            /// The outcome of a code name and a value as text.
            #[must_use]
            pub fn parse(code: &str, detail: Option<&str>) -> Option<Self> {
                // Outcomes without a value do not read it.
                let _ = detail;
                Some(match OutcomeKind::from_code(code)? {
                    $(OutcomeKind::$name => Self::$name $({ $field: Value::read(detail)? })?,)*
                })
            }
        }
    };
}

outcomes! {
    /// The structure of a graph cannot train anything.
    Static {
        /// Code name of the [`StaticReason`](autoloss_graph::StaticReason).
        reason: String
    } = "static", Screening;
    /// A loss of the same canonical form was explored before; its outcome holds.
    Duplicate {
        /// The earlier candidate.
        of: CandidateId
    } = "duplicate", Screening;
    /// Loss or gradient is not finite on predictions.
    NonFinite {
        /// The step of the loss-rejection protocol; absent for the probe gradient.
        step: Option<usize>
    } = "non_finite", Screening;
    /// The gradient at random predictions is zero.
    ZeroGradient = "zero_gradient", Screening;
    /// A loss of the same gradient key was explored before; its outcome holds.
    Equivalent {
        /// The earlier candidate.
        of: CandidateId
    } = "equivalent", Screening;
    /// A loss was evaluated before whose gradient is so close that the proxy cannot tell the two apart; its
    /// outcome holds.
    Near {
        /// The earlier candidate.
        of: CandidateId
    } = "near", Screening;
    /// The loss-rejection protocol rejected it.
    Rejected {
        /// The gain g of the screening metric.
        gain: f64
    } = "rejected", Screening;
    /// Loss or gradient of the proxy training became NaN or infinite.
    InvalidTraining {
        /// The step at which it did, from 0.
        step: usize
    } = "invalid_training", Evaluation;
    /// The proxy training was pruned.
    StoppedEarly {
        /// Its last step, from 0.
        step: usize
    } = "stopped_early", Evaluation;
    /// The proxy training ended with a score.
    Scored {
        /// The target score.
        fitness: Fitness
    } = "scored", Evaluation;
    /// It could not be evaluated: its plugin or its worker failed.
    Failed {
        /// Why, as one sentence.
        reason: String
    } = "failed", Evaluation;
}

impl OutcomeKind {
    /// The kind of a code name.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

impl Outcome {
    /// The earlier candidate whose outcome holds for this one too.
    #[must_use]
    pub fn of(&self) -> Option<CandidateId> {
        match self {
            Self::Duplicate { of } | Self::Equivalent { of } | Self::Near { of } => Some(*of),
            _ => None,
        }
    }

    /// What the candidate is worth, where its training ended with a score.
    #[must_use]
    pub fn fitness(&self) -> Option<Fitness> {
        match self {
            Self::Scored { fitness } => Some(*fitness),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
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
            Self::Near { of } => write!(f, "its gradient is close to that of candidate {of}"),
            Self::Rejected { gain } => write!(f, "rejected with a gain of {gain:.3}"),
            Self::InvalidTraining { step } => {
                write!(f, "the training became invalid at step {step}")
            }
            Self::StoppedEarly { step } => write!(f, "the training was pruned at step {step}"),
            Self::Scored { fitness } => write!(f, "scored {fitness:.4}"),
            Self::Failed { reason } => write!(f, "the evaluation failed: {reason}"),
        }
    }
}

/// The value of an outcome as text.
trait Value: Sized {
    fn text(&self) -> Option<String>;
    fn read(text: Option<&str>) -> Option<Self>;
}

macro_rules! plain_values {
    ($($value:ty),*) => {
        $(impl Value for $value {
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn read(text: Option<&str>) -> Option<Self> {
                text?.parse().ok()
            }
        })*
    };
}
plain_values!(f64, u64, usize, String);

impl Value for Option<usize> {
    fn text(&self) -> Option<String> {
        self.map(|value| value.to_string())
    }

    fn read(text: Option<&str>) -> Option<Self> {
        text.map(|text| text.parse().ok())
            .map_or(Some(None), |read| read.map(Some))
    }
}

impl Value for CandidateId {
    fn text(&self) -> Option<String> {
        self.0.text()
    }

    fn read(text: Option<&str>) -> Option<Self> {
        Value::read(text).map(Self)
    }
}

impl Value for Fitness {
    fn text(&self) -> Option<String> {
        self.score().text()
    }

    fn read(text: Option<&str>) -> Option<Self> {
        Value::read(text).and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Outcome> {
        vec![
            Outcome::Static {
                reason: "no_target".into(),
            },
            Outcome::Duplicate { of: CandidateId(3) },
            Outcome::NonFinite { step: None },
            Outcome::NonFinite { step: Some(8) },
            Outcome::ZeroGradient,
            Outcome::Equivalent { of: CandidateId(0) },
            Outcome::Near { of: CandidateId(1) },
            Outcome::Rejected {
                gain: -0.1234567890123,
            },
            Outcome::InvalidTraining { step: 4 },
            Outcome::StoppedEarly { step: 5 },
            Outcome::Scored {
                fitness: Fitness::new(0.1 + 0.2).unwrap(),
            },
            Outcome::Failed {
                reason: "worker 3 ended".into(),
            },
        ]
    }

    #[test]
    fn text_and_json_round_trip_exactly() {
        for outcome in all() {
            let (code, detail) = (outcome.kind().code(), outcome.detail());
            assert_eq!(
                Outcome::parse(code, detail.as_deref()).as_ref(),
                Some(&outcome)
            );
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        }
    }

    #[test]
    fn a_value_that_is_missing_or_wrong_is_refused() {
        assert_eq!(Outcome::parse("rejected", None), None);
        assert_eq!(Outcome::parse("scored", Some("NaN")), None);
        assert_eq!(Outcome::parse("non_finite", Some("x")), None);
        assert_eq!(Outcome::parse("passed", None), None);
    }

    #[test]
    fn codes_are_distinct_and_are_the_names_in_json() {
        let kinds: std::collections::BTreeSet<_> = all().iter().map(Outcome::kind).collect();
        assert!(kinds.iter().eq(OutcomeKind::ALL));
        for &kind in OutcomeKind::ALL {
            assert_eq!(OutcomeKind::from_code(kind.code()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.code());
        }
        for outcome in all() {
            let json = serde_json::to_value(&outcome).unwrap();
            let name = json.as_str().map(str::to_owned);
            let name =
                name.unwrap_or_else(|| json.as_object().unwrap().keys().next().unwrap().clone());
            assert_eq!(name, outcome.kind().code());
        }
    }
}
