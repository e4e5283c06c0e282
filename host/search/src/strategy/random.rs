//! Every child is a fresh random loss: the baseline that any other method is compared with.

use std::borrow::Cow;

use super::child::{Child, Source};
use super::{Next, Strategy};
use crate::candidate::{CandidateId, Proposal, Screened, Settled};
use crate::config::SearchConfig;
use crate::task::TaskSpec;

/// Draws every loss at random.
#[derive(Debug)]
pub struct RandomSearch {
    source: Source,
    /// What the next proposal is for, where proposals for it were rejected.
    child: Option<Child>,
}

impl RandomSearch {
    /// A search that was told nothing.
    #[must_use]
    pub fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            source: Source::new(config, task),
            child: None,
        }
    }

    /// What proposal `id` is for.
    fn child_at(&self, id: CandidateId) -> Cow<'_, Child> {
        match &self.child {
            Some(child) => Cow::Borrowed(child),
            None => Cow::Owned(Child::fresh(id, &self.source)),
        }
    }
}

impl Strategy for RandomSearch {
    fn propose(&self, id: CandidateId) -> Proposal {
        self.child_at(id).proposal(id, &self.source)
    }

    fn ahead(&self, first: CandidateId, most: u64) -> Vec<Proposal> {
        self.child_at(first).proposals(first, most, &self.source)
    }

    fn screened(&mut self, screened: &Screened) -> Next {
        let child = self.child.take();
        let mut child =
            child.unwrap_or_else(|| Child::fresh(screened.proposal.child, &self.source));
        let next = child.screened(screened, &self.source);
        self.child = (next != Next::Child).then_some(child);
        next
    }

    fn tell(&mut self, _settled: &Settled) {}
}
