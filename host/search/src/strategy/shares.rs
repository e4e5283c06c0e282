//! How often each kind of mutation is drawn.
//!
//! A kind is worth what its evaluated children were: the share of them that scored at least what their parents did.
//! A kind's first share times its worth, over all kinds, is its share from then on, and never less than a
//! twentieth, since a kind that is bad now may be what a better population needs.

use autoloss_graph::Mutation;

use crate::candidate::Origin;

/// The least share of a kind.
const FLOOR: f64 = 0.05;

/// What became of the children of each kind.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    first: [f64; Shares::KINDS],
    adaptive: bool,
    children: [f64; Shares::KINDS],
    good: [f64; Shares::KINDS],
}

impl Shares {
    /// The mutations of a graph by itself, and the sum with another.
    pub(super) const KINDS: usize = Mutation::ALL.len() + 1;
    /// The place of the sum.
    pub(super) const ADDITION: usize = Mutation::ALL.len();

    pub(super) fn new(addition: f64, adaptive: bool) -> Self {
        let each = (1.0 - addition) / Mutation::ALL.len() as f64;
        let mut first = [each; Self::KINDS];
        first[Self::ADDITION] = addition;
        Self {
            first,
            adaptive,
            children: [0.0; Self::KINDS],
            good: [0.0; Self::KINDS],
        }
    }

    /// Takes in a child that was evaluated: how a branch came about, and whether it scored at least what its parent
    /// did.
    pub(super) fn tell(&mut self, origin: Origin, good: bool) {
        let kind = match origin {
            Origin::Insertion => 0,
            Origin::Deletion => 1,
            Origin::Replacement => 2,
            Origin::Addition => Self::ADDITION,
            Origin::Inherited | Origin::Fresh | Origin::Guess => return,
        };
        self.children[kind] += 1.0;
        self.good[kind] += f64::from(u8::from(good));
    }

    /// The shares, which sum to 1. A kind that is switched off stays so.
    pub(super) fn now(&self) -> [f64; Self::KINDS] {
        if !self.adaptive {
            return self.first;
        }
        // Laplace's rule, so that a kind begins at a half.
        let worth = |kind: usize| (self.good[kind] + 1.0) / (self.children[kind] + 2.0);
        let mut shares = self.first;
        for (kind, share) in shares.iter_mut().enumerate() {
            *share *= worth(kind);
        }
        let all: f64 = shares.iter().sum();
        let open = shares.iter().filter(|share| **share > 0.0).count() as f64;
        for share in shares.iter_mut().filter(|share| **share > 0.0) {
            *share = FLOOR + (1.0 - open * FLOOR) * *share / all;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_is_drawn_more_often_and_nothing_dies_out() {
        let mut shares = Shares::new(0.1, true);
        let begun = shares.now();
        assert!((begun.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for _ in 0..200 {
            shares.tell(Origin::Insertion, true);
            shares.tell(Origin::Deletion, false);
            shares.tell(Origin::Addition, false);
        }
        let now = shares.now();
        assert!((now.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{now:?}");
        assert!(now[0] > 0.55 && now[0] > begun[0], "{now:?}");
        assert!(
            now[1] >= FLOOR && now[1] < 0.06 && now[Shares::ADDITION] >= FLOOR,
            "{now:?}"
        );
    }

    #[test]
    fn a_kind_that_is_off_stays_off_and_fixed_shares_stay() {
        let mut off = Shares::new(0.0, true);
        let mut fixed = Shares::new(0.1, false);
        for _ in 0..9 {
            off.tell(Origin::Deletion, true);
            fixed.tell(Origin::Deletion, true);
        }
        assert_eq!(off.now()[Shares::ADDITION], 0.0);
        assert_eq!(fixed.now(), [0.3, 0.3, 0.3, 0.1]);
    }
}
