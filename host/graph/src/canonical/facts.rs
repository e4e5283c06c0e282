//! What is known of a node from its structure.
//!
//! Reordering a sum or a product changes rounding, and near overflow it changes finiteness: in
//! (a·a)·b the first product may be infinite where a·(a·b) is not. So each node carries a bound of its
//! magnitude in decades, for inputs of ordinary size: up to 1 for probabilities, up to 10⁶ for others
//! such as areas. A product is reordered only where the bounds of its factors add up to at most
//! [`LARGEST_PRODUCT`] (f32 ends at 38), a sum only where no partial sum exceeds
//! [`LARGEST_SUM`], so that an `inv` near 10¹² never swallows terms in one order that it spares in
//! another.

use crate::reference::pointwise;
use crate::{Node, NodeId, Op, Signature, Values};

/// Most decades of a product that is reordered.
pub(super) const LARGEST_PRODUCT: u16 = 30;
/// Most decades of a sum that is reordered.
pub(super) const LARGEST_SUM: u16 = 8;
/// Most terms or factors that are reordered together, repeated ones counted.
pub(super) const MOST_OPERANDS: u16 = 16;

/// Decades of an input that is no probability.
const INPUT: u16 = 6;
/// Decades of what may be infinite.
const UNBOUNDED: u16 = 1000;

/// Facts of one node of the normal form.
#[derive(Copy, Clone)]
pub(super) struct Facts {
    /// A position in an order that depends on the structure alone.
    pub(super) key: (u8, u64),
    /// Equal over C.
    pub(super) even_c: bool,
    /// Equal over N, H and W.
    pub(super) even_nhw: bool,
    /// Never below 0, and where it is 0 nothing of a gradient gets through it.
    pub(super) nonnegative: bool,
    /// 0 or 1.
    pub(super) binary: bool,
    /// Surely finite for inputs of ordinary size, and so is all below it.
    pub(super) finite: bool,
    /// Depends on a prediction.
    pub(super) moves: bool,
    /// Its value, where no input has a part in it.
    pub(super) constant: Option<f64>,
    /// Decades that the magnitude does not exceed.
    pub(super) decades: u16,
    /// The same of the largest term, for a sum.
    pub(super) term_decades: u16,
    /// Number of terms, for a sum.
    pub(super) terms: u16,
    /// Number of factors, for a product.
    pub(super) factors: u16,
}

impl Facts {
    /// The facts of a node over nodes whose facts are `known`.
    pub(super) fn of(node: Node, signature: &Signature, known: &[Facts]) -> Self {
        let at = |id: NodeId| &known[id.index()];
        match node {
            Node::One => Self {
                nonnegative: true,
                binary: true,
                constant: Some(1.0),
                ..Self::leaf((0, 0), 0, true)
            },
            Node::Input(input) => {
                let spec = signature.get(input);
                let probability = spec.is_some_and(|spec| spec.channel_mean_constant);
                let values = spec.map_or(Values::Any, |spec| spec.values);
                let small = probability || values == Values::Binary;
                let decades = if small { 0 } else { INPUT };
                Self {
                    nonnegative: values != Values::Any,
                    binary: values == Values::Binary,
                    moves: spec.is_some_and(|spec| spec.prediction),
                    ..Self::leaf((1, input.index() as u64), decades, false)
                }
            }
            Node::Unary(op, a) => Self::unary(op, at(a)),
            Node::Binary(Op::Add, a, b) => Self::sum(at(a), at(b)),
            Node::Binary(op, a, b) => Self::product(op, at(a), at(b)),
        }
    }

    fn leaf(key: (u8, u64), decades: u16, even: bool) -> Self {
        Self {
            key,
            even_c: even,
            even_nhw: even,
            nonnegative: false,
            binary: false,
            finite: true,
            moves: false,
            constant: None,
            decades,
            term_decades: decades,
            terms: 1,
            factors: 1,
        }
    }

    fn unary(op: Op, a: &Self) -> Self {
        let decades = match op {
            Op::Tanh => 0,
            // |ln| of any finite number above ε is below 710.
            Op::Log => 3,
            Op::Inv => 12,
            Op::Sqrt => a.decades.div_ceil(2),
            Op::Square => a.decades.saturating_mul(2).min(UNBOUNDED),
            // Terms of up to 1 each: eⁿ is below 10^(n/2).
            Op::Exp if a.term_decades == 0 => a.terms.div_ceil(2),
            Op::Exp if a.decades <= 1 => 5,
            Op::Exp => UNBOUNDED,
            _ => a.decades,
        };
        Self {
            key: key(op, a.key, (0, 0)),
            even_c: a.even_c || op == Op::MeanC,
            even_nhw: a.even_nhw || op == Op::MeanNhw,
            nonnegative: match op {
                Op::Abs | Op::Square | Op::Exp => true,
                Op::Neg | Op::Log => false,
                _ => a.nonnegative,
            },
            binary: match op {
                Op::Abs | Op::Square | Op::MaxPool3x3 | Op::MinPool3x3 => a.binary,
                _ => false,
            },
            finite: a.finite && decades <= LARGEST_PRODUCT,
            moves: a.moves,
            constant: a.constant.map(|value| pointwise(op, value)),
            decades,
            term_decades: if op == Op::Neg {
                a.term_decades
            } else {
                decades
            },
            terms: if op == Op::Neg { a.terms } else { 1 },
            factors: if op == Op::Square {
                a.factors.saturating_mul(2)
            } else {
                1
            },
        }
    }

    fn sum(a: &Self, b: &Self) -> Self {
        let terms = a.terms.saturating_add(b.terms);
        let term_decades = a.term_decades.max(b.term_decades);
        let decades = sum_decades(term_decades, terms);
        Self {
            finite: a.finite && b.finite && decades <= LARGEST_PRODUCT,
            decades,
            term_decades,
            terms,
            factors: 1,
            ..Self::pointwise(Op::Add, a, b)
        }
    }

    fn product(op: Op, a: &Self, b: &Self) -> Self {
        let decades = a.decades.saturating_add(b.decades).min(UNBOUNDED);
        Self {
            finite: a.finite && b.finite && decades <= LARGEST_PRODUCT,
            decades,
            term_decades: decades,
            terms: 1,
            factors: a.factors.saturating_add(b.factors),
            ..Self::pointwise(op, a, b)
        }
    }

    fn pointwise(op: Op, a: &Self, b: &Self) -> Self {
        Self {
            key: key(op, a.key, b.key),
            even_c: a.even_c && b.even_c,
            even_nhw: a.even_nhw && b.even_nhw,
            nonnegative: a.nonnegative && b.nonnegative,
            binary: op == Op::Mul && a.binary && b.binary,
            moves: a.moves || b.moves,
            constant: a.constant.zip(b.constant).map(|(a, b)| match op {
                Op::Add => a + b,
                _ => a * b,
            }),
            ..*a
        }
    }
}

/// Decades of a sum of `terms` terms.
pub(super) fn sum_decades(term_decades: u16, terms: u16) -> u16 {
    let digits = match terms {
        0 | 1 => 0,
        2..=10 => 1,
        11..=100 => 2,
        _ => 5,
    };
    term_decades.saturating_add(digits).min(UNBOUNDED)
}

/// The operator first, then a hash of the structure below.
fn key(op: Op, a: (u8, u64), b: (u8, u64)) -> (u8, u64) {
    let rank = op as u8 + 2;
    let parts = [u64::from(a.0), a.1, u64::from(b.0), b.1];
    (rank, parts.into_iter().fold(u64::from(rank), mix))
}

/// A step of the SplitMix64 generator (Steele, Lea and Flood 2014) over the parts.
fn mix(state: u64, part: u64) -> u64 {
    let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
