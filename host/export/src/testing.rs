//! Signatures, inputs with the corners of their domains, and what two equal losses may differ by.

#![allow(dead_code, reason = "each test file uses some of it")]

#[path = "../../graph/tests/support/mod.rs"]
mod support;

use autoloss_graph::reference::{Evaluation, Field, evaluate};
use autoloss_graph::{
    BinaryOp, GraphBuilder, InputInfo, Limits, LossGraph, Signature, UnaryOp, Values,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{awkward, boxes, field, finite, gradient_terms, largest, one_hot, softmax, void};

/// Smaller numbers are taken for 0: nothing with an ε or in single precision sees them.
const LEAST: f64 = 1e-270;

/// Of probabilities, of areas, and of any numbers.
pub(crate) fn signatures() -> [Signature; 3] {
    let any = ["p", "q"].map(InputInfo::prediction);
    [
        Signature::dense(),
        Signature::boxes(),
        Signature::new(any.to_vec()).unwrap(),
    ]
}

/// A random loss after some mutations.
pub(crate) fn random_loss(rng: &mut ChaCha8Rng, signature: &Signature) -> LossGraph {
    support::graph(rng, signature)
}

/// Ordinary inputs, and such with the corner values of what the signature allows.
pub(crate) fn inputs_of(rng: &mut ChaCha8Rng, signature: &Signature) -> Vec<Vec<Field>> {
    let mut pick = |values: &[f64]| field(|| values[rng.random_range(0..values.len())]);
    if *signature == Signature::dense() {
        let corners = pick(&[0.0, 1.0, 1e-300, 1e-13, 0.5, 0.25]);
        let y = one_hot(rng);
        vec![
            vec![softmax(rng), one_hot(rng)],
            void(rng).into(),
            vec![corners, y],
        ]
    } else if *signature == Signature::boxes() {
        let areas = [0.0, 1e-300, 1e-13, 1e-6, 1.0, 3.0, 1e6, 1e150, 1e300];
        let corners = (0..3).map(|_| pick(&areas)).collect();
        vec![boxes(rng), corners]
    } else {
        vec![
            vec![awkward(rng, 3.0), awkward(rng, 50.0)],
            vec![awkward(rng, 1e300), awkward(rng, 1e150)],
        ]
    }
}

/// Whether rounding may decide one of the results.
pub(crate) fn is_delicate(graphs: [&LossGraph; 2], inputs: &[Field]) -> bool {
    graphs
        .into_iter()
        .any(|graph| support::rounding_decides(graph, inputs))
}

/// None where two graphs have the same root and the same gradient, up to rounding.
pub(crate) fn difference(
    one: &LossGraph,
    other: &LossGraph,
    signature: &Signature,
    inputs: &[Field],
) -> Option<String> {
    let terms = gradient_terms(one, inputs).max(gradient_terms(other, inputs));
    let [one, other] = [one, other].map(|graph| evaluate(graph, inputs).unwrap());
    for (a, b) in one.root.data().iter().zip(other.root.data()) {
        if a.is_finite() != b.is_finite() || (a.is_finite() && !are_close(*a, *b, 0.0)) {
            return Some(format!("values {a:e} and {b:e}"));
        }
    }
    if !finite(one.root.data()) {
        return None;
    }
    let [one, other] = [one, other].map(|evaluation| felt(&evaluation, signature, inputs));
    if finite(&one) != finite(&other) {
        return Some("only one gradient is finite".into());
    }
    let scale = 1e-9 * largest(&one).max(largest(&other));
    let mut pairs = one.iter().zip(&other);
    let rounding = scale.max(1e-12 * terms);
    pairs
        .find(|(a, b)| a.is_finite() && !are_close(**a, **b, rounding))
        .map(|(a, b)| format!("gradients {a:e} and {b:e}, terms {terms:e}"))
}

fn are_close(a: f64, b: f64, beside: f64) -> bool {
    let largest = a.abs().max(b.abs());
    largest < LEAST || (a - b).abs() <= (1e-9 * largest).max(beside)
}

/// The gradient of predictions, without what does not get through to a network.
fn felt(evaluation: &Evaluation, signature: &Signature, inputs: &[Field]) -> Vec<f64> {
    let all = evaluation
        .gradients
        .iter()
        .zip(inputs)
        .zip(signature.inputs());
    all.filter(|(_, spec)| spec.prediction)
        .flat_map(|((gradient, input), spec)| {
            let stops = |x: f64| x == 0.0 && spec.values != Values::Any;
            let pairs = gradient.data().iter().zip(input.data());
            pairs
                .map(move |(g, x)| if stops(*x) { 0.0 } else { *g })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The largest value of any node: what is added up to a result may cancel.
pub(crate) fn largest_value(graph: &LossGraph, inputs: &[Field]) -> f64 {
    let tensors = support::tensors(graph, inputs);
    largest(tensors.iter().flat_map(Field::data))
}

/// The largest term that is added up in a gradient.
pub(crate) fn gradient_scale(graph: &LossGraph, inputs: &[Field]) -> f64 {
    gradient_terms(graph, inputs)
}

/// A graph beyond the usual limits.
pub(crate) fn graph(text: &str, signature: &Signature) -> LossGraph {
    let limits = Limits {
        max_nodes: 1000,
        max_depth: 1000,
        max_tree_size: 10_000,
    };
    LossGraph::parse(text, signature, &limits).unwrap()
}

/// A node that is added to itself over and over.
pub(crate) fn doubled(times: usize) -> LossGraph {
    let signature = Signature::dense();
    let mut builder = GraphBuilder::new();
    let mut id = builder.input(signature.index_of("yhat").unwrap());
    for _ in 0..times {
        id = builder.apply(BinaryOp::Add, &[id, id]).unwrap();
    }
    builder.finish(id).unwrap()
}

/// A node under many operators.
pub(crate) fn deep(depth: usize) -> LossGraph {
    let signature = Signature::dense();
    let mut builder = GraphBuilder::new();
    let mut id = builder.input(signature.index_of("yhat").unwrap());
    for _ in 0..depth {
        id = builder.apply(UnaryOp::Tanh, &[id]).unwrap();
    }
    builder.finish(id).unwrap()
}
