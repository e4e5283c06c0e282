//! The primitive operators, in one table.
//!
//! Every operator keeps the shape (N, C, H, W), so that any composes with any. There is no
//! subtraction and no division: they are `add(a, neg(b))` and `mul(a, inv(b))`. The set and the
//! stabilising ε are those of AutoLoss-Zero (arXiv 2103.14026, recalled).
//!
//! What the text form, the evaluators, the rewriters and the exports need to know of an operator is a
//! fact of its row in the table ([`UnaryOp::facts`]), so that a new operator is described once.

use std::fmt;

/// The ε of `inv`, `log` and `sqrt`.
pub const EPSILON: f64 = 1e-12;

/// An operator of two operands, whose order does not matter.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub enum BinaryOp {
    /// a + b
    Add,
    /// a · b
    Mul,
}

/// A primitive operator.
///
/// ```
/// use autoloss_graph::{BinaryOp, Op, UnaryOp};
///
/// assert_eq!(Op::from_name("max_pool3x3"), Some(UnaryOp::MaxPool3x3.into()));
/// assert_eq!(Op::from(BinaryOp::Mul).arity(), 2);
/// ```
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub enum Op {
    /// Of two operands.
    Binary(BinaryOp),
    /// Of one operand.
    Unary(UnaryOp),
}

/// What f(−x) is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Parity {
    /// f(x).
    Even,
    /// −f(x).
    Odd,
    /// −g(x), where g is the other pool.
    Dual(UnaryOp),
    /// Neither of these.
    None,
}

/// Of which values an operator's value at a position is made.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The one at this position.
    Position,
    /// All channels at this position.
    Channels,
    /// All samples and positions of this channel.
    Positions,
    /// The 3×3 neighbourhood.
    Window,
}

/// Whether an operator's values can be below 0.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Never; and where a value is 0 nothing of a gradient gets through.
    Nonnegative,
    /// Only where the operand's can.
    OfOperand,
    /// Also where the operand's cannot.
    Any,
}

/// How an operator is written in formulas.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Notation {
    /// −x
    Minus,
    /// |x|
    Bars,
    /// 1/x
    Fraction,
    /// x²
    Squared,
    /// eˣ
    Exponential,
    /// √x
    Root,
    /// A function, with what it goes over where that must be said.
    Function(&'static str, Option<&'static str>),
}

/// The row of a unary operator in the table.
#[derive(Copy, Clone, Debug)]
pub struct UnaryFacts {
    /// The name in loss files.
    pub name: &'static str,
    /// What f(−x) is.
    pub parity: Parity,
    /// Of which values a value is made.
    pub reach: Reach,
    /// Whether values can be below 0.
    pub sign: Sign,
    /// Whether operands that are 0 or 1 give values that are 0 or 1.
    pub keeps_binary: bool,
    /// Whether the definition has an ε.
    pub has_epsilon: bool,
    /// Whether PyTorch has a function of this name that is the same.
    pub in_pytorch: bool,
    /// How it is written in formulas.
    pub notation: Notation,
}

use Notation::{Bars, Exponential, Fraction, Function, Minus, Root, Squared};
use Parity::{Dual, Even, Odd};
use Reach::{Channels, Position, Positions, Window};
use Sign::{Any, Nonnegative, OfOperand};

/// Writes the operators of one operand with their rows, whose flags are off unless named.
macro_rules! table {
    ($($(#[$doc:meta])* $op:ident $name:literal $parity:expr, $reach:expr, $sign:expr, $notation:expr $(, $flag:ident)*;)*) => {
        /// An operator of one operand.
        #[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
        pub enum UnaryOp {
            $($(#[$doc])* $op,)*
        }

        impl UnaryOp {
            /// All of them.
            pub const ALL: [UnaryOp; 12] = [$(UnaryOp::$op),*];

            /// The operator's row in the table.
            #[must_use]
            pub const fn facts(self) -> UnaryFacts {
                match self {
                    $(UnaryOp::$op => UnaryFacts {
                        name: $name,
                        parity: $parity,
                        reach: $reach,
                        sign: $sign,
                        notation: $notation,
                        $($flag: true,)*
                        ..BLANK
                    },)*
                }
            }
        }
    };
}

/// What flags are unless named.
const BLANK: UnaryFacts = UnaryFacts {
    name: "",
    parity: Parity::None,
    reach: Position,
    sign: Any,
    keeps_binary: false,
    has_epsilon: false,
    in_pytorch: false,
    notation: Minus,
};

table! {
    /// −x
    Neg "neg" Odd, Position, Any, Minus, in_pytorch;
    /// |x|
    Abs "abs" Even, Position, Nonnegative, Bars, in_pytorch, keeps_binary;
    /// 1 / (x + ε)
    Inv "inv" Parity::None, Position, OfOperand, Fraction, has_epsilon;
    /// sign(x) · ln(|x| + ε)
    Log "log" Odd, Position, Any, Function("log", None), has_epsilon;
    /// eˣ
    Exp "exp" Parity::None, Position, Nonnegative, Exponential, in_pytorch;
    /// tanh x
    Tanh "tanh" Odd, Position, OfOperand, Function("tanh", None), in_pytorch;
    /// x²
    Square "square" Even, Position, Nonnegative, Squared, in_pytorch, keeps_binary;
    /// sign(x) · √(|x| + ε)
    Sqrt "sqrt" Odd, Position, OfOperand, Root, has_epsilon;
    /// Mean over N, H and W of each channel, broadcast back.
    MeanNhw "mean_nhw" Odd, Positions, OfOperand, Function("mean", Some("nhw"));
    /// Mean over C at each position, broadcast back.
    MeanC "mean_c" Odd, Channels, OfOperand, Function("mean", Some("c"));
    /// Greatest value of the 3×3 neighbourhood in H and W; outside the map counts as −∞.
    MaxPool3x3 "max_pool3x3" Dual(Self::MinPool3x3), Window, OfOperand, Function("max", Some("3×3")), keeps_binary;
    /// Least value of the 3×3 neighbourhood in H and W: −MaxPool3x3(−x).
    MinPool3x3 "min_pool3x3" Dual(Self::MaxPool3x3), Window, OfOperand, Function("min", Some("3×3")), keeps_binary;
}

impl UnaryOp {
    /// The name in loss files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The value at a number; means and pools of one number are the number itself.
    #[must_use]
    pub fn at(self, x: f64) -> f64 {
        match self {
            Self::Neg => -x,
            Self::Abs => x.abs(),
            Self::Inv => 1.0 / (x + EPSILON),
            Self::Log => sign(x) * (x.abs() + EPSILON).ln(),
            Self::Exp => x.exp(),
            Self::Tanh => x.tanh(),
            Self::Square => x * x,
            Self::Sqrt => sign(x) * (x.abs() + EPSILON).sqrt(),
            Self::MeanNhw | Self::MeanC | Self::MaxPool3x3 | Self::MinPool3x3 => x,
        }
    }

    /// The gradient at a number, as PyTorch's autograd takes it of the formula: `g` arrives at the
    /// result `y` of the operand `x`.
    #[must_use]
    pub fn back(self, g: f64, x: f64, y: f64) -> f64 {
        match self {
            Self::Neg => -g,
            Self::Abs => g * sign(x),
            Self::Inv => -g * y * y,
            Self::Log => g * sign(x) / (x.abs() + EPSILON) * sign(x),
            Self::Exp => g * y,
            Self::Tanh => g * (1.0 - y * y),
            Self::Square => g * (2.0 * x),
            Self::Sqrt => g * sign(x) / (2.0 * (x.abs() + EPSILON).sqrt()) * sign(x),
            Self::MeanNhw | Self::MeanC | Self::MaxPool3x3 | Self::MinPool3x3 => g,
        }
    }

    /// Whether its value at 0 is 0.
    #[must_use]
    pub fn keeps_zero(self) -> bool {
        self.at(0.0) == 0.0
    }
}

/// −1, 0 or 1; 0 for NaN, as in PyTorch.
fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

impl BinaryOp {
    /// All of them.
    pub const ALL: [BinaryOp; 2] = [BinaryOp::Add, BinaryOp::Mul];

    /// The name in loss files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Mul => "mul",
        }
    }

    /// The value at two numbers.
    #[must_use]
    pub fn at(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Mul => a * b,
        }
    }
}

impl Op {
    /// All of them, in an order that random draws and hashes rely on.
    pub const ALL: [Op; 14] = {
        let mut all = [Op::Binary(BinaryOp::Add); 14];
        let mut at = 0;
        while at < all.len() {
            all[at] = match at.checked_sub(BinaryOp::ALL.len()) {
                None => Op::Binary(BinaryOp::ALL[at]),
                Some(unary) => Op::Unary(UnaryOp::ALL[unary]),
            };
            at += 1;
        }
        all
    };

    /// Those that need no neighbouring positions.
    pub(crate) const LOCAL: &'static [Op] = {
        // The pools are the last two.
        let (local, _) = Op::ALL.split_at(12);
        local
    };

    /// The position in [`Op::ALL`].
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Op::Binary(op) => op as u8,
            Op::Unary(op) => op as u8 + BinaryOp::ALL.len() as u8,
        }
    }

    /// Number of operands: 1 or 2.
    #[must_use]
    pub const fn arity(self) -> usize {
        match self {
            Op::Unary(_) => 1,
            Op::Binary(_) => 2,
        }
    }

    /// The name in loss files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
        }
    }

    /// The operator of a name in loss files.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }

    /// Whether a value at one position depends on those around it.
    #[must_use]
    pub fn is_pool(self) -> bool {
        matches!(self, Op::Unary(op) if op.facts().reach == Window)
    }
}

impl From<UnaryOp> for Op {
    fn from(op: UnaryOp) -> Self {
        Op::Unary(op)
    }
}

impl From<BinaryOp> for Op {
    fn from(op: BinaryOp) -> Self {
        Op::Binary(op)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        for (at, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(Op::from_name(op.name()), Some(op));
            assert_eq!(usize::from(op.number()), at);
        }
        assert_eq!(Op::from_name("sub"), None);
    }

    #[test]
    fn local_operators_are_all_but_the_pools() {
        let pools = Op::ALL.into_iter().filter(|op| op.is_pool());
        assert_eq!(pools.count() + Op::LOCAL.len(), Op::ALL.len());
        assert!(Op::LOCAL.iter().all(|op| !op.is_pool()));
    }

    #[test]
    fn rows_agree_with_the_values() {
        let numbers = [-50.0, -1.5, -0.25, 0.0, 1e-13, 0.5, 1.0, 30.0];
        for op in UnaryOp::ALL {
            let facts = op.facts();
            let holds = |law: &dyn Fn(f64) -> bool| numbers.into_iter().all(law);
            let even = holds(&|x| op.at(-x) == op.at(x));
            let odd = holds(&|x| op.at(-x) == -op.at(x));
            let found = match facts.parity {
                Even => even && !odd,
                Odd => odd && !even,
                Dual(other) => other.facts().parity == Dual(op),
                Parity::None => !even && !odd,
            };
            assert!(found, "{}: {:?}", facts.name, facts.parity);
            let [never, kept] = [f64::NEG_INFINITY, 0.0]
                .map(|least| numbers.iter().all(|x| *x < least || op.at(*x) >= 0.0));
            let sign = match facts.sign {
                Nonnegative => never,
                OfOperand => kept && !never,
                Any => !kept,
            };
            assert!(sign, "{}: {:?}", facts.name, facts.sign);
            let binary = [0.0, 1.0]
                .map(|x| op.at(x))
                .iter()
                .all(|y| [0.0, 1.0].contains(y));
            // A mean of zeros and ones lies between them.
            let mean = matches!(facts.reach, Channels | Positions);
            assert_eq!(facts.keeps_binary, binary && !mean, "{}", facts.name);
            assert_eq!(
                facts.has_epsilon,
                [0.5_f64, 1.0].into_iter().any(|x| {
                    let plain = match op {
                        UnaryOp::Inv => 1.0 / x,
                        UnaryOp::Log => x.ln(),
                        UnaryOp::Sqrt => x.sqrt(),
                        _ => op.at(x),
                    };
                    plain != op.at(x)
                }),
                "{}",
                facts.name
            );
        }
    }
}
