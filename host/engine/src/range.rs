//! Between which values an expression stays.
//!
//! What is certain to be finite may be multiplied by 0 without being computed. The bounds are those of
//! [`autoloss_graph::facts`] in single precision; here are the expressions that graphs do not have.

use crate::expr::{Back, Expr, Exprs, Id};
use crate::lower::Sizes;
use autoloss_graph::facts::{Interval, SINGLE};
use autoloss_graph::{EPSILON, UnaryOp};

/// What is known of the inputs of a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputFacts {
    /// Of all parts of the prediction; None where values may not be finite.
    pub(crate) prediction: Option<Interval>,
    /// By input; None for the prediction, and for values that are not all finite.
    pub(crate) fixed: Vec<Option<Interval>>,
    /// By input: whether it has rows, a channel in a tile, that are 0 throughout.
    pub(crate) sparse: Vec<bool>,
}

/// Beyond it the next operation may leave single precision.
const MOST: f64 = 1e37;

/// The interval of rounded values; None where they may not be finite.
pub(crate) fn finite(interval: Interval) -> Option<Interval> {
    let rounded = interval.rounded(SINGLE);
    (rounded.low >= -MOST && rounded.high <= MOST).then_some(rounded)
}

/// The interval of numbers; None where one of them is not finite.
pub(crate) fn of_numbers(values: impl IntoIterator<Item = f32>) -> Option<Interval> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.into_iter().map(f64::from) {
        if value.is_nan() {
            return None;
        }
        (low, high) = (low.min(value), high.max(value));
    }
    finite(Interval::new(low, high))
}

/// The interval of an operator's values.
pub(crate) fn image(op: UnaryOp, a: Interval) -> Option<Interval> {
    finite(a.image(op, SINGLE))
}

fn add(a: Interval, b: Interval) -> Option<Interval> {
    finite(a.plus(b))
}

fn mul(a: Interval, b: Interval) -> Option<Interval> {
    finite(a.times(b))
}

/// What a rule makes of what arrives, `g`, and of the operand or result.
fn back(rule: Back, g: Interval, value: Interval) -> Option<Interval> {
    let most = match rule {
        Back::Abs | Back::Tanh => 1.0,
        Back::Inv => value.magnitude() * value.magnitude(),
        Back::Log => 1.0 / (value.low.max(0.0) + EPSILON),
        // No result but 0 is smaller than √ε.
        Back::Sqrt => 0.5 / (0.5 * EPSILON.sqrt()),
    };
    // 1 − y² of a result beyond 1 by rounding is still small.
    finite(Interval::within(g.magnitude() * most))
}

/// A sum of `count` values.
fn sum(a: Interval, count: usize) -> Option<Interval> {
    finite(a.times(Interval::new(count as f64, count as f64)))
}

/// The intervals of all expressions; None where values may not be finite.
pub(crate) fn ranges(exprs: &Exprs, facts: &InputFacts, sizes: Sizes) -> Vec<Option<Interval>> {
    let mut ranges: Vec<Option<Interval>> = Vec::with_capacity(exprs.len());
    for id in exprs.ids() {
        let range = of(exprs.get(id), facts, sizes, |id: Id| ranges[id.index()]);
        ranges.push(range);
    }
    ranges
}

fn of(
    expr: Expr,
    facts: &InputFacts,
    sizes: Sizes,
    range: impl Fn(Id) -> Option<Interval>,
) -> Option<Interval> {
    match expr {
        Expr::Constant(bits) => of_numbers([f32::from_bits(bits)]),
        Expr::Prediction(_) => facts.prediction,
        Expr::Fixed(input) => *facts.fixed.get(usize::from(input))?,
        Expr::Add(a, b) => add(range(a)?, range(b)?),
        Expr::Sub(a, b) => add(range(a)?, range(b)?.negated()),
        Expr::Mul(a, b) => mul(range(a)?, range(b)?),
        Expr::MulAdd(a, b, c) => add(mul(range(a)?, range(b)?)?, range(c)?),
        Expr::MulSub(a, b, c) => add(mul(range(a)?, range(b)?)?, range(c)?.negated()),
        Expr::SubMul(a, b, c) => add(range(c)?, mul(range(a)?, range(b)?)?.negated()),
        Expr::Map(map, a) => image(map.op(), range(a)?),
        Expr::MapMul(map, a, b) => mul(image(map.op(), range(a)?)?, range(b)?),
        Expr::Back(rule, g, x) => back(rule, range(g)?, range(x)?),
        Expr::BackMul(rule, [a, b], x) => back(rule, mul(range(a)?, range(b)?)?, range(x)?),
        Expr::SumChannels(a) => sum(range(a)?, sizes.channels),
        Expr::SumPositions(a) => sum(range(a)?, sizes.positions),
        Expr::Pool(_, a) => range(a),
        // A position can be the greatest of nine neighbourhoods.
        Expr::PoolBack(_, g, x) => {
            range(x).and(finite(Interval::within(9.0 * range(g)?.magnitude())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Map;

    #[test]
    fn what_may_be_infinite_has_no_range() {
        let range = |low, high| finite(Interval::new(low, high)).unwrap();
        let share = range(0.0, 1.0);
        assert!(image(UnaryOp::Inv, share).is_some());
        let difference = add(share, share.negated()).unwrap();
        assert!(image(UnaryOp::Inv, difference).is_none());
        assert!(image(UnaryOp::Inv, range(-3.0, -1.0)).is_some());
        let large = image(UnaryOp::Inv, share).unwrap();
        assert!(image(UnaryOp::Exp, large).is_none());
        let huge = image(UnaryOp::Square, large).unwrap();
        assert!(image(UnaryOp::Square, huge).is_none());
        assert!(of_numbers([1.0, f32::NAN]).is_none());
        assert!(of_numbers([1.0, f32::INFINITY]).is_none());
    }

    #[test]
    fn maps_of_samples_stay_in_range() {
        for (low, high) in [(-2.0, 3.0), (0.0, 1.0), (0.25, 3.0), (-90.0, -88.0)] {
            let kept = finite(Interval::new(low, high)).unwrap();
            for map in Map::ALL {
                let Some(found) = image(map.op(), kept) else {
                    assert!((map, low) == (Map::Inv, -2.0), "{map:?} {kept:?}");
                    continue;
                };
                for step in 0..=100 {
                    let x = low + 0.01 * f64::from(step) * (high - low);
                    let y = f64::from(crate::expr::number(map, x as f32));
                    assert!(
                        found.low <= y && y <= found.high,
                        "{map:?} {x} {y} {found:?}"
                    );
                }
            }
        }
    }
}
