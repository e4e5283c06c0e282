//! What is known of a node from its structure.
//!
//! Reordering a sum or a product changes rounding, and near overflow it changes finiteness: in
//! (a·a)·b the first product may be infinite where a·(a·b) is not. So each node carries a bound of its
//! magnitude in orders (powers of ten), for inputs of ordinary size: up to 1 for probabilities, up to 10⁶ for others
//! such as areas. A product is reordered only where the bounds of its factors add up to at most
//! [`LARGEST_PRODUCT`] (f32 ends at 38), a sum only where no partial sum exceeds
//! [`LARGEST_SUM`], so that an `inv` near 10¹² never swallows terms in one order that it spares in
//! another.

use crate::facts::Traits;
use crate::hash::mix;
use crate::{BinaryOp, Node, NodeId, Op, Signature, UnaryOp};

/// Most orders of magnitude of a product that is reordered.
pub(super) const LARGEST_PRODUCT: u16 = 30;
/// Most orders of magnitude of a sum that is reordered.
pub(super) const LARGEST_SUM: u16 = 8;
/// Most terms or factors that are reordered together, repeated ones counted.
pub(super) const MOST_OPERANDS: u16 = 16;

/// Orders of magnitude of an input that is not a probability.
const INPUT: u16 = 6;
/// Orders of magnitude of what may be infinite.
const UNBOUNDED: u16 = 1000;

/// What is known of one node of the normal form.
#[derive(Copy, Clone)]
pub(super) struct Known {
    /// A position in an order that depends on the structure alone.
    pub(super) key: (u8, u64),
    /// What follows from the operators.
    pub(super) traits: Traits,
    /// Surely finite for inputs of ordinary size, and so is all below it.
    pub(super) finite: bool,
    /// Its value, where no input has a part in it.
    pub(super) constant: Option<f64>,
    /// Orders of magnitude that it does not exceed.
    pub(super) orders: u16,
    /// The same of the largest term, for a sum.
    pub(super) term_orders: u16,
    /// Number of terms, for a sum.
    pub(super) terms: u16,
    /// Number of factors, for a product.
    pub(super) factors: u16,
}

impl Known {
    /// Of a node over nodes of which `known` is known.
    pub(super) fn of(node: Node, signature: &Signature, known: &[Known]) -> Self {
        let at = |id: NodeId| &known[id.index()];
        match node {
            Node::One => Self {
                constant: Some(1.0),
                ..Self::leaf((0, 0), 0, Traits::ONE)
            },
            Node::Input(input) => {
                let spec = signature.get(input);
                let probability = spec.is_some_and(|spec| spec.channel_mean_constant);
                let traits = Traits::input(spec);
                let small = probability || traits.binary;
                let orders = if small { 0 } else { INPUT };
                Self::leaf((1, input.index() as u64), orders, traits)
            }
            Node::Unary(op, a) => Self::unary(op, at(a)),
            Node::Binary(BinaryOp::Add, a, b) => Self::sum(at(a), at(b)),
            Node::Binary(BinaryOp::Mul, a, b) => Self::product(at(a), at(b)),
        }
    }

    fn leaf(key: (u8, u64), orders: u16, traits: Traits) -> Self {
        Self {
            key,
            traits,
            finite: true,
            constant: None,
            orders,
            term_orders: orders,
            terms: 1,
            factors: 1,
        }
    }

    fn unary(op: UnaryOp, a: &Self) -> Self {
        let orders = match op {
            UnaryOp::Tanh => 0,
            // |ln| of any finite number above ε is below 710.
            UnaryOp::Log => 3,
            UnaryOp::Inv => 12,
            UnaryOp::Sqrt => a.orders.div_ceil(2),
            UnaryOp::Square => a.orders.saturating_mul(2).min(UNBOUNDED),
            // Terms of up to 1 each: eⁿ is below 10^(n/2).
            UnaryOp::Exp if a.term_orders == 0 => a.terms.div_ceil(2),
            UnaryOp::Exp if a.orders <= 1 => 5,
            UnaryOp::Exp => UNBOUNDED,
            _ => a.orders,
        };
        Self {
            key: key(op.into(), a.key, (0, 0)),
            traits: a.traits.unary(op),
            finite: a.finite && orders <= LARGEST_PRODUCT,
            constant: a.constant.map(|value| op.at(value)),
            orders,
            term_orders: if op == UnaryOp::Neg {
                a.term_orders
            } else {
                orders
            },
            terms: if op == UnaryOp::Neg { a.terms } else { 1 },
            factors: if op == UnaryOp::Square {
                a.factors.saturating_mul(2)
            } else {
                1
            },
        }
    }

    fn sum(a: &Self, b: &Self) -> Self {
        let terms = a.terms.saturating_add(b.terms);
        let term_orders = a.term_orders.max(b.term_orders);
        let orders = sum_orders(term_orders, terms);
        Self {
            finite: a.finite && b.finite && orders <= LARGEST_PRODUCT,
            orders,
            term_orders,
            terms,
            factors: 1,
            ..Self::pointwise(BinaryOp::Add, a, b)
        }
    }

    fn product(a: &Self, b: &Self) -> Self {
        let orders = a.orders.saturating_add(b.orders).min(UNBOUNDED);
        Self {
            finite: a.finite && b.finite && orders <= LARGEST_PRODUCT,
            orders,
            term_orders: orders,
            terms: 1,
            factors: a.factors.saturating_add(b.factors),
            ..Self::pointwise(BinaryOp::Mul, a, b)
        }
    }

    fn pointwise(op: BinaryOp, a: &Self, b: &Self) -> Self {
        Self {
            key: key(op.into(), a.key, b.key),
            traits: a.traits.binary(op, b.traits),
            constant: a.constant.zip(b.constant).map(|(a, b)| op.at(a, b)),
            ..*a
        }
    }
}

/// Orders of magnitude of a sum of `terms` terms.
pub(super) fn sum_orders(term_orders: u16, terms: u16) -> u16 {
    let digits = match terms {
        0 | 1 => 0,
        2..=10 => 1,
        11..=100 => 2,
        _ => 5,
    };
    term_orders.saturating_add(digits).min(UNBOUNDED)
}

/// The operator first, then a hash of the structure below.
fn key(op: Op, a: (u8, u64), b: (u8, u64)) -> (u8, u64) {
    let rank = op.number() + 2;
    let parts = [u64::from(a.0), a.1, u64::from(b.0), b.1];
    (rank, parts.into_iter().fold(u64::from(rank), mix))
}
