//! What a search writes down as it goes, and reads again when it goes on.
//!
//! A trait, because the search knows no files: a run folder with a database implements it in
//! `autoloss-run`, a few lists in memory do in tests.

use std::collections::BTreeMap;
use std::error::Error;

use crate::candidate::{BestLoss, CandidateRecord, OpenCandidate, Settled};
use crate::config::SearchConfig;
use crate::evaluation::Evaluation;
use crate::id::CandidateId;
use crate::provenance::Provenance;
use crate::screening::ScreenRecord;
use crate::task::TaskSpec;

/// Why a journal could not be written or read.
pub type JournalError = Box<dyn Error + Send + Sync>;

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

/// Why an evaluation was run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To score a candidate of the search.
    Search,
    /// To score the best so far once more, with another seed.
    Repeat,
    /// To measure one of the best again.
    Confirmation,
    /// To train one of the best, or a reference loss, in the second stage.
    Promotion,
}

impl Purpose {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Repeat => "repeat",
            Self::Confirmation => "confirmation",
            Self::Promotion => "promotion",
        }
    }
}

/// What tells one evaluation of a run from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EvaluationKey {
    /// The candidate, or [`CandidateId::of_reference`].
    pub candidate: CandidateId,
    /// Why it was run.
    pub purpose: Purpose,
    /// Seed of the training.
    pub seed: u64,
    /// Split it was measured on.
    pub split: String,
}

/// One finished evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRecord {
    /// Which one.
    pub key: EvaluationKey,
    /// The losses it was trained with.
    pub losses: BTreeMap<String, String>,
    /// What became of it.
    pub evaluation: Evaluation,
    /// Seconds of the run when it was recorded.
    pub elapsed: f64,
}

/// Something a journal holds, as [`Journal::replay`] tells it.
#[derive(Clone, Debug)]
pub enum Entry {
    /// What was learnt of a graph, in the order in which it was.
    Screen(ScreenRecord),
    /// The score of a settled candidate's training at its pruning rule's step.
    PruningScore(f64),
    /// A candidate that was not settled, in the order of their numbers; all of them before the settled ones.
    Open(OpenCandidate),
    /// A settled candidate, in the order of their numbers.
    Candidate(CandidateRecord),
}

/// Where a search writes everything down.
pub trait Journal {
    /// Writes what the run is, before anything else.
    ///
    /// # Errors
    /// Where it cannot be written, or a run is there already.
    fn begin(&mut self, header: &RunHeader) -> Result<(), JournalError>;

    /// What the run is.
    ///
    /// # Errors
    /// Where it cannot be read, or no run was begun.
    fn header(&self) -> Result<RunHeader, JournalError>;

    /// The run goes on with another budget.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn change_config(&mut self, config: &SearchConfig) -> Result<(), JournalError>;

    /// Begins to count this process's time; called again, it changes nothing. By default no time is
    /// counted.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn begin_session(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Seconds that all sessions of the run have taken, this one included.
    fn elapsed(&self) -> f64 {
        0.0
    }

    /// Takes a candidate that waits for a training, and what was newly learnt of its graphs. It may be written as late
    /// as the next [`evaluated`](Self::evaluated) or [`flush`](Self::flush).
    ///
    /// # Errors
    /// Where it cannot be written.
    fn opened(
        &mut self,
        open: &OpenCandidate,
        screens: Vec<ScreenRecord>,
    ) -> Result<(), JournalError>;

    /// Takes a candidate in the order in which they are settled, which is that of their numbers where one training
    /// runs at a time. It may be written as late as [`opened`](Self::opened) says, but not before what was taken
    /// earlier.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn settled(&mut self, settled: Settled) -> Result<(), JournalError>;

    /// Writes a finished evaluation and everything before it, so that no kill can lose it.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn evaluated(&mut self, record: &EvaluationRecord) -> Result<(), JournalError>;

    /// Writes everything that was taken. By default nothing waits to be written.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn flush(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    /// The best losses are now these, best first.
    ///
    /// # Errors
    /// Where they cannot be written.
    fn best(&mut self, best: &[BestLoss]) -> Result<(), JournalError> {
        let _ = best;
        Ok(())
    }

    /// Tells everything that is needed to go on. Entries of one kind come in their order, and open candidates before
    /// settled ones.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn replay(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError>;

    /// An evaluation that was written, where there is one.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn evaluation(&self, key: &EvaluationKey) -> Result<Option<EvaluationRecord>, JournalError>;

    /// Seconds that this process has spent writing.
    fn writing_seconds(&self) -> f64 {
        0.0
    }
}
