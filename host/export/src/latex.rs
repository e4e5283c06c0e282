//! Formulas in LaTeX, for the mathematics mode of `amsmath`.
//!
//! Names are checked identifiers, so only `_` must be escaped; texts that are not are escaped by
//! [`escaped`].

use crate::loss::Loss;
use crate::notation::{Expr, Notation, Symbol};
use autoloss_graph::{LossGraph, Signature};

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
    let notation = Notation::of(graph, signature);
    if notation.definitions.is_empty() {
        return expression(&notation.formula);
    }
    let rows = rows(&notation, r"\ell");
    format!(
        "\\begin{{aligned}}\n{}\n\\end{{aligned}}",
        rows.join(" \\\\\n")
    )
}

/// The formulas of all branches, aligned.
pub(crate) fn block(loss: &Loss) -> String {
    let mut all = Vec::new();
    for (name, branch) in &loss.branches {
        let notation = Notation::of(&branch.graph, &branch.convention.inputs);
        let name = format!("\\ell_{{\\text{{{}}}}}", escaped(name.as_str()));
        all.extend(rows(&notation, &name));
    }
    format!(
        "\\begin{{aligned}}\n{}\n\\end{{aligned}}\n",
        all.join(" \\\\\n")
    )
}

/// The definitions and the formula as rows of an aligned block.
fn rows(notation: &Notation, name: &str) -> Vec<String> {
    let definitions = notation.definitions.iter();
    let mut rows: Vec<String> = definitions
        .map(|(name, expr)| format!("{} &= {}", symbol(name), expression(expr)))
        .collect();
    rows.push(format!("{name} &= {}", expression(&notation.formula)));
    rows
}

/// Text for `\text{…}`, in which no character means anything; what has no place on a page is left out.
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

fn symbol(symbol: &Symbol) -> String {
    match symbol {
        Symbol::Defined { letter, number } => format!("{letter}_{{{number}}}"),
        Symbol::Input { name, hat } => {
            let name = match name.len() {
                1 if name != "_" => name.clone(),
                _ => format!("\\mathit{{{}}}", escaped(name)),
            };
            if *hat {
                format!("\\hat{{{name}}}")
            } else {
                name
            }
        }
    }
}

fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Number(number) => number.to_string(),
        Expr::Symbol(name) => symbol(name),
        Expr::Sum(terms) => sum(terms),
        Expr::Product(factors) => {
            let factors: Vec<String> = factors.iter().map(factor).collect();
            factors.join(r" \cdot ")
        }
        Expr::Fraction(above, below) => {
            format!("\\frac{{{}}}{{{}}}", expression(above), expression(below))
        }
        Expr::Squared(base) if base.is_closed() => format!("{{{}}}^{{2}}", expression(base)),
        Expr::Squared(base) => format!("{}^{{2}}", bracketed(base)),
        Expr::Exponential(exponent) => format!("e^{{{}}}", expression(exponent)),
        Expr::Root(inner) => format!("\\sqrt{{{}}}", expression(inner)),
        Expr::Abs(inner) => format!("\\left|{}\\right|", expression(inner)),
        Expr::Call(function, inner) => {
            let name = match (function.name, function.over) {
                ("mean", Some(over)) => format!("\\operatorname{{mean}}_{{{over}}}"),
                (name, Some(_)) => format!("\\{name}_{{3\\times 3}}"),
                (name, None) => format!("\\{name}"),
            };
            format!("{name}{}", bracketed(inner))
        }
    }
}

fn sum(terms: &[(bool, Expr)]) -> String {
    let mut out = String::new();
    for (at, (negative, term)) in terms.iter().enumerate() {
        out.push_str(match (at, negative) {
            (0, false) => "",
            (0, true) => "-",
            (_, false) => " + ",
            (_, true) => " - ",
        });
        out.push_str(&factor(term));
    }
    out
}

fn factor(expr: &Expr) -> String {
    match expr.is_sum() {
        true => bracketed(expr),
        false => expression(expr),
    }
}

fn bracketed(expr: &Expr) -> String {
    format!("\\left({}\\right)", expression(expr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::tests::{deep, doubled, graph};

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
}
