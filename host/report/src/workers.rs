//! What worker processes did, and why trainings failed.

use std::collections::BTreeMap;

use autoloss_run::Worked;
use autoloss_search::OutcomeKind;
use serde::Serialize;

use crate::error::ReportError;
use crate::source::Source;

/// Bars of a worker's line are at least this part of the whole time wide, and closer ones are one: a page holds no
/// more of them however long the run is.
const FINEST: f64 = 1.0 / 800.0;

/// The workers of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Workers {
    /// Seconds of the run when the first training began and when the last ended.
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) workers: Vec<Worker>,
    /// Why candidates could not be evaluated, and how many.
    pub(crate) failures: Vec<(String, u64)>,
}

/// One worker.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) trainings: u64,
    pub(crate) failed: u64,
    /// Seconds of training and evaluation.
    pub(crate) busy: f64,
    /// Seconds of these in which a training waited for batches.
    pub(crate) waited: f64,
    /// What it was busy with when.
    pub(crate) bars: Vec<Bar>,
}

/// A stretch of time in which a worker was busy, in seconds of the run.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Bar {
    pub(crate) begin: f64,
    pub(crate) end: f64,
    pub(crate) failed: bool,
}

impl Workers {
    /// The part of the time that a worker was busy.
    pub(crate) fn share(&self, busy: f64) -> f64 {
        busy / (self.to - self.from).max(1e-9)
    }
}

pub(crate) fn read(source: &Source) -> Result<Workers, ReportError> {
    let failures = source.reader.failure_reasons()?;
    Ok(of(&source.reader.worked()?, failures))
}

fn of(worked: &[Worked], failures: Vec<(String, u64)>) -> Workers {
    let (from, to) = Worked::span(worked).unwrap_or_default();
    let gap = (to - from) * FINEST;
    let mut workers: BTreeMap<usize, Worker> = BTreeMap::new();
    for one in worked {
        let worker = workers.entry(one.worker).or_insert_with(|| Worker {
            number: one.worker,
            trainings: 0,
            failed: 0,
            busy: 0.0,
            waited: 0.0,
            bars: Vec::new(),
        });
        let failed = one.outcome == OutcomeKind::Failed;
        worker.trainings += 1;
        worker.failed += u64::from(failed);
        worker.busy += one.seconds;
        worker.waited += one.waited;
        match worker.bars.last_mut() {
            Some(last) if last.failed == failed && one.begin() - last.end < gap => {
                last.end = one.end;
            }
            _ => worker.bars.push(Bar {
                begin: one.begin(),
                end: one.end,
                failed,
            }),
        }
    }
    Workers {
        from,
        to,
        workers: workers.into_values().collect(),
        failures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_bars_are_one_and_failures_stand_apart() {
        let worked = |worker, end, seconds, outcome| Worked {
            worker,
            end,
            seconds,
            waited: 0.1 * seconds,
            outcome,
        };
        let scored = OutcomeKind::Scored;
        let workers = of(
            &[
                worked(1, 10.0, 10.0, scored),
                worked(0, 30.0, 10.0, scored),
                worked(1, 40.0, 29.99, OutcomeKind::Failed),
                worked(0, 50.0, 19.99, scored),
            ],
            Vec::new(),
        );
        assert_eq!((workers.from, workers.to), (0.0, 50.0));
        let [first, second] = &workers.workers[..] else {
            panic!("{workers:?}");
        };
        let bar = Bar {
            begin: 20.0,
            end: 50.0,
            failed: false,
        };
        assert_eq!(first.bars, [bar]);
        assert_eq!(second.bars.len(), 2);
        assert_eq!((second.trainings, second.failed), (2, 1));
        assert!((workers.share(first.busy) - 0.6).abs() < 1e-3);
        assert!((workers.share(first.waited) - 0.06).abs() < 1e-3);
    }
}
