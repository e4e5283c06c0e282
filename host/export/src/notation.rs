//! What a formula looks like on paper, before it is known in which markup.
//!
//! Operators of graphs become signs of mathematics here, once: `add(a, neg(b))` is a difference,
//! `mul(a, inv(b))` a fraction. LaTeX and MathML then only differ in how they spell these. As in
//! [`LossGraph::formula`], ε is left out, and `log` and `√` stand for their signed forms.
//!
//! What is used twice in a large graph gets a name of its own, so that a formula is never longer than
//! a few times its graph; and so does what is nested too deeply, so that printers may recurse.

use autoloss_graph::{InputId, LossGraph, Node, NodeId, Op, Signature};

/// Trees up to this size are written out in one piece.
const LARGEST_TREE: u64 = 64;
/// Least size of a tree that gets a name.
const SMALLEST_NAMED: u64 = 4;
/// Deepest nesting of what is written out.
const DEEPEST: usize = 24;
/// Largest whole number that is written as digits.
const LARGEST_NUMBER: u64 = 999;

/// A formula in terms of mathematics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(u64),
    Symbol(Symbol),
    /// Terms, each with whether it is subtracted.
    Sum(Vec<(bool, Expr)>),
    Product(Vec<Expr>),
    Fraction(Box<Expr>, Box<Expr>),
    Squared(Box<Expr>),
    Exponential(Box<Expr>),
    Root(Box<Expr>),
    Abs(Box<Expr>),
    Call(Function, Box<Expr>),
}

/// An input, or what was given a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Symbol {
    Input { name: String, hat: bool },
    Defined { letter: char, number: usize },
}

/// A function that is written by its name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What it goes over, where that must be said.
    pub(crate) over: Option<&'static str>,
}

/// A graph on paper: definitions in the order in which they build on each other, then the formula.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notation {
    pub(crate) definitions: Vec<(Symbol, Expr)>,
    pub(crate) formula: Expr,
}

impl Notation {
    pub(crate) fn of(graph: &LossGraph, signature: &Signature) -> Self {
        let numbers = numbers(graph);
        let named = named(graph, &numbers);
        let mut writer = Writer {
            graph,
            signature,
            letter: letter(signature),
            numbers,
            names: vec![None; graph.len()],
        };
        let mut definitions = Vec::new();
        for id in named {
            let expr = writer.expr(id);
            let number = definitions.len() + 1;
            let letter = writer.letter;
            let symbol = Symbol::Defined { letter, number };
            writer.names[id.index()] = Some(symbol.clone());
            definitions.push((symbol, expr));
        }
        Self {
            definitions,
            formula: writer.expr(graph.root()),
        }
    }
}

/// A letter that no input begins with.
fn letter(signature: &Signature) -> char {
    let taken = |letter: &char| {
        let mut names = signature.inputs().iter().map(|input| &input.name);
        names.any(|name| name.starts_with(*letter))
    };
    // A signature has at most 16 inputs.
    ('q'..='z')
        .chain('a'..='p')
        .find(|letter| !taken(letter))
        .unwrap_or('q')
}

/// The nodes that get names, in order; the root never does.
fn named(graph: &LossGraph, numbers: &[Option<u64>]) -> Vec<NodeId> {
    let mut uses = vec![0_u32; graph.len()];
    for operand in graph.nodes().iter().flat_map(|node| node.operands()) {
        uses[operand.index()] += 1;
    }
    let shares = graph.tree_size() > LARGEST_TREE;
    let mut sizes: Vec<u64> = Vec::with_capacity(graph.len());
    let mut depths: Vec<usize> = Vec::with_capacity(graph.len());
    let mut named = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let (mut size, mut depth) = (1, 0);
        for operand in node.operands() {
            size += sizes[operand.index()];
            depth = depth.max(depths[operand.index()] + 1);
        }
        let shared = shares && uses[id.index()] > 1 && size >= SMALLEST_NAMED;
        let short = id == graph.root() || numbers[id.index()].is_some();
        if !short && (shared || depth >= DEEPEST) {
            named.push(id);
            (size, depth) = (1, 0);
        }
        sizes.push(size);
        depths.push(depth);
    }
    named
}

/// The whole numbers that are built from ones.
fn numbers(graph: &LossGraph) -> Vec<Option<u64>> {
    let mut numbers: Vec<Option<u64>> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        let number = match *node {
            Node::One => Some(1),
            Node::Binary(op, a, b) => {
                let both = numbers[a.index()].zip(numbers[b.index()]);
                both.map(|(a, b)| if op == Op::Add { a + b } else { a * b })
            }
            Node::Unary(Op::Square, a) => numbers[a.index()].map(|a| a * a),
            _ => None,
        };
        numbers.push(number.filter(|number| *number <= LARGEST_NUMBER));
    }
    numbers
}

struct Writer<'a> {
    graph: &'a LossGraph,
    signature: &'a Signature,
    letter: char,
    numbers: Vec<Option<u64>>,
    names: Vec<Option<Symbol>>,
}

impl Writer<'_> {
    fn expr(&self, id: NodeId) -> Expr {
        if let Some(name) = &self.names[id.index()] {
            return Expr::Symbol(name.clone());
        }
        if let Some(number) = self.numbers[id.index()] {
            return Expr::Number(number);
        }
        let below = |id| Box::new(self.expr(id));
        let call = |name, over, id| Expr::Call(Function { name, over }, below(id));
        match self.graph.node(id) {
            Node::One => Expr::Number(1),
            Node::Input(input) => Expr::Symbol(self.input(input)),
            Node::Binary(Op::Add, ..) | Node::Unary(Op::Neg, _) => {
                let mut terms = Vec::new();
                self.terms(id, &mut terms);
                Expr::Sum(terms)
            }
            Node::Binary(..) | Node::Unary(Op::Inv, _) => self.quotient(id),
            Node::Unary(Op::Square, a) => Expr::Squared(below(a)),
            // An input may be called e.
            Node::Unary(Op::Exp, a) if self.signature.index_of("e").is_some() => {
                call("exp", None, a)
            }
            Node::Unary(Op::Exp, a) => Expr::Exponential(below(a)),
            Node::Unary(Op::Sqrt, a) => Expr::Root(below(a)),
            Node::Unary(Op::Abs, a) => Expr::Abs(below(a)),
            Node::Unary(Op::Log, a) => call("log", None, a),
            Node::Unary(Op::Tanh, a) => call("tanh", None, a),
            Node::Unary(Op::MeanNhw, a) => call("mean", Some("nhw"), a),
            Node::Unary(Op::MeanC, a) => call("mean", Some("c"), a),
            Node::Unary(Op::MaxPool3x3, a) => call("max", Some("3×3"), a),
            Node::Unary(Op::MinPool3x3, a) => call("min", Some("3×3"), a),
            // The binary operators take two operands.
            Node::Unary(Op::Add | Op::Mul, a) => self.expr(a),
        }
    }

    /// Whether a node is written as one symbol or number.
    fn is_written(&self, id: NodeId) -> bool {
        self.names[id.index()].is_some() || self.numbers[id.index()].is_some()
    }

    fn terms(&self, id: NodeId, terms: &mut Vec<(bool, Expr)>) {
        match self.graph.node(id) {
            _ if self.is_written(id) => terms.push((false, self.expr(id))),
            Node::Binary(Op::Add, a, b) => {
                self.terms(a, terms);
                self.terms(b, terms);
            }
            Node::Unary(Op::Neg, a) => terms.push((true, self.expr(a))),
            _ => terms.push((false, self.expr(id))),
        }
    }

    /// A product or an inverse, what is inverted below the bar.
    fn quotient(&self, id: NodeId) -> Expr {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        self.factors(id, &mut above, &mut below);
        let product = |mut factors: Vec<Expr>| match factors.len() {
            0 => Expr::Number(1),
            1 => factors.remove(0),
            _ => Expr::Product(factors),
        };
        match below.is_empty() {
            true => product(above),
            false => Expr::Fraction(Box::new(product(above)), Box::new(product(below))),
        }
    }

    fn factors(&self, id: NodeId, above: &mut Vec<Expr>, below: &mut Vec<Expr>) {
        match self.graph.node(id) {
            _ if self.is_written(id) => above.push(self.expr(id)),
            Node::Binary(Op::Mul, a, b) => {
                self.factors(a, above, below);
                self.factors(b, above, below);
            }
            Node::Unary(Op::Inv, a) => below.push(self.expr(a)),
            _ => above.push(self.expr(id)),
        }
    }

    fn input(&self, input: InputId) -> Symbol {
        let Some(spec) = self.signature.get(input) else {
            let name = format!("input{}", input.index());
            return Symbol::Input { name, hat: false };
        };
        match spec.name.strip_suffix("hat") {
            Some(letter) if letter.len() == 1 => Symbol::Input {
                name: letter.to_owned(),
                hat: true,
            },
            _ => Symbol::Input {
                name: spec.name.clone(),
                hat: false,
            },
        }
    }
}

impl Expr {
    /// Whether it needs brackets as a factor.
    pub(crate) fn is_sum(&self) -> bool {
        matches!(self, Expr::Sum(_))
    }

    /// Whether it needs no brackets as what is squared.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(
            self,
            Expr::Number(_) | Expr::Symbol(_) | Expr::Abs(_) | Expr::Root(_)
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use autoloss_graph::{GraphBuilder, Limits};

    pub(crate) fn graph(text: &str, signature: &Signature) -> LossGraph {
        let limits = Limits {
            max_nodes: 1000,
            max_depth: 1000,
            max_tree_size: 10_000,
        };
        LossGraph::parse(text, signature, &limits).unwrap()
    }

    /// A node that is added to itself over and over.
    pub(crate) fn doubled(times: usize) -> LossGraph {
        let signature = Signature::dense();
        let mut builder = GraphBuilder::new();
        let mut id = builder.input(signature.index_of("yhat").unwrap());
        for _ in 0..times {
            id = builder.apply(Op::Add, &[id, id]).unwrap();
        }
        builder.finish(id).unwrap()
    }

    pub(crate) fn deep(depth: usize) -> LossGraph {
        let signature = Signature::dense();
        let mut builder = GraphBuilder::new();
        let mut id = builder.input(signature.index_of("yhat").unwrap());
        for _ in 0..depth {
            id = builder.apply(Op::Tanh, &[id]).unwrap();
        }
        builder.finish(id).unwrap()
    }

    #[test]
    fn small_graphs_have_no_definitions() {
        let signature = Signature::dense();
        let twice = graph("mul(add(y, log(yhat)), add(y, log(yhat)))", &signature);
        assert_eq!(Notation::of(&twice, &signature).definitions, []);
    }

    #[test]
    fn astronomical_trees_are_written_in_definitions() {
        let signature = Signature::dense();
        let notation = Notation::of(&doubled(70), &signature);
        let size = format!("{notation:?}").len();
        assert!(notation.definitions.len() > 20 && size < 50_000, "{size}");
        for (at, (symbol, _)) in notation.definitions.iter().enumerate() {
            let number = at + 1;
            assert_eq!(
                *symbol,
                Symbol::Defined {
                    letter: 'q',
                    number
                }
            );
        }
    }

    #[test]
    fn deep_graphs_are_cut() {
        let notation = Notation::of(&deep(5000), &Signature::dense());
        assert_eq!(notation.definitions.len(), 4999 / DEEPEST);
    }

    #[test]
    fn letters_of_definitions_are_no_inputs() {
        assert_eq!(letter(&Signature::boxes()), 'q');
        let inputs = ["q", "rest", "s"].map(autoloss_graph::InputInfo::target);
        assert_eq!(letter(&Signature::new(inputs.to_vec()).unwrap()), 't');
    }
}
