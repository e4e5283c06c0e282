//! Where candidates come from: a search method as asked and told.
//!
//! A [`Strategy`] is asked for proposals and told what became of them; it knows neither screens nor
//! trainings. Its state is a function of what it was told, candidates in the order of their numbers, each settled when it was, so
//! no snapshot of it is stored: on resume it is told again what the journal holds. (Storing its state
//! beside every finished evaluation would write a population of thousands of losses each time.)
//!
//! Rejected proposals cost nothing: a strategy proposes again for the same *child*, the place that it
//! wants to fill, until one is accepted (AutoLoss-Zero, arXiv 2103.14026).

mod child;
mod evolution;
mod population;
mod random;
mod shares;

use crate::candidate::{Proposal, Screened, Settled};
use crate::config::{SearchConfig, SearchMethod};
use crate::id::CandidateId;
use crate::task::TaskSpec;

pub use evolution::Evolution;
pub use random::RandomSearch;

/// What a strategy proposes after it was told how a proposal was screened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The proposals that it would have made before.
    Same,
    /// Others, for the same child.
    Revised,
    /// Proposals for another child.
    Child,
}

/// A search method.
pub trait Strategy: std::fmt::Debug {
    /// The candidate of this number. The same number in the same state gives the same proposal.
    fn propose(&self, id: CandidateId) -> Proposal;

    /// The proposals from `first` on, at most `most` of them, that stay what they are as long as each
    /// before them is rejected and teaches nothing ([`Next::Same`]); so they can be screened together. At
    /// least the first.
    fn ahead(&self, first: CandidateId, most: u64) -> Vec<Proposal> {
        let _ = most;
        vec![self.propose(first)]
    }

    /// A proposal went through the screens. One that was accepted ends its child: results are told only between
    /// children. Of [`Proposal`] only number, child, graphs and origins can be
    /// relied on, and graphs only where a branch passed: a resumed search has no more.
    fn screened(&mut self, screened: &Screened) -> Next;

    /// A candidate has its outcome.
    fn tell(&mut self, settled: &Settled);
}

impl SearchMethod {
    /// The strategy of the method.
    #[must_use]
    pub fn strategy(self, config: &SearchConfig, task: &TaskSpec) -> Box<dyn Strategy + Send> {
        match self {
            Self::Evolution => Box::new(Evolution::new(config, task)),
            Self::Random => Box::new(RandomSearch::new(config, task)),
        }
    }
}
