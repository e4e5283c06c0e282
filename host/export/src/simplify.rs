//! The same loss written shorter, by equality saturation.
//!
//! A search leaves losses that say things in roundabout ways: `neg(neg x)`, a mean of a mean, the absolute
//! value of a probability. [`LossGraph::canonical`](autoloss_graph::LossGraph::canonical) spells equals
//! alike, for a search that has microseconds; here a formula is to be read, so all spellings that
//! the [rules] lead to are collected in an e-graph and the shortest is taken. Saturation ends by counts of
//! nodes and rounds, never by a clock, so that the outcome is the same on every machine.
//!
//! What may be rewritten depends on what is certain of the values ([facts]). Nothing is rewritten that
//! holds up to ε only.

mod cost;
mod facts;
mod rules;

use autoloss_graph::{
    BinaryOp, GraphBuilder, GraphError, InputId, LossGraph, Node, NodeId, Op, Signature, UnaryOp,
};
use cost::Readable;
use egg::{EGraph, Extractor, Id, RecExpr, Runner, SimpleScheduler};
use facts::Domain;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Larger graphs are returned as they are.
const LARGEST: usize = 256;
/// And so are those that are larger written as trees.
const LARGEST_TREE: u64 = 1 << 20;
/// Most nodes of the e-graph, most rounds of rules over it, most times that both begin anew.
const NODES: usize = 4000;
const ROUNDS: usize = 12;
const PASSES: usize = 16;

egg::define_language! {
    /// The operators, for patterns of rules.
    enum Term {
        "1" = One,
        "add" = Add([Id; 2]),
        "mul" = Mul([Id; 2]),
        "neg" = Neg(Id),
        "abs" = Abs(Id),
        "inv" = Inv(Id),
        "log" = Log(Id),
        "exp" = Exp(Id),
        "tanh" = Tanh(Id),
        "square" = Square(Id),
        "sqrt" = Sqrt(Id),
        "mean_nhw" = MeanNhw(Id),
        "mean_c" = MeanC(Id),
        "max_pool3x3" = MaxPool3x3(Id),
        "min_pool3x3" = MinPool3x3(Id),
        Input(Leaf),
    }
}

/// An input by its position; patterns have none.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Leaf(u8);

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input{}", self.0)
    }
}

impl FromStr for Leaf {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("input").unwrap_or(text).parse().map(Self)
    }
}

impl Term {
    fn unary(op: UnaryOp, a: Id) -> Self {
        match op {
            UnaryOp::Neg => Term::Neg(a),
            UnaryOp::Abs => Term::Abs(a),
            UnaryOp::Inv => Term::Inv(a),
            UnaryOp::Log => Term::Log(a),
            UnaryOp::Exp => Term::Exp(a),
            UnaryOp::Tanh => Term::Tanh(a),
            UnaryOp::Square => Term::Square(a),
            UnaryOp::Sqrt => Term::Sqrt(a),
            UnaryOp::MeanNhw => Term::MeanNhw(a),
            UnaryOp::MeanC => Term::MeanC(a),
            UnaryOp::MaxPool3x3 => Term::MaxPool3x3(a),
            UnaryOp::MinPool3x3 => Term::MinPool3x3(a),
        }
    }

    /// The operator, None of a leaf.
    fn op(&self) -> Option<Op> {
        Some(match self {
            Term::One | Term::Input(_) => return None,
            Term::Add(_) => BinaryOp::Add.into(),
            Term::Mul(_) => BinaryOp::Mul.into(),
            Term::Neg(_) => UnaryOp::Neg.into(),
            Term::Abs(_) => UnaryOp::Abs.into(),
            Term::Inv(_) => UnaryOp::Inv.into(),
            Term::Log(_) => UnaryOp::Log.into(),
            Term::Exp(_) => UnaryOp::Exp.into(),
            Term::Tanh(_) => UnaryOp::Tanh.into(),
            Term::Square(_) => UnaryOp::Square.into(),
            Term::Sqrt(_) => UnaryOp::Sqrt.into(),
            Term::MeanNhw(_) => UnaryOp::MeanNhw.into(),
            Term::MeanC(_) => UnaryOp::MeanC.into(),
            Term::MaxPool3x3(_) => UnaryOp::MaxPool3x3.into(),
            Term::MinPool3x3(_) => UnaryOp::MinPool3x3.into(),
        })
    }
}

/// The shortest graph with the same tensor at its root that the rules find, and the same gradient where
/// there is one; never longer than `graph`. Values are the same up to rounding, for every input that
/// the signature allows of at most 10³⁰⁰.
///
/// Simplifying again changes nothing. Graphs of more than 256 nodes are returned as they are.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature};
///
/// let signature = Signature::dense();
/// let text = "mul(square(y), neg(log(abs(yhat))))";
/// let graph = LossGraph::parse(text, &signature, &Limits::default())?;
/// let simple = autoloss_export::simplify(&graph, &signature);
/// assert_eq!(simple.display(&signature).to_string(), "neg(mul(y, log(yhat)))");
/// # Ok::<(), autoloss_graph::ParseError>(())
/// ```
#[must_use]
pub fn simplify(graph: &LossGraph, signature: &Signature) -> LossGraph {
    if graph.len() > LARGEST || graph.tree_size() > LARGEST_TREE {
        return graph.clone();
    }
    let readable = Readable::of(signature);
    let mut best = graph.clone();
    for _ in 0..PASSES {
        match shorter(&best, signature, &readable) {
            Ok(found) if is_better(&found, &best, &readable) => best = found,
            _ => break,
        }
    }
    best
}

/// Whether a spelling costs less, and is no larger as a graph that shares its nodes.
fn is_better(found: &LossGraph, best: &LossGraph, readable: &Readable) -> bool {
    found.len() <= best.len() && readable.graph(found) < readable.graph(best)
}

/// The best spelling that one saturation finds.
fn shorter(
    graph: &LossGraph,
    signature: &Signature,
    readable: &Readable,
) -> Result<LossGraph, GraphError> {
    let mut egraph = EGraph::new(Domain::of(signature));
    let (root, inputs) = insert(graph, &mut egraph);
    let runner: Runner<Term, Domain> = Runner::new(Domain::default())
        .with_egraph(egraph)
        .with_scheduler(SimpleScheduler)
        .with_iter_limit(ROUNDS)
        .with_node_limit(NODES)
        .with_time_limit(Duration::MAX)
        .run(rules::all());
    let (_, best) = Extractor::new(&runner.egraph, readable.clone()).find_best(root);
    to_graph(&best, &inputs)
}

/// Adds a graph; its root, and its inputs by position.
fn insert(graph: &LossGraph, egraph: &mut EGraph<Term, Domain>) -> (Id, BTreeMap<u8, InputId>) {
    let mut inputs = BTreeMap::new();
    let mut ids: Vec<Id> = Vec::with_capacity(graph.len());
    let mut root = Id::from(0);
    for node in graph.nodes() {
        let at = |id: NodeId| ids[id.index()];
        let term = match *node {
            Node::One => Term::One,
            Node::Input(input) => {
                // There are at most 16.
                let position = u8::try_from(input.index()).unwrap_or(u8::MAX);
                inputs.insert(position, input);
                Term::Input(Leaf(position))
            }
            Node::Unary(op, a) => Term::unary(op, at(a)),
            Node::Binary(BinaryOp::Add, a, b) => Term::Add([at(a), at(b)]),
            Node::Binary(BinaryOp::Mul, a, b) => Term::Mul([at(a), at(b)]),
        };
        root = egraph.add(term);
        ids.push(root);
    }
    egraph.rebuild();
    (root, inputs)
}

fn to_graph(
    terms: &RecExpr<Term>,
    inputs: &BTreeMap<u8, InputId>,
) -> Result<LossGraph, GraphError> {
    use egg::Language;
    let mut builder = GraphBuilder::new();
    let mut ids: Vec<NodeId> = Vec::with_capacity(terms.len());
    for term in terms {
        let id = match (term, term.op()) {
            (Term::Input(Leaf(position)), _) => match inputs.get(position) {
                Some(input) => builder.input(*input),
                None => return Err(GraphError::UnknownNode(usize::from(*position))),
            },
            (_, Some(op)) => {
                let operands: Vec<NodeId> = term
                    .children()
                    .iter()
                    .map(|id| ids[usize::from(*id)])
                    .collect();
                builder.apply(op, &operands)?
            }
            _ => builder.one(),
        };
        ids.push(id);
    }
    // What is extracted has a root.
    let root = ids.last().copied().unwrap_or_else(|| builder.one());
    builder.finish(root)
}

#[cfg(test)]
mod tests;
