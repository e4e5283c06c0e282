//! Infix formulas for reports and terminals: what a person reads at a glance, not what is stored.
//! ε is left out (`1/x` stands for 1/(x+ε), `log` and `√` for their signed forms), and so are
//! brackets that only associativity would need.

use std::fmt;

use crate::{InputId, LossGraph, Node, NodeId, Op, Signature};

/// Larger trees are not written out; a graph of few nodes that shares much can be astronomically
/// large as a tree.
const LARGEST_TREE: u64 = 10_000;

/// Displays a graph as an infix formula; made by [`LossGraph::formula`].
#[derive(Copy, Clone, Debug)]
pub struct Formula<'a> {
    graph: &'a LossGraph,
    signature: &'a Signature,
    style: &'static Style,
}

/// The marks of one character set.
#[derive(Debug)]
struct Style {
    unicode: bool,
    times: &'static str,
    minus: &'static str,
    subtract: &'static str,
    squared: &'static str,
    root: &'static str,
}

const UNICODE: Style = Style {
    unicode: true,
    times: "·",
    minus: "−",
    subtract: " − ",
    squared: "²",
    root: "√(",
};

const ASCII: Style = Style {
    unicode: false,
    times: "*",
    minus: "-",
    subtract: " - ",
    squared: "^2",
    root: "sqrt(",
};

impl LossGraph {
    /// Shows an infix formula, with the marks of mathematics unless [`Formula::ascii`] is asked for.
    /// An input named by one letter and `hat` wears its hat.
    ///
    /// ```
    /// use autoloss_graph::{Limits, LossGraph, Signature};
    ///
    /// let signature = Signature::dense();
    /// let graph = LossGraph::parse("neg(mul(y, log(yhat)))", &signature, &Limits::default())?;
    /// assert_eq!(graph.formula(&signature).to_string(), "−y·log(ŷ)");
    /// assert_eq!(graph.formula(&signature).ascii().to_string(), "-y*log(yhat)");
    /// # Ok::<(), autoloss_graph::ParseError>(())
    /// ```
    #[must_use]
    pub fn formula<'a>(&'a self, signature: &'a Signature) -> Formula<'a> {
        Formula {
            graph: self,
            signature,
            style: &UNICODE,
        }
    }
}

/// How tightly an expression binds; a weaker one inside a stronger place gets brackets.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Atom,
}

enum Piece {
    Node(NodeId, Binding),
    Mark(&'static str),
}

impl Formula<'_> {
    /// The same formula without characters beyond ASCII.
    #[must_use]
    pub fn ascii(self) -> Self {
        Self {
            style: &ASCII,
            ..self
        }
    }

    /// How tightly a node binds as it is written.
    fn binding(&self, id: NodeId) -> Binding {
        match self.graph.node(id).op() {
            Some(Op::Add | Op::Neg) => Binding::Sum,
            Some(Op::Mul | Op::Inv) => Binding::Product,
            // A square is written tightly, but a square of it needs brackets.
            Some(Op::Square) => Binding::Product,
            _ => Binding::Atom,
        }
    }

    /// The pieces of a node in the order of reading.
    fn pieces(&self, id: NodeId, bars: &[bool]) -> Vec<Piece> {
        use Binding::{Atom, Product, Sum};
        use Piece::Mark;
        let style = self.style;
        let node = |id, least| Piece::Node(id, least);
        let inverse = |id| match self.graph.node(id) {
            Node::Unary(Op::Inv, below) => Some(below),
            _ => None,
        };
        match self.graph.node(id) {
            Node::One => vec![Mark("1")],
            Node::Input(_) => Vec::new(),
            Node::Binary(Op::Mul, a, b) => match inverse(b) {
                Some(b) => vec![node(a, Product), Mark("/"), node(b, Atom)],
                None => vec![node(a, Product), Mark(style.times), node(b, Product)],
            },
            Node::Binary(_, a, b) => match self.graph.node(b) {
                Node::Unary(Op::Neg, b) => {
                    vec![node(a, Sum), Mark(style.subtract), node(b, Product)]
                }
                _ => vec![node(a, Sum), Mark(" + "), node(b, Sum)],
            },
            Node::Unary(Op::Neg, a) => vec![Mark(style.minus), node(a, Product)],
            Node::Unary(Op::Inv, a) => vec![Mark("1/"), node(a, Atom)],
            Node::Unary(Op::Square, a) => vec![node(a, Atom), Mark(style.squared)],
            Node::Unary(Op::Abs, a) if style.unicode && !bars[a.index()] => {
                vec![Mark("|"), node(a, Sum), Mark("|")]
            }
            Node::Unary(Op::Sqrt, a) => vec![Mark(style.root), node(a, Sum), Mark(")")],
            Node::Unary(op, a) => vec![Mark(op.name()), Mark("("), node(a, Sum), Mark(")")],
        }
    }

    /// Which nodes are written with bars somewhere, for bars within bars cannot be read.
    fn bars(&self) -> Vec<bool> {
        let mut bars: Vec<bool> = Vec::with_capacity(self.graph.len());
        for node in self.graph.nodes() {
            let below = node.operands().any(|operand| bars[operand.index()]);
            bars.push(below || node.op() == Some(Op::Abs));
        }
        bars
    }

    fn input(&self, input: InputId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(spec) = self.signature.get(input) else {
            return write!(f, "input{}", input.index());
        };
        match spec.name.strip_suffix("hat") {
            Some("y") if self.style.unicode => f.write_str("ŷ"),
            Some(letter) if self.style.unicode && letter.len() == 1 => {
                write!(f, "{letter}\u{302}")
            }
            _ => f.write_str(&spec.name),
        }
    }
}

impl fmt::Display for Formula<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.graph.tree_size() > LARGEST_TREE {
            return write!(f, "(a graph of {} nodes)", self.graph.len());
        }
        let bars = self.bars();
        let mut rest = vec![Piece::Node(self.graph.root(), Binding::Sum)];
        while let Some(piece) = rest.pop() {
            let (id, least) = match piece {
                Piece::Mark(mark) => {
                    f.write_str(mark)?;
                    continue;
                }
                Piece::Node(id, least) => (id, least),
            };
            if let Node::Input(input) = self.graph.node(id) {
                self.input(input, f)?;
                continue;
            }
            let pieces = self.pieces(id, &bars);
            if self.binding(id) < least {
                f.write_str("(")?;
                rest.push(Piece::Mark(")"));
            }
            rest.extend(pieces.into_iter().rev());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn brackets_stand_where_they_are_needed() {
        for (text, unicode, ascii) in [
            ("neg(mul(y, log(yhat)))", "−y·log(ŷ)", "-y*log(yhat)"),
            ("square(add(yhat, neg(y)))", "(ŷ − y)²", "(yhat - y)^2"),
            ("add(1, neg(add(y, 1)))", "1 − (y + 1)", "1 - (y + 1)"),
            ("mul(neg(y), add(y, 1))", "(−y)·(y + 1)", "(-y)*(y + 1)"),
            ("mul(y, inv(add(y, 1)))", "y/(y + 1)", "y/(y + 1)"),
            ("mul(y, inv(mul(y, yhat)))", "y/(y·ŷ)", "y/(y*yhat)"),
            ("inv(inv(y))", "1/(1/y)", "1/(1/y)"),
            ("mul(inv(y), inv(yhat))", "1/y/ŷ", "1/y/yhat"),
            ("square(square(y))", "(y²)²", "(y^2)^2"),
            ("neg(neg(y))", "−(−y)", "-(-y)"),
            (
                "abs(add(y, neg(abs(yhat))))",
                "abs(y − |ŷ|)",
                "abs(y - abs(yhat))",
            ),
            (
                "sqrt(mean_nhw(max_pool3x3(y)))",
                "√(mean_nhw(max_pool3x3(y)))",
                "sqrt(mean_nhw(max_pool3x3(y)))",
            ),
            ("add(mul(y, y), add(1, 1))", "y·y + 1 + 1", "y*y + 1 + 1"),
            ("inv(square(y))", "1/(y²)", "1/(y^2)"),
        ] {
            let signature = Signature::dense();
            let graph = LossGraph::parse(text, &signature, &Limits::default()).unwrap();
            assert_eq!(graph.formula(&signature).to_string(), unicode);
            assert_eq!(graph.formula(&signature).ascii().to_string(), ascii);
        }
    }

    #[test]
    fn astronomical_trees_are_only_named() {
        let mut builder = crate::GraphBuilder::new();
        let mut id = builder.one();
        for _ in 0..70 {
            id = builder.apply(Op::Add, &[id, id]).unwrap();
        }
        let graph = builder.finish(id).unwrap();
        let formula = graph.formula(&Signature::dense()).to_string();
        assert_eq!(formula, "(a graph of 71 nodes)");
    }

    #[test]
    fn hats_are_for_single_letters() {
        let signature = Signature::new(vec![
            crate::InputInfo::prediction("phat"),
            crate::InputInfo::target("what_hat"),
        ])
        .unwrap();
        let text = "add(phat, what_hat)";
        let graph = LossGraph::parse(text, &signature, &Limits::default()).unwrap();
        assert_eq!(graph.formula(&signature).to_string(), "p\u{302} + what_hat");
    }
}
