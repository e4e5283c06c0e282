//! A run lived through again, from what its journal holds.
//!
//! What happened when is told by number. A candidate that was settled at once was settled before the next was proposed;
//! of the others [`CandidateRecord::late`] tells.

use std::collections::BTreeMap;

use autoloss_graph::LossGraph;

use super::{State, Waiting};
use crate::candidate::{CandidateRecord, OpenCandidate, Proposal, Screened, Settled, SettledLate};
use crate::config::SearchConfig;
use crate::error::SearchError;
use crate::id::CandidateId;
use crate::journal::{Entry, JournalError};
use crate::task::TaskSpec;
use crate::timing::StageTimes;

/// Is shown what the strategy proposes, and what is stored under its number.
pub(crate) type Check<'a> = dyn FnMut(&Proposal, &OpenCandidate) + 'a;

/// Tells everything that a journal holds, as [`Journal::replay`](crate::Journal::replay) does.
pub(crate) type Tell<'a> = dyn Fn(&mut dyn FnMut(Entry)) -> Result<(), JournalError> + 'a;

/// A state that is brought up to where a run is.
pub(crate) struct Past<'a> {
    state: &'a mut State,
    config: &'a SearchConfig,
    task: &'a TaskSpec,
    /// Open candidates that were not met yet.
    open: BTreeMap<CandidateId, OpenCandidate>,
    /// Candidates that were met and not settled yet.
    later: BTreeMap<SettledLate, Settled>,
}

impl State {
    /// Takes in what a journal holds.
    pub(crate) fn replay(
        &mut self,
        tell: &Tell<'_>,
        (config, task): (&SearchConfig, &TaskSpec),
        mut check: Option<&mut Check<'_>>,
    ) -> Result<(), SearchError> {
        let mut past = Past {
            state: self,
            config,
            task,
            open: BTreeMap::new(),
            later: BTreeMap::new(),
        };
        let mut read = Ok(());
        tell(&mut |entry| match entry {
            Entry::Screen(screen) => _ = past.state.funnel.remember(&screen),
            Entry::PruningScore(score) => past.state.pruner.push(score),
            Entry::Open(open) => _ = past.open.insert(open.id, open),
            Entry::Candidate(record) if read.is_ok() => {
                read = past.settled(record, &mut check);
            }
            Entry::Candidate(_) => {}
        })?;
        read?;
        past.still_open(None, &mut check)?;
        past.settle_before(None);
        self.failures = 0;
        Ok(())
    }
}

impl Past<'_> {
    fn settled(
        &mut self,
        record: CandidateRecord,
        check: &mut Option<&mut Check<'_>>,
    ) -> Result<(), SearchError> {
        let id = record.id;
        self.still_open(Some(id), check)?;
        let explored = OpenCandidate {
            id,
            child: record.child,
            parent: record.parent,
            origins: record.origins.clone(),
            losses: record.losses.clone(),
            canonical: record.canonical,
            key: record.key.clone(),
            outcome: Some(record.outcome.clone()),
            passed: record.passed,
            ends_child: record.ends_child,
            times: record.times,
        };
        let graphs = self.explored(&explored, record.branch, check)?;
        let late = record.late;
        let settled = Settled {
            record,
            graphs,
            screens: Vec::new(),
        };
        match late {
            None => self.state.take_in(&settled),
            Some(late) => _ = self.later.insert(late, settled),
        }
        Ok(())
    }

    /// The open candidates with numbers below `end`; all of them where it is absent.
    fn still_open(
        &mut self,
        end: Option<CandidateId>,
        check: &mut Option<&mut Check<'_>>,
    ) -> Result<(), SearchError> {
        let before = |id: CandidateId| end.is_none_or(|end| id < end);
        while let Some(first) = self.open.first_entry()
            && before(*first.key())
        {
            let candidate = first.remove();
            let graphs = self.explored(&candidate, None, check)?;
            let waiting = Waiting {
                graphs,
                branch: None,
                shared: None,
                accepted: true,
                screens: Vec::new(),
                evaluation: None,
                is_trained: false,
                candidate,
            };
            self.state.open.insert(waiting.candidate.id, waiting);
        }
        Ok(())
    }

    /// Lives through what came before a candidate was proposed, and through its exploration; its graphs.
    fn explored(
        &mut self,
        candidate: &OpenCandidate,
        branch: Option<usize>,
        check: &mut Option<&mut Check<'_>>,
    ) -> Result<Vec<LossGraph>, SearchError> {
        let id = candidate.id;
        let damaged = |what| SearchError::Damaged {
            candidate: id,
            what,
        };
        if id.0 != self.state.next {
            let what = format!("candidate {} is missing before it", self.state.next);
            return Err(damaged(what));
        }
        self.settle_before(Some(id));
        if let Some(check) = check {
            check(&self.state.strategy.propose(id), candidate);
        }
        let graphs = match candidate.passed {
            0 => Vec::new(),
            _ => {
                let parsed = self.task.parse(&candidate.losses, &self.config.limits);
                parsed.map_err(damaged)?
            }
        };
        // What a strategy is told of a candidate that an earlier process screened.
        let screened = Screened {
            proposal: Proposal {
                id,
                child: candidate.child,
                parent: None,
                graphs,
                origins: candidate.origins.clone(),
                known: 0,
            },
            passed: candidate.passed,
            canonical: candidate.canonical,
            key: candidate.key.clone(),
            outcome: candidate.outcome.clone(),
            branch,
            shared: None,
            accepted: candidate.ends_child,
            screens: Vec::new(),
            times: StageTimes::default(),
        };
        self.state.explored_again(&screened, candidate.ends_child);
        Ok(screened.proposal.graphs)
    }

    /// Settles what was settled before a candidate was proposed; everything where it is absent.
    fn settle_before(&mut self, next: Option<CandidateId>) {
        while let Some(first) = self.later.first_entry()
            && next.is_none_or(|next| first.key().before <= next)
        {
            self.state.take_in(&first.remove());
        }
    }
}
