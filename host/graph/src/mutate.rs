//! The three mutations of AutoLoss-Zero (arXiv 2103.14026, recalled), and one of ours: the sum with another loss.
//!
//! A mutation works on one use of a node, not on the node: where a node is shared, its other uses
//! keep what they had. Each returns None where it cannot apply within the limits, so that the caller
//! draws again; none ever returns the graph it was given.

use crate::generate::{random_leaf, random_op};
use crate::graph::{NodeId, in_order};
use crate::signature::operators;
use crate::{BinaryOp, GraphBuilder, Limits, LossGraph, Node, Op, Signature};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Draws after which a mutation counts as impossible.
const TRIES: usize = 16;

/// A kind of mutation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// A random operator between a node that is not the root and its parent.
    Insertion,
    /// An operator goes; one of its operands takes its place.
    Deletion,
    /// An operator becomes another; operands are dropped or drawn to fit.
    Replacement,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 3] = [
        Mutation::Insertion,
        Mutation::Deletion,
        Mutation::Replacement,
    ];

    /// The name in stores and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mutation::Insertion => "insertion",
            Mutation::Deletion => "deletion",
            Mutation::Replacement => "replacement",
        }
    }
}

/// One mutation of the given kind, or None where it cannot apply.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Mutation, Signature, mutate};
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
///
/// let (inputs, limits) = (Signature::dense(), Limits::default());
/// let graph = LossGraph::parse("neg(mul(y, log(yhat)))", &inputs, &limits)?;
/// let mut rng = ChaCha8Rng::seed_from_u64(3);
/// let child = mutate(&mut rng, &graph, &inputs, &limits, Mutation::Deletion).expect("it applies");
/// assert!(child.operator_count() < graph.operator_count());
/// # Ok::<(), autoloss_graph::ParseError>(())
/// ```
pub fn mutate<R: Rng + ?Sized>(
    rng: &mut R,
    graph: &LossGraph,
    signature: &Signature,
    limits: &Limits,
    mutation: Mutation,
) -> Option<LossGraph> {
    (0..TRIES).find_map(|_| {
        let child = match mutation {
            Mutation::Insertion => insert(rng, graph, signature),
            Mutation::Deletion => delete(rng, graph),
            Mutation::Replacement => replace(rng, graph, signature),
        }?;
        (child != *graph && child.validate(limits).is_ok()).then_some(child)
    })
}

/// The sum of two losses of one signature, or None where it would exceed the limits. Nodes that both have are
/// shared.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature, sum};
///
/// let (inputs, limits) = (Signature::dense(), Limits::default());
/// let loss = |text| LossGraph::parse(text, &inputs, &limits).unwrap();
/// let both = sum(&loss("neg(mul(y, log(yhat)))"), &loss("square(log(yhat))"), &limits).unwrap();
/// assert_eq!(both.display(&inputs).to_string(), "add(neg(mul(y, log(yhat))), square(log(yhat)))");
/// ```
#[must_use]
pub fn sum(loss: &LossGraph, term: &LossGraph, limits: &Limits) -> Option<LossGraph> {
    let mut builder = copy(loss);
    let mut number = Vec::new();
    for id in term.ids() {
        let node = term.node(id).map(|operand| {
            let moved: &NodeId = &number[operand.index()];
            *moved
        });
        number.push(builder.add(node));
    }
    let root = Node::Binary(BinaryOp::Add, loss.root(), number[term.root().index()]);
    let root = builder.add(root);
    let both = in_order(builder.nodes(), root);
    both.validate(limits).is_ok().then_some(both)
}

/// A mutation of a kind drawn evenly; another kind where that one cannot apply.
pub fn random_mutation<R: Rng + ?Sized>(
    rng: &mut R,
    graph: &LossGraph,
    signature: &Signature,
    limits: &Limits,
) -> Option<(Mutation, LossGraph)> {
    let mut kinds = Mutation::ALL.to_vec();
    while !kinds.is_empty() {
        let kind = kinds.swap_remove(rng.random_range(0..kinds.len()));
        if let Some(child) = mutate(rng, graph, signature, limits, kind) {
            return Some((kind, child));
        }
    }
    None
}

/// The use of an operand: which operator, and which of its operands.
#[derive(Copy, Clone)]
struct Edge {
    parent: NodeId,
    slot: usize,
}

fn edges(graph: &LossGraph) -> Vec<(Edge, NodeId)> {
    let of = |parent: NodeId| {
        let operands = graph.node(parent).operands().enumerate();
        operands.map(move |(slot, child)| (Edge { parent, slot }, child))
    };
    graph.ids().flat_map(of).collect()
}

fn pick<R: Rng + ?Sized, T: Copy>(rng: &mut R, items: &[T]) -> Option<T> {
    (!items.is_empty()).then(|| items[rng.random_range(0..items.len())])
}

fn insert<R: Rng + ?Sized>(
    rng: &mut R,
    graph: &LossGraph,
    signature: &Signature,
) -> Option<LossGraph> {
    let (edge, child) = pick(rng, &edges(graph))?;
    let mut builder = copy(graph);
    let new = match random_op(rng, signature) {
        Op::Unary(op) => builder.add(Node::Unary(op, child)),
        Op::Binary(op) => {
            // Nodes before the parent cannot lie above it, so no cycle can arise.
            let other = random_operand(rng, &mut builder, signature, edge.parent);
            let (a, b) = if rng.random() {
                (child, other)
            } else {
                (other, child)
            };
            builder.add(Node::Binary(op, a, b))
        }
    };
    Some(rewired(graph, builder, edge, new))
}

fn delete<R: Rng + ?Sized>(rng: &mut R, graph: &LossGraph) -> Option<LossGraph> {
    let victim = random_operator(rng, graph)?;
    let operands: Vec<NodeId> = graph.node(victim).operands().collect();
    let heir = pick(rng, &operands)?;
    if victim == graph.root() {
        // An input alone is no loss.
        graph.node(heir).op()?;
        return Some(in_order(graph.nodes(), heir));
    }
    let edge = pick(rng, &uses_of(graph, victim))?;
    Some(rewired(graph, copy(graph), edge, heir))
}

fn replace<R: Rng + ?Sized>(
    rng: &mut R,
    graph: &LossGraph,
    signature: &Signature,
) -> Option<LossGraph> {
    let old = random_operator(rng, graph)?;
    let others: Vec<Op> = operators(signature)
        .iter()
        .copied()
        .filter(|op| Some(*op) != graph.node(old).op())
        .collect();
    let op = pick(rng, &others)?;
    let operands: Vec<NodeId> = graph.node(old).operands().collect();
    let mut builder = copy(graph);
    let new = match (op, operands.as_slice()) {
        (Op::Unary(op), operands) => Node::Unary(op, pick(rng, operands)?),
        (Op::Binary(op), &[a, b]) => Node::Binary(op, a, b),
        (Op::Binary(op), operands) => {
            let kept = pick(rng, operands)?;
            let other = random_operand(rng, &mut builder, signature, old);
            let (a, b) = if rng.random() {
                (kept, other)
            } else {
                (other, kept)
            };
            Node::Binary(op, a, b)
        }
    };
    let new = builder.add(new);
    if old == graph.root() {
        return builder.finish(new).ok();
    }
    let edge = pick(rng, &uses_of(graph, old))?;
    Some(rewired(graph, builder, edge, new))
}

fn random_operator<R: Rng + ?Sized>(rng: &mut R, graph: &LossGraph) -> Option<NodeId> {
    let operators: Vec<NodeId> = graph
        .ids()
        .filter(|id| graph.node(*id).op().is_some())
        .collect();
    pick(rng, &operators)
}

fn uses_of(graph: &LossGraph, node: NodeId) -> Vec<Edge> {
    edges(graph)
        .into_iter()
        .filter(|(_, child)| *child == node)
        .map(|(edge, _)| edge)
        .collect()
}

/// A node below `before`, or an input or the constant 1.
fn random_operand<R: Rng + ?Sized>(
    rng: &mut R,
    builder: &mut GraphBuilder,
    signature: &Signature,
    before: NodeId,
) -> NodeId {
    if before.index() > 0 && rng.random() {
        NodeId(rng.random_range(0..before.index()) as u16)
    } else {
        random_leaf(rng, builder, signature)
    }
}

/// A builder whose first nodes are the graph's, under the same numbers.
fn copy(graph: &LossGraph) -> GraphBuilder {
    let mut builder = GraphBuilder::new();
    for node in graph.nodes() {
        builder.add(*node);
    }
    builder
}

/// The graph with one edge leading to `new`. Operators above the edge are made anew.
fn rewired(graph: &LossGraph, mut builder: GraphBuilder, edge: Edge, new: NodeId) -> LossGraph {
    let mut number: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids().skip(edge.parent.index()) {
        let mut slot = 0;
        let node = graph.node(id).map(|operand| {
            let moved = id == edge.parent && slot == edge.slot;
            slot += 1;
            if moved { new } else { number[operand.index()] }
        });
        number[id.index()] = builder.add(node);
    }
    in_order(builder.nodes(), number[graph.root().index()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use std::collections::HashSet;

    fn children(text: &str, kind: Mutation) -> HashSet<String> {
        let (inputs, limits) = (Signature::dense(), Limits::default());
        let graph = LossGraph::parse(text, &inputs, &limits).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..600)
            .filter_map(|_| mutate(&mut rng, &graph, &inputs, &limits, kind))
            .map(|child| child.display(&inputs).to_string())
            .collect()
    }

    #[test]
    fn deletion_leaves_one_operand_in_place() {
        let expected = [
            "mul(y, log(yhat))",
            "neg(y)",
            "neg(log(yhat))",
            "neg(mul(y, yhat))",
        ];
        let expected: HashSet<String> = expected.into_iter().map(Into::into).collect();
        assert_eq!(
            children("neg(mul(y, log(yhat)))", Mutation::Deletion),
            expected
        );
    }

    #[test]
    fn deletion_never_leaves_an_input_alone() {
        assert!(children("neg(y)", Mutation::Deletion).is_empty());
    }

    #[test]
    fn insertion_keeps_the_root_and_adds_one_operator() {
        let made = children("neg(log(yhat))", Mutation::Insertion);
        assert!(made.contains("neg(tanh(log(yhat)))") && made.contains("neg(log(abs(yhat)))"));
        assert!(made.iter().all(|text| text.starts_with("neg(")));
        assert!(made.contains("neg(log(mul(yhat, y)))") && made.contains("neg(log(add(1, yhat)))"));
    }

    #[test]
    fn replacement_reaches_every_other_operator() {
        let made = children("log(yhat)", Mutation::Replacement);
        assert!(made.contains("exp(yhat)") && made.contains("mul(yhat, y)"));
        assert!(made.contains("add(1, yhat)") && !made.contains("log(yhat)"));
        let dropped = children("mul(y, yhat)", Mutation::Replacement);
        assert!(dropped.contains("exp(y)") && dropped.contains("exp(yhat)"));
        assert!(dropped.contains("add(y, yhat)"));
    }

    #[test]
    fn a_shared_node_changes_at_one_use() {
        let made = children("add(log(yhat), exp(log(yhat)))", Mutation::Replacement);
        assert!(made.contains("add(abs(yhat), exp(log(yhat)))"), "{made:?}");
        assert!(made.contains("add(log(yhat), exp(abs(yhat)))"), "{made:?}");
    }
}
