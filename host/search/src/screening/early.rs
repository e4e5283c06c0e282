//! When the loss-rejection protocol may end before its last step.
//!
//! Most losses show soon what they are worth: those that fit the targets do it within some forty steps and stay,
//! most others never move the metric at all. The rule reads the metric at a few steps and ends where the
//! rest would change nothing; how often it errs was measured (docs/method.md).
//!
//! ```
//! use autoloss_search::{EarlyStopper, EarlyStopping};
//!
//! let rule = EarlyStopping::default();
//! let mut stopper = EarlyStopper::new(&rule, 0.6, true);
//! assert_eq!(stopper.next_reading(), Some(20));
//! assert!(!stopper.read(0.7), "it has to stay");
//! assert!(stopper.read(0.8));
//! ```

use crate::config::EarlyStopping;

/// The readings of one protocol run.
#[derive(Clone, Debug)]
pub struct EarlyStopper<'a> {
    rule: &'a EarlyStopping,
    threshold: f64,
    aligned: bool,
    /// Gains at the rule's readings, as shares of the threshold.
    gains: Vec<f64>,
}

impl<'a> EarlyStopper<'a> {
    /// `threshold` is the least gain that passes. `aligned` tells whether the first gradient leads towards
    /// the targets: Σ ⟨∂L/∂x, ŷ − y⟩ > 0.
    #[must_use]
    pub fn new(rule: &'a EarlyStopping, threshold: f64, aligned: bool) -> Self {
        Self {
            rule,
            threshold,
            aligned,
            gains: Vec::with_capacity(rule.readings.len()),
        }
    }

    /// The steps after which the metric is to be read next; None once the rest must be run. Shares of a
    /// threshold that is not positive mean nothing, so nothing is read then.
    #[must_use]
    pub fn next_reading(&self) -> Option<usize> {
        let readings = &self.rule.readings;
        let next = readings.get(self.gains.len()).copied();
        next.filter(|_| self.threshold > 0.0)
    }

    /// Takes the gain at [`next_reading`](Self::next_reading). Whether the outcome is certain: that the loss
    /// passes where this gain reaches the threshold, that it is rejected else.
    pub fn read(&mut self, gain: f64) -> bool {
        let rule = self.rule;
        let Some(&step) = rule.readings.get(self.gains.len()) else {
            return false;
        };
        let before = self.gains.last().copied();
        let share = gain / self.threshold;
        self.gains.push(share);
        if share >= 1.0 {
            // Two in a row are the fewest that show a gain that stays.
            return before.is_some_and(|before| before >= 1.0);
        }
        if share.is_nan() {
            return false;
        }
        let most = self.gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let patience = if self.aligned {
            rule.flat_after
        } else {
            rule.misaligned_after
        };
        let flat = step >= patience && most < rule.flat;
        let half = rule
            .readings
            .iter()
            .rposition(|&reading| 2 * reading <= step);
        let risen = half.map_or(f64::INFINITY, |half| share - self.gains[half]);
        let stays = step >= rule.rises_after && share < rule.close && risen < rule.rise;
        flat || stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step at which a course is certain, and its gain there.
    fn ends(aligned: bool, course: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
        let rule = EarlyStopping::default();
        let mut stopper = EarlyStopper::new(&rule, 0.6, aligned);
        while let Some(step) = stopper.next_reading() {
            if stopper.read(course(step)) {
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
    fn the_numbers_of_the_rule_decide() {
        let ends = |change: fn(&mut EarlyStopping)| {
            let mut rule = EarlyStopping::default();
            change(&mut rule);
            let mut stopper = EarlyStopper::new(&rule, 0.6, true);
            let mut steps = std::iter::from_fn(|| {
                let step = stopper.next_reading()?;
                Some((step, stopper.read(0.02)))
            });
            steps.find(|(_, ends)| *ends).map(|(step, _)| step)
        };
        assert_eq!(ends(|_| {}), Some(60));
        assert_eq!(ends(|rule| rule.flat_after = 90), Some(100));
        assert_eq!(ends(|rule| rule.flat = 0.01), Some(150));
        assert_eq!(ends(|rule| rule.readings = vec![10, 70]), Some(70));
        assert_eq!(ends(|rule| (rule.flat, rule.rise) = (0.01, 0.0)), None);
    }

    #[test]
    fn without_a_threshold_nothing_is_read() {
        let rule = EarlyStopping::default();
        assert_eq!(EarlyStopper::new(&rule, 0.0, true).next_reading(), None);
    }
}
