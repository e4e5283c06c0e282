//! What is certain of the values of a term, for the rules that hold on conditions.
//!
//! Bounds are intervals, widened after each operation by more than rounding can move a value. They hold
//! for whatever inputs the signature allows of up to [`LARGEST_INPUT`]: numbers near the end of f64 would
//! forbid even to drop the mean of a mean, and no prediction or area is among them.
//!
//! Equal terms share what is known of each of them: that is what an analysis of an e-graph adds to one
//! pass over a graph.

use super::{Leaf, Term};
use autoloss_graph::{EPSILON, Op, Signature, Values};
use egg::{Analysis, DidMerge, EGraph, Id, Language};

/// Greatest magnitude of an input.
const LARGEST_INPUT: f64 = 1e300;
/// Greatest magnitude of what is added up over a map without overflow.
const LARGEST_MEAN: f64 = 1e300;
/// Rounding, generously.
const SLACK: f64 = 1e-9;
/// Largest whole number that is followed.
const LARGEST_NUMBER: i32 = 64;

/// What is certain of a term.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Facts {
    /// Bounds; infinite where the value may overflow.
    pub(super) low: f64,
    pub(super) high: f64,
    /// May be no number.
    nan: bool,
    /// Surely finite, and so is all below it, so that its gradient is as well.
    pub(super) tame: bool,
    /// Never below 0, and where it is 0 nothing of a gradient gets through it.
    pub(super) quiet: bool,
    /// 0 or 1.
    pub(super) binary: bool,
    /// Equal over C.
    pub(super) even_c: bool,
    /// Equal over N, H and W.
    pub(super) even_nhw: bool,
    /// The whole number that it is exactly.
    pub(super) number: Option<i32>,
}

/// What a signature says of inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    inputs: Vec<Facts>,
}

impl Domain {
    pub(super) fn of(signature: &Signature) -> Self {
        let facts = |input: &autoloss_graph::InputInfo| {
            let share = input.channel_mean_constant && input.values != Values::Any;
            let most = match input.values {
                Values::Binary => 1.0,
                // A share of 1, up to rounding.
                _ if share => 1.0 + SLACK,
                _ => LARGEST_INPUT,
            };
            let never_negative = input.values != Values::Any;
            Facts {
                low: if never_negative { 0.0 } else { -most },
                high: most,
                quiet: never_negative,
                binary: input.values == Values::Binary,
                ..Facts::unknown()
            }
        };
        Self {
            inputs: signature.inputs().iter().map(facts).collect(),
        }
    }

    fn input(&self, Leaf(position): Leaf) -> Facts {
        let known = self.inputs.get(usize::from(position)).copied();
        known.unwrap_or_else(|| Facts {
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            nan: true,
            tame: false,
            ..Facts::unknown()
        })
    }
}

impl Facts {
    /// Of an input; without bounds yet.
    fn unknown() -> Self {
        Self {
            low: 0.0,
            high: 0.0,
            nan: false,
            tame: true,
            quiet: false,
            binary: false,
            even_c: false,
            even_nhw: false,
            number: None,
        }
    }

    fn one() -> Self {
        Self {
            low: 1.0,
            high: 1.0,
            quiet: true,
            binary: true,
            even_c: true,
            even_nhw: true,
            number: Some(1),
            ..Self::unknown()
        }
    }

    /// Surely a number that is not infinite.
    pub(super) fn is_finite(&self) -> bool {
        !self.nan && self.low.is_finite() && self.high.is_finite()
    }

    /// Greatest magnitude.
    pub(super) fn magnitude(&self) -> f64 {
        self.high.abs().max(self.low.abs())
    }

    /// Whether sums over a map stay finite.
    pub(super) fn can_be_summed(&self) -> bool {
        self.is_finite() && self.magnitude() <= LARGEST_MEAN
    }

    fn is_infinite_somewhere(&self) -> bool {
        self.low == f64::NEG_INFINITY || self.high == f64::INFINITY
    }

    fn contains_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    pub(super) fn binary(op: Op, a: &Self, b: &Self) -> Self {
        let adds = op == Op::Add;
        let (low, high, nan) = if adds {
            let nan = (a.high == f64::INFINITY && b.low == f64::NEG_INFINITY)
                || (b.high == f64::INFINITY && a.low == f64::NEG_INFINITY);
            (a.low + b.low, a.high + b.high, nan)
        } else {
            let corner = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
            let corners = [
                corner(a.low, b.low),
                corner(a.low, b.high),
                corner(a.high, b.low),
                corner(a.high, b.high),
            ];
            let nan = (a.is_infinite_somewhere() && b.contains_zero())
                || (b.is_infinite_somewhere() && a.contains_zero());
            let low = corners.into_iter().fold(f64::INFINITY, f64::min);
            let high = corners.into_iter().fold(f64::NEG_INFINITY, f64::max);
            (low, high, nan)
        };
        let number = a.number.zip(b.number);
        Self {
            nan: nan || a.nan || b.nan,
            tame: a.tame && b.tame,
            quiet: a.quiet && b.quiet,
            binary: !adds && a.binary && b.binary,
            even_c: a.even_c && b.even_c,
            even_nhw: a.even_nhw && b.even_nhw,
            number: number.map(|(a, b)| if adds { a + b } else { a * b }),
            ..Self::unknown()
        }
        .bounded(low, high)
    }

    pub(super) fn unary(op: Op, a: &Self) -> Self {
        let (low, high) = a.image(op);
        let number = a.number.and_then(|number| match op {
            Op::Neg => Some(-number),
            Op::Abs => Some(number.abs()),
            Op::Square => Some(number * number),
            Op::MeanNhw | Op::MeanC | Op::MaxPool3x3 | Op::MinPool3x3 => Some(number),
            Op::Log | Op::Sqrt | Op::Tanh if number == 0 => Some(0),
            Op::Exp if number == 0 => Some(1),
            _ => None,
        });
        let sums = matches!(op, Op::MeanNhw | Op::MeanC);
        Self {
            nan: a.nan || (sums && !a.can_be_summed()),
            tame: a.tame,
            quiet: match op {
                Op::Abs | Op::Square | Op::Exp => true,
                Op::Neg | Op::Log => false,
                _ => a.quiet,
            },
            binary: a.binary
                && matches!(op, Op::Abs | Op::Square | Op::MaxPool3x3 | Op::MinPool3x3),
            even_c: a.even_c || op == Op::MeanC,
            even_nhw: a.even_nhw || op == Op::MeanNhw,
            number,
            ..Self::unknown()
        }
        .bounded(low, high)
    }

    /// The bounds of an operator's values.
    fn image(&self, op: Op) -> (f64, f64) {
        let (low, high) = (self.low, self.high);
        let monotone = |f: fn(f64) -> f64| (f(low), f(high));
        match op {
            Op::Neg => (-high, -low),
            Op::Abs | Op::Square => {
                let f = |x: f64| if op == Op::Abs { x.abs() } else { x * x };
                let least = if self.contains_zero() {
                    0.0
                } else {
                    f(low).min(f(high))
                };
                (least, f(low).max(f(high)))
            }
            Op::Inv if low + EPSILON > 0.0 || high + EPSILON < 0.0 => {
                (1.0 / (high + EPSILON), 1.0 / (low + EPSILON))
            }
            Op::Inv => (f64::NEG_INFINITY, f64::INFINITY),
            Op::Log => self.image_of_log(),
            Op::Exp => monotone(f64::exp),
            Op::Tanh => monotone(f64::tanh),
            Op::Sqrt => monotone(|x| match x {
                0.0 => 0.0,
                x => x.signum() * (x.abs() + EPSILON).sqrt(),
            }),
            // A sum that overflows is infinite, or no number.
            Op::MeanNhw | Op::MeanC if !self.can_be_summed() => {
                let low = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                (low, if high <= 0.0 { 0.0 } else { f64::INFINITY })
            }
            _ => (low, high),
        }
    }

    fn image_of_log(&self) -> (f64, f64) {
        let f = |x: f64| (x.abs() + EPSILON).ln();
        if self.low > 0.0 {
            (f(self.low), f(self.high))
        } else if self.low == 0.0 {
            // log 0 is 0, and right beside it is ln ε.
            (EPSILON.ln(), f(self.high).max(0.0))
        } else {
            let most = f(self.magnitude()).abs().max(-EPSILON.ln());
            (-most, most)
        }
    }

    /// With bounds, widened by what rounding may add; those at 0 are exact.
    fn bounded(self, low: f64, high: f64) -> Self {
        let widened = |bound: f64, sign: f64| match self.number {
            Some(number) => f64::from(number),
            None if bound.is_infinite() => bound,
            None => bound + sign * SLACK * bound.abs(),
        };
        let (low, high) = (widened(low, -1.0), widened(high, 1.0));
        let low = if self.quiet { low.max(0.0) } else { low };
        Self {
            low,
            high,
            tame: self.tame && !self.nan && low.is_finite() && high.is_finite(),
            quiet: self.quiet || low > 0.0,
            number: self.number.filter(|number| number.abs() <= LARGEST_NUMBER),
            ..self
        }
    }
}

impl Analysis<Term> for Domain {
    type Data = Facts;

    fn make(egraph: &mut EGraph<Term, Self>, term: &Term, _: Id) -> Facts {
        let at = |index: usize| term.children().get(index).map(|id| egraph[*id].data);
        match (term, term.op(), at(0), at(1)) {
            (Term::Input(leaf), ..) => egraph.analysis.input(*leaf),
            (_, Some(op), Some(a), Some(b)) => Facts::binary(op, &a, &b),
            (_, Some(op), Some(a), None) => Facts::unary(op, &a),
            _ => Facts::one(),
        }
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let before = *a;
        if narrows(a.low, b.low, b.low > a.low) {
            a.low = b.low;
        }
        if narrows(a.high, b.high, b.high < a.high) {
            a.high = b.high;
        }
        a.nan &= b.nan;
        a.tame |= b.tame;
        a.quiet |= b.quiet;
        a.binary |= b.binary;
        a.even_c |= b.even_c;
        a.even_nhw |= b.even_nhw;
        a.number = a.number.or(b.number);
        DidMerge(*a != before, *a != b)
    }

    /// The shortest spelling of a small whole number is one of its spellings.
    fn modify(egraph: &mut EGraph<Term, Self>, id: Id) {
        let Some(number) = egraph[id].data.number else {
            return;
        };
        let one = |egraph: &mut EGraph<Term, Self>| egraph.add(Term::One);
        let short = match number {
            1 => one(egraph),
            -1 => {
                let one = one(egraph);
                egraph.add(Term::Neg(one))
            }
            0 => {
                let one = one(egraph);
                let minus = egraph.add(Term::Neg(one));
                egraph.add(Term::Add([one, minus]))
            }
            2 => {
                let one = one(egraph);
                egraph.add(Term::Add([one, one]))
            }
            _ => return,
        };
        egraph.union(id, short);
    }
}

/// Whether a bound is better by enough to be worth passing on. Bounds that only creep would be passed
/// round a cycle of the e-graph for ever.
fn narrows(old: f64, new: f64, better: bool) -> bool {
    let far = old.is_infinite() || old.signum() != new.signum() || new == 0.0;
    better && (far || (old / new).abs() > 2.0 || (new / old).abs() > 2.0)
}
