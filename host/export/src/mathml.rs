//! Formulas in MathML Core, which browsers draw without help.
//!
//! Written by hand rather than through a crate: the few elements of a formula are a page of code, and
//! the crates there are convert from LaTeX, a detour through text that must then be trusted.

use crate::escape::xml;
use crate::loss::Loss;
use autoloss_graph::infix::{Infix, Layout, Marks};
use autoloss_graph::{LossGraph, Notation, Signature, UnaryOp};

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
    let infix = Infix::of(graph, signature, &MathMl);
    let content = if infix.definitions.is_empty() {
        row(&infix.formula)
    } else {
        format!("<mtable>{}</mtable>", rows(&infix, "<mi>ℓ</mi>", &PLAIN))
    };
    element(&graph.formula(signature).to_string(), &content)
}

/// The formulas of all branches, aligned.
pub(crate) fn block(loss: &Loss) -> String {
    let (mut all, mut alternatives) = (String::new(), Vec::new());
    for (name, branch) in &loss.branches {
        let inputs = &branch.convention.inputs;
        let infix = Infix::of(&branch.graph, inputs, &MathMl);
        let symbol = format!(
            "<msub><mi>ℓ</mi><mtext>{}</mtext></msub>",
            xml(name.as_str())
        );
        all.push_str(&rows(&infix, &symbol, &ALIGNED));
        let mut alternative = format!("{name}: {}", branch.graph.formula(inputs));
        if let Some(scale) = branch.shown_scale() {
            let [left, right] = ALIGNED;
            all.push_str(&format!(
                "<mtr><mtd{left}><mtext>trained:</mtext></mtd>\
                 <mtd{right}><mrow><mn>{scale}</mn><mo>·</mo>{symbol}</mrow></mtd></mtr>"
            ));
            alternative.push_str(&format!(", times {scale} in training"));
        }
        alternatives.push(alternative);
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
fn rows(infix: &Infix, name: &str, [left, right]: &Columns) -> String {
    let row = |name: &str, value: &str| {
        format!(
            "<mtr><mtd{left}>{name}</mtd><mtd{right}><mrow><mo>=</mo>{value}</mrow></mtd></mtr>"
        )
    };
    let definitions = infix.definitions.iter();
    let definitions = definitions.map(|(name, value)| row(name, value));
    let formula = std::iter::once(row(name, &infix.formula));
    definitions.chain(formula).collect()
}

/// Several elements as one.
fn row(elements: &str) -> String {
    format!("<mrow>{elements}</mrow>")
}

/// The forms are said, since a bar alone is no bracket yet. Only around fractions may it grow: browsers draw
/// a bracket that may a size larger than its content needs, around a single letter already.
fn fenced(open: &str, close: &str, inner: &str) -> String {
    let grows = inner.contains("<mfrac>");
    format!(
        "<mrow><mo form=\"prefix\" stretchy=\"{grows}\">{open}</mo>{inner}\
         <mo form=\"postfix\" stretchy=\"{grows}\">{close}</mo></mrow>"
    )
}

/// Writes elements that must stand in a row.
struct MathMl;

impl Marks for MathMl {
    fn layout(&self) -> Layout {
        Layout::Paper
    }

    fn number(&self, number: u64) -> String {
        format!("<mn>{number}</mn>")
    }

    fn input(&self, name: &str, hat: bool) -> String {
        match hat {
            true => format!("<mover><mi>{}</mi><mo>^</mo></mover>", xml(name)),
            false => format!("<mi>{}</mi>", xml(name)),
        }
    }

    fn named(&self, letter: char, number: usize) -> String {
        format!("<msub><mi>{letter}</mi><mn>{number}</mn></msub>")
    }

    fn sign(&self, negative: bool, first: bool) -> &'static str {
        match (negative, first) {
            (true, _) => "<mo>−</mo>",
            (false, true) => "",
            (false, false) => "<mo>+</mo>",
        }
    }

    fn times(&self) -> &'static str {
        "<mo>·</mo>"
    }

    fn fraction(&self, above: &str, below: &str) -> String {
        format!("<mfrac>{}{}</mfrac>", row(above), row(below))
    }

    fn squared(&self, base: &str, closed: bool) -> String {
        let base = if closed {
            row(base)
        } else {
            self.bracketed(base)
        };
        format!("<msup>{base}<mn>2</mn></msup>")
    }

    fn exponential(&self, exponent: &str) -> Option<String> {
        Some(format!("<msup><mi>e</mi>{}</msup>", row(exponent)))
    }

    fn root(&self, inner: &str) -> String {
        format!("<msqrt>{inner}</msqrt>")
    }

    fn absolute(&self, inner: &str, _: bool) -> String {
        fenced("|", "|", inner)
    }

    fn call(&self, op: UnaryOp, argument: &str) -> String {
        let (name, over) = match op.facts().notation {
            Notation::Function(name, over) => (name, over),
            _ => (op.name(), None),
        };
        let name = format!("<mi>{name}</mi>");
        let name = match over {
            Some(over) => format!("<msub>{name}<mi>{over}</mi></msub>"),
            None => name,
        };
        format!("{name}<mo>&#x2061;</mo>{}", self.bracketed(argument))
    }

    fn bracketed(&self, inner: &str) -> String {
        fenced("(", ")", inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deep, doubled, graph};

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
