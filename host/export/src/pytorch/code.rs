//! A graph as expressions of Python.
//!
//! What is used more than once, and what would make a line too long, is a variable; the rest is nested as
//! one would write it. Sums and products keep the order in which the graph computes them.

use super::names::Names;
use autoloss_graph::{BinaryOp, LossGraph, Node, NodeId, UnaryOp};

/// Longest operand that is not a variable of its own: two of them fit a line of 88 characters.
const LONGEST: usize = 30;
/// Largest whole number that is written as one.
const LARGEST_NUMBER: i32 = 1 << 20;

/// The statements that compute a graph, and what they return.
pub(super) struct Body {
    statements: Vec<(String, String)>,
    root: String,
}

/// How tightly an expression binds.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Sign,
    Atom,
}

#[derive(Clone)]
struct Code {
    text: String,
    binding: Binding,
    /// A number rather than a tensor.
    number: Option<i32>,
}

impl Code {
    fn new(text: String, binding: Binding) -> Self {
        Self {
            text,
            binding,
            number: None,
        }
    }

    fn number(number: i32) -> Self {
        Self {
            text: format!("{number}.0"),
            binding: if number < 0 {
                Binding::Sign
            } else {
                Binding::Atom
            },
            number: Some(number),
        }
    }

    /// On the right of a sign: in brackets unless it binds tightly enough and has none of its own.
    fn after_sign(&self, least: Binding) -> String {
        match self.binding == Binding::Sign {
            true => format!("({})", self.text),
            false => self.within(least),
        }
    }

    /// In brackets unless it binds tightly enough.
    fn within(&self, least: Binding) -> String {
        match self.binding < least {
            true => format!("({})", self.text),
            false => self.text.clone(),
        }
    }
}

impl Body {
    /// `inputs` are the variables of the signature's inputs; `names` are those taken.
    pub(super) fn of(graph: &LossGraph, inputs: &[String], names: &mut Names) -> Self {
        let mut uses = vec![0_u32; graph.len()];
        for operand in graph.nodes().iter().flat_map(|node| node.operands()) {
            uses[operand.index()] += 1;
        }
        let mut writer = Writer {
            graph,
            // A signature has an input.
            like: inputs.first().cloned().unwrap_or_default(),
            names,
            statements: Vec::new(),
            done: Vec::with_capacity(graph.len()),
        };
        for id in graph.ids() {
            let mut code = writer.code(id, inputs);
            if uses[id.index()] > 1 && code.number.is_none() && graph.node(id).op().is_some() {
                code = writer.variable(code);
            }
            writer.done.push(code);
        }
        let root = writer.done.pop();
        let root = root.map(|root| match (graph.node(graph.root()), root.number) {
            (_, Some(_)) => writer.tensor(root).text,
            (_, None) => root.text,
        });
        Self {
            statements: writer.statements,
            root: root.unwrap_or_default(),
        }
    }

    /// The statements, indented.
    pub(super) fn lines(&self, indent: &str) -> String {
        let statements = self.statements.iter();
        let mut lines: Vec<String> = statements
            .map(|(name, value)| format!("{indent}{name} = {value}"))
            .collect();
        lines.push(format!("{indent}return {}", self.root));
        lines.join("\n")
    }
}

struct Writer<'a> {
    graph: &'a LossGraph,
    /// A tensor of the shape and the type of the result.
    like: String,
    names: &'a mut Names,
    statements: Vec<(String, String)>,
    done: Vec<Code>,
}

impl Writer<'_> {
    fn code(&mut self, id: NodeId, inputs: &[String]) -> Code {
        match self.graph.node(id) {
            Node::One => Code::number(1),
            Node::Input(input) => {
                let name = inputs.get(input.index()).cloned();
                Code::new(name.unwrap_or_default(), Binding::Atom)
            }
            Node::Unary(op, a) => self.unary(op, a),
            Node::Binary(op, a, b) => self.binary(op, a, b),
        }
    }

    /// An operand, as a variable where it is long.
    fn operand(&mut self, id: NodeId) -> Code {
        let code = self.done[id.index()].clone();
        if code.text.len() <= LONGEST || code.number.is_some() {
            return code;
        }
        // Names of inputs may be long, and are names already.
        if self.graph.node(id).op().is_none() || !code.text.contains([' ', '(', '-']) {
            return code;
        }
        let code = self.variable(code);
        self.done[id.index()] = code.clone();
        code
    }

    fn variable(&mut self, code: Code) -> Code {
        let name = self
            .names
            .unique(&format!("t{}", self.statements.len() + 1));
        self.statements.push((name.clone(), code.text));
        Code::new(name, Binding::Atom)
    }

    /// A number as a tensor.
    fn tensor(&self, code: Code) -> Code {
        let text = match code.number {
            None => return code,
            Some(1) => format!("torch.ones_like({})", self.like),
            Some(_) => format!("torch.full_like({}, {})", self.like, code.text),
        };
        Code::new(text, Binding::Atom)
    }

    fn binary(&mut self, op: BinaryOp, a: NodeId, b: NodeId) -> Code {
        use Binding::{Atom, Product, Sum};
        let left = self.operand(a);
        if let (BinaryOp::Add, Some(right)) = (op, self.negated(b)) {
            let text = format!("{} - {}", left.text, right.after_sign(Product));
            return Code::new(text, Sum);
        }
        let right = self.operand(b);
        match (op, left.number, right.number) {
            (_, Some(x), Some(y)) => self.number(op, x, y),
            (BinaryOp::Add, _, Some(y)) if y < 0 => {
                Code::new(format!("{} - {}.0", left.text, -y), Sum)
            }
            (BinaryOp::Add, ..) => {
                let text = format!("{} + {}", left.text, right.after_sign(Product));
                Code::new(text, Sum)
            }
            _ => {
                let text = format!("{} * {}", left.within(Product), right.after_sign(Atom));
                Code::new(text, Product)
            }
        }
    }

    /// A sum or product of whole numbers.
    fn number(&self, op: BinaryOp, x: i32, y: i32) -> Code {
        let adds = op == BinaryOp::Add;
        let number = if adds { x + y } else { x.saturating_mul(y) };
        if number.abs() <= LARGEST_NUMBER {
            return Code::number(number);
        }
        let [x, y] = [x, y].map(|number| self.tensor(Code::number(number)).text);
        match adds {
            true => Code::new(format!("{x} + {y}"), Binding::Sum),
            false => Code::new(format!("{x} * {y}"), Binding::Product),
        }
    }

    /// What a term is the negative of, where that is not a variable already.
    fn negated(&mut self, id: NodeId) -> Option<Code> {
        match self.graph.node(id) {
            Node::Unary(UnaryOp::Neg, a) if self.done[id.index()].text.starts_with('-') => {
                let code = self.operand(a);
                code.number.is_none().then_some(code)
            }
            _ => None,
        }
    }

    fn unary(&mut self, op: UnaryOp, a: NodeId) -> Code {
        let operand = self.operand(a);
        if let Some(number) = operand.number.and_then(|number| folded(op, number)) {
            return Code::number(number);
        }
        let operand = self.tensor(operand);
        if op == UnaryOp::Neg {
            // Before a product the sign would belong to its first factor.
            let text = match operand.binding {
                Binding::Atom => format!("-{}", operand.text),
                _ => format!("-({})", operand.text),
            };
            return Code::new(text, Binding::Sign);
        }
        let function = match op {
            _ if op.facts().in_pytorch => format!("torch.{}", op.name()),
            _ => format!("_{}", op.name()),
        };
        Code::new(format!("{function}({})", operand.text), Binding::Atom)
    }
}

/// An operator on a whole number, where that is exact.
fn folded(op: UnaryOp, number: i32) -> Option<i32> {
    let value = match op {
        UnaryOp::Neg => -number,
        UnaryOp::Abs => number.abs(),
        UnaryOp::Square => number.saturating_mul(number),
        UnaryOp::MeanNhw | UnaryOp::MeanC | UnaryOp::MaxPool3x3 | UnaryOp::MinPool3x3 => number,
        _ => return None,
    };
    (value.abs() <= LARGEST_NUMBER).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deep, doubled, graph};
    use autoloss_graph::Signature;

    fn body(graph: &LossGraph) -> String {
        let mut names = Names::new(&[]);
        let inputs = ["yhat", "y"].map(|name| names.unique(name));
        Body::of(graph, &inputs, &mut names).lines("")
    }

    #[test]
    fn expressions_keep_the_order_of_the_graph() {
        for (text, expected) in [
            ("neg(mul(y, log(yhat)))", "return -(y * _log(yhat))"),
            ("mul(neg(y), log(yhat))", "return -y * _log(yhat)"),
            ("add(y, add(1, neg(yhat)))", "return y + (1.0 - yhat)"),
            ("mul(y, mul(y, yhat))", "return y * (y * yhat)"),
            ("mul(mul(y, y), yhat)", "return y * y * yhat"),
            ("mul(y, inv(yhat))", "return y * _inv(yhat)"),
            ("add(y, neg(add(y, yhat)))", "return y - (y + yhat)"),
            ("add(neg(y), neg(neg(yhat)))", "return -y - (-yhat)"),
            ("add(add(1, 1), neg(1))", "return torch.ones_like(yhat)"),
            ("add(yhat, neg(1))", "return yhat - 1.0"),
            (
                "exp(add(1, 1))",
                "return torch.exp(torch.full_like(yhat, 2.0))",
            ),
            ("mul(mean_c(square(add(1, 1))), y)", "return 4.0 * y"),
            (
                "mul(tanh(add(y, yhat)), tanh(add(y, yhat)))",
                "t1 = torch.tanh(y + yhat)\nreturn t1 * t1",
            ),
            (
                "exp(mean_nhw(max_pool3x3(mul(y, abs(yhat)))))",
                "t1 = _max_pool3x3(y * torch.abs(yhat))\nreturn torch.exp(_mean_nhw(t1))",
            ),
        ] {
            assert_eq!(body(&graph(text, &Signature::dense())), expected, "{text}");
        }
    }

    #[test]
    fn lines_stay_short_and_few() {
        for (graph, statements) in [(doubled(70), 70), (deep(5000), 5000)] {
            let code = body(&graph);
            assert!(code.lines().count() <= statements);
            assert!(code.lines().all(|line| line.len() < 88));
        }
    }
}
