//! Infix formulas for reports and terminals: for people to read; files hold the text form.

use std::fmt;

use crate::infix::{Infix, Layout, Marks};
use crate::{LossGraph, Signature, UnaryOp};

/// Larger trees are not written out; a graph of few nodes that shares much can be astronomically
/// large as a tree.
const LARGEST_TREE: u64 = 10_000;

/// Displays a graph as an infix formula; made by [`LossGraph::formula`].
#[derive(Copy, Clone, Debug)]
pub struct Formula<'a> {
    graph: &'a LossGraph,
    signature: &'a Signature,
    characters: Characters,
}

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
            characters: Characters::Unicode,
        }
    }
}

impl Formula<'_> {
    /// The same formula without characters beyond ASCII.
    #[must_use]
    pub fn ascii(self) -> Self {
        Self {
            characters: Characters::Ascii,
            ..self
        }
    }
}

impl fmt::Display for Formula<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.graph.tree_size() > LARGEST_TREE {
            return write!(f, "(a graph of {} nodes)", self.graph.len());
        }
        f.write_str(&Infix::of(self.graph, self.signature, &self.characters).formula)
    }
}

/// The marks of one character set.
#[derive(Copy, Clone, Debug)]
enum Characters {
    Unicode,
    Ascii,
}

impl Characters {
    const fn of<'a>(self, unicode: &'a str, ascii: &'a str) -> &'a str {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }
}

impl Marks for Characters {
    fn layout(&self) -> Layout {
        Layout::Line
    }

    fn number(&self, number: u64) -> String {
        number.to_string()
    }

    fn input(&self, name: &str, hat: bool) -> String {
        match (self, hat) {
            (_, false) => name.to_owned(),
            (Self::Unicode, true) if name == "y" => "ŷ".to_owned(),
            (Self::Unicode, true) => format!("{name}\u{302}"),
            (Self::Ascii, true) => format!("{name}hat"),
        }
    }

    fn named(&self, letter: char, number: usize) -> String {
        format!("{letter}{number}")
    }

    fn sign(&self, negative: bool, first: bool) -> &'static str {
        match (negative, first) {
            (false, true) => "",
            (false, false) => " + ",
            (true, true) => self.of("−", "-"),
            (true, false) => self.of(" − ", " - "),
        }
    }

    fn times(&self) -> &'static str {
        self.of("·", "*")
    }

    fn fraction(&self, above: &str, below: &str) -> String {
        format!("{above}/{below}")
    }

    fn squared(&self, base: &str, closed: bool) -> String {
        let squared = self.of("²", "^2");
        match closed {
            true => format!("{base}{squared}"),
            false => format!("({base}){squared}"),
        }
    }

    fn exponential(&self, _: &str) -> Option<String> {
        None
    }

    fn root(&self, inner: &str) -> String {
        format!("{}({inner})", self.of("√", "sqrt"))
    }

    fn absolute(&self, inner: &str, nested: bool) -> String {
        match (self, nested) {
            (Self::Unicode, false) => format!("|{inner}|"),
            // Bars within bars cannot be read.
            _ => format!("abs({inner})"),
        }
    }

    fn call(&self, op: UnaryOp, argument: &str) -> String {
        format!("{}({argument})", op.name())
    }

    fn bracketed(&self, inner: &str) -> String {
        format!("({inner})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BinaryOp, Limits};

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
            id = builder.apply(BinaryOp::Add, &[id, id]).unwrap();
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
