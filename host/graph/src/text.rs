//! The text form of a loss: `neg(mul(y, log(yhat)))`.
//!
//! Prefix calls with the operators' names, because they need no precedence rules and no escape for
//! operators that mathematics has no sign for. [`LossGraph::formula`] prints for people instead.
//! The parser keeps its own stack, so that hostile nesting is an error and never a stack overflow.

use crate::graph::NodeId;
use crate::{GraphBuilder, GraphError, Limits, LossGraph, Node, Op, Signature};
use autoloss_spec::UnknownName;
use std::fmt;
use thiserror::Error;

/// Longest text that is read, in bytes; far beyond any graph within sensible limits.
const MAX_TEXT: usize = 1 << 20;

/// A text that is no loss, with the place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    #[source]
    pub kind: ParseErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something else was needed.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A name that is neither operator nor input.
    #[error("this branch has {0}")]
    UnknownName(#[from] UnknownName),
    /// A pool in the loss of a list.
    #[error("{0} looks at neighbouring positions, and this branch is a list without any")]
    NoNeighbours(&'static str),
    /// An operator with too few or too many operands, or a graph beyond its limits.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A text longer than is read.
    #[error("the text has {0} bytes, more than a loss can have")]
    TooLong(usize),
}

impl LossGraph {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`ParseError`] with line and column; also where the graph exceeds `limits`.
    pub fn parse(
        text: &str,
        signature: &Signature,
        limits: &Limits,
    ) -> Result<LossGraph, ParseError> {
        let mut parser = Parser::new(text, signature, limits);
        let graph = parser.graph()?;
        graph
            .validate(limits)
            .map_err(|error| parser.error_at(0, error.into()))?;
        Ok(graph)
    }

    /// The text form; [`LossGraph::parse`] reads it back to an equal graph.
    pub fn display<'a>(&'a self, signature: &'a Signature) -> impl fmt::Display + 'a {
        Text {
            graph: self,
            signature,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    signature: &'a Signature,
    limits: &'a Limits,
    builder: GraphBuilder,
}

/// An operator whose operands are still being read.
struct Open {
    op: Op,
    at: usize,
    operands: Vec<NodeId>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, signature: &'a Signature, limits: &'a Limits) -> Self {
        Self {
            text,
            at: 0,
            signature,
            limits,
            builder: GraphBuilder::new(),
        }
    }

    fn graph(&mut self) -> Result<LossGraph, ParseError> {
        if self.text.len() > MAX_TEXT {
            return Err(self.error_at(0, ParseErrorKind::TooLong(self.text.len())));
        }
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut done = match self.term()? {
                Term::Leaf(id) => id,
                Term::Call(op, at) => {
                    open.push(Open {
                        op,
                        at,
                        operands: Vec::new(),
                    });
                    if open.len() > self.limits.max_depth {
                        return Err(self.too_deep(at, open.len()));
                    }
                    continue;
                }
            };
            // Close every operator that this operand completes.
            loop {
                let Some(mut call) = open.pop() else {
                    self.end()?;
                    return self
                        .builder
                        .finish(done)
                        .map_err(|error| self.error_at(0, error.into()));
                };
                call.operands.push(done);
                if self.eat(',') {
                    open.push(call);
                    break;
                }
                if !self.eat(')') {
                    return Err(self.expected("',' or ')'"));
                }
                done = self
                    .builder
                    .apply(call.op, &call.operands)
                    .map_err(|error| self.error_at(call.at, error.into()))?;
            }
        }
    }

    fn term(&mut self) -> Result<Term, ParseError> {
        self.skip_space();
        let at = self.at;
        let rest = &self.text[at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let word = &rest[..end];
        if word.is_empty() {
            return Err(self.expected("an operator, an input or 1"));
        }
        self.at += end;
        if word == "1" {
            return Ok(Term::Leaf(self.builder.one()));
        }
        if let Some(op) = Op::from_name(word) {
            if op.is_pool() && !self.signature.is_spatial() {
                return Err(self.error_at(at, ParseErrorKind::NoNeighbours(op.name())));
            }
            if !self.eat('(') {
                return Err(self.expected("'('"));
            }
            return Ok(Term::Call(op, at));
        }
        match self.signature.index_of(word) {
            Some(input) => Ok(Term::Leaf(self.builder.input(input))),
            None => {
                let inputs = self.signature.inputs().iter();
                let inputs = inputs.map(|input| input.name.as_str());
                let operators = crate::signature::operators(self.signature)
                    .iter()
                    .map(|op| op.name());
                let known = inputs.chain(["1"]).chain(operators);
                let name = UnknownName::new("input or operator", shortened(word), known);
                Err(self.error_at(at, name.into()))
            }
        }
    }

    fn end(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.expected("the end of the loss"));
        }
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expected(&mut self, expected: &'static str) -> ParseError {
        self.skip_space();
        let rest = &self.text[self.at..];
        let found = match rest.chars().next() {
            None => "the end of the text".to_owned(),
            Some(first) if first.is_ascii_alphanumeric() => {
                let word = rest
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next();
                format!("'{}'", shortened(word.unwrap_or_default()))
            }
            Some(first) => format!("{first:?}"),
        };
        self.error_at(self.at, ParseErrorKind::Expected { expected, found })
    }

    fn too_deep(&self, at: usize, depth: usize) -> ParseError {
        let limit = self.limits.max_depth as u64;
        let error = GraphError::Limit {
            what: "a depth of at least",
            value: depth as u64,
            limit,
        };
        self.error_at(at, error.into())
    }

    fn error_at(&self, at: usize, kind: ParseErrorKind) -> ParseError {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        ParseError { line, column, kind }
    }
}

enum Term {
    Leaf(NodeId),
    Call(Op, usize),
}

fn shortened(word: &str) -> String {
    match word.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

struct Text<'a> {
    graph: &'a LossGraph,
    signature: &'a Signature,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        enum Piece {
            Node(NodeId),
            Text(&'static str),
        }
        let mut stack = vec![Piece::Node(self.graph.root())];
        while let Some(piece) = stack.pop() {
            let id = match piece {
                Piece::Text(text) => {
                    f.write_str(text)?;
                    continue;
                }
                Piece::Node(id) => id,
            };
            match self.graph.node(id) {
                Node::One => f.write_str("1")?,
                Node::Input(input) => match self.signature.get(input) {
                    Some(spec) => f.write_str(&spec.name)?,
                    None => write!(f, "input{}", input.index())?,
                },
                Node::Unary(op, a) => {
                    write!(f, "{}(", op.name())?;
                    stack.extend([Piece::Text(")"), Piece::Node(a)]);
                }
                Node::Binary(op, a, b) => {
                    write!(f, "{}(", op.name())?;
                    let rest = [
                        Piece::Text(")"),
                        Piece::Node(b),
                        Piece::Text(", "),
                        Piece::Node(a),
                    ];
                    stack.extend(rest);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LossGraph, ParseError> {
        LossGraph::parse(text, &Signature::dense(), &Limits::default())
    }

    #[test]
    fn cross_entropy_is_read_and_written() {
        let graph = parse(" neg( mul(y ,\n log(yhat)) ) ").unwrap();
        assert_eq!(
            graph.display(&Signature::dense()).to_string(),
            "neg(mul(y, log(yhat)))"
        );
    }

    #[test]
    fn pools_need_neighbours() {
        let signature = Signature::boxes().set_valued();
        let error = LossGraph::parse("neg(max_pool3x3(u))", &signature, &Limits::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            "line 1, column 5: max_pool3x3 looks at neighbouring positions, and this branch is a list without any"
        );
    }

    #[test]
    fn errors_name_the_place() {
        let cases = [
            (
                "",
                "line 1, column 1: expected an operator, an input or 1, found the end of the text",
            ),
            (
                "neg(\n  z)",
                "line 2, column 3: this branch has no input or operator 'z' (there are: yhat, y, 1, add, \
                 mul, neg, abs, inv, log, exp, tanh, square, sqrt, mean_nhw, mean_c, max_pool3x3, \
                 min_pool3x3)",
            ),
            ("add(y)", "line 1, column 1: add takes 2 operand(s), not 1"),
            (
                "neg(y, y)",
                "line 1, column 1: neg takes 1 operand(s), not 2",
            ),
            ("neg y", "line 1, column 5: expected '(', found 'y'"),
            (
                "neg(y",
                "line 1, column 6: expected ',' or ')', found the end of the text",
            ),
            (
                "y y",
                "line 1, column 3: expected the end of the loss, found 'y'",
            ),
            (
                "neg(y))",
                "line 1, column 7: expected the end of the loss, found ')'",
            ),
            (
                "mul(y, ŷ)",
                "line 1, column 8: expected an operator, an input or 1, found 'ŷ'",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text:?}");
        }
    }

    #[test]
    fn hostile_nesting_is_an_error() {
        let text = "neg(".repeat(200_000);
        assert!(
            parse(&text)
                .unwrap_err()
                .to_string()
                .contains("depth of at least")
        );
        let long = "y".repeat(2 << 20);
        assert!(matches!(
            parse(&long).unwrap_err().kind,
            ParseErrorKind::TooLong(_)
        ));
    }
}
