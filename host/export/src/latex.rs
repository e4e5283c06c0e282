//! Formulas in LaTeX, for the mathematics mode of `amsmath`.
//!
//! Names are checked identifiers, so only `_` must be escaped; texts that are not are escaped by
//! [`escaped`].

use crate::loss::Loss;
use autoloss_graph::infix::{Infix, Layout, Marks};
use autoloss_graph::{LossGraph, Notation, Signature, UnaryOp};

/// The formula of a graph. It needs an environment of mathematics around it, such as `\[ … \]`; where
/// a large graph is written with definitions, it is an `aligned` block that ends with the loss ℓ.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature};
///
/// let signature = Signature::dense();
/// let graph = LossGraph::parse("neg(mul(y, log(yhat)))", &signature, &Limits::default())?;
/// assert_eq!(
///     autoloss_export::latex(&graph, &signature),
///     r"-y \cdot \log\left(\hat{y}\right)"
/// );
/// # Ok::<(), autoloss_graph::ParseError>(())
/// ```
#[must_use]
pub fn latex(graph: &LossGraph, signature: &Signature) -> String {
    let infix = Infix::of(graph, signature, &Latex);
    if infix.definitions.is_empty() {
        return infix.formula;
    }
    let rows = rows(&infix, r"\ell");
    format!(
        "\\begin{{aligned}}\n{}\n\\end{{aligned}}",
        rows.join(" \\\\\n")
    )
}

/// The formulas of all branches, aligned.
pub(crate) fn block(loss: &Loss) -> String {
    let mut all = Vec::new();
    for (name, branch) in &loss.branches {
        let infix = Infix::of(&branch.graph, &branch.convention.inputs, &Latex);
        let name = format!("\\ell_{{\\text{{{}}}}}", escaped(name.as_str()));
        all.extend(rows(&infix, &name));
        if let Some(scale) = branch.shown_scale() {
            all.push(format!("\\text{{trained: }} & {scale} \\cdot {name}"));
        }
    }
    format!(
        "\\begin{{aligned}}\n{}\n\\end{{aligned}}\n",
        all.join(" \\\\\n")
    )
}

/// The definitions and the formula as rows of an aligned block.
fn rows(infix: &Infix, name: &str) -> Vec<String> {
    let definitions = infix.definitions.iter();
    let mut rows: Vec<String> = definitions
        .map(|(name, value)| format!("{name} &= {value}"))
        .collect();
    rows.push(format!("{name} &= {}", infix.formula));
    rows
}

/// Text for `\text{…}`, in which no character has a meaning; characters that show nothing become spaces.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\textbackslash{}"),
            '~' => out.push_str(r"\textasciitilde{}"),
            '^' => out.push_str(r"\textasciicircum{}"),
            '#' | '$' | '%' | '&' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            c if crate::escape::is_unseen(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

struct Latex;

impl Marks for Latex {
    fn layout(&self) -> Layout {
        Layout::Paper
    }

    fn number(&self, number: u64) -> String {
        number.to_string()
    }

    fn input(&self, name: &str, hat: bool) -> String {
        let name = match name.len() {
            1 if name != "_" => name.to_owned(),
            _ => format!("\\mathit{{{}}}", escaped(name)),
        };
        match hat {
            true => format!("\\hat{{{name}}}"),
            false => name,
        }
    }

    fn named(&self, letter: char, number: usize) -> String {
        format!("{letter}_{{{number}}}")
    }

    fn sign(&self, negative: bool, first: bool) -> &'static str {
        match (negative, first) {
            (false, true) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (true, false) => " - ",
        }
    }

    fn times(&self) -> &'static str {
        r" \cdot "
    }

    fn fraction(&self, above: &str, below: &str) -> String {
        format!("\\frac{{{above}}}{{{below}}}")
    }

    fn squared(&self, base: &str, closed: bool) -> String {
        match closed {
            true => format!("{{{base}}}^{{2}}"),
            false => format!("{}^{{2}}", self.bracketed(base)),
        }
    }

    fn exponential(&self, exponent: &str) -> Option<String> {
        Some(format!("e^{{{exponent}}}"))
    }

    fn root(&self, inner: &str) -> String {
        format!("\\sqrt{{{inner}}}")
    }

    fn absolute(&self, inner: &str, _: bool) -> String {
        format!("\\left|{inner}\\right|")
    }

    fn call(&self, op: UnaryOp, argument: &str) -> String {
        let name = match op.facts().notation {
            Notation::Function("mean", Some(over)) => format!("\\operatorname{{mean}}_{{{over}}}"),
            Notation::Function(name, Some(_)) => format!("\\{name}_{{3\\times 3}}"),
            Notation::Function(name, None) => format!("\\{name}"),
            _ => format!("\\{}", op.name()),
        };
        format!("{name}{}", self.bracketed(argument))
    }

    fn bracketed(&self, inner: &str) -> String {
        format!("\\left({inner}\\right)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deep, doubled, graph};

    #[test]
    fn each_operator_has_its_sign() {
        for (text, expected) in [
            ("square(add(yhat, neg(y)))", r"\left(\hat{y} - y\right)^{2}"),
            ("square(yhat)", r"{\hat{y}}^{2}"),
            ("square(exp(y))", r"\left(e^{y}\right)^{2}"),
            ("neg(neg(y))", r"-\left(-y\right)"),
            ("mul(neg(y), yhat)", r"\left(-y\right) \cdot \hat{y}"),
            ("mul(y, inv(add(y, 1)))", r"\frac{y}{y + 1}"),
            ("inv(inv(y))", r"\frac{1}{\frac{1}{y}}"),
            (
                "mul(inv(y), mul(yhat, inv(yhat)))",
                r"\frac{\hat{y}}{y \cdot \hat{y}}",
            ),
            ("add(add(1, 1), abs(sqrt(y)))", r"2 + \left|\sqrt{y}\right|"),
            (
                "mean_nhw(mean_c(max_pool3x3(min_pool3x3(tanh(y)))))",
                r"\operatorname{mean}_{nhw}\left(\operatorname{mean}_{c}\left(\max_{3\times 3}\left(\min_{3\times 3}\left(\tanh\left(y\right)\right)\right)\right)\right)",
            ),
        ] {
            let signature = Signature::dense();
            assert_eq!(latex(&graph(text, &signature), &signature), expected);
        }
    }

    #[test]
    fn an_input_e_is_not_eulers_number() {
        let signature = Signature::boxes();
        let text = latex(&graph("exp(e)", &signature), &signature);
        assert_eq!(text, r"\exp\left(e\right)");
    }

    #[test]
    fn long_names_are_words() {
        let inputs = ["what_hat", "phat"].map(autoloss_graph::InputInfo::prediction);
        let signature = Signature::new(inputs.to_vec()).unwrap();
        let text = latex(&graph("add(what_hat, phat)", &signature), &signature);
        assert_eq!(text, r"\mathit{what\_hat} + \hat{p}");
    }

    #[test]
    fn large_graphs_are_written_in_rows() {
        let text = latex(&doubled(70), &Signature::dense());
        assert!(text.starts_with("\\begin{aligned}\nq_{1} &= \\hat{y} + \\hat{y}"));
        assert!(text.len() < 20_000);
        assert!(latex(&deep(60_000), &Signature::dense()).contains("q_{2499} &= "));
    }

    #[test]
    fn hostile_text_is_only_text() {
        assert_eq!(escaped("a}$\\x\u{202e}\n"), "a\\}\\$\\textbackslash{}x  ");
    }

    #[test]
    fn small_graphs_have_no_definitions() {
        let signature = Signature::dense();
        let twice = graph("mul(add(y, log(yhat)), add(y, log(yhat)))", &signature);
        assert_eq!(Infix::of(&twice, &signature, &Latex).definitions, []);
    }

    #[test]
    fn astronomical_trees_are_written_in_definitions() {
        let infix = Infix::of(&doubled(70), &Signature::dense(), &Latex);
        let size = format!("{infix:?}").len();
        assert!(infix.definitions.len() > 20 && size < 50_000, "{size}");
        for (at, (symbol, _)) in infix.definitions.iter().enumerate() {
            assert_eq!(*symbol, format!("q_{{{}}}", at + 1));
        }
    }

    #[test]
    fn deep_graphs_are_cut() {
        let infix = Infix::of(&deep(5000), &Signature::dense(), &Latex);
        assert_eq!(infix.definitions.len(), 4999 / 24);
    }

    #[test]
    fn letters_of_definitions_are_no_inputs() {
        let inputs = ["yhat", "q", "rest", "s"].map(autoloss_graph::InputInfo::target);
        let signature = Signature::new(inputs.to_vec()).unwrap();
        let text = latex(&deep(100), &signature);
        assert!(text.contains("t_{1} &= ") && !text.contains("q_"), "{text}");
    }
}
