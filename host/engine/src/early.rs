//! When the loss-rejection protocol may end before its last step.
//!
//! Most losses show soon what they are worth: those that fit the targets do it within some forty steps and stay,
//! most others never move the metric at all. The rule reads the metric at a few steps and ends where the
//! rest would change nothing; how often it errs was measured (docs/method.md). Gains count as shares of
//! the threshold.
//!
//! ```
//! use autoloss_engine::Watch;
//!
//! let mut watch = Watch::new(0.6, true);
//! assert_eq!(watch.next_reading(), Some(20));
//! assert!(!watch.read(0.7), "it has to stay");
//! assert!(watch.read(0.8));
//! ```

/// Steps after which the metric is read.
const READINGS: [usize; 8] = [20, 40, 60, 100, 150, 200, 300, 400];
/// A gain that never reached this share counts as no gain.
const FLAT: f64 = 0.05;
/// Steps after which a loss without gain is rejected.
const FLAT_AFTER: usize = 60;
/// The same, where already the first gradient leads away from the targets.
const MISALIGNED_AFTER: usize = 40;
/// Steps after which a gain has to rise.
const RISES_AFTER: usize = 150;
/// By at least this share in the last half of the steps.
const RISE: f64 = 0.02;
/// Beyond this share of the threshold a loss is never rejected early.
const CLOSE: f64 = 0.95;

/// The readings of one protocol run.
#[derive(Clone, Debug)]
pub struct Watch {
    threshold: f64,
    aligned: bool,
    /// Gains at [`READINGS`], as shares of the threshold.
    gains: Vec<f64>,
}

impl Watch {
    /// `threshold` is the least gain that passes. `aligned` tells whether the first gradient leads towards
    /// the targets: Σ ⟨∂L/∂x, ŷ − y⟩ > 0.
    #[must_use]
    pub fn new(threshold: f64, aligned: bool) -> Self {
        Self {
            threshold,
            aligned,
            gains: Vec::with_capacity(READINGS.len()),
        }
    }

    /// The steps after which the metric is to be read next; None once the rest must be run. A gain
    /// can pass a threshold of 0 or below at once and fail it later, so nothing is read then.
    #[must_use]
    pub fn next_reading(&self) -> Option<usize> {
        READINGS
            .get(self.gains.len())
            .copied()
            .filter(|_| self.threshold > 0.0)
    }

    /// Takes the gain at [`next_reading`](Self::next_reading). Whether the verdict is certain: that it
    /// passes where this gain reaches the threshold, that it is rejected else.
    pub fn read(&mut self, gain: f64) -> bool {
        let Some(&step) = READINGS.get(self.gains.len()) else {
            return false;
        };
        let before = self.gains.last().copied();
        let share = gain / self.threshold;
        self.gains.push(share);
        if share >= 1.0 {
            return before.is_some_and(|before| before >= 1.0);
        }
        if share.is_nan() {
            return false;
        }
        let most = self.gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let patience = if self.aligned {
            FLAT_AFTER
        } else {
            MISALIGNED_AFTER
        };
        let flat = step >= patience && most < FLAT;
        let half = READINGS.iter().rposition(|&reading| 2 * reading <= step);
        let risen = half.map_or(f64::INFINITY, |half| share - self.gains[half]);
        let stays = step >= RISES_AFTER && share < CLOSE && risen < RISE;
        flat || stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step at which a course is certain, and its gain there.
    fn ends(aligned: bool, course: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
        let mut watch = Watch::new(0.6, aligned);
        while let Some(step) = watch.next_reading() {
            if watch.read(course(step)) {
                return Some((step, course(step)));
            }
        }
        None
    }

    #[test]
    fn what_passes_and_stays_ends_early() {
        assert_eq!(ends(true, |_| 0.7), Some((40, 0.7)));
        assert_eq!(
            ends(true, |step| if step == 20 { 0.7 } else { 0.1 }),
            Some((150, 0.1))
        );
    }

    #[test]
    fn what_never_moves_ends_early_and_sooner_where_it_leads_away() {
        assert_eq!(ends(true, |_| 0.0), Some((60, 0.0)));
        assert_eq!(ends(false, |_| -0.1), Some((40, -0.1)));
    }

    #[test]
    fn what_stands_still_below_the_threshold_ends_and_what_rises_does_not() {
        assert_eq!(ends(true, |_| 0.3), Some((150, 0.3)));
        assert_eq!(ends(true, |step| 0.55 * step as f64 / 400.0), None);
        assert_eq!(ends(true, |_| 0.59), None);
        assert_eq!(ends(true, |_| f64::NAN), None);
    }

    #[test]
    fn without_a_threshold_nothing_is_read() {
        assert_eq!(Watch::new(0.0, true).next_reading(), None);
    }
}
