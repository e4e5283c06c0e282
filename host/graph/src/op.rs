//! The primitive operators.
//!
//! Every operator keeps the shape (N, C, H, W), so that any composes with any. There is no
//! subtraction and no division: they are `add(a, neg(b))` and `mul(a, inv(b))`. The set and the
//! stabilising ε are those of AutoLoss-Zero (arXiv 2103.14026, recalled).

use serde::{Deserialize, Serialize};

/// The ε of `inv`, `log` and `sqrt`.
pub const EPSILON: f64 = 1e-12;

/// A primitive operator.
///
/// ```
/// use autoloss_graph::Op;
///
/// assert_eq!(Op::from_name("max_pool3x3"), Some(Op::MaxPool3x3));
/// assert_eq!(Op::Mul.arity(), 2);
/// ```
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// a + b
    Add,
    /// a · b
    Mul,
    /// −x
    Neg,
    /// |x|
    Abs,
    /// 1 / (x + ε)
    Inv,
    /// sign(x) · ln(|x| + ε)
    Log,
    /// eˣ
    Exp,
    /// tanh x
    Tanh,
    /// x²
    Square,
    /// sign(x) · √(|x| + ε)
    Sqrt,
    /// Mean over N, H and W of each channel, broadcast back.
    MeanNhw,
    /// Mean over C at each position, broadcast back.
    MeanC,
    /// Greatest value of the 3×3 neighbourhood in H and W; outside the map counts as −∞.
    MaxPool3x3,
    /// Least value of the 3×3 neighbourhood in H and W: −MaxPool3x3(−x).
    MinPool3x3,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 14] = [
        Op::Add,
        Op::Mul,
        Op::Neg,
        Op::Abs,
        Op::Inv,
        Op::Log,
        Op::Exp,
        Op::Tanh,
        Op::Square,
        Op::Sqrt,
        Op::MeanNhw,
        Op::MeanC,
        Op::MaxPool3x3,
        Op::MinPool3x3,
    ];

    /// Those that do not look at neighbouring positions.
    pub(crate) const LOCAL: &'static [Op] = {
        // The pools are the last two.
        let (local, _) = Op::ALL.split_at(12);
        local
    };

    /// Number of operands: 1 or 2.
    #[must_use]
    pub const fn arity(self) -> usize {
        match self {
            Op::Add | Op::Mul => 2,
            _ => 1,
        }
    }

    /// The name in loss files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Neg => "neg",
            Op::Abs => "abs",
            Op::Inv => "inv",
            Op::Log => "log",
            Op::Exp => "exp",
            Op::Tanh => "tanh",
            Op::Square => "square",
            Op::Sqrt => "sqrt",
            Op::MeanNhw => "mean_nhw",
            Op::MeanC => "mean_c",
            Op::MaxPool3x3 => "max_pool3x3",
            Op::MinPool3x3 => "min_pool3x3",
        }
    }

    /// The operator of a name in loss files.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }

    /// Whether the order of the operands does not matter.
    #[must_use]
    pub const fn is_commutative(self) -> bool {
        self.arity() == 2
    }

    /// Whether a value at one position depends on values at others.
    #[must_use]
    pub const fn is_aggregation(self) -> bool {
        matches!(
            self,
            Op::MeanNhw | Op::MeanC | Op::MaxPool3x3 | Op::MinPool3x3
        )
    }

    /// Whether a value at one position depends on those around it.
    pub(crate) const fn is_pool(self) -> bool {
        matches!(self, Op::MaxPool3x3 | Op::MinPool3x3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        for op in Op::ALL {
            assert_eq!(Op::from_name(op.name()), Some(op));
        }
        assert_eq!(Op::from_name("sub"), None);
    }

    #[test]
    fn local_operators_are_all_but_the_pools() {
        let pools = Op::ALL.into_iter().filter(|op| op.is_pool());
        assert_eq!(pools.count() + Op::LOCAL.len(), Op::ALL.len());
        assert!(Op::LOCAL.iter().all(|op| !op.is_pool()));
    }
}
