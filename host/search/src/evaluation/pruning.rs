//! When a training is pruned.
//!
//! Many losses that pass every screen train a network to nothing, and that shows long before the last step.
//! So each training of a search is scored once on its way, always after the same number of steps, and pruned
//! where it scores less than a part of the trainings before it did. What is compared is the same split, the
//! same samples, the same seed and the same learning rates. One that scores no more than constant predictions has
//! learned nothing yet, and is pruned whatever came before it; that is looked at early, since it is frequent.

use super::job::PruningRule;
use crate::config::ProxyConfig;
use crate::fitness::Fitness;

/// The scores of trainings on their way, pruned or not.
#[derive(Debug, Default)]
pub(crate) struct Pruner {
    /// In ascending order.
    scores: Vec<Fitness>,
}

impl Pruner {
    /// Takes in the score of a training at its rule's step.
    pub(crate) fn push(&mut self, score: f64) {
        if let Some(score) = Fitness::new(score) {
            let place = self.scores.partition_point(|known| *known <= score);
            self.scores.insert(place, score);
        }
    }

    /// The rule of the next training; none where its step could not come before the end.
    pub(crate) fn next(&self, proxy: &ProxyConfig) -> Option<PruningRule> {
        let (pruning, steps) = (&proxy.pruning, proxy.budget.steps);
        let after = |part: f64| ((part * steps as f64).round() as usize).max(1);
        let (step, first) = (after(pruning.after), after(pruning.constant_after));
        (pruning.enabled && step < steps).then(|| PruningRule {
            step,
            images: pruning.images,
            constant: pruning.constant,
            first: (pruning.constant && first < step).then_some(first),
            least: (self.scores.len() >= pruning.history).then(|| self.better_than(pruning.share)),
        })
    }

    /// The least score of the best `share` of all.
    fn better_than(&self, share: f64) -> Fitness {
        let count = (share * self.scores.len() as f64).ceil() as usize;
        self.scores[self.scores.len() - count.clamp(1, self.scores.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruner(scores: &[f64]) -> Pruner {
        let mut pruner = Pruner::default();
        scores.iter().for_each(|&score| pruner.push(score));
        pruner
    }

    fn proxy(steps: usize, history: usize) -> ProxyConfig {
        let mut proxy = ProxyConfig::default();
        proxy.budget.steps = steps;
        proxy.pruning.history = history;
        (proxy.pruning.after, proxy.pruning.share) = (0.4, 0.5);
        proxy
    }

    #[test]
    fn nothing_is_pruned_before_there_is_a_history() {
        let pruner = pruner(&[0.1, 0.2, 0.3]);
        assert_eq!(pruner.next(&proxy(100, 4)).unwrap().least, None);
        let rule = pruner.next(&proxy(100, 3)).unwrap();
        assert_eq!((rule.step, rule.least), (40, Fitness::new(0.2)));
    }

    #[test]
    fn half_of_all_scored_at_least_the_median() {
        let least = |scores: &[f64]| pruner(scores).next(&proxy(100, 1)).unwrap().least;
        assert_eq!(least(&[0.4, 0.1, 0.3, 0.2]), Fitness::new(0.3));
        assert_eq!(least(&[0.5]), Fitness::new(0.5));
        // Where most are equal only what is worse than they are is pruned.
        assert_eq!(least(&[0.06, 0.06, 0.06, 0.2]), Fitness::new(0.06));
    }

    #[test]
    fn constant_predictions_are_looked_for_earlier() {
        let first = |constant_after: f64, constant: bool| {
            let mut proxy = proxy(100, 1);
            proxy.pruning.constant_after = constant_after;
            proxy.pruning.constant = constant;
            Pruner::default().next(&proxy).unwrap().first
        };
        assert_eq!(first(0.1, true), Some(10));
        assert_eq!(first(0.001, true), Some(1));
        assert_eq!((first(0.4, true), first(0.1, false)), (None, None));
    }

    #[test]
    fn a_training_too_short_to_be_pruned_is_not() {
        assert_eq!(Pruner::default().next(&proxy(1, 1)), None);
        assert_eq!(Pruner::default().next(&proxy(2, 1)).unwrap().step, 1);
        let mut off = proxy(100, 1);
        off.pruning.enabled = false;
        assert_eq!(Pruner::default().next(&off), None);
    }
}
