//! The root of the training form: what has no gradient is no part of it.
//!
//! A sum at the root is a sum of losses. A product with a sum in it is multiplied out, so that each term
//! can be looked at; terms without a prediction are dropped, and so are those whose sum over the channels
//! no prediction changes, such as ŷ alone after a softmax.

use super::facts::{LARGEST_SUM, MOST_OPERANDS};
use super::{Rewriter, Signed};
use crate::{Node, NodeId, Op};

impl Rewriter<'_> {
    /// The root of a loss with the same gradient.
    pub(super) fn trained_root(&mut self, root: Signed) -> Signed {
        let Some(terms) = self.multiplied_out(root) else {
            return root;
        };
        let kept: Vec<Signed> = terms
            .iter()
            .copied()
            .filter(|term| self.has_gradient(term.id))
            .collect();
        if kept.is_empty() {
            return root;
        }
        self.chain(kept)
    }

    /// The terms of the root; None where there are too many.
    fn multiplied_out(&mut self, root: Signed) -> Option<Vec<Signed>> {
        let mut stack = vec![root];
        let mut terms = Vec::new();
        while let Some(term) = stack.pop() {
            if terms.len() + stack.len() > usize::from(MOST_OPERANDS) {
                return None;
            }
            if self.facts(term.id).decades > LARGEST_SUM {
                terms.push(term);
                continue;
            }
            match self.node(term.id) {
                Node::Unary(Op::Neg, a) => stack.push(Signed { id: a, ..term }.flipped(true)),
                Node::Unary(Op::MeanNhw | Op::MeanC, a) => stack.push(Signed { id: a, ..term }),
                Node::Binary(Op::Add, a, b) => {
                    stack.extend([a, b].map(|id| Signed { id, ..term }));
                }
                Node::Binary(Op::Mul, ..) => match self.with_sum(term.id) {
                    Some((rest, [a, b])) => {
                        for part in [a, b] {
                            let part = self.signed(part);
                            let part = self.product(Signed::plus(rest), part);
                            stack.push(part.flipped(term.negative));
                        }
                    }
                    None => terms.push(term),
                },
                _ => terms.push(term),
            }
        }
        Some(terms)
    }

    /// A node with its sign apart.
    fn signed(&self, id: NodeId) -> Signed {
        match self.node(id) {
            Node::Unary(Op::Neg, a) => Signed::plus(a).flipped(true),
            _ => Signed::plus(id),
        }
    }

    /// A product as its first factor that is a sum, and the rest.
    fn with_sum(&mut self, id: NodeId) -> Option<(NodeId, [NodeId; 2])> {
        let one = self.add(Node::One);
        let mut powers = self.powers(id, one)?;
        let sums = |power: &(NodeId, u16)| match (self.node(power.0), power.1) {
            (Node::Binary(Op::Add, a, b), 1) => Some([a, b]),
            _ => None,
        };
        let (at, parts) = powers
            .iter()
            .enumerate()
            .find_map(|(at, power)| Some((at, sums(power)?)))?;
        powers.remove(at);
        Some((self.product_of(powers), parts))
    }

    /// Whether a term of the root has a gradient.
    fn has_gradient(&mut self, id: NodeId) -> bool {
        let facts = *self.facts(id);
        // What may be infinite ends a training.
        !facts.finite || (facts.moves && !self.has_constant_sum(id))
    }

    /// Whether a term is an input of constant mean over the channels, times what is equal over them.
    fn has_constant_sum(&mut self, id: NodeId) -> bool {
        let one = self.add(Node::One);
        let Some(powers) = self.powers(id, one) else {
            return false;
        };
        let mut moving = powers.into_iter().filter(|power| {
            let facts = self.facts(power.0);
            facts.moves || !facts.even_c
        });
        let (Some((id, 1)), None) = (moving.next(), moving.next()) else {
            return false;
        };
        match self.node(id) {
            Node::Input(input) => self
                .signature
                .get(input)
                .is_some_and(|spec| spec.channel_mean_constant),
            _ => false,
        }
    }
}
