//! Sums: signed terms in a fixed order, the first one positive.

use super::facts::{LARGEST_SUM, MOST_OPERANDS, sum_decades};
use super::{Rewriter, Signed};
use crate::{Node, NodeId, Op};

impl Rewriter<'_> {
    /// a + b.
    pub(super) fn sum(&mut self, a: Signed, b: Signed) -> Signed {
        self.sum_of(vec![a, b])
    }

    /// Σ of the operands.
    pub(super) fn sum_of(&mut self, operands: Vec<Signed>) -> Signed {
        let facts = || operands.iter().map(|operand| self.facts(operand.id));
        let terms = facts().fold(0, |sum: u16, facts| sum.saturating_add(facts.terms));
        let largest = facts().map(|facts| facts.term_decades).max().unwrap_or(0);
        if terms > MOST_OPERANDS || sum_decades(largest, terms) > LARGEST_SUM {
            return self.chain(operands);
        }
        let mut parts = Vec::with_capacity(usize::from(terms));
        self.collect_terms(operands, false, &mut parts);
        self.chain(parts)
    }

    /// Drops means at the root and of its terms: the loss sums over all that they average.
    pub(super) fn strip_means(&mut self, root: Signed) -> Signed {
        let mut inner = root;
        while let Node::Unary(Op::MeanNhw | Op::MeanC, a) = self.node(inner.id) {
            inner.id = a;
        }
        let facts = self.facts(inner.id);
        if facts.terms == 1 || facts.terms > MOST_OPERANDS || facts.decades > LARGEST_SUM {
            return inner;
        }
        let mut parts = Vec::new();
        if self.collect_terms(vec![inner], true, &mut parts) {
            self.chain(parts)
        } else {
            inner
        }
    }

    /// The terms below `stack`, with `through_means` also those below means. False, and of no use,
    /// where there are too many.
    fn collect_terms(
        &self,
        mut stack: Vec<Signed>,
        through_means: bool,
        parts: &mut Vec<Signed>,
    ) -> bool {
        while let Some(term) = stack.pop() {
            match self.node(term.id) {
                Node::Unary(Op::Neg, a) => stack.push(Signed::plus(a).flipped(!term.negative)),
                Node::Unary(Op::MeanNhw | Op::MeanC, a) if through_means => {
                    stack.push(Signed { id: a, ..term });
                }
                Node::Binary(Op::Add, a, b) => {
                    stack.push(Signed { id: a, ..term });
                    stack.push(Signed { id: b, ..term });
                }
                _ if parts.len() >= usize::from(MOST_OPERANDS) => return false,
                _ => parts.push(term),
            }
        }
        true
    }

    /// ((t₁ + t₂) + t₃) + …, in order of key, a positive term before an equal negative one. Of the sum
    /// and its negative the one is written whose first imbalance of signs is positive; every leading
    /// part of it is then in this form too.
    pub(super) fn chain(&mut self, mut terms: Vec<Signed>) -> Signed {
        let negative = self.leads_negative(&mut terms);
        if negative {
            for term in &mut terms {
                *term = term.flipped(true);
            }
            self.sort_terms(&mut terms);
        }
        let mut total: Option<NodeId> = None;
        for term in terms {
            let term = self.written(term);
            total = Some(match total {
                None => term,
                Some(total) => self.add(Node::Binary(Op::Add, total, term)),
            });
        }
        let total = total.unwrap_or_else(|| self.add(Node::One));
        Signed {
            negative,
            id: total,
        }
    }

    fn sort_terms(&self, terms: &mut [Signed]) {
        terms.sort_by_key(|term| (self.facts(term.id).key, term.negative));
    }

    /// Sorts, and tells whether the first term that occurs unequally often with both signs is more
    /// often negative.
    fn leads_negative(&self, terms: &mut [Signed]) -> bool {
        self.sort_terms(terms);
        terms
            .chunk_by(|a, b| a.id == b.id)
            .map(|equal| {
                (
                    equal.len(),
                    equal.iter().filter(|term| term.negative).count(),
                )
            })
            .find(|(count, negative)| 2 * negative != *count)
            .is_some_and(|(count, negative)| 2 * negative > count)
    }
}
