//! When a training is given up on its way.
//!
//! Many losses that pass every screen train a network to nothing, and that shows long before the last step.
//! So each training of a search is looked at once, always after the same number of steps, and ended where
//! it scores less than a part of the trainings before it did. What is compared is the same split, the same
//! samples, the same seed and the same learning rates.

use crate::config::ProxyConfig;
use crate::evaluation::Look;

/// The scores of trainings on their way, given up or not.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// In ascending order.
    scores: Vec<f64>,
}

impl Looks {
    pub(crate) fn push(&mut self, score: f64) {
        let place = self.scores.partition_point(|known| *known <= score);
        self.scores.insert(place, score);
    }

    /// The look at the next training; none where it could not come before the end.
    pub(crate) fn next(&self, proxy: &ProxyConfig) -> Option<Look> {
        let (pruning, steps) = (&proxy.pruning, proxy.budget.steps);
        let step = ((pruning.after * steps as f64).round() as usize).max(1);
        (pruning.enabled && step < steps).then(|| Look {
            step,
            images: pruning.images,
            least: (self.scores.len() >= pruning.history).then(|| self.better_than(pruning.share)),
        })
    }

    /// The least score of the best `share` of all.
    fn better_than(&self, share: f64) -> f64 {
        let count = (share * self.scores.len() as f64).ceil() as usize;
        self.scores[self.scores.len() - count.clamp(1, self.scores.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(scores: &[f64]) -> Looks {
        let mut looks = Looks::default();
        scores.iter().for_each(|&score| looks.push(score));
        looks
    }

    fn proxy(steps: usize, history: usize) -> ProxyConfig {
        let mut proxy = ProxyConfig::default();
        proxy.budget.steps = steps;
        proxy.pruning.history = history;
        (proxy.pruning.after, proxy.pruning.share) = (0.4, 0.5);
        proxy
    }

    #[test]
    fn nobody_is_given_up_before_there_is_a_history() {
        let looks = looked(&[0.1, 0.2, 0.3]);
        assert_eq!(looks.next(&proxy(100, 4)).unwrap().least, None);
        let look = looks.next(&proxy(100, 3)).unwrap();
        assert_eq!((look.step, look.least), (40, Some(0.2)));
    }

    #[test]
    fn half_of_all_scored_at_least_the_median() {
        let least = |scores: &[f64]| looked(scores).next(&proxy(100, 1)).unwrap().least;
        assert_eq!(least(&[0.4, 0.1, 0.3, 0.2]), Some(0.3));
        assert_eq!(least(&[0.5]), Some(0.5));
        // Where most are equal only what is worse than they are is given up.
        assert_eq!(least(&[0.06, 0.06, 0.06, 0.2]), Some(0.06));
    }

    #[test]
    fn a_training_too_short_to_be_looked_at_is_not() {
        assert_eq!(Looks::default().next(&proxy(1, 1)), None);
        assert_eq!(Looks::default().next(&proxy(2, 1)).unwrap().step, 1);
        let mut off = proxy(100, 1);
        off.pruning.enabled = false;
        assert_eq!(Looks::default().next(&off), None);
    }
}
