//! Every child is a fresh random loss: the baseline that any other method is compared with.

use super::child::{Child, Children};
use super::{Next, Strategy};
use crate::candidate::{Proposal, Screened, Settled};
use crate::config::SearchConfig;
use crate::id::CandidateId;
use crate::task::TaskSpec;

/// Draws every loss at random.
#[derive(Debug)]
pub struct RandomSearch {
    children: Children,
}

impl RandomSearch {
    /// A search that was told nothing.
    #[must_use]
    pub fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            children: Children::new(config, task),
        }
    }

    fn plan(&self, start: CandidateId) -> Child {
        Child::fresh(start, &self.children.source)
    }
}

impl Strategy for RandomSearch {
    fn propose(&self, id: CandidateId) -> Proposal {
        self.children.propose(id, |id| self.plan(id))
    }

    fn ahead(&self, first: CandidateId, most: u64) -> Vec<Proposal> {
        self.children.ahead(first, most, |first| self.plan(first))
    }

    fn screened(&mut self, screened: &Screened) -> Next {
        let planned = self.plan(screened.proposal.child);
        self.children.screened(screened, Some(planned))
    }

    fn tell(&mut self, _settled: &Settled) {}
}
