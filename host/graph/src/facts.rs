//! What is certain of values, whatever the inputs: one transfer function for each operator.
//!
//! Several passes over graphs need to know where values can lie, each for its own purpose and within its
//! own time: the static checks and the canonical form take microseconds and follow [`Traits`] alone, the
//! engine follows an [`Interval`] in single precision, the simplifier of exports all of [`Facts`]. What is
//! known of an operator is written here once; a pass that needs more extends it with its own.
//!
//! Bounds are widened after each operation by more than rounding can move a value, so they hold for
//! computed values too.
//!
//! ```
//! use autoloss_graph::facts::Facts;
//! use autoloss_graph::{Limits, LossGraph, Signature};
//!
//! let signature = Signature::dense();
//! let graph = LossGraph::parse("exp(neg(yhat))", &signature, &Limits::default())?;
//! let facts = Facts::of(&graph, &signature);
//! let root = facts.last().expect("a graph has a root");
//! assert!(root.interval.low > 0.36 && root.interval.high < 1.001 && root.is_finite());
//! # Ok::<(), autoloss_graph::ParseError>(())
//! ```

use crate::{
    BinaryOp, EPSILON, InputInfo, LossGraph, Node, Reach, Sign, Signature, UnaryOp, Values,
};

/// Greatest magnitude of an input: numbers near the end of f64 would forbid even to drop the mean of a
/// mean, and no prediction or area is among them.
const LARGEST_INPUT: f64 = 1e300;
/// Greatest magnitude of what is added up over a map without overflow.
const LARGEST_MEAN: f64 = 1e300;
/// Largest whole number that is followed.
const LARGEST_NUMBER: i32 = 64;

/// What follows from the operators alone, in a few bits.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Never below 0, and where it is 0 nothing of a gradient gets through it.
    pub nonnegative: bool,
    /// 0 or 1.
    pub binary: bool,
    /// Equal over C.
    pub even_c: bool,
    /// Equal over N, H and W.
    pub even_nhw: bool,
    /// Depends on a prediction.
    pub moves: bool,
}

impl Traits {
    /// Of the constant 1.
    pub const ONE: Self = Self {
        nonnegative: true,
        binary: true,
        even_c: true,
        even_nhw: true,
        moves: false,
    };

    /// Of an input; without its specification nothing is known.
    #[must_use]
    pub fn input(spec: Option<&InputInfo>) -> Self {
        let values = spec.map_or(Values::Any, |spec| spec.values);
        Self {
            nonnegative: values != Values::Any,
            binary: values == Values::Binary,
            even_c: false,
            even_nhw: false,
            moves: spec.is_some_and(|spec| spec.prediction),
        }
    }

    /// Of a value of which both are certain.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            nonnegative: self.nonnegative || other.nonnegative,
            binary: self.binary || other.binary,
            even_c: self.even_c || other.even_c,
            even_nhw: self.even_nhw || other.even_nhw,
            moves: self.moves && other.moves,
        }
    }

    /// Of an operator's values over such operands.
    #[must_use]
    pub const fn unary(self, op: UnaryOp) -> Self {
        let facts = op.facts();
        Self {
            nonnegative: match facts.sign {
                Sign::Nonnegative => true,
                Sign::OfOperand => self.nonnegative,
                Sign::Any => false,
            },
            binary: self.binary && facts.keeps_binary,
            even_c: self.even_c || matches!(facts.reach, Reach::Channels),
            even_nhw: self.even_nhw || matches!(facts.reach, Reach::Positions),
            moves: self.moves,
        }
    }

    /// Of an operator's values over two such operands.
    #[must_use]
    pub const fn binary(self, op: BinaryOp, other: Self) -> Self {
        Self {
            nonnegative: self.nonnegative && other.nonnegative,
            binary: matches!(op, BinaryOp::Mul) && self.binary && other.binary,
            even_c: self.even_c && other.even_c,
            even_nhw: self.even_nhw && other.even_nhw,
            moves: self.moves || other.moves,
        }
    }
}

/// How values are computed.
#[derive(Copy, Clone, Debug)]
pub struct Precision {
    /// Relative error of an operation, generously.
    slack: f64,
    /// Bounds nearer to 0 may be those of values that became 0.
    least: f64,
    /// A sum x + ε nearer to 0 may be 0.
    least_divisor: f64,
}

/// Single precision.
pub const SINGLE: Precision = Precision {
    slack: 1e-5,
    least: 1e-37,
    least_divisor: 0.5 * EPSILON,
};

/// Double precision.
pub const DOUBLE: Precision = Precision {
    slack: 1e-9,
    least: 0.0,
    least_divisor: 0.0,
};

/// Bounds of values; infinite where values may be.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Interval {
    /// No value is smaller.
    pub low: f64,
    /// No value is greater.
    pub high: f64,
}

impl Interval {
    /// All numbers.
    pub const ALL: Self = Self::new(f64::NEG_INFINITY, f64::INFINITY);

    /// From `low` to `high`.
    #[must_use]
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// From −`most` to `most`.
    #[must_use]
    pub const fn within(most: f64) -> Self {
        Self::new(-most, most)
    }

    /// The greatest magnitude.
    #[must_use]
    pub fn magnitude(self) -> f64 {
        self.high.abs().max(self.low.abs())
    }

    /// Whether both bounds are finite.
    #[must_use]
    pub fn is_bounded(self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    fn contains_zero(self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    /// Bounds that also hold for rounded values; a bound at 0 is exact.
    #[must_use]
    pub fn rounded(self, precision: Precision) -> Self {
        let widened = |bound: f64, sign: f64| match sign * bound {
            outer if outer < 0.0 && -outer < precision.least => 0.0,
            _ if bound.is_infinite() => bound,
            _ => bound + sign * precision.slack * bound.abs(),
        };
        Self::new(widened(self.low, -1.0), widened(self.high, 1.0))
    }

    /// Of the negatives.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::new(-self.high, -self.low)
    }

    /// Of sums, before rounding.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    /// Of products, before rounding.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        // 0 · ∞ is no number; `Facts::nan` says so.
        let corner = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
        let corners = [
            corner(self.low, other.low),
            corner(self.low, other.high),
            corner(self.high, other.low),
            corner(self.high, other.high),
        ];
        Self::new(
            corners.into_iter().fold(f64::INFINITY, f64::min),
            corners.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    /// Of an operator's values, before rounding.
    #[must_use]
    pub fn image(self, op: UnaryOp, precision: Precision) -> Self {
        let Self { low, high } = self;
        match op {
            UnaryOp::Neg => self.negated(),
            UnaryOp::Abs | UnaryOp::Square => {
                let (low, high) = (op.at(low), op.at(high));
                let least = match self.contains_zero() {
                    true => 0.0,
                    false => low.min(high),
                };
                Self::new(least, low.max(high))
            }
            UnaryOp::Inv
                if low + EPSILON > precision.least_divisor
                    || high + EPSILON < -precision.least_divisor =>
            {
                Self::new(op.at(high), op.at(low))
            }
            UnaryOp::Inv => Self::ALL,
            UnaryOp::Log if low > 0.0 => Self::new(op.at(low), op.at(high)),
            // log 0 is 0, and right beside it is ln ε.
            UnaryOp::Log if low == 0.0 => Self::new(EPSILON.ln(), op.at(high).max(0.0)),
            UnaryOp::Log => Self::within(op.at(self.magnitude()).abs().max(-EPSILON.ln())),
            UnaryOp::Exp | UnaryOp::Tanh | UnaryOp::Sqrt => Self::new(op.at(low), op.at(high)),
            // A sum that overflows is infinite, or no number.
            UnaryOp::MeanNhw | UnaryOp::MeanC if !self.can_be_summed() => Self::new(
                if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY },
                if high <= 0.0 { 0.0 } else { f64::INFINITY },
            ),
            UnaryOp::MeanNhw | UnaryOp::MeanC | UnaryOp::MaxPool3x3 | UnaryOp::MinPool3x3 => self,
        }
    }

    fn can_be_summed(self) -> bool {
        self.is_bounded() && self.magnitude() <= LARGEST_MEAN
    }
}

/// All that is certain of values in double precision, for inputs of up to 10³⁰⁰.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Facts {
    /// Bounds.
    pub interval: Interval,
    /// May be no number.
    pub nan: bool,
    /// Surely finite, and so is all below it, so that its gradient is as well.
    pub all_finite: bool,
    /// What follows from the operators, and from the bounds.
    pub traits: Traits,
    /// The whole number that it is exactly.
    pub number: Option<i32>,
}

impl Facts {
    /// Of the nodes of a graph in order.
    #[must_use]
    pub fn of(graph: &LossGraph, signature: &Signature) -> Vec<Self> {
        let mut facts: Vec<Self> = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            facts.push(match *node {
                Node::One => Self::ONE,
                Node::Input(input) => Self::input(signature.get(input)),
                Node::Unary(op, a) => Self::unary(op, &facts[a.index()]),
                Node::Binary(op, a, b) => Self::binary(op, &facts[a.index()], &facts[b.index()]),
            });
        }
        facts
    }

    /// Of the constant 1.
    pub const ONE: Self = Self {
        interval: Interval::new(1.0, 1.0),
        nan: false,
        all_finite: true,
        traits: Traits::ONE,
        number: Some(1),
    };

    /// Of an input; without its specification nothing is known.
    #[must_use]
    pub fn input(spec: Option<&InputInfo>) -> Self {
        let traits = Traits::input(spec);
        let most = match spec {
            None => f64::INFINITY,
            Some(_) if traits.binary => 1.0,
            // A share of 1, up to rounding.
            Some(spec) if spec.channel_mean_constant && traits.nonnegative => 1.0 + DOUBLE.slack,
            Some(_) => LARGEST_INPUT,
        };
        Self {
            interval: Interval::new(if traits.nonnegative { 0.0 } else { -most }, most),
            nan: spec.is_none(),
            all_finite: spec.is_some(),
            traits,
            number: None,
        }
    }

    /// Of a unary operator's values.
    #[must_use]
    pub fn unary(op: UnaryOp, a: &Self) -> Self {
        let mean = matches!(op.facts().reach, Reach::Channels | Reach::Positions);
        let number = a.number.and_then(|number| match op {
            UnaryOp::Neg => Some(-number),
            UnaryOp::Abs => Some(number.abs()),
            UnaryOp::Square => Some(number * number),
            UnaryOp::MeanNhw | UnaryOp::MeanC | UnaryOp::MaxPool3x3 | UnaryOp::MinPool3x3 => {
                Some(number)
            }
            UnaryOp::Log | UnaryOp::Sqrt | UnaryOp::Tanh if number == 0 => Some(0),
            UnaryOp::Exp if number == 0 => Some(1),
            _ => None,
        });
        Self {
            interval: a.interval.image(op, DOUBLE),
            nan: a.nan || (mean && !a.can_be_summed()),
            all_finite: a.all_finite,
            traits: a.traits.unary(op),
            number,
        }
        .settled()
    }

    /// Of a binary operator's values.
    #[must_use]
    pub fn binary(op: BinaryOp, a: &Self, b: &Self) -> Self {
        let (one, other) = (a.interval, b.interval);
        let infinite = |x: Interval| x.low == f64::NEG_INFINITY || x.high == f64::INFINITY;
        let (interval, nan) = match op {
            BinaryOp::Add => (
                one.plus(other),
                (one.high == f64::INFINITY && other.low == f64::NEG_INFINITY)
                    || (other.high == f64::INFINITY && one.low == f64::NEG_INFINITY),
            ),
            BinaryOp::Mul => (
                one.times(other),
                (infinite(one) && other.contains_zero())
                    || (infinite(other) && one.contains_zero()),
            ),
        };
        let number = a.number.zip(b.number);
        Self {
            interval,
            nan: nan || a.nan || b.nan,
            all_finite: a.all_finite && b.all_finite,
            traits: a.traits.binary(op, b.traits),
            number: number.map(|(a, b)| match op {
                BinaryOp::Add => a + b,
                BinaryOp::Mul => a * b,
            }),
        }
        .settled()
    }

    /// With bounds after rounding, and what they say of the rest.
    fn settled(mut self) -> Self {
        self.interval = match self.number.map(f64::from) {
            Some(number) => Interval::new(number, number),
            None => self.interval.rounded(DOUBLE),
        };
        if self.traits.nonnegative {
            self.interval.low = self.interval.low.max(0.0);
        }
        self.all_finite &= self.is_finite();
        self.traits.nonnegative |= self.interval.low > 0.0;
        self.number = self.number.filter(|number| number.abs() <= LARGEST_NUMBER);
        self
    }

    /// Surely a number that is not infinite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        !self.nan && self.interval.is_bounded()
    }

    /// The greatest magnitude.
    #[must_use]
    pub fn magnitude(&self) -> f64 {
        self.interval.magnitude()
    }

    /// Whether sums over a map stay finite.
    #[must_use]
    pub fn can_be_summed(&self) -> bool {
        !self.nan && self.interval.can_be_summed()
    }
}
