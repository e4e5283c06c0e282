//! Which of equal spellings is the best to read: the smallest tree, and among those of one size the one
//! with signs outside, chains that go on to the right, and the operands of each in this order: numbers,
//! inputs, the rest by size, divisors. A hash of the structure settles what is left, so that the choice
//! depends on nothing else.

use super::{Leaf, Term};
use autoloss_graph::hash::mix;
use autoloss_graph::{BinaryOp, LossGraph, Node, Op, Signature, UnaryOp};
use egg::{CostFunction, Id, Language};

/// What a spelling costs; compared in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    /// Nodes of the tree.
    size: u64,
    /// Breaches of the habits of mathematics.
    odd: u64,
    hash: u64,
    /// The operator at the top, None of a leaf.
    top: Option<Op>,
    /// Where it belongs among other operands.
    place: Place,
    /// Where its own last operand belongs.
    last: Place,
}

/// A place in the order of operands.
type Place = (u8, u64);

/// The cost of [`Term`]s over a signature.
#[derive(Clone)]
pub(super) struct Readable {
    /// For each input its place among the inputs.
    ranks: Vec<u64>,
}

impl Readable {
    /// Targets come first, y · log ŷ; else inputs in the order of their declaration.
    pub(super) fn of(signature: &Signature) -> Self {
        let inputs = signature.inputs().iter().enumerate();
        let rank = |(at, input): (usize, &autoloss_graph::InputInfo)| {
            at as u64 + if input.prediction { 100 } else { 0 }
        };
        Self {
            ranks: inputs.map(rank).collect(),
        }
    }

    /// The cost of a whole graph.
    pub(super) fn graph(&self, graph: &LossGraph) -> Cost {
        let mut costs: Vec<Cost> = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            let below: Vec<Cost> = node
                .operands()
                .map(|id| costs[id.index()].clone())
                .collect();
            costs.push(match (*node, node.op()) {
                (Node::Input(input), _) => self.input(input.index()),
                (_, Some(op)) => node_cost(op, &below),
                _ => leaf_cost((0, 0)),
            });
        }
        // A graph has a root.
        costs.pop().unwrap_or_else(|| leaf_cost((0, 0)))
    }

    fn input(&self, position: usize) -> Cost {
        let rank = self.ranks.get(position).copied();
        leaf_cost((1, rank.unwrap_or(position as u64 + 200)))
    }
}

impl CostFunction<Term> for Readable {
    type Cost = Cost;

    fn cost<C: FnMut(Id) -> Cost>(&mut self, term: &Term, mut costs: C) -> Cost {
        let below: Vec<Cost> = term.children().iter().map(|id| costs(*id)).collect();
        match (term, term.op()) {
            (Term::Input(Leaf(position)), _) => self.input(usize::from(*position)),
            (_, Some(op)) => node_cost(op, &below),
            _ => leaf_cost((0, 0)),
        }
    }
}

fn leaf_cost(place: Place) -> Cost {
    Cost {
        size: 1,
        odd: 0,
        hash: mix(u64::from(place.0), place.1),
        top: None,
        place,
        last: place,
    }
}

fn node_cost(op: Op, below: &[Cost]) -> Cost {
    let sum = |of: fn(&Cost) -> u64| below.iter().map(of).fold(0, u64::saturating_add);
    let hashes = below.iter().map(|cost| cost.hash);
    let size = sum(|cost| cost.size).saturating_add(1);
    let place = if op == UnaryOp::Inv.into() {
        (3, size)
    } else {
        (2, size)
    };
    Cost {
        size,
        odd: sum(|cost| cost.odd).saturating_add(oddness(op, below)),
        hash: hashes.fold(u64::from(op.number()) + 100, mix),
        top: Some(op),
        place,
        last: below.last().map_or(place, |cost| cost.place),
    }
}

fn oddness(op: Op, below: &[Cost]) -> u64 {
    let negative = |cost: &Cost| cost.top == Some(UnaryOp::Neg.into());
    match below {
        [a, b] => {
            let before = if a.top == Some(op) { a.last } else { a.place };
            let chain = u64::from(b.top == Some(op));
            let order = u64::from(before > b.place);
            match (op, negative(a), negative(b)) {
                // A difference is written by its sign, whatever is larger.
                (Op::Binary(BinaryOp::Add), false, true) => 0,
                (Op::Binary(BinaryOp::Add), true, false) => 2,
                (Op::Binary(BinaryOp::Add), ..) => chain + order,
                _ => 3 * (u64::from(negative(a)) + u64::from(negative(b))) + chain + order,
            }
        }
        [a] if negative(a) => 2,
        _ => 0,
    }
}
