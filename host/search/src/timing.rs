//! Where the wall time of a search goes, stage by stage: the claim that a screen pays is only
//! worth something beside its cost.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A stage of the pipeline, cheapest first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Drawing or mutating graphs.
    Generate,
    /// Structure tests.
    Static,
    /// Canonical form and its look-up.
    Canonical,
    /// The probe gradient and the look-up of its key.
    Probe,
    /// The loss-rejection protocol.
    Reject,
    /// Proxy training and evaluation, as the evaluator reports it.
    Evaluate,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 6] = [
        Self::Generate,
        Self::Static,
        Self::Canonical,
        Self::Probe,
        Self::Reject,
        Self::Evaluate,
    ];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Static => "static",
            Self::Canonical => "canonical",
            Self::Probe => "probe",
            Self::Reject => "reject",
            Self::Evaluate => "evaluate",
        }
    }
}

/// Wall time by stage, in nanoseconds.
///
/// ```
/// use autoloss_search::{Stage, StageTimes};
///
/// let mut times = StageTimes::default();
/// times.add(Stage::Probe, 1_500_000_000);
/// assert_eq!(times.seconds(Stage::Probe), 1.5);
/// assert_eq!(times.total_seconds(), 1.5);
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes([u64; Stage::ALL.len()]);

impl StageTimes {
    /// Adds nanoseconds to a stage.
    pub fn add(&mut self, stage: Stage, nanoseconds: u64) {
        let slot = &mut self.0[stage as usize];
        *slot = slot.saturating_add(nanoseconds);
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        for stage in Stage::ALL {
            self.add(stage, other.nanoseconds(stage));
        }
    }

    /// Nanoseconds of a stage.
    #[must_use]
    pub fn nanoseconds(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    /// Seconds of a stage.
    #[must_use]
    pub fn seconds(&self, stage: Stage) -> f64 {
        self.nanoseconds(stage) as f64 / 1e9
    }

    /// Seconds of all stages.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        Stage::ALL
            .into_iter()
            .map(|stage| self.seconds(stage))
            .sum()
    }

    /// Runs the work and books its time.
    pub(crate) fn measure<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        Timed::of(work).booked(stage, self)
    }
}

pub(crate) fn nanoseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// An answer and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed<T> {
    /// The answer.
    pub answer: T,
    /// Nanoseconds of wall time.
    pub nanoseconds: u64,
}

impl<T> Timed<T> {
    /// Does the work and measures it.
    pub fn of(work: impl FnOnce() -> T) -> Self {
        let start = Instant::now();
        let answer = work();
        Self {
            answer,
            nanoseconds: nanoseconds_since(start),
        }
    }

    /// The answer, its time booked to a stage.
    pub(crate) fn booked(self, stage: Stage, times: &mut StageTimes) -> T {
        times.add(stage, self.nanoseconds);
        self.answer
    }
}

impl<T, E> Timed<Result<T, E>> {
    /// The error, or the answer with its time.
    ///
    /// # Errors
    ///
    /// That of the work.
    pub fn transposed(self) -> Result<Timed<T>, E> {
        let nanoseconds = self.nanoseconds;
        self.answer.map(|answer| Timed {
            answer,
            nanoseconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_booked_apart_and_merged() {
        let mut times = StageTimes::default();
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            times.add(stage, index as u64 + 1);
        }
        let copy = times;
        times.merge(&copy);
        assert_eq!(times.nanoseconds(Stage::Generate), 2);
        assert_eq!(times.nanoseconds(Stage::Evaluate), 12);
        times.add(Stage::Evaluate, u64::MAX);
        assert_eq!(times.nanoseconds(Stage::Evaluate), u64::MAX);
    }
}
