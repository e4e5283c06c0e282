//! One form for algebraic equals, so that the search meets each loss once.
//!
//! The rewriting is a single pass from the inputs to the root with a fixed set of rules, each of
//! which keeps the loss and its gradient up to rounding, at 0 and for tiny and huge values too. An
//! equality-saturation engine would find more equals, but it would need to know which identities
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
//! - Sums and products are commutative and, within [bounds](known), associative; `mul(x, x)` is
//!   `square(x)`, powers are written with as few nodes as squaring gives, `mul(1, x)` is `x`.
//! - What is 0 or 1 is its own square and absolute value, and goes out of odd operators, `abs`
//!   and `square`: `tanh(mul(y, x))` is `mul(y, tanh x)`.
//! - eᵃ · eᵇ is eᵃ⁺ᵇ where both are small.
//! - A mean or a pool over axes along which the operand does not change is dropped: constants,
//!   repeated means. Pools are not idempotent. `mean_c(mean_nhw x)` is `mean_nhw(mean_c x)`.
//! - The loss sums the root, so means at the root, and of the terms of a sum at the root, are dropped.
//!   This keeps the loss; the root's tensor changes.
//! - The *training form* also takes for 1 what is 1 up to ε, such as √1, multiplies sums at the root out,
//!   and drops terms without a gradient, which changes the loss, but no training.
//!
//! Not rewritten, because ε or a tie or overflow makes it wrong: `exp(log x)`, `square(sqrt x)`,
//! `inv(inv x)`, monotone functions across pools, and x − x, for which the grammar has no name.

mod known;

use crate::graph::in_order;
use crate::{BinaryOp, GraphBuilder, LossGraph, Node, NodeId, Parity, Reach, Signature, UnaryOp};
use known::{Known, LARGEST_PRODUCT, LARGEST_SUM, MOST_OPERANDS, sum_orders};

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
                Node::Binary(BinaryOp::Add, a, b) => rewriter.sum(done[a.index()], done[b.index()]),
                Node::Binary(BinaryOp::Mul, a, b) => {
                    rewriter.product(done[a.index()], done[b.index()])
                }
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

/// A factor and its exponent.
type Power = (NodeId, u16);

/// The nodes of the normal form so far, with what is known of each.
struct Rewriter<'a> {
    signature: &'a Signature,
    /// For the training form.
    trains: bool,
    builder: GraphBuilder,
    known: Vec<Known>,
}

impl<'a> Rewriter<'a> {
    fn new(signature: &'a Signature, trains: bool) -> Self {
        Self {
            signature,
            trains,
            builder: GraphBuilder::new(),
            known: Vec::new(),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.builder.add(node);
        if id.index() == self.known.len() {
            self.known
                .push(Known::of(node, self.signature, &self.known));
        }
        id
    }

    fn node(&self, id: NodeId) -> Node {
        self.builder.nodes()[id.index()]
    }

    fn known(&self, id: NodeId) -> &Known {
        &self.known[id.index()]
    }

    /// The node with its sign written out.
    fn written(&mut self, signed: Signed) -> NodeId {
        if signed.negative {
            self.add(Node::Unary(UnaryOp::Neg, signed.id))
        } else {
            signed.id
        }
    }

    fn unary(&mut self, op: UnaryOp, a: Signed) -> Signed {
        if let UnaryOp::Abs | UnaryOp::Log | UnaryOp::Tanh | UnaryOp::Sqrt = op
            && let Some((binary, rest)) = self.binary_factors(a.id)
        {
            let rest = self.unary(op, Signed { id: rest, ..a });
            return self.product(Signed::plus(binary), rest);
        }
        let done = self.plain_unary(op, a);
        let may_be_one = self.trains
            && matches!(
                op,
                UnaryOp::Inv | UnaryOp::Log | UnaryOp::Exp | UnaryOp::Tanh | UnaryOp::Sqrt
            );
        match self.known(done.id).constant.filter(|_| may_be_one) {
            // ε aside.
            Some(value) if (value.abs() - 1.0).abs() < 1e-9 => Signed {
                negative: done.negative != (value < 0.0),
                id: self.add(Node::One),
            },
            _ => done,
        }
    }

    fn plain_unary(&mut self, op: UnaryOp, a: Signed) -> Signed {
        let traits = self.known(a.id).traits;
        let facts = op.facts();
        match op {
            UnaryOp::Neg => return a.flipped(true),
            // ε aside.
            UnaryOp::Sqrt if traits.binary && self.trains => return a,
            UnaryOp::Abs if traits.nonnegative => return Signed::plus(a.id),
            UnaryOp::Abs => return Signed::plus(self.add(Node::Unary(op, a.id))),
            UnaryOp::Square => return self.product(Signed::plus(a.id), Signed::plus(a.id)),
            _ => {}
        }
        let id = match (facts.reach, facts.parity) {
            (Reach::Positions | Reach::Window, _) if traits.even_nhw => return a,
            (Reach::Channels, _) if traits.even_c => return a,
            (Reach::Channels, _) => self.mean_c(a.id),
            (_, Parity::Dual(other)) if a.negative => self.add(Node::Unary(other, a.id)),
            (_, Parity::None) => {
                let operand = self.written(a);
                return Signed::plus(self.add(Node::Unary(op, operand)));
            }
            // Odd, linear, or a pool of a positive operand.
            _ => self.add(Node::Unary(op, a.id)),
        };
        Signed { id, ..a }
    }

    /// The mean over C of a node that changes along C, inside a mean over N, H and W.
    fn mean_c(&mut self, a: NodeId) -> NodeId {
        match self.node(a) {
            Node::Unary(UnaryOp::MeanNhw, inner) => {
                let inner = self.add(Node::Unary(UnaryOp::MeanC, inner));
                self.add(Node::Unary(UnaryOp::MeanNhw, inner))
            }
            _ => self.add(Node::Unary(UnaryOp::MeanC, a)),
        }
    }

    // Sums: signed terms in a fixed order, the first one positive.

    /// a + b.
    fn sum(&mut self, a: Signed, b: Signed) -> Signed {
        self.sum_of(vec![a, b])
    }

    /// Σ of the operands.
    fn sum_of(&mut self, operands: Vec<Signed>) -> Signed {
        let known = || operands.iter().map(|operand| self.known(operand.id));
        let terms = known().fold(0, |sum: u16, known| sum.saturating_add(known.terms));
        let largest = known().map(|known| known.term_orders).max().unwrap_or(0);
        if terms > MOST_OPERANDS || sum_orders(largest, terms) > LARGEST_SUM {
            return self.chain(operands);
        }
        let mut parts = Vec::with_capacity(usize::from(terms));
        self.collect_terms(operands, false, &mut parts);
        self.chain(parts)
    }

    /// Drops means at the root and of its terms: the loss sums over all that they average.
    fn strip_means(&mut self, root: Signed) -> Signed {
        let mut inner = root;
        while let Node::Unary(UnaryOp::MeanNhw | UnaryOp::MeanC, a) = self.node(inner.id) {
            inner.id = a;
        }
        let known = self.known(inner.id);
        if known.terms == 1 || known.terms > MOST_OPERANDS || known.orders > LARGEST_SUM {
            return inner;
        }
        let mut parts = Vec::new();
        if self.collect_terms(vec![inner], true, &mut parts) {
            self.chain(parts)
        } else {
            inner
        }
    }

    /// The terms below `stack`, with `through_means` also those below means. False, and of no use,
    /// where there are too many.
    fn collect_terms(
        &self,
        mut stack: Vec<Signed>,
        through_means: bool,
        parts: &mut Vec<Signed>,
    ) -> bool {
        while let Some(term) = stack.pop() {
            match self.node(term.id) {
                Node::Unary(UnaryOp::Neg, a) => stack.push(Signed::plus(a).flipped(!term.negative)),
                Node::Unary(UnaryOp::MeanNhw | UnaryOp::MeanC, a) if through_means => {
                    stack.push(Signed { id: a, ..term });
                }
                Node::Binary(BinaryOp::Add, a, b) => {
                    stack.push(Signed { id: a, ..term });
                    stack.push(Signed { id: b, ..term });
                }
                _ if parts.len() >= usize::from(MOST_OPERANDS) => return false,
                _ => parts.push(term),
            }
        }
        true
    }

    /// ((t₁ + t₂) + t₃) + …, in order of key, a positive term before an equal negative one. Of the sum
    /// and its negative the one is written whose first imbalance of signs is positive; every leading
    /// part of it is then in this form too.
    fn chain(&mut self, mut terms: Vec<Signed>) -> Signed {
        let negative = self.leads_negative(&mut terms);
        if negative {
            for term in &mut terms {
                *term = term.flipped(true);
            }
            self.sort_terms(&mut terms);
        }
        let mut total: Option<NodeId> = None;
        for term in terms {
            let term = self.written(term);
            total = Some(match total {
                None => term,
                Some(total) => self.add(Node::Binary(BinaryOp::Add, total, term)),
            });
        }
        let total = total.unwrap_or_else(|| self.add(Node::One));
        Signed {
            negative,
            id: total,
        }
    }

    fn sort_terms(&self, terms: &mut [Signed]) {
        terms.sort_by_key(|term| (self.known(term.id).key, term.negative));
    }

    /// Sorts, and tells whether the first term that occurs unequally often with both signs is more
    /// often negative.
    fn leads_negative(&self, terms: &mut [Signed]) -> bool {
        self.sort_terms(terms);
        terms
            .chunk_by(|a, b| a.id == b.id)
            .map(|equal| {
                (
                    equal.len(),
                    equal.iter().filter(|term| term.negative).count(),
                )
            })
            .find(|(count, negative)| 2 * negative != *count)
            .is_some_and(|(count, negative)| 2 * negative > count)
    }

    // Products: factors with exponents in a fixed order, the sign outside.

    /// a · b.
    fn product(&mut self, a: Signed, b: Signed) -> Signed {
        let negative = a.negative != b.negative;
        let (left, right) = (self.known(a.id), self.known(b.id));
        let small = left.factors.saturating_add(right.factors) <= MOST_OPERANDS
            && left.orders.saturating_add(right.orders) <= LARGEST_PRODUCT;
        let powers = if small { self.powers(a.id, b.id) } else { None };
        let id = match powers {
            Some(powers) => {
                let powers = self.join_exponentials(powers);
                self.product_of(powers)
            }
            None => self.pair(a.id, b.id),
        };
        Signed { negative, id }
    }

    /// The product of two factors that stay as they are.
    fn pair(&mut self, a: NodeId, b: NodeId) -> NodeId {
        match (self.node(a), self.node(b)) {
            (Node::One, _) => b,
            (_, Node::One) => a,
            _ if a == b && self.known(a).traits.binary => a,
            (Node::Unary(UnaryOp::Abs, inner), _) if a == b => {
                self.add(Node::Unary(UnaryOp::Square, inner))
            }
            _ if a == b => self.add(Node::Unary(UnaryOp::Square, a)),
            _ if self.known(b).key < self.known(a).key => {
                self.add(Node::Binary(BinaryOp::Mul, b, a))
            }
            _ => self.add(Node::Binary(BinaryOp::Mul, a, b)),
        }
    }

    /// The factors of a · b in order; None where there are too many.
    fn powers(&self, a: NodeId, b: NodeId) -> Option<Vec<Power>> {
        let mut powers: Vec<Power> = Vec::new();
        let mut total = 0;
        self.collect_factors(vec![(a, 1), (b, 1)], &mut powers, &mut total)?;
        // |x|² is x².
        while let Some(at) = powers.iter().position(|&power| self.is_squared_abs(power)) {
            let (id, exponent) = powers[at];
            let Node::Unary(UnaryOp::Abs, inner) = self.node(id) else {
                return None;
            };
            let even = exponent - exponent % 2;
            powers[at].1 -= even;
            total -= even;
            powers.retain(|power| power.1 > 0);
            self.collect_factors(vec![(inner, even)], &mut powers, &mut total)?;
        }
        // 0 and 1 are their own powers.
        for power in &mut powers {
            if self.known(power.0).traits.binary {
                power.1 = 1;
            }
        }
        powers.sort_by_key(|power| self.known(power.0).key);
        Some(powers)
    }

    /// The factors with eᵃ · eᵇ as eᵃ⁺ᵇ, where neither can be large.
    fn join_exponentials(&mut self, powers: Vec<Power>) -> Vec<Power> {
        let mut exponents = Vec::new();
        let mut rest = Vec::with_capacity(powers.len());
        for &(id, exponent) in &powers {
            match self.node(id) {
                Node::Unary(UnaryOp::Exp, a) if self.known(a).term_orders == 0 => {
                    exponents.extend((0..exponent).map(|_| Signed::plus(a)));
                }
                _ => rest.push((id, exponent)),
            }
        }
        if exponents.len() < 2 {
            return powers;
        }
        let sum = self.sum_of(exponents);
        rest.push((self.unary(UnaryOp::Exp, sum).id, 1));
        rest.sort_by_key(|power| self.known(power.0).key);
        rest
    }

    /// The factors of a node that are 0 or 1, and the others, where there are both.
    fn binary_factors(&mut self, a: NodeId) -> Option<(NodeId, NodeId)> {
        // 0 · ∞ is not 0.
        if !matches!(self.node(a), Node::Binary(BinaryOp::Mul, ..)) || !self.known(a).finite {
            return None;
        }
        let one = self.add(Node::One);
        let powers = self.powers(a, one)?;
        let (binary, rest): (Vec<Power>, Vec<Power>) = powers
            .into_iter()
            .partition(|power| self.known(power.0).traits.binary);
        (!binary.is_empty() && !rest.is_empty())
            .then(|| (self.product_of(binary), self.product_of(rest)))
    }

    fn is_squared_abs(&self, (id, exponent): Power) -> bool {
        exponent >= 2 && matches!(self.node(id), Node::Unary(UnaryOp::Abs, _))
    }

    fn collect_factors(
        &self,
        mut stack: Vec<Power>,
        powers: &mut Vec<Power>,
        total: &mut u16,
    ) -> Option<()> {
        while let Some((id, exponent)) = stack.pop() {
            match self.node(id) {
                Node::One => {}
                // A product of more factors than are reordered is not opened.
                _ if exponent.saturating_mul(self.known(id).factors) > MOST_OPERANDS => {
                    return None;
                }
                Node::Unary(UnaryOp::Square, a) => stack.push((a, 2 * exponent)),
                Node::Binary(BinaryOp::Mul, a, b) => stack.extend([(a, exponent), (b, exponent)]),
                _ => {
                    *total += exponent;
                    match powers.iter_mut().find(|power| power.0 == id) {
                        Some(power) => power.1 += exponent,
                        None => powers.push((id, exponent)),
                    }
                }
            }
            if *total > MOST_OPERANDS {
                return None;
            }
        }
        Some(())
    }

    /// ((p₁ · p₂) · p₃) · … .
    fn product_of(&mut self, powers: Vec<Power>) -> NodeId {
        let mut product: Option<NodeId> = None;
        for power in powers {
            let power = self.power(power);
            product = Some(match product {
                None => power,
                Some(product) => self.add(Node::Binary(BinaryOp::Mul, product, power)),
            });
        }
        product.unwrap_or_else(|| self.add(Node::One))
    }

    /// x^e by squaring: x·square(…) for odd e.
    fn power(&mut self, (id, exponent): Power) -> NodeId {
        if exponent <= 1 {
            return id;
        }
        let half = self.power((id, exponent / 2));
        let square = self.add(Node::Unary(UnaryOp::Square, half));
        if exponent % 2 == 0 {
            square
        } else {
            self.add(Node::Binary(BinaryOp::Mul, id, square))
        }
    }

    // The root of the training form. A sum at the root is a sum of losses. A product with a sum in it is
    // multiplied out, so that each term can be looked at; terms without a prediction are dropped, and so
    // are those whose sum over the channels no prediction changes, such as ŷ alone after a softmax.

    /// The root of a loss with the same gradient.
    fn trained_root(&mut self, root: Signed) -> Signed {
        let Some(terms) = self.multiplied_out(root) else {
            return root;
        };
        let kept: Vec<Signed> = terms
            .iter()
            .copied()
            .filter(|term| self.has_gradient(term.id))
            .collect();
        if kept.is_empty() {
            return root;
        }
        self.chain(kept)
    }

    /// The terms of the root; None where there are too many.
    fn multiplied_out(&mut self, root: Signed) -> Option<Vec<Signed>> {
        let mut stack = vec![root];
        let mut terms = Vec::new();
        while let Some(term) = stack.pop() {
            if terms.len() + stack.len() > usize::from(MOST_OPERANDS) {
                return None;
            }
            if self.known(term.id).orders > LARGEST_SUM {
                terms.push(term);
                continue;
            }
            match self.node(term.id) {
                Node::Unary(UnaryOp::Neg, a) => stack.push(Signed { id: a, ..term }.flipped(true)),
                Node::Unary(UnaryOp::MeanNhw | UnaryOp::MeanC, a) => {
                    stack.push(Signed { id: a, ..term });
                }
                Node::Binary(BinaryOp::Add, a, b) => {
                    stack.extend([a, b].map(|id| Signed { id, ..term }));
                }
                Node::Binary(BinaryOp::Mul, ..) => match self.with_sum(term.id) {
                    Some((rest, [a, b])) => {
                        for part in [a, b] {
                            let part = self.signed(part);
                            let part = self.product(Signed::plus(rest), part);
                            stack.push(part.flipped(term.negative));
                        }
                    }
                    None => terms.push(term),
                },
                _ => terms.push(term),
            }
        }
        Some(terms)
    }

    /// A node with its sign apart.
    fn signed(&self, id: NodeId) -> Signed {
        match self.node(id) {
            Node::Unary(UnaryOp::Neg, a) => Signed::plus(a).flipped(true),
            _ => Signed::plus(id),
        }
    }

    /// A product as its first factor that is a sum, and the rest.
    fn with_sum(&mut self, id: NodeId) -> Option<(NodeId, [NodeId; 2])> {
        let one = self.add(Node::One);
        let mut powers = self.powers(id, one)?;
        let sums = |power: &(NodeId, u16)| match (self.node(power.0), power.1) {
            (Node::Binary(BinaryOp::Add, a, b), 1) => Some([a, b]),
            _ => None,
        };
        let (at, parts) = powers
            .iter()
            .enumerate()
            .find_map(|(at, power)| Some((at, sums(power)?)))?;
        powers.remove(at);
        Some((self.product_of(powers), parts))
    }

    /// Whether a term of the root has a gradient.
    fn has_gradient(&mut self, id: NodeId) -> bool {
        let known = *self.known(id);
        // What may be infinite ends a training.
        !known.finite || (known.traits.moves && !self.has_constant_sum(id))
    }

    /// Whether a term is an input of constant mean over the channels, times what is equal over them.
    fn has_constant_sum(&mut self, id: NodeId) -> bool {
        let one = self.add(Node::One);
        let Some(powers) = self.powers(id, one) else {
            return false;
        };
        let mut moving = powers.into_iter().filter(|power| {
            let known = self.known(power.0);
            known.traits.moves || !known.traits.even_c
        });
        let (Some((id, 1)), None) = (moving.next(), moving.next()) else {
            return false;
        };
        match self.node(id) {
            Node::Input(input) => self
                .signature
                .get(input)
                .is_some_and(|spec| spec.channel_mean_constant),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
