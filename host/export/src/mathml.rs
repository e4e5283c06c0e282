//! Formulas in MathML Core, which browsers draw without help.
//!
//! Written by hand rather than through a crate: the few elements of a formula are a page of code, and
//! the crates there are convert from LaTeX, a detour through text that must then be trusted.

use crate::escape::xml;
use crate::loss::Loss;
use crate::notation::{Expr, Function, Notation, Symbol};
use autoloss_graph::{LossGraph, Signature};

/// The formula of a graph as one `<math>` element, whose `alttext` is the formula in characters. Where
/// a large graph is written with definitions, it is a table of them that ends with the loss ℓ; the page around
/// it aligns the columns, right and left of the equals sign.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature};
///
/// let signature = Signature::dense();
/// let graph = LossGraph::parse("neg(yhat)", &signature, &Limits::default())?;
/// let math = autoloss_export::mathml(&graph, &signature);
/// assert!(math.contains("<mo>−</mo><mover><mi>y</mi><mo>^</mo></mover>"));
/// # Ok::<(), autoloss_graph::ParseError>(())
/// ```
#[must_use]
pub fn mathml(graph: &LossGraph, signature: &Signature) -> String {
    let notation = Notation::of(graph, signature);
    let content = if notation.definitions.is_empty() {
        format!("<mrow>{}</mrow>", expression(&notation.formula))
    } else {
        format!("<mtable>{}</mtable>", rows(&notation, "<mi>ℓ</mi>", &PLAIN))
    };
    element(&graph.formula(signature).to_string(), &content)
}

/// The formulas of all branches, aligned.
pub(crate) fn block(loss: &Loss) -> String {
    let (mut all, mut alternatives) = (String::new(), Vec::new());
    for (name, branch) in &loss.branches {
        let inputs = &branch.convention.inputs;
        let notation = Notation::of(&branch.graph, inputs);
        let symbol = format!(
            "<msub><mi>ℓ</mi><mtext>{}</mtext></msub>",
            xml(name.as_str())
        );
        all.push_str(&rows(&notation, &symbol, &ALIGNED));
        alternatives.push(format!("{name}: {}", branch.graph.formula(inputs)));
    }
    let content = format!("<mtable>{all}</mtable>");
    format!("{}\n", element(&alternatives.join("; "), &content))
}

fn element(alternative: &str, content: &str) -> String {
    format!(
        "<math xmlns=\"http://www.w3.org/1998/Math/MathML\" alttext=\"{}\">{content}</math>",
        xml(alternative)
    )
}

/// The attributes of a table's two columns. Styles are refused by pages with a strict policy; where the formula is
/// all there is, nothing else aligns them.
type Columns = [&'static str; 2];
const PLAIN: Columns = ["", ""];
const ALIGNED: Columns = [
    " style=\"text-align: right\"",
    " style=\"text-align: left\"",
];

/// The definitions and the formula as rows of a table.
fn rows(notation: &Notation, name: &str, columns: &Columns) -> String {
    let definitions = notation.definitions.iter();
    let definitions = definitions.map(|(name, expr)| row(&symbol(name), expr, columns));
    let formula = std::iter::once(row(name, &notation.formula, columns));
    definitions.chain(formula).collect()
}

fn row(name: &str, expr: &Expr, [left, right]: &Columns) -> String {
    format!(
        "<mtr><mtd{left}>{name}</mtd><mtd{right}><mrow><mo>=</mo>{}</mrow></mtd></mtr>",
        expression(expr)
    )
}

fn symbol(symbol: &Symbol) -> String {
    match symbol {
        Symbol::Defined { letter, number } => {
            format!("<msub><mi>{letter}</mi><mn>{number}</mn></msub>")
        }
        Symbol::Input { name, hat: true } => {
            format!("<mover><mi>{}</mi><mo>^</mo></mover>", xml(name))
        }
        Symbol::Input { name, hat: false } => format!("<mi>{}</mi>", xml(name)),
    }
}

/// Elements that must stand in a row.
fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Number(number) => format!("<mn>{number}</mn>"),
        Expr::Symbol(name) => symbol(name),
        Expr::Sum(terms) => sum(terms),
        Expr::Product(factors) => {
            let factors: Vec<String> = factors.iter().map(factor).collect();
            factors.join("<mo>·</mo>")
        }
        Expr::Fraction(above, below) => {
            format!("<mfrac>{}{}</mfrac>", one(above), one(below))
        }
        Expr::Squared(base) if base.is_closed() => {
            format!("<msup>{}<mn>2</mn></msup>", one(base))
        }
        Expr::Squared(base) => format!("<msup>{}<mn>2</mn></msup>", bracketed(base)),
        Expr::Exponential(exponent) => format!("<msup><mi>e</mi>{}</msup>", one(exponent)),
        Expr::Root(inner) => format!("<msqrt>{}</msqrt>", expression(inner)),
        Expr::Abs(inner) => fenced("|", "|", inner),
        Expr::Call(name, inner) => {
            format!("{}<mo>&#x2061;</mo>{}", function(*name), bracketed(inner))
        }
    }
}

fn function(function: Function) -> String {
    let name = format!("<mi>{}</mi>", function.name);
    match function.over {
        Some(over) => format!("<msub>{name}<mi>{over}</mi></msub>"),
        None => name,
    }
}

fn sum(terms: &[(bool, Expr)]) -> String {
    let mut out = String::new();
    for (at, (negative, term)) in terms.iter().enumerate() {
        out.push_str(match (at, negative) {
            (0, false) => "",
            (_, true) => "<mo>−</mo>",
            (_, false) => "<mo>+</mo>",
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

/// One element.
fn one(expr: &Expr) -> String {
    format!("<mrow>{}</mrow>", expression(expr))
}

fn bracketed(expr: &Expr) -> String {
    fenced("(", ")", expr)
}

/// The forms are said, since a bar alone is no bracket yet. Only around fractions may it grow: browsers draw
/// a bracket that may a size larger than its content needs, around a single letter already.
fn fenced(open: &str, close: &str, expr: &Expr) -> String {
    let inner = expression(expr);
    let grows = inner.contains("<mfrac>");
    format!(
        "<mrow><mo form=\"prefix\" stretchy=\"{grows}\">{open}</mo>{inner}\
         <mo form=\"postfix\" stretchy=\"{grows}\">{close}</mo></mrow>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::tests::{deep, doubled, graph};

    /// Whether every element is closed by its own end.
    fn is_well_formed(markup: &str) -> bool {
        let mut open = Vec::new();
        for piece in markup.split('<').skip(1) {
            let Some((tag, _)) = piece.split_once('>') else {
                return false;
            };
            match tag.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                Some(_) => {}
                None => open.push(tag.split(' ').next().unwrap_or_default()),
            }
        }
        open.is_empty()
    }

    #[test]
    fn a_formula_is_one_element() {
        let signature = Signature::dense();
        for text in [
            "square(add(yhat, neg(y)))",
            "mul(y, inv(abs(sqrt(exp(square(y))))))",
            "mean_nhw(mean_c(max_pool3x3(min_pool3x3(tanh(log(y))))))",
            "neg(add(1, 1))",
        ] {
            let math = mathml(&graph(text, &signature), &signature);
            assert!(is_well_formed(&math), "{math}");
            assert_eq!(math.matches("<math").count(), 1);
        }
        for large in [doubled(70), deep(60_000)] {
            let math = mathml(&large, &signature);
            assert!(is_well_formed(&math) && math.contains("<mi>ℓ</mi>"));
        }
        assert!(mathml(&doubled(70), &signature).len() < 60_000);
    }

    #[test]
    fn a_fraction_and_a_square_look_so() {
        let signature = Signature::boxes();
        let math = mathml(
            &graph("add(1, neg(mul(i, inv(u))))", &signature),
            &signature,
        );
        let (_, content) = math.split_once('>').unwrap();
        assert_eq!(
            content,
            "<mrow><mn>1</mn><mo>−</mo><mfrac><mrow><mi>i</mi></mrow><mrow><mi>u</mi></mrow></mfrac></mrow></math>"
        );
        assert!(math.contains("alttext=\"1 − i/u\""));
    }

    #[test]
    fn brackets_grow_around_fractions_only() {
        let brackets = |text: &str| {
            let signature = Signature::dense();
            let markup = mathml(&graph(text, &signature), &signature);
            assert!(!markup.contains("style="));
            ["false", "true"].map(|grows| markup.matches(&format!("stretchy=\"{grows}\"")).count())
        };
        assert_eq!(brackets("log(tanh(yhat))"), [4, 0]);
        assert_eq!(brackets("mul(log(inv(tanh(yhat))), tanh(y))"), [4, 2]);
        assert_eq!(brackets("yhat"), [0, 0]);
    }
}
