//! Screening ahead of the search, so that a screener with several threads has several losses at once.
//!
//! Candidates are screened one by one, each knowing all before it; but until a proposal for a child is
//! accepted, the next proposals are already determined. So a stretch of them is drawn, what the cheap
//! tests leave is probed together, and what the probes leave goes through the loss-rejection protocol
//! together. The answers wait until the search asks, which then goes on exactly as if each had been
//! computed on the spot: a screener's answer depends on the graph alone. What an accepted proposal makes
//! superfluous is thrown away.

use std::collections::VecDeque;

use super::answers::Known;
use super::funnel::{Funnel, Tested};
use super::screener::Screener;
use crate::fault::Fault;
use crate::id::CandidateId;
use crate::strategy::Strategy;
use crate::timing::{Stage, StageTimes, Timed};

/// Proposals drawn ahead for each loss that a screener works on at the same time; it changes speed only.
const AHEAD: u64 = 64;

/// Proposals that are drawn ahead, and what a screener answered about them.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    proposals: VecDeque<Tested>,
    pub(crate) known: Known,
}

impl Ahead {
    /// The proposal of this number with the cheap tests made. Where it was not drawn yet and the screener
    /// gains by it, the next proposals are drawn too and screened together.
    pub(crate) fn proposal(
        &mut self,
        id: CandidateId,
        strategy: &dyn Strategy,
        funnel: &Funnel,
        screener: &mut dyn Screener,
    ) -> Result<Tested, Fault> {
        if let Some(tested) = self.take(id) {
            return Ok(tested);
        }
        let width = screener.width() as u64;
        let most = if width < 2 { 1 } else { width * AHEAD };
        let drawn = Timed::of(|| match most {
            1 => vec![strategy.propose(id)],
            _ => strategy.ahead(id, most),
        });
        let mut times = StageTimes::default();
        times.add(
            Stage::Generate,
            drawn.nanoseconds / drawn.answer.len().max(1) as u64,
        );
        self.clear();
        let drawn = drawn.answer.into_iter();
        self.proposals = drawn.map(|proposal| funnel.test(proposal, times)).collect();
        if most > 1 {
            match self.screen(funnel, screener) {
                // Asked one by one, the screener fails for the loss that made it fail.
                Err(Fault::Failed(reason)) => {
                    tracing::debug!("screening ahead failed: {reason}");
                }
                other => other?,
            }
        }
        self.take(id)
            .ok_or_else(|| Fault::Fatal(format!("the strategy proposed no candidate {id}")))
    }

    /// The proposals to come are no longer those that were drawn.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn take(&mut self, id: CandidateId) -> Option<Tested> {
        self.proposals.pop_front_if(|next| next.proposal.id == id)
    }

    /// Has what the cheap tests left screened together.
    fn screen(&mut self, funnel: &Funnel, screener: &mut dyn Screener) -> Result<(), Fault> {
        let fresh = funnel.fresh(&self.proposals);
        let probes = screener.probe_all(&fresh)?;
        let mut goes_on = funnel.goes_on();
        let mut protocol = Vec::new();
        for (work, probe) in fresh.into_iter().zip(probes) {
            if goes_on(&work, &probe.answer) {
                protocol.push(work.clone());
            }
            self.known.probes.insert(work, probe);
        }
        let gains = screener.reject_all(&protocol)?;
        let gains = protocol.into_iter().zip(gains);
        self.known.gains.extend(gains);
        Ok(())
    }
}
