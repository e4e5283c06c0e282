//! Products: factors with exponents in a fixed order, the sign outside.

use super::facts::{LARGEST_PRODUCT, MOST_OPERANDS};
use super::{Rewriter, Signed};
use crate::{Node, NodeId, Op};

/// A factor and its exponent.
type Power = (NodeId, u16);

impl Rewriter<'_> {
    /// a · b.
    pub(super) fn product(&mut self, a: Signed, b: Signed) -> Signed {
        let negative = a.negative != b.negative;
        let (left, right) = (self.facts(a.id), self.facts(b.id));
        let small = left.factors.saturating_add(right.factors) <= MOST_OPERANDS
            && left.decades.saturating_add(right.decades) <= LARGEST_PRODUCT;
        let powers = if small { self.powers(a.id, b.id) } else { None };
        let id = match powers {
            Some(powers) => {
                let powers = self.join_exponentials(powers);
                self.product_of(powers)
            }
            None => self.pair(a.id, b.id),
        };
        Signed { negative, id }
    }

    /// The product of two factors that stay as they are.
    fn pair(&mut self, a: NodeId, b: NodeId) -> NodeId {
        match (self.node(a), self.node(b)) {
            (Node::One, _) => b,
            (_, Node::One) => a,
            _ if a == b && self.facts(a).binary => a,
            (Node::Unary(Op::Abs, inner), _) if a == b => self.add(Node::Unary(Op::Square, inner)),
            _ if a == b => self.add(Node::Unary(Op::Square, a)),
            _ if self.facts(b).key < self.facts(a).key => self.add(Node::Binary(Op::Mul, b, a)),
            _ => self.add(Node::Binary(Op::Mul, a, b)),
        }
    }

    /// The factors of a · b in order; None where there are too many.
    pub(super) fn powers(&self, a: NodeId, b: NodeId) -> Option<Vec<Power>> {
        let mut powers: Vec<Power> = Vec::new();
        let mut total = 0;
        self.collect_factors(vec![(a, 1), (b, 1)], &mut powers, &mut total)?;
        // |x|² is x².
        while let Some(at) = powers.iter().position(|&power| self.is_squared_abs(power)) {
            let (id, exponent) = powers[at];
            let Node::Unary(Op::Abs, inner) = self.node(id) else {
                return None;
            };
            let even = exponent - exponent % 2;
            powers[at].1 -= even;
            total -= even;
            powers.retain(|power| power.1 > 0);
            self.collect_factors(vec![(inner, even)], &mut powers, &mut total)?;
        }
        // 0 and 1 are their own powers.
        for power in &mut powers {
            if self.facts(power.0).binary {
                power.1 = 1;
            }
        }
        powers.sort_by_key(|power| self.facts(power.0).key);
        Some(powers)
    }

    /// The factors with eᵃ · eᵇ as eᵃ⁺ᵇ, where neither can be large.
    fn join_exponentials(&mut self, powers: Vec<Power>) -> Vec<Power> {
        let mut exponents = Vec::new();
        let mut rest = Vec::with_capacity(powers.len());
        for &(id, exponent) in &powers {
            match self.node(id) {
                Node::Unary(Op::Exp, a) if self.facts(a).term_decades == 0 => {
                    exponents.extend((0..exponent).map(|_| Signed::plus(a)));
                }
                _ => rest.push((id, exponent)),
            }
        }
        if exponents.len() < 2 {
            return powers;
        }
        let sum = self.sum_of(exponents);
        rest.push((self.unary(Op::Exp, sum).id, 1));
        rest.sort_by_key(|power| self.facts(power.0).key);
        rest
    }

    /// The factors of a node that are 0 or 1, and the others, where there are both.
    pub(super) fn binary_factors(&mut self, a: NodeId) -> Option<(NodeId, NodeId)> {
        // 0 · ∞ is not 0.
        if !matches!(self.node(a), Node::Binary(Op::Mul, ..)) || !self.facts(a).finite {
            return None;
        }
        let one = self.add(Node::One);
        let powers = self.powers(a, one)?;
        let (binary, rest): (Vec<Power>, Vec<Power>) = powers
            .into_iter()
            .partition(|power| self.facts(power.0).binary);
        (!binary.is_empty() && !rest.is_empty())
            .then(|| (self.product_of(binary), self.product_of(rest)))
    }

    fn is_squared_abs(&self, (id, exponent): Power) -> bool {
        exponent >= 2 && matches!(self.node(id), Node::Unary(Op::Abs, _))
    }

    fn collect_factors(
        &self,
        mut stack: Vec<Power>,
        powers: &mut Vec<Power>,
        total: &mut u16,
    ) -> Option<()> {
        while let Some((id, exponent)) = stack.pop() {
            match self.node(id) {
                Node::One => {}
                // A product of more factors than are reordered is not opened.
                _ if exponent.saturating_mul(self.facts(id).factors) > MOST_OPERANDS => {
                    return None;
                }
                Node::Unary(Op::Square, a) => stack.push((a, 2 * exponent)),
                Node::Binary(Op::Mul, a, b) => stack.extend([(a, exponent), (b, exponent)]),
                _ => {
                    *total += exponent;
                    match powers.iter_mut().find(|power| power.0 == id) {
                        Some(power) => power.1 += exponent,
                        None => powers.push((id, exponent)),
                    }
                }
            }
            if *total > MOST_OPERANDS {
                return None;
            }
        }
        Some(())
    }

    /// ((p₁ · p₂) · p₃) · … .
    pub(super) fn product_of(&mut self, powers: Vec<Power>) -> NodeId {
        let mut product: Option<NodeId> = None;
        for power in powers {
            let power = self.power(power);
            product = Some(match product {
                None => power,
                Some(product) => self.add(Node::Binary(Op::Mul, product, power)),
            });
        }
        product.unwrap_or_else(|| self.add(Node::One))
    }

    /// x^e by squaring: x·square(…) for odd e.
    fn power(&mut self, (id, exponent): Power) -> NodeId {
        if exponent <= 1 {
            return id;
        }
        let half = self.power((id, exponent / 2));
        let square = self.add(Node::Unary(Op::Square, half));
        if exponent % 2 == 0 {
            square
        } else {
            self.add(Node::Binary(Op::Mul, id, square))
        }
    }
}
