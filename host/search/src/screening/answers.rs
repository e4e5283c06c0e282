//! A screener with the answers that it gave ahead.

use std::collections::HashMap;

use super::screener::{Gain, Probe, Screener, Work};
use crate::fault::Fault;
use crate::timing::{Stage, StageTimes, Timed};

/// Answers that were computed ahead.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(super) probes: HashMap<Work, Timed<Probe>>,
    pub(super) gains: HashMap<Work, Timed<Gain>>,
}

/// Answers from what is known, else from the screener.
pub(crate) struct Answers<'a> {
    pub(crate) known: &'a mut Known,
    pub(crate) screener: &'a mut dyn Screener,
}

impl Answers<'_> {
    pub(crate) fn probe(&mut self, work: &Work, times: &mut StageTimes) -> Result<Probe, Fault> {
        match self.known.probes.remove(work) {
            Some(known) => Ok(known.booked(Stage::Probe, times)),
            None => times.measure(Stage::Probe, || {
                self.screener.probe(work.branch, &work.graph)
            }),
        }
    }

    pub(crate) fn reject(&mut self, work: &Work, times: &mut StageTimes) -> Result<Gain, Fault> {
        match self.known.gains.remove(work) {
            Some(known) => Ok(known.booked(Stage::Reject, times)),
            None => times.measure(Stage::Reject, || {
                self.screener.reject(work.branch, &work.graph)
            }),
        }
    }
}
