//! Which of equal spellings is the best to read: the smallest tree, and among those of one size the one
//! with signs outside, small operands first and divisors last. A hash of the structure settles
//! the rest, so that the choice depends on nothing else.

use super::Term;
use autoloss_graph::{LossGraph, Node, Op};
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
}

/// The cost of [`Term`]s.
pub(super) struct Readable;

impl CostFunction<Term> for Readable {
    type Cost = Cost;

    fn cost<C: FnMut(Id) -> Cost>(&mut self, term: &Term, mut costs: C) -> Cost {
        let below: Vec<Cost> = term.children().iter().map(|id| costs(*id)).collect();
        match (term, term.op()) {
            (Term::Input(leaf), _) => leaf_cost(u64::from(leaf.0) + 1),
            (_, Some(op)) => node_cost(op, &below),
            _ => leaf_cost(0),
        }
    }
}

/// The cost of a whole graph.
pub(super) fn of(graph: &LossGraph) -> Cost {
    let mut costs: Vec<Cost> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        let below: Vec<Cost> = node
            .operands()
            .map(|id| costs[id.index()].clone())
            .collect();
        costs.push(match (*node, node.op()) {
            (Node::Input(input), _) => leaf_cost(input.index() as u64 + 1),
            (_, Some(op)) => node_cost(op, &below),
            _ => leaf_cost(0),
        });
    }
    // A graph has a root.
    costs.pop().unwrap_or_else(|| leaf_cost(0))
}

fn leaf_cost(rank: u64) -> Cost {
    Cost {
        size: 1,
        odd: 0,
        hash: rank,
        top: None,
    }
}

fn node_cost(op: Op, below: &[Cost]) -> Cost {
    let sum = |of: fn(&Cost) -> u64| below.iter().map(of).fold(0, u64::saturating_add);
    let hashes = below.iter().map(|cost| cost.hash);
    Cost {
        size: sum(|cost| cost.size).saturating_add(1),
        odd: sum(|cost| cost.odd).saturating_add(oddness(op, below)),
        hash: hashes.fold(op as u64 + 100, mix),
        top: Some(op),
    }
}

fn oddness(op: Op, below: &[Cost]) -> u64 {
    let is = |at: usize, op: Op| below.get(at).is_some_and(|cost| cost.top == Some(op));
    match (op, below) {
        (Op::Add, [a, b]) => match (is(0, Op::Neg), is(1, Op::Neg)) {
            (true, false) => 2,
            (false, false) => u64::from(is_after(a, b)),
            _ => 0,
        },
        (Op::Mul, [a, b]) => {
            let signs = u64::from(is(0, Op::Neg)) + u64::from(is(1, Op::Neg));
            let order = match (is(0, Op::Inv), is(1, Op::Inv)) {
                (true, false) => 1,
                (false, true) => 0,
                _ => u64::from(is_after(a, b)),
            };
            3 * signs + order
        }
        (_, [_]) if is(0, Op::Neg) => 2,
        _ => 0,
    }
}

/// Whether an operand belongs after another.
fn is_after(a: &Cost, b: &Cost) -> bool {
    let key = |cost: &Cost| (cost.size, cost.top.is_some());
    // Of two inputs the target is usually declared last and written first: y · log ŷ.
    match (a.top, b.top) {
        (None, None) if a.hash > 0 && b.hash > 0 => a.hash < b.hash,
        _ => key(a) > key(b),
    }
}

/// A step of the SplitMix64 generator (Steele, Lea and Flood 2014).
fn mix(state: u64, part: u64) -> u64 {
    let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
