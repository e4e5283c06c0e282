//! One form for algebraic equals, so that the search meets each loss once.
//!
//! The rewriting is a single pass from the inputs to the root with a fixed set of rules, each of
//! which keeps the loss and its gradient up to rounding, at 0 and for tiny and huge values too. An
//! equality-saturation engine would find more equals, but it would have to be told which identities
//! survive ε, sign(0) = 0 and overflow, and it costs milliseconds where this costs microseconds. What
//! the rules miss, the comparison of gradients on data finds later.
//!
//! Every node is rewritten to a sign and a node that is no negation, so signs travel to the root or
//! to the first operator that is neither even nor odd. The rules:
//!
//! - `neg`: out of sums, products, means, and the odd operators `log`, `sqrt`, `tanh`; dropped by
//!   `abs` and `square`; `max_pool(neg x)` is `neg(min_pool x)`. Not out of `inv`: 1/(x+ε) is not odd.
//! - `abs` of what cannot be negative is dropped. Where such a value is 0 its gradient is 0 as well, so
//!   this holds at 0 too.
//! - Sums and products are commutative and, within [bounds](facts), associative; `mul(x, x)` is
//!   `square(x)`, powers are written with as few nodes as squaring gives, `mul(1, x)` is `x`.
//! - What is 0 or 1 is its own square and absolute value, and goes out of odd operators, `abs`
//!   and `square`: `tanh(mul(y, x))` is `mul(y, tanh x)`.
//! - eᵃ · eᵇ is eᵃ⁺ᵇ where both are small.
//! - A mean or a pool over axes along which the operand does not change is dropped: constants,
//!   repeated means. Pools are not idempotent. `mean_c(mean_nhw x)` is `mean_nhw(mean_c x)`.
//! - The loss sums the root, so means at the root, and of the terms of a sum at the root, are dropped.
//!   This keeps the loss; the root's tensor changes.
//! - The *training form* also takes for 1 what is 1 up to ε, such as √1, multiplies sums at the root out,
//!   and drops terms without a gradient, which changes the loss, but no training ([root]).
//!
//! Not rewritten, because ε or a tie or overflow makes it wrong: `exp(log x)`, `square(sqrt x)`,
//! `inv(inv x)`, monotone functions across pools, and x − x, for which the grammar has no name.

mod facts;
mod products;
mod root;
mod sums;

use crate::graph::in_order;
use crate::{GraphBuilder, LossGraph, Node, NodeId, Op, Signature};
use facts::Facts;

/// Larger graphs are returned as they are: rewriting may add nodes, and node numbers are 16 bits.
const LARGEST: usize = 256;

impl LossGraph {
    /// The normal form: graphs of equal normal form have equal losses and gradients, up to rounding.
    ///
    /// It is idempotent. The converse does not hold: equal losses may have different normal forms.
    /// Sharing may be lost, so the form can have more nodes than the graph and exceed limits that the
    /// graph keeps; graphs of more than 256 nodes are returned unchanged. The root's tensor may
    /// differ where its sum does not, as for a mean at the root.
    ///
    /// ```
    /// use autoloss_graph::{Limits, LossGraph, Signature};
    ///
    /// let signature = Signature::dense();
    /// let parse = |text| LossGraph::parse(text, &signature, &Limits::default());
    /// let one = parse("mul(log(yhat), neg(y))")?.canonical(&signature);
    /// let other = parse("neg(mul(mul(y, 1), log(yhat)))")?.canonical(&signature);
    /// assert_eq!(one, other);
    /// # Ok::<(), autoloss_graph::ParseError>(())
    /// ```
    #[must_use]
    pub fn canonical(&self, signature: &Signature) -> LossGraph {
        self.rewritten(Rewriter::new(signature, false))
    }

    /// The normal form of the gradient: graphs of equal form train a network alike, though their losses may
    /// differ by what no prediction has a part in. Otherwise as [`canonical`](Self::canonical).
    ///
    /// ```
    /// use autoloss_graph::{Limits, LossGraph, Signature};
    ///
    /// let signature = Signature::dense();
    /// let parse = |text| LossGraph::parse(text, &signature, &Limits::default());
    /// let one = parse("mul(y, add(1, yhat))")?.training_form(&signature);
    /// let other = parse("mul(square(y), abs(yhat))")?.training_form(&signature);
    /// assert_eq!(one, other);
    /// # Ok::<(), autoloss_graph::ParseError>(())
    /// ```
    #[must_use]
    pub fn training_form(&self, signature: &Signature) -> LossGraph {
        self.rewritten(Rewriter::new(signature, true))
    }

    fn rewritten(&self, mut rewriter: Rewriter<'_>) -> LossGraph {
        if self.len() > LARGEST {
            return self.clone();
        }
        let mut done: Vec<Signed> = Vec::with_capacity(self.len());
        for node in self.nodes() {
            let rewritten = match *node {
                leaf @ (Node::One | Node::Input(_)) => Signed::plus(rewriter.add(leaf)),
                Node::Unary(op, a) => rewriter.unary(op, done[a.index()]),
                Node::Binary(Op::Add, a, b) => rewriter.sum(done[a.index()], done[b.index()]),
                Node::Binary(_, a, b) => rewriter.product(done[a.index()], done[b.index()]),
            };
            done.push(rewritten);
        }
        let root = rewriter.strip_means(done[self.root().index()]);
        let root = match rewriter.trains {
            true => rewriter.trained_root(root),
            false => root,
        };
        let root = rewriter.written(root);
        in_order(rewriter.builder.nodes(), root)
    }
}

/// A node and whether its negative is meant.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Signed {
    negative: bool,
    id: NodeId,
}

impl Signed {
    const fn plus(id: NodeId) -> Self {
        Self {
            negative: false,
            id,
        }
    }

    const fn flipped(self, negative: bool) -> Self {
        Self {
            negative: self.negative != negative,
            id: self.id,
        }
    }
}

/// The nodes of the normal form so far, with what is known of each.
struct Rewriter<'a> {
    signature: &'a Signature,
    /// For the training form.
    trains: bool,
    builder: GraphBuilder,
    facts: Vec<Facts>,
}

impl<'a> Rewriter<'a> {
    fn new(signature: &'a Signature, trains: bool) -> Self {
        Self {
            signature,
            trains,
            builder: GraphBuilder::new(),
            facts: Vec::new(),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.builder.add(node);
        if id.index() == self.facts.len() {
            self.facts
                .push(Facts::of(node, self.signature, &self.facts));
        }
        id
    }

    fn node(&self, id: NodeId) -> Node {
        self.builder.nodes()[id.index()]
    }

    fn facts(&self, id: NodeId) -> &Facts {
        &self.facts[id.index()]
    }

    /// The node with its sign written out.
    fn written(&mut self, signed: Signed) -> NodeId {
        if signed.negative {
            self.add(Node::Unary(Op::Neg, signed.id))
        } else {
            signed.id
        }
    }

    fn unary(&mut self, op: Op, a: Signed) -> Signed {
        if let Op::Abs | Op::Log | Op::Tanh | Op::Sqrt = op
            && let Some((binary, rest)) = self.binary_factors(a.id)
        {
            let rest = self.unary(op, Signed { id: rest, ..a });
            return self.product(Signed::plus(binary), rest);
        }
        let done = self.plain_unary(op, a);
        let may_be_one =
            self.trains && matches!(op, Op::Inv | Op::Log | Op::Exp | Op::Tanh | Op::Sqrt);
        match self.facts(done.id).constant.filter(|_| may_be_one) {
            // ε aside.
            Some(value) if (value.abs() - 1.0).abs() < 1e-9 => Signed {
                negative: done.negative != (value < 0.0),
                id: self.add(Node::One),
            },
            _ => done,
        }
    }

    fn plain_unary(&mut self, op: Op, a: Signed) -> Signed {
        let facts = self.facts(a.id);
        match op {
            Op::Neg => a.flipped(true),
            // ε aside.
            Op::Sqrt if facts.binary && self.trains => a,
            Op::Abs if facts.nonnegative => Signed::plus(a.id),
            Op::Abs => Signed::plus(self.add(Node::Unary(Op::Abs, a.id))),
            Op::Square => self.product(Signed::plus(a.id), Signed::plus(a.id)),
            Op::MeanNhw | Op::MaxPool3x3 | Op::MinPool3x3 if facts.even_nhw => a,
            Op::MeanC if facts.even_c => a,
            Op::MeanC => Signed {
                id: self.mean_c(a.id),
                ..a
            },
            Op::MaxPool3x3 if a.negative => Signed {
                id: self.add(Node::Unary(Op::MinPool3x3, a.id)),
                ..a
            },
            Op::MinPool3x3 if a.negative => Signed {
                id: self.add(Node::Unary(Op::MaxPool3x3, a.id)),
                ..a
            },
            Op::Inv | Op::Exp => {
                let operand = self.written(a);
                Signed::plus(self.add(Node::Unary(op, operand)))
            }
            // Odd, linear, or a pool of a positive operand.
            _ => Signed {
                id: self.add(Node::Unary(op, a.id)),
                ..a
            },
        }
    }

    /// The mean over C of a node that changes along C, inside a mean over N, H and W.
    fn mean_c(&mut self, a: NodeId) -> NodeId {
        match self.node(a) {
            Node::Unary(Op::MeanNhw, inner) => {
                let inner = self.add(Node::Unary(Op::MeanC, inner));
                self.add(Node::Unary(Op::MeanNhw, inner))
            }
            _ => self.add(Node::Unary(Op::MeanC, a)),
        }
    }
}

#[cfg(test)]
mod tests;
