//! The cheapest screen: does the structure alone rule out that training with this loss does
//! anything? Of random depth-3 graphs nine in ten end here, so it is one pass over the nodes with a
//! few bits each and no rewriting. It is one-sided. What it rejects has a gradient that is zero or
//! blind to the target for every value of the inputs; what it accepts may still be found useless by
//! a probe on data.
//!
//! For each node two sets are tracked: what its value depends on, and what its *mean over the
//! channels* depends on. The second is smaller. A softmax has mean 1/C whatever the logits, and so
//! has mean_nhw of it, and k times it depends on k alone where k is equal over the channels. It is
//! the second set that counts at the root, because the loss sums the root over the channels.
//! Likewise a node may be a sum of a part without target and a part without prediction; such a sum at
//! the root has a gradient that does not see the target.

use std::fmt;

use crate::facts::Traits;
use crate::{BinaryOp, InputId, LossGraph, Node, NodeId, Signature, UnaryOp};

/// Why a graph cannot train anything.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StaticReason {
    /// No input depends on the prediction.
    NoPrediction,
    /// No input depends on the target.
    NoTarget,
    /// The prediction occurs only in terms that cancel, as in x + neg(x).
    GradientCut,
    /// The prediction occurs only through a mean over the channels that is always the same.
    ConstantChannelMean,
    /// The target occurs, but the gradient does not depend on it, as in f(ŷ) + g(y).
    TargetIndependentGradient,
}

impl StaticReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::NoPrediction,
        Self::NoTarget,
        Self::GradientCut,
        Self::ConstantChannelMean,
        Self::TargetIndependentGradient,
    ];

    /// The code name, in snake case; it never changes, so it may be stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPrediction => "no_prediction",
            Self::NoTarget => "no_target",
            Self::GradientCut => "gradient_cut",
            Self::ConstantChannelMean => "constant_channel_mean",
            Self::TargetIndependentGradient => "target_independent_gradient",
        }
    }
}

impl fmt::Display for StaticReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPrediction => "the graph uses no input that depends on the prediction",
            Self::NoTarget => "the graph uses no input that depends on the target",
            Self::GradientCut => "every term with the prediction cancels another",
            Self::ConstantChannelMean => {
                "the prediction enters only through a mean over the channels that is constant"
            }
            Self::TargetIndependentGradient => {
                "the gradient with respect to the prediction does not depend on the target"
            }
        })
    }
}

impl std::error::Error for StaticReason {}

/// Rejects a graph whose structure alone shows that it cannot train.
///
/// An input that the signature does not declare counts as one that depends on neither prediction nor
/// target.
///
/// # Errors
///
/// The first [`StaticReason`] that holds, in the order of their declaration.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature, StaticReason, static_check};
///
/// let signature = Signature::dense();
/// let check = |text| {
///     let graph = LossGraph::parse(text, &signature, &Limits::default())?;
///     Ok::<_, autoloss_graph::ParseError>(static_check(&graph, &signature))
/// };
/// assert_eq!(check("mul(y, log(yhat))")?, Ok(()));
/// assert_eq!(check("square(y)")?, Err(StaticReason::NoPrediction));
/// assert_eq!(
///     check("add(exp(yhat), y)")?,
///     Err(StaticReason::TargetIndependentGradient)
/// );
/// # Ok::<(), autoloss_graph::ParseError>(())
/// ```
pub fn static_check(graph: &LossGraph, signature: &Signature) -> Result<(), StaticReason> {
    let mentioned = mentioned(graph, signature);
    if !mentioned.has(Sources::PREDICTION) {
        return Err(StaticReason::NoPrediction);
    }
    if !mentioned.has(Sources::TARGET) {
        return Err(StaticReason::NoTarget);
    }
    let root = analyse(graph, signature, true);
    if !root.mean.has(Sources::PREDICTION) {
        // Without what is known of channel means the cause shows.
        let plain = analyse(graph, signature, false);
        return Err(if plain.value.has(Sources::PREDICTION) {
            StaticReason::ConstantChannelMean
        } else {
            StaticReason::GradientCut
        });
    }
    if root.mean_separable {
        return Err(StaticReason::TargetIndependentGradient);
    }
    Ok(())
}

/// A set of what a value depends on.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Sources(u8);

impl Sources {
    const NONE: Self = Self(0);
    const PREDICTION: Self = Self(1);
    const TARGET: Self = Self(2);
    const BOTH: Self = Self(3);
    /// An input that depends on neither, such as a weight of each position.
    const OTHER: Self = Self(4);

    fn of(signature: &Signature, input: InputId) -> Self {
        match signature.get(input) {
            Some(spec) if spec.prediction || spec.target => {
                Self(u8::from(spec.prediction) | u8::from(spec.target) << 1)
            }
            _ => Self::OTHER,
        }
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What two upper bounds on the same set leave.
    fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

fn mentioned(graph: &LossGraph, signature: &Signature) -> Sources {
    let nodes = graph.nodes().iter();
    nodes.fold(Sources::NONE, |all, node| match node {
        Node::Input(input) => all.and(Sources::of(signature, *input)),
        _ => all,
    })
}

/// What the value of a node depends on.
#[derive(Copy, Clone)]
struct Dependence {
    /// What the value depends on.
    value: Sources,
    /// What its mean over the channels depends on.
    mean: Sources,
    /// The value is a sum of a part without prediction and a part without target.
    separable: bool,
    /// The same of the mean over the channels.
    mean_separable: bool,
    traits: Traits,
    /// The value is 0 everywhere.
    zero: bool,
}

impl Dependence {
    const CONSTANT: Self = Self::of(Sources::NONE, Traits::ONE);

    /// Where nothing particular is known of the channel mean.
    const fn of(value: Sources, traits: Traits) -> Self {
        let separable = value.0 & Sources::BOTH.0 != Sources::BOTH.0;
        Self {
            value,
            mean: value,
            separable,
            mean_separable: separable,
            traits,
            zero: false,
        }
    }

    const ZERO: Self = Self {
        zero: true,
        ..Self::CONSTANT
    };
}

/// What the root depends on. Without `channel_means` the declared constancy of channel means is not
/// made use of.
fn analyse(graph: &LossGraph, signature: &Signature, channel_means: bool) -> Dependence {
    let mut known: Vec<Dependence> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        let found = match *node {
            Node::One => Dependence::CONSTANT,
            Node::Input(input) => {
                let spec = signature.get(input);
                let sources = Sources::of(signature, input);
                let mut found = Dependence::of(sources, Traits::input(spec));
                if channel_means && spec.is_some_and(|spec| spec.channel_mean_constant) {
                    found.mean = Sources::NONE;
                    found.mean_separable = true;
                }
                found
            }
            Node::Unary(op, a) => unary(op, known[a.index()]),
            Node::Binary(BinaryOp::Add, a, b) if cancels(graph, a, b) => Dependence::ZERO,
            Node::Binary(BinaryOp::Add, a, b) => sum(known[a.index()], known[b.index()]),
            Node::Binary(BinaryOp::Mul, a, b) => product(known[a.index()], known[b.index()]),
        };
        known.push(found);
    }
    known.last().copied().unwrap_or(Dependence::CONSTANT)
}

/// Whether one of two terms is the negative of the other.
fn cancels(graph: &LossGraph, a: NodeId, b: NodeId) -> bool {
    graph.node(a) == Node::Unary(UnaryOp::Neg, b) || graph.node(b) == Node::Unary(UnaryOp::Neg, a)
}

fn unary(op: UnaryOp, a: Dependence) -> Dependence {
    let traits = a.traits.unary(op);
    match op {
        _ if a.zero && op.keeps_zero() => a,
        _ if a.zero => Dependence::CONSTANT,
        UnaryOp::Neg | UnaryOp::MeanNhw => Dependence { traits, ..a },
        UnaryOp::MeanC => Dependence {
            separable: a.mean_separable,
            mean_separable: a.mean_separable,
            ..Dependence::of(a.mean, traits)
        },
        _ => Dependence::of(a.value, traits),
    }
}

fn sum(a: Dependence, b: Dependence) -> Dependence {
    if a.zero {
        return b;
    }
    if b.zero {
        return a;
    }
    let value = a.value.and(b.value);
    let mean = a.mean.and(b.mean);
    Dependence {
        value,
        mean,
        separable: a.separable && b.separable,
        mean_separable: a.mean_separable && b.mean_separable,
        traits: a.traits.binary(BinaryOp::Add, b.traits),
        zero: false,
    }
}

fn product(a: Dependence, b: Dependence) -> Dependence {
    if a.zero || b.zero {
        return Dependence::ZERO;
    }
    // A factor that depends on nothing is a number, equal everywhere: it only scales.
    if a.value == Sources::NONE {
        return b;
    }
    if b.value == Sources::NONE {
        return a;
    }
    let value = a.value.and(b.value);
    let mut found = Dependence::of(value, a.traits.binary(BinaryOp::Mul, b.traits));
    for (factor, rest) in [(a, b), (b, a)] {
        // A factor of neither prediction nor target scales both parts of a sum.
        let neutral = factor.value.common(Sources::BOTH) == Sources::NONE;
        found.separable |= neutral && rest.separable;
        found.mean_separable |= neutral && rest.separable;
        if factor.traits.even_c {
            // mean_c(k·x) = k·mean_c(x)
            found.mean = found.mean.common(factor.value.and(rest.mean));
            found.mean_separable |= neutral && rest.mean_separable;
            found.mean_separable |= rest.mean == Sources::NONE && factor.separable;
        }
    }
    found.mean_separable |= !found.mean.has(Sources::BOTH);
    found
}

#[cfg(test)]
mod tests;
