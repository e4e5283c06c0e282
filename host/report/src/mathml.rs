//! Formulas as the page wants them: without style attributes, which its policy refuses (its style sheet aligns
//! tables of definitions the same), and with brackets that only grow around what is tall. Browsers draw a
//! bracket that may grow a size larger than its content needs, around a single letter already.

use autoloss_graph::{LossGraph, Signature};

/// What a bracket grows around.
const TALL: [&str; 2] = ["<mfrac>", "<mtable>"];

const STRETCHY: &str = " stretchy=\"true\">";
const FIXED: &str = " stretchy=\"false\">";

/// The formula of a graph, in which names are escaped.
pub(crate) fn of(graph: &LossGraph, signature: &Signature) -> String {
    let markup = autoloss_export::mathml(graph, signature)
        .replace(" style=\"text-align: right\"", "")
        .replace(" style=\"text-align: left\"", "");
    with_low_brackets(&markup)
}

fn with_low_brackets(markup: &str) -> String {
    // Places of brackets, those that are open, and whether each grows.
    let places: Vec<usize> = markup.match_indices(STRETCHY).map(|(at, _)| at).collect();
    let mut grows = vec![true; places.len()];
    let mut open = Vec::new();
    for (n, at) in places.iter().enumerate() {
        if markup[..*at].ends_with("form=\"prefix\"") {
            open.push(n);
        } else if let Some(partner) = open.pop() {
            let inner = &markup[places[partner]..*at];
            let tall = TALL.iter().any(|element| inner.contains(element));
            (grows[partner], grows[n]) = (tall, tall);
        }
    }
    let mut out = String::with_capacity(markup.len() + places.len());
    let mut copied = 0;
    for (at, grows) in places.into_iter().zip(grows) {
        out.push_str(&markup[copied..at]);
        out.push_str(if grows { STRETCHY } else { FIXED });
        copied = at + STRETCHY.len();
    }
    out.push_str(&markup[copied..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_graph::Limits;

    #[test]
    fn brackets_grow_around_fractions_only() {
        let signature = Signature::dense();
        let brackets = |text: &str| {
            let graph = LossGraph::parse(text, &signature, &Limits::default()).unwrap();
            let markup = of(&graph, &signature);
            assert!(!markup.contains("style="));
            (
                markup.matches(FIXED).count(),
                markup.matches(STRETCHY).count(),
            )
        };
        assert_eq!(brackets("log(tanh(yhat))"), (4, 0));
        assert_eq!(brackets("mul(log(inv(tanh(yhat))), tanh(y))"), (4, 2));
        assert_eq!(brackets("yhat"), (0, 0));
    }
}
