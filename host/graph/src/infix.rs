//! Infix formulas: one walk over a graph for every markup.
//!
//! The walk knows what mathematics writes otherwise than graphs do (`add(a, neg(b))` is a difference,
//! `mul(a, inv(b))` a fraction) and where brackets are needed; [`Marks`] says how each of it is spelled. ε
//! is left out, `log` and `√` stand for their signed forms, and brackets that only associativity would
//! need are not written.
//!
//! Every node is written once, from the inputs to the root, so that depth is bounded by memory only.

use crate::{BinaryOp, InputId, LossGraph, Node, NodeId, Notation, Signature, UnaryOp};

/// Trees up to this size are written out in one piece.
const LARGEST_TREE: u64 = 64;
/// Least size of a tree that gets a name.
const SMALLEST_NAMED: u64 = 4;
/// Deepest nesting of what is written out.
const DEEPEST: usize = 24;
/// Largest whole number that is written as digits.
const LARGEST_NUMBER: u64 = 999;

/// How a formula lies on the page.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Layout {
    /// In one line of characters, operator by operator.
    Line,
    /// As on paper: fractions with all that is inverted below the bar, whole numbers as digits, and names
    /// for what a large graph uses twice or nests deeply, so that a formula is never longer than a few times
    /// its graph.
    Paper,
}

/// The spelling of formulas. What is given is written already, without brackets unless said otherwise.
pub trait Marks {
    /// How formulas lie on the page.
    fn layout(&self) -> Layout;
    /// A whole number.
    fn number(&self, number: u64) -> String;
    /// An input; with `hat` its name is this one letter and `hat`.
    fn input(&self, name: &str, hat: bool) -> String;
    /// What was given this letter and number as its name; asked for on [`Layout::Paper`] alone.
    fn named(&self, letter: char, number: usize) -> String;
    /// What stands before a term of a sum.
    fn sign(&self, negative: bool, first: bool) -> &'static str;
    /// What stands between factors.
    fn times(&self) -> &'static str;
    /// A fraction; in a line `above` and `below` have their brackets.
    fn fraction(&self, above: &str, below: &str) -> String;
    /// A square; `closed` where the base needs no brackets.
    fn squared(&self, base: &str, closed: bool) -> String;
    /// A power of e; None where it is written as a function.
    fn exponential(&self, exponent: &str) -> Option<String>;
    /// A square root.
    fn root(&self, inner: &str) -> String;
    /// An absolute value; `nested` where one is written inside.
    fn absolute(&self, inner: &str, nested: bool) -> String;
    /// A function by its name.
    fn call(&self, op: UnaryOp, argument: &str) -> String;
    /// Brackets.
    fn bracketed(&self, inner: &str) -> String;
}

/// A formula in a markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infix {
    /// What was given a name, in the order in which it builds on each other.
    pub definitions: Vec<(String, String)>,
    /// The formula.
    pub formula: String,
}

impl Infix {
    /// Writes a graph. In a line it is as long as the graph's tree is large.
    #[must_use]
    pub fn of(graph: &LossGraph, signature: &Signature, marks: &impl Marks) -> Self {
        let paper = marks.layout() == Layout::Paper;
        let letter = letter(signature);
        let mut uses = vec![0_u32; graph.len()];
        for operand in graph.nodes().iter().flat_map(|node| node.operands()) {
            uses[operand.index()] += 1;
        }
        let shares = graph.tree_size() > LARGEST_TREE;
        let mut definitions = Vec::new();
        let mut writer = Writer {
            signature,
            marks,
            paper,
            unread: uses.clone(),
            done: Vec::with_capacity(graph.len()),
        };
        for (id, &uses) in graph.ids().zip(&uses) {
            let mut written = writer.node(graph.node(id));
            let shared = shares && uses > 1 && written.size >= SMALLEST_NAMED;
            let short = id == graph.root() || matches!(written.expr, Expr::Number(_));
            if paper && !short && (shared || written.depth >= DEEPEST) {
                let symbol = marks.named(letter, definitions.len() + 1);
                definitions.push((symbol.clone(), writer.text(&written.expr)));
                written = Written::leaf(Expr::Other(symbol, Binding::Atom));
            }
            writer.done.push(Some(written));
        }
        let root = writer.take(graph.root());
        Self {
            definitions,
            formula: writer.text(&root.expr),
        }
    }
}

/// A letter that no input begins with.
fn letter(signature: &Signature) -> char {
    let taken = |letter: &char| {
        let mut names = signature.inputs().iter().map(|input| &input.name);
        names.any(|name| name.starts_with(*letter))
    };
    // A signature has fewer inputs than there are letters.
    ('q'..='z')
        .chain('a'..='p')
        .find(|letter| !taken(letter))
        .unwrap_or('q')
}

/// How tightly an expression binds; a weaker one inside a stronger place gets brackets.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Square,
    Call,
    Atom,
}

/// An expression, as far as what is around it may take it apart.
#[derive(Clone)]
enum Expr {
    Number(u64),
    /// Terms with their brackets, each with whether it is subtracted.
    Sum(Vec<(bool, String)>),
    /// Factors above and below the bar, without brackets.
    Product(Vec<Factor>, Vec<Factor>),
    Other(String, Binding),
}

type Factor = (String, Binding);

/// A node that is written.
#[derive(Clone)]
struct Written {
    expr: Expr,
    /// Whether an absolute value is in it.
    absolute: bool,
    /// Size and depth of what is written out.
    size: u64,
    depth: usize,
}

impl Written {
    fn leaf(expr: Expr) -> Self {
        Self {
            expr,
            absolute: false,
            size: 1,
            depth: 0,
        }
    }
}

struct Writer<'a, M> {
    signature: &'a Signature,
    marks: &'a M,
    paper: bool,
    /// How often each node has still to be read.
    unread: Vec<u32>,
    done: Vec<Option<Written>>,
}

impl<M: Marks> Writer<'_, M> {
    /// A node that is written already; the last to read it takes it away.
    fn take(&mut self, id: NodeId) -> Written {
        let unread = &mut self.unread[id.index()];
        *unread = unread.saturating_sub(1);
        let done = &mut self.done[id.index()];
        let written = if *unread == 0 {
            done.take()
        } else {
            done.clone()
        };
        written.unwrap_or_else(|| Written::leaf(Expr::Number(1)))
    }

    fn node(&mut self, node: Node) -> Written {
        match node {
            Node::One => Written::leaf(Expr::Number(1)),
            Node::Input(input) => Written::leaf(Expr::Other(self.input(input), Binding::Atom)),
            Node::Unary(op, a) => {
                let a = self.take(a);
                Written {
                    expr: self.unary(op, &a.expr, a.absolute),
                    absolute: a.absolute || op == UnaryOp::Abs,
                    size: a.size + 1,
                    depth: a.depth + 1,
                }
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (self.take(a), self.take(b));
                Written {
                    expr: self.binary(op, a.expr, b.expr),
                    absolute: a.absolute || b.absolute,
                    size: a.size.saturating_add(b.size).saturating_add(1),
                    depth: a.depth.max(b.depth) + 1,
                }
            }
        }
    }

    fn input(&self, input: InputId) -> String {
        let Some(spec) = self.signature.get(input) else {
            return self.marks.input(&format!("input{}", input.index()), false);
        };
        match spec.name.strip_suffix("hat") {
            Some(letter) if letter.len() == 1 => self.marks.input(letter, true),
            _ => self.marks.input(&spec.name, false),
        }
    }

    /// Whole numbers as a whole number.
    fn number(&self, value: u64) -> Option<Expr> {
        (self.paper && value <= LARGEST_NUMBER).then_some(Expr::Number(value))
    }

    fn binary(&self, op: BinaryOp, a: Expr, b: Expr) -> Expr {
        if let (Expr::Number(a), Expr::Number(b)) = (&a, &b)
            && let Some(number) = self.number(match op {
                BinaryOp::Add => a + b,
                BinaryOp::Mul => a * b,
            })
        {
            return number;
        }
        match op {
            BinaryOp::Add => {
                let (mut terms, mut right) = (self.terms(a), self.terms(b));
                if let [(negative, first), _, ..] = right.as_mut_slice()
                    && *negative
                    && !self.paper
                {
                    // In a line a sum goes on as it is written by itself.
                    *first = format!("{}{first}", self.marks.sign(true, true));
                    *negative = false;
                }
                terms.append(&mut right);
                Expr::Sum(terms)
            }
            BinaryOp::Mul if self.paper => {
                let ((mut above, mut below), right) = (self.factors(a), self.factors(b));
                above.extend(right.0);
                below.extend(right.1);
                Expr::Product(above, below)
            }
            BinaryOp::Mul => {
                let a = self.within(&a, Binding::Product);
                let product = match b {
                    Expr::Product(above, below) if above.is_empty() => {
                        self.marks.fraction(&a, &self.product(&below))
                    }
                    b => format!(
                        "{a}{}{}",
                        self.marks.times(),
                        self.within(&b, Binding::Product)
                    ),
                };
                Expr::Product(vec![(product, Binding::Product)], Vec::new())
            }
        }
    }

    fn unary(&self, op: UnaryOp, a: &Expr, absolute: bool) -> Expr {
        let marks = self.marks;
        let text = || self.text(a);
        match op.facts().notation {
            Notation::Minus => Expr::Sum(vec![(true, self.within(a, Binding::Product))]),
            Notation::Fraction => {
                let below = match self.paper {
                    true => (text(), binding(a)),
                    false => (self.within(a, Binding::Call), Binding::Atom),
                };
                Expr::Product(Vec::new(), vec![below])
            }
            Notation::Squared => {
                let number = match a {
                    Expr::Number(number) => self.number(number * number),
                    _ => None,
                };
                let least = if self.paper {
                    Binding::Atom
                } else {
                    Binding::Call
                };
                let squared = || marks.squared(&text(), binding(a) >= least);
                number.unwrap_or_else(|| Expr::Other(squared(), Binding::Square))
            }
            // An input may be called e.
            Notation::Exponential if self.signature.index_of("e").is_none() => {
                let power = marks.exponential(&text());
                let power = power.unwrap_or_else(|| marks.call(op, &text()));
                Expr::Other(power, Binding::Call)
            }
            Notation::Bars => Expr::Other(marks.absolute(&text(), absolute), Binding::Atom),
            Notation::Root => Expr::Other(marks.root(&text()), Binding::Atom),
            Notation::Exponential | Notation::Function(..) => {
                Expr::Other(marks.call(op, &text()), Binding::Call)
            }
        }
    }

    fn terms(&self, expr: Expr) -> Vec<(bool, String)> {
        match expr {
            Expr::Sum(terms) => terms,
            other => vec![(false, self.text(&other))],
        }
    }

    fn factors(&self, expr: Expr) -> (Vec<Factor>, Vec<Factor>) {
        match expr {
            Expr::Product(above, below) => (above, below),
            other => (vec![(self.text(&other), binding(&other))], Vec::new()),
        }
    }

    /// An expression without brackets.
    fn text(&self, expr: &Expr) -> String {
        match expr {
            Expr::Number(number) => self.marks.number(*number),
            Expr::Sum(terms) => {
                let terms = terms.iter().enumerate();
                let terms = terms.map(|(at, (negative, term))| {
                    format!("{}{term}", self.marks.sign(*negative, at == 0))
                });
                terms.collect()
            }
            Expr::Product(above, below) if below.is_empty() => self.product(above),
            Expr::Product(above, below) => {
                let (above, below) = (self.product(above), self.product(below));
                self.marks.fraction(&above, &below)
            }
            Expr::Other(text, _) => text.clone(),
        }
    }

    fn product(&self, factors: &[Factor]) -> String {
        match factors {
            [] => self.marks.number(1),
            [(only, _)] => only.clone(),
            factors => {
                let factors = factors.iter().map(|(text, binding)| match binding {
                    Binding::Sum => self.marks.bracketed(text),
                    _ => text.clone(),
                });
                factors.collect::<Vec<_>>().join(self.marks.times())
            }
        }
    }

    /// In brackets unless it binds tightly enough.
    fn within(&self, expr: &Expr, least: Binding) -> String {
        let text = self.text(expr);
        match binding(expr) < least {
            true => self.marks.bracketed(&text),
            false => text,
        }
    }
}

fn binding(expr: &Expr) -> Binding {
    match expr {
        Expr::Number(_) => Binding::Atom,
        Expr::Sum(_) => Binding::Sum,
        Expr::Product(..) => Binding::Product,
        Expr::Other(_, binding) => *binding,
    }
}
