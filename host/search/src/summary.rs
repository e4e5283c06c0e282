//! How a search ended.

use std::fmt;

use crate::candidate::BestLoss;
use crate::counts::Counts;

/// Why a search ended. Whichever it was, the run can be resumed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The caller asked for it.
    Stopped,
    /// `budget.max_explored` was reached.
    Explored,
    /// `budget.max_proxies` was reached.
    Proxies,
    /// `budget.max_seconds` was reached.
    Seconds,
    /// So many candidates in a row were not worth a proxy evaluation (`evolution.max_proposals`).
    Exhausted {
        /// How many.
        attempts: u64,
    },
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => write!(f, "stopped on request"),
            Self::Explored => write!(f, "the budget of explored candidates is used up"),
            Self::Proxies => write!(f, "the budget of proxy evaluations is used up"),
            Self::Seconds => write!(f, "the budget of wall-clock time is used up"),
            Self::Exhausted { attempts } => write!(
                f,
                "none of the last {attempts} candidates was worth a proxy evaluation; the screens \
                 are too strict for this task, or its losses are all known"
            ),
        }
    }
}

/// How a search ended and what it found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Why it ended.
    pub end: EndReason,
    /// Tallies of the whole run.
    pub counts: Counts,
    /// The best losses, best first; as many as `keep_best`.
    pub best: Vec<BestLoss>,
    /// Seconds of all sessions of the run.
    pub elapsed_seconds: f64,
    /// Seconds this session spent writing its journal.
    pub writing_seconds: f64,
}
