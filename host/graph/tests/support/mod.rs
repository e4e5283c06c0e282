//! Random graphs and input fields, and what makes a comparison of rounded numbers meaningless.
#![allow(dead_code, reason = "each test file uses some of it")]

use autoloss_graph::reference::{Evaluation, Field, evaluate};
use autoloss_graph::{
    BinaryOp, EPSILON, GenerateConfig, GraphBuilder, InputInfo, Limits, LossGraph, Node, NodeId,
    Signature, UnaryOp, random_graph, random_mutation,
};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const SHAPE: [usize; 4] = [2, 3, 3, 4];

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A random graph of depth 1 to 4 after 0 to 4 mutations.
pub(crate) fn graph(rng: &mut ChaCha8Rng, signature: &Signature) -> LossGraph {
    let limits = Limits::default();
    let config = GenerateConfig {
        depth: rng.random_range(1..=4),
    };
    let mut graph = random_graph(rng, signature, &config, &limits);
    for _ in 0..rng.random_range(0..=4) {
        if let Some((_, child)) = random_mutation(rng, &graph, signature, &limits) {
            graph = child;
        }
    }
    graph
}

pub(crate) fn field(mut value: impl FnMut() -> f64) -> Field {
    let data = (0..SHAPE.iter().product()).map(|_| value()).collect();
    Field::new(SHAPE, data).unwrap()
}

/// The index of element (n, c, position).
pub(crate) fn at(n: usize, c: usize, position: usize) -> usize {
    (n * SHAPE[1] + c) * SHAPE[2] * SHAPE[3] + position
}

/// Places (n, position) of all channels.
pub(crate) fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..SHAPE[0]).flat_map(|n| (0..SHAPE[2] * SHAPE[3]).map(move |position| (n, position)))
}

/// A softmax of random logits.
pub(crate) fn softmax(rng: &mut ChaCha8Rng) -> Field {
    let logits = field(|| rng.random_range(-2.0..2.0));
    let mut data = logits.data().to_vec();
    for (n, position) in places() {
        let sum: f64 = (0..SHAPE[1]).map(|c| data[at(n, c, position)].exp()).sum();
        for c in 0..SHAPE[1] {
            data[at(n, c, position)] = data[at(n, c, position)].exp() / sum;
        }
    }
    Field::new(SHAPE, data).unwrap()
}

/// `yhat` and `y` of which only the names are known.
pub(crate) fn unknown() -> Signature {
    let inputs = vec![InputInfo::prediction("yhat"), InputInfo::prediction("y")];
    Signature::new(inputs).unwrap()
}

/// The gradient of the logits, where ŷ is their softmax.
pub(crate) fn of_logits(prediction: &Field, gradient: &Field) -> Vec<f64> {
    let (p, g) = (prediction.data(), gradient.data());
    let mut out = p.to_vec();
    for (n, position) in places() {
        let dot: f64 = (0..SHAPE[1])
            .map(|c| p[at(n, c, position)] * g[at(n, c, position)])
            .sum();
        for c in 0..SHAPE[1] {
            out[at(n, c, position)] *= g[at(n, c, position)] - dot;
        }
    }
    out
}

/// A one-hot coding of random labels.
pub(crate) fn one_hot(rng: &mut ChaCha8Rng) -> Field {
    let mut data = vec![0.0; SHAPE.iter().product()];
    for (n, position) in places() {
        data[at(n, rng.random_range(0..SHAPE[1]), position)] = 1.0;
    }
    Field::new(SHAPE, data).unwrap()
}

/// Values up to `largest` with 0, ties, both signs and numbers around ε among them.
pub(crate) fn awkward(rng: &mut ChaCha8Rng, largest: f64) -> Field {
    let special = [
        0.0, -0.0, 1.0, -1.0, 1e-13, -1e-13, 3e-12, 1e-6, 0.5, -0.25, largest, -largest,
    ];
    field(|| match rng.random_range(0..3) {
        0 => rng.random_range(-1.0..1.0),
        _ => special[rng.random_range(0..special.len())],
    })
}

/// A softmax and a one-hot coding, both 0 at positions without a label.
pub(crate) fn void(rng: &mut ChaCha8Rng) -> [Field; 2] {
    let fields = [softmax(rng), one_hot(rng)];
    let empty: Vec<(usize, usize)> = places().filter(|_| below(rng, 5) == 0).collect();
    fields.map(|field| {
        let mut data = field.data().to_vec();
        for &(n, position) in &empty {
            (0..SHAPE[1]).for_each(|c| data[at(n, c, position)] = 0.0);
        }
        Field::new(SHAPE, data).unwrap()
    })
}

/// Intersection, union and enclosing area of random boxes.
pub(crate) fn boxes(rng: &mut ChaCha8Rng) -> Vec<Field> {
    let union = field(|| rng.random_range(1.0..50.0));
    let grown = |factor: &mut dyn FnMut() -> f64| {
        let data = union.data().iter().map(|u| u * factor()).collect();
        Field::new(SHAPE, data).unwrap()
    };
    let intersection = grown(&mut || rng.random_range(0.0..1.0));
    let enclosing = grown(&mut || rng.random_range(1.0..2.0));
    vec![intersection, union.clone(), enclosing]
}

/// The tensors of all nodes.
pub(crate) fn tensors(graph: &LossGraph, inputs: &[Field]) -> Vec<Field> {
    let mut builder = GraphBuilder::new();
    let mut copied: Vec<NodeId> = Vec::new();
    let mut tensors = Vec::new();
    for node in graph.nodes() {
        let operands: Vec<NodeId> = node.operands().map(|id| copied[id.index()]).collect();
        let id = match *node {
            Node::One => builder.one(),
            Node::Input(input) => builder.input(input),
            Node::Unary(op, _) => builder.apply(op, &operands).unwrap(),
            Node::Binary(op, ..) => builder.apply(op, &operands).unwrap(),
        };
        copied.push(id);
        let part = builder.finish(id).unwrap();
        tensors.push(evaluate(&part, inputs).unwrap().root);
    }
    tensors
}

/// Whether rounding decides a result: a sum or mean that cancels, the logarithm of what is nearly 1, a
/// near tie in a pool, a saturated tanh. Two equal losses may then differ by anything.
pub(crate) fn rounding_decides(graph: &LossGraph, inputs: &[Field]) -> bool {
    let values = tensors(graph, inputs);
    graph
        .nodes()
        .iter()
        .zip(&values)
        .any(|(node, result)| match *node {
            Node::Binary(BinaryOp::Add, a, b) => {
                let operands = values[a.index()]
                    .data()
                    .iter()
                    .zip(values[b.index()].data());
                operands
                    .zip(result.data())
                    .any(|((a, b), sum)| cancels(*sum, a.abs().max(b.abs())))
            }
            Node::Unary(UnaryOp::MeanC | UnaryOp::MeanNhw, a) => {
                let largest = values[a.index()]
                    .data()
                    .iter()
                    .fold(0.0, |most: f64, x| most.max(x.abs()));
                result.data().iter().any(|mean| cancels(*mean, largest))
            }
            Node::Unary(UnaryOp::Log, _) => result
                .data()
                .iter()
                .any(|log| *log != 0.0 && log.abs() < 1e-6),
            Node::Unary(UnaryOp::Tanh, a) => values[a.index()].data().iter().any(|x| x.abs() > 8.0),
            Node::Unary(UnaryOp::MaxPool3x3 | UnaryOp::MinPool3x3, a) => {
                has_near_tie(&values[a.index()])
            }
            _ => false,
        })
}

fn cancels(sum: f64, largest: f64) -> bool {
    largest > 0.0 && sum.abs() < 1e-7 * largest
}

fn has_near_tie(field: &Field) -> bool {
    let mut sorted = field.data().to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.windows(2).any(|pair| {
        let scale = pair[0].abs().max(pair[1].abs());
        pair[0] != pair[1] && pair[1] - pair[0] < 1e-9 * scale
    })
}

pub(crate) fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()))
}

/// A bound of every term that is added up in a gradient: along each path from the root the largest
/// local derivatives, multiplied. Gradients that cancel, as those of x · inv(x), keep errors of this
/// size.
pub(crate) fn gradient_terms(graph: &LossGraph, inputs: &[Field]) -> f64 {
    let values = tensors(graph, inputs);
    let size = |id: NodeId| largest(values[id.index()].data());
    let positions = (SHAPE[0] * SHAPE[2] * SHAPE[3]) as f64;
    let mut bounds = vec![0.0; graph.len()];
    bounds[graph.root().index()] = 1.0 / positions;
    let mut most = 0.0_f64;
    for id in graph.ids().collect::<Vec<_>>().into_iter().rev() {
        let bound = bounds[id.index()];
        match graph.node(id) {
            Node::One => {}
            Node::Input(_) => most = most.max(bound),
            Node::Unary(op, a) => bounds[a.index()] += bound * slope(op, &values[a.index()]),
            Node::Binary(BinaryOp::Add, a, b) => {
                bounds[a.index()] += bound;
                bounds[b.index()] += bound;
            }
            Node::Binary(BinaryOp::Mul, a, b) => {
                bounds[a.index()] += bound * size(b);
                bounds[b.index()] += bound * size(a);
            }
        }
    }
    most
}

/// The largest derivative of an operator over a field.
fn slope(op: UnaryOp, operand: &Field) -> f64 {
    let at = |x: f64| match op {
        UnaryOp::Inv => (x + EPSILON).powi(-2),
        UnaryOp::Log => 1.0 / (x.abs() + EPSILON),
        UnaryOp::Sqrt => 0.5 / (x.abs() + EPSILON).sqrt(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Square => 2.0 * x.abs(),
        UnaryOp::MaxPool3x3 | UnaryOp::MinPool3x3 => 9.0,
        _ => 1.0,
    };
    operand.data().iter().map(|x| at(*x)).fold(0.0, f64::max)
}

pub(crate) fn finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// None where the values of two graphs agree at given inputs: equally finite, and equal up to rounding.
pub(crate) fn value_difference(
    one: &LossGraph,
    other: &LossGraph,
    inputs: &[Field],
) -> Option<String> {
    let [one, other] = [one, other].map(|graph| evaluate(graph, inputs).unwrap());
    let scale = largest(one.root.data()).max(largest(other.root.data()));
    if one.value.is_finite() != other.value.is_finite() {
        return Some(format!("values {} and {}", one.value, other.value));
    }
    (one.value.is_finite() && (one.value - other.value).abs() > 1e-9 * scale)
        .then(|| format!("values {} and {} of scale {scale}", one.value, other.value))
}

/// None where two graphs agree at given inputs: equally finite, and equal up to rounding, in value and in
/// the gradients of predictions.
pub(crate) fn difference(
    one: &LossGraph,
    other: &LossGraph,
    signature: &Signature,
    inputs: &[Field],
) -> Option<String> {
    if let Some(differs) = value_difference(one, other, inputs) {
        return Some(differs);
    }
    let terms = gradient_terms(one, inputs).max(gradient_terms(other, inputs));
    let [one, other] = [one, other].map(|graph| evaluate(graph, inputs).unwrap());
    let all = |evaluation: &Evaluation| -> Vec<f64> {
        let gradients = evaluation.gradients.iter().zip(signature.inputs());
        let moving = gradients.filter(|(_, input)| input.prediction);
        moving
            .flat_map(|(field, _)| field.data().to_vec())
            .collect()
    };
    let (one, other) = (all(&one), all(&other));
    if finite(&one) != finite(&other) {
        return Some("only one gradient is finite".into());
    }
    let scale = largest(&one).max(largest(&other));
    let worst = one
        .iter()
        .zip(&other)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    (finite(&one) && worst > 1e-9 * scale && worst > 1e-13 * terms)
        .then(|| format!("gradients differ by {worst:e}, scale {scale:e}, terms {terms:e}"))
}

/// An even draw among 0..n.
pub(crate) fn below<R: Rng + ?Sized>(rng: &mut R, n: usize) -> usize {
    rng.random_range(0..n)
}
