//! The rows of the store as values.

use std::collections::BTreeMap;

use crate::config::SearchConfig;
use crate::equivalence::GradientKey;
use crate::evaluation::EvaluationOutcome;
use crate::propose::Origin;
use crate::store::Provenance;
use crate::task::TaskSpec;
use crate::timing::StageTimes;
use crate::verdict::{CandidateId, Verdict};

/// What a run is: all that has to be known to repeat it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHeader {
    /// The searched branches and the network.
    pub task: TaskSpec,
    /// The configuration.
    pub config: SearchConfig,
    /// Plugins and versions.
    pub provenance: Provenance,
    /// When it was started, in seconds since 1970.
    pub created: u64,
}

/// One explored candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateRecord {
    /// Its number.
    pub id: CandidateId,
    /// The first attempt at the same child.
    pub child: CandidateId,
    /// The candidate it was mutated from; none for a fresh loss.
    pub parent: Option<CandidateId>,
    /// What was done to each branch, in branch order.
    pub origins: Vec<Origin>,
    /// Text form of the graph of each branch, by branch name.
    pub losses: BTreeMap<String, String>,
    /// Hash of the canonical forms, where every branch got that far.
    pub canonical: Option<u64>,
    /// Gradient key of all branches, where every branch got that far.
    pub key: Option<GradientKey>,
    /// Why and where it ended.
    pub verdict: Verdict,
    /// Index of the branch that decided the verdict; none where the whole loss was judged.
    pub branch: Option<usize>,
    /// Bit b: branch b passed its screens.
    pub passed: u32,
    /// Its own score, or the one it shares with the candidate it repeats.
    pub score: Option<f64>,
    /// Whether it entered the population.
    pub joined: bool,
    /// Whether the next candidate begins another child.
    pub ends_child: bool,
    /// Where its time went.
    pub times: StageTimes,
    /// Seconds of the run when it was recorded.
    pub elapsed: f64,
}

/// Why an evaluation was run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// To score a candidate of the search.
    Search,
    /// To measure one of the best again.
    Confirmation,
}

impl Purpose {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Confirmation => "confirmation",
        }
    }
}

/// One finished evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRecord {
    /// The candidate.
    pub candidate: CandidateId,
    /// Why it was run.
    pub purpose: Purpose,
    /// Seed of the training.
    pub seed: u64,
    /// Split it was measured on.
    pub split: String,
    /// The losses it was trained with.
    pub losses: BTreeMap<String, String>,
    /// What became of it.
    pub outcome: EvaluationOutcome,
    /// Seconds of the run when it was recorded.
    pub elapsed: f64,
}
