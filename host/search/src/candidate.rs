//! The way of a candidate: [`Proposal`] (a strategy) → [`Screened`] (the funnel) → [`OpenCandidate`] (while it is trained) →
//! [`Evaluation`](crate::Evaluation) (an executor) → [`Settled`] (the journal). Each consumes the one
//! before, so that nothing can be screened, trained or written down twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoloss_graph::{LossGraph, Mutation};
use serde::{Deserialize, Serialize};

use crate::fitness::Fitness;
use crate::id::CandidateId;
use crate::outcome::Outcome;
use crate::screening::equivalence::GradientKey;
use crate::screening::record::ScreenRecord;
use crate::timing::StageTimes;

/// How the graph of one branch came about.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The parent's graph, unchanged.
    Inherited,
    /// A fresh random graph.
    Fresh,
    /// See [`Mutation::Insertion`].
    Insertion,
    /// See [`Mutation::Deletion`].
    Deletion,
    /// See [`Mutation::Replacement`].
    Replacement,
    /// The parent's graph plus that of a known or an earlier loss.
    Addition,
    /// A loss that the user named.
    Guess,
}

impl From<Mutation> for Origin {
    fn from(mutation: Mutation) -> Self {
        match mutation {
            Mutation::Insertion => Self::Insertion,
            Mutation::Deletion => Self::Deletion,
            Mutation::Replacement => Self::Replacement,
        }
    }
}

/// An earlier candidate that another is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// Its number.
    pub id: CandidateId,
    /// One graph for each branch, as explored (not canonical).
    pub graphs: Vec<LossGraph>,
    /// Hash of the canonical forms, where it was computed.
    pub canonical: Option<u64>,
}

/// A candidate before any screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Its number.
    pub id: CandidateId,
    /// The first proposal for the same child.
    pub child: CandidateId,
    /// What it was made from; absent for a fresh loss.
    pub parent: Option<Arc<Parent>>,
    /// One graph for each branch.
    pub graphs: Vec<LossGraph>,
    /// How each graph came about.
    pub origins: Vec<Origin>,
    /// Bit b: branch b is known to pass its screens, being that of a loss that did.
    pub known: u32,
}

impl Proposal {
    /// Whether a branch is known to pass its screens.
    #[must_use]
    pub fn knows(&self, branch: usize) -> bool {
        self.known & (1 << branch) != 0
    }
}

/// A candidate behind the funnel.
#[derive(Clone, Debug)]
pub struct Screened {
    /// What was proposed.
    pub proposal: Proposal,
    /// Bit b: branch b passed its screens.
    pub passed: u32,
    /// Hash of the canonical forms, where every branch got that far.
    pub canonical: Option<u64>,
    /// Gradient key of all branches, where every branch got that far.
    pub key: Option<GradientKey>,
    /// How it ended; absent where it has to be evaluated.
    pub outcome: Option<Outcome>,
    /// Index of the branch that decided; absent where the loss as a whole was looked up.
    pub branch: Option<usize>,
    /// What it shares with the evaluated candidate that it repeats.
    pub shared: Option<Fitness>,
    /// Whether it fills its child's place: it has to be evaluated, or takes part in the population
    /// with the fitness of the candidate that it repeats.
    pub accepted: bool,
    pub(crate) screens: Vec<ScreenRecord>,
    pub(crate) times: StageTimes,
}

/// A candidate with its outcome, as the journal writes it down.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// What is stored of it.
    pub record: CandidateRecord,
    /// One graph for each branch; read back from a journal, empty where no branch passed.
    pub graphs: Vec<LossGraph>,
    /// What was newly learnt of its branches' graphs.
    pub screens: Vec<ScreenRecord>,
}

/// A candidate behind the screens, as the journal keeps it while its outcome waits for a training: its own, or that of
/// the candidate that it repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenCandidate {
    /// Its number.
    pub id: CandidateId,
    /// The first proposal for the same child.
    pub child: CandidateId,
    /// The candidate it was made from; absent for a fresh loss.
    pub parent: Option<CandidateId>,
    /// How each branch's graph came about, in branch order.
    pub origins: Vec<Origin>,
    /// Text form of the graph of each branch, by branch name.
    pub losses: BTreeMap<String, String>,
    /// Hash of the canonical forms, where it was computed.
    pub canonical: Option<u64>,
    /// Gradient key of all branches, where it was computed.
    pub key: Option<GradientKey>,
    /// What the screens say of it; absent where it is trained.
    pub outcome: Option<Outcome>,
    /// Bit b: branch b passed its screens.
    pub passed: u32,
    /// Whether the next candidate begins another child.
    pub ends_child: bool,
    /// Where its time went.
    pub times: StageTimes,
}

/// When a candidate was settled whose outcome waited for a training, in the order of which it is compared.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettledLate {
    /// The first candidate that was proposed with its outcome known.
    pub before: CandidateId,
    /// How many waited and were settled before it.
    pub order: u64,
}

/// One explored candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateRecord {
    /// Its number.
    pub id: CandidateId,
    /// The first proposal for the same child.
    pub child: CandidateId,
    /// The candidate it was made from; absent for a fresh loss.
    pub parent: Option<CandidateId>,
    /// How each branch's graph came about, in branch order.
    pub origins: Vec<Origin>,
    /// Text form of the graph of each branch, by branch name.
    pub losses: BTreeMap<String, String>,
    /// Hash of the canonical forms, where every branch got that far.
    pub canonical: Option<u64>,
    /// Gradient key of all branches, where every branch got that far.
    pub key: Option<GradientKey>,
    /// Why and where it ended.
    pub outcome: Outcome,
    /// Index of the branch that decided the outcome; absent where it is that of the whole loss.
    pub branch: Option<usize>,
    /// Bit b: branch b passed its screens.
    pub passed: u32,
    /// Its own fitness, or the one it shares with the candidate it repeats.
    pub fitness: Option<Fitness>,
    /// Whether it entered the population.
    pub joined: bool,
    /// Whether the next candidate begins another child.
    pub ends_child: bool,
    /// When it was settled, where its outcome waited for a training; absent where it was settled at once.
    pub late: Option<SettledLate>,
    /// Where its time went.
    pub times: StageTimes,
    /// Seconds of the run when it was recorded.
    pub elapsed: f64,
}

impl CandidateRecord {
    /// Whether all of it was drawn at random, from no earlier candidate.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.parent.is_none() && self.origins.iter().all(|origin| *origin == Origin::Fresh)
    }
}

/// A scored loss.
#[derive(Clone, Debug, PartialEq)]
pub struct BestLoss {
    /// The candidate.
    pub id: CandidateId,
    /// What it is worth.
    pub fitness: Fitness,
    /// Text form of the graph of each branch, by branch name.
    pub losses: BTreeMap<String, String>,
}
