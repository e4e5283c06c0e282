//! Screening ahead of the search, so that a screener with several threads has several losses at once.
//!
//! Candidates are judged one by one, each knowing all before it; but until an attempt at a child passes,
//! the next attempts are already determined. So a stretch of them is drawn, what the cheap tests leave is
//! probed together, and what the probes leave goes through the loss-rejection protocol together. The
//! answers are kept for when the search asks, which then goes on exactly as if each had been computed on
//! the spot: a screener's answer depends on the graph alone. What an accepted attempt makes superfluous is
//! thrown away.

use std::collections::{HashMap, VecDeque};

use crate::propose::Draft;
use crate::screening::{BackendError, Probe, Rejection, Screener, Timed, Work};
use crate::timing::{Stage, StageTimes};
use crate::verdict::CandidateId;

/// Attempts that are drawn ahead, and what a screener said of them.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    drafts: VecDeque<Timed<Draft>>,
    probes: HashMap<Work, Timed<Probe>>,
    rejections: HashMap<Work, Timed<Rejection>>,
}

impl Ahead {
    /// The attempt of this number, if it was drawn ahead.
    pub(crate) fn take(&mut self, id: CandidateId, times: &mut StageTimes) -> Option<Draft> {
        let next = self.drafts.front()?;
        if next.answer.id != id {
            return None;
        }
        let draft = self.drafts.pop_front()?;
        Some(draft.booked(Stage::Generate, times))
    }

    /// The attempts to come are no longer those that were drawn.
    pub(crate) fn clear(&mut self) {
        self.drafts.clear();
        self.probes.clear();
        self.rejections.clear();
    }

    /// Takes attempts in, and has the graphs among them that are `fresh` screened. `goes_on` tells whether
    /// a graph goes on to the protocol from its probe.
    pub(crate) fn screen(
        &mut self,
        drafts: VecDeque<Timed<Draft>>,
        fresh: Vec<Work>,
        screener: &mut dyn Screener,
        mut goes_on: impl FnMut(&Work, &Probe) -> bool,
    ) -> Result<(), BackendError> {
        self.clear();
        let probes = screener.probe_all(&fresh)?;
        let mut protocol = Vec::new();
        for (work, probe) in fresh.into_iter().zip(probes) {
            if goes_on(&work, &probe.answer) {
                protocol.push(work.clone());
            }
            self.probes.insert(work, probe);
        }
        let rejections = screener.reject_all(&protocol)?;
        self.rejections.extend(protocol.into_iter().zip(rejections));
        self.drafts = drafts;
        Ok(())
    }
}

/// A screener with what it has already said.
pub(crate) struct Source<'a> {
    pub(crate) ahead: &'a mut Ahead,
    pub(crate) screener: &'a mut dyn Screener,
}

impl Source<'_> {
    pub(crate) fn probe(
        &mut self,
        work: &Work,
        times: &mut StageTimes,
    ) -> Result<Probe, BackendError> {
        match self.ahead.probes.remove(work) {
            Some(known) => Ok(known.booked(Stage::Probe, times)),
            None => times.measure(Stage::Probe, || {
                self.screener.probe(work.branch, &work.graph)
            }),
        }
    }

    pub(crate) fn reject(
        &mut self,
        work: &Work,
        times: &mut StageTimes,
    ) -> Result<Rejection, BackendError> {
        match self.ahead.rejections.remove(work) {
            Some(known) => Ok(known.booked(Stage::Reject, times)),
            None => times.measure(Stage::Reject, || {
                self.screener.reject(work.branch, &work.graph)
            }),
        }
    }
}
