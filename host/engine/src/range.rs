//! Between which values an expression stays.
//!
//! What is certain to be finite may be multiplied by 0 without being looked at. Ranges are those of single
//! precision: each is a little wider than exact arithmetic would have it.

use crate::expr::{Back, Expr, Exprs, Id, Map};
use crate::lower::Sizes;
use crate::math::EPSILON;

/// Finite values from `low` to `high`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Range {
    low: f64,
    high: f64,
}

/// What is known of the inputs of a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Of all parts of the prediction.
    pub(crate) prediction: Option<Range>,
    /// By input; none for the prediction, and for values that are not all finite.
    pub(crate) fixed: Vec<Option<Range>>,
    /// By input: whether it has rows, a channel in a tile, that are 0 throughout.
    pub(crate) sparse: Vec<bool>,
}

/// Beyond it the next operation may leave single precision.
const MOST: f64 = 1e37;
/// Relative error of an operation, generously.
const ROUNDING: f64 = 1e-5;

impl Range {
    /// None where values may not be finite.
    pub(crate) fn new(low: f64, high: f64) -> Option<Self> {
        let range = Self {
            low: low - ROUNDING * low.abs(),
            high: high + ROUNDING * high.abs(),
        };
        (range.low >= -MOST && range.high <= MOST).then_some(range)
    }

    /// From −`most` to `most`.
    fn within(most: f64) -> Option<Self> {
        Self::new(-most, most)
    }

    /// Of numbers; none where one of them is not finite.
    pub(crate) fn of(values: impl IntoIterator<Item = f32>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().map(f64::from) {
            if value.is_nan() {
                return None;
            }
            (low, high) = (low.min(value), high.max(value));
        }
        Self::new(low, high)
    }

    /// The largest absolute value.
    fn size(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    fn add(self, other: Self) -> Option<Self> {
        Self::new(self.low + other.low, self.high + other.high)
    }

    fn negative(self) -> Self {
        Self {
            low: -self.high,
            high: -self.low,
        }
    }

    fn mul(self, other: Self) -> Option<Self> {
        let ends = [self.low, self.high].map(|a| [a * other.low, a * other.high]);
        let ends = ends.as_flattened().iter().copied();
        Self::new(
            ends.clone().fold(f64::INFINITY, f64::min),
            ends.fold(f64::NEG_INFINITY, f64::max),
        )
    }

    pub(crate) fn map(self, map: Map) -> Option<Self> {
        let epsilon = f64::from(EPSILON);
        let size = self.size();
        match map {
            Map::Abs => Self::new(0.0, size),
            Map::Inv if self.low >= 0.0 => {
                Self::new(1.0 / (self.high + epsilon), 1.0 / (self.low + epsilon))
            }
            Map::Inv if self.high < -2.0 * epsilon => {
                Self::new(1.0 / (self.high + epsilon), 1.0 / (self.low + epsilon))
            }
            Map::Inv => None,
            Map::Log => {
                let (least, most) = (epsilon.ln(), (size + epsilon).ln());
                match self.low >= 0.0 {
                    true => Self::new(least, most.max(0.0)),
                    false => Self::within(least.abs().max(most)),
                }
            }
            Map::Exp => Self::new(0.0, self.high.exp()),
            Map::Tanh => Self::within(1.0),
            Map::Square => Self::new(0.0, size * size),
            Map::Sqrt => {
                let most = (size + epsilon).sqrt();
                Self::new(if self.low >= 0.0 { 0.0 } else { -most }, most)
            }
        }
    }

    /// What a rule makes of what arrives, `self`, and of the operand or result.
    fn back(self, rule: Back, value: Self) -> Option<Self> {
        let epsilon = f64::from(EPSILON);
        let most = match rule {
            Back::Abs | Back::Tanh => 1.0,
            Back::Inv => value.size() * value.size(),
            Back::Log => 1.0 / (value.low.max(0.0) + epsilon),
            // No result but 0 is smaller than √ε.
            Back::Sqrt => 0.5 / (0.5 * epsilon.sqrt()),
        };
        // 1 − y² of a result beyond 1 by rounding is still small.
        Self::within(self.size() * most)
    }

    fn times(self, count: usize) -> Option<Self> {
        Self::new(self.low * count as f64, self.high * count as f64)
    }
}

/// The ranges of all expressions; none where one may not be finite.
pub(crate) fn ranges(exprs: &Exprs, facts: &Facts, sizes: Sizes) -> Vec<Option<Range>> {
    let mut ranges: Vec<Option<Range>> = Vec::with_capacity(exprs.len());
    for id in exprs.ids() {
        let range = of(exprs.get(id), facts, sizes, |id: Id| ranges[id.index()]);
        ranges.push(range);
    }
    ranges
}

fn of(
    expr: Expr,
    facts: &Facts,
    sizes: Sizes,
    range: impl Fn(Id) -> Option<Range>,
) -> Option<Range> {
    match expr {
        Expr::Constant(bits) => Range::of([f32::from_bits(bits)]),
        Expr::Prediction(_) => facts.prediction,
        Expr::Fixed(input) => *facts.fixed.get(usize::from(input))?,
        Expr::Add(a, b) => range(a)?.add(range(b)?),
        Expr::Sub(a, b) => range(a)?.add(range(b)?.negative()),
        Expr::Mul(a, b) => range(a)?.mul(range(b)?),
        Expr::MulAdd(a, b, c) => range(a)?.mul(range(b)?)?.add(range(c)?),
        Expr::MulSub(a, b, c) => range(a)?.mul(range(b)?)?.add(range(c)?.negative()),
        Expr::SubMul(a, b, c) => range(c)?.add(range(a)?.mul(range(b)?)?.negative()),
        Expr::Map(map, a) => range(a)?.map(map),
        Expr::MapMul(map, a, b) => range(a)?.map(map)?.mul(range(b)?),
        Expr::Back(rule, g, x) => range(g)?.back(rule, range(x)?),
        Expr::BackMul(rule, [a, b], x) => range(a)?.mul(range(b)?)?.back(rule, range(x)?),
        Expr::SumChannels(a) => range(a)?.times(sizes.channels),
        Expr::SumPositions(a) => range(a)?.times(sizes.positions),
        Expr::Pool(_, a) => range(a),
        // A position can be the greatest of nine neighbourhoods.
        Expr::PoolBack(_, g, x) => range(x).and(Range::within(9.0 * range(g)?.size())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: f64, high: f64) -> Range {
        Range::new(low, high).unwrap()
    }

    #[test]
    fn what_may_be_infinite_has_no_range() {
        let share = range(0.0, 1.0);
        assert!(share.map(Map::Inv).is_some());
        let difference = share.add(share.negative()).unwrap();
        assert!(difference.map(Map::Inv).is_none());
        assert!(range(-3.0, -1.0).map(Map::Inv).is_some());
        assert!(share.map(Map::Inv).unwrap().map(Map::Exp).is_none());
        let huge = share.map(Map::Inv).unwrap().map(Map::Square).unwrap();
        assert!(huge.map(Map::Square).is_none());
        assert!(Range::of([1.0, f32::NAN]).is_none());
        assert!(Range::of([1.0, f32::INFINITY]).is_none());
    }

    #[test]
    fn maps_of_samples_stay_in_range() {
        let kept = range(-2.0, 3.0);
        for map in [
            Map::Abs,
            Map::Log,
            Map::Exp,
            Map::Tanh,
            Map::Square,
            Map::Sqrt,
        ] {
            let found = kept.map(map).unwrap();
            for step in 0..=100 {
                let x = -2.0 + 0.05 * f64::from(step);
                let sign = if x == 0.0 { 0.0 } else { x.signum() };
                let y = match map {
                    Map::Abs => x.abs(),
                    Map::Log => sign * (x.abs() + 1e-12).ln(),
                    Map::Exp => x.exp(),
                    Map::Tanh => x.tanh(),
                    Map::Square => x * x,
                    _ => sign * (x.abs() + 1e-12).sqrt(),
                };
                assert!(
                    found.low <= y && y <= found.high,
                    "{map:?} {x} {y} {found:?}"
                );
            }
        }
    }
}
