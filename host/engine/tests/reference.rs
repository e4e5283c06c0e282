//! Programs against the slow interpreter of autoloss-graph, which works in f64.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_engine::{Activation, Input, Level, Machine, Problem, Shape, levels};
use autoloss_graph::reference::{Field, evaluate};
use autoloss_graph::{GenerateConfig, Limits, LossGraph, Signature, random_graph};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The rows of the second fill vectors and tiles.
const SHAPES: [Shape; 2] = [
    Shape {
        samples: 2,
        channels: 5,
        height: 9,
        width: 13,
    },
    Shape {
        samples: 2,
        channels: 5,
        height: 8,
        width: 32,
    },
];

struct Case {
    shape: Shape,
    raw: Vec<f32>,
    target: Vec<f32>,
    problem: Problem,
}

fn case(shape: Shape, seed: u64, activation: Activation) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let raw: Vec<f32> = (0..shape.len())
        .map(|_| rng.random_range(-2.0..2.0))
        .collect();
    let positions = shape.positions();
    let mut target = vec![0.0; shape.len()];
    for sample in 0..shape.samples {
        for position in 0..positions {
            let class = (position / 7 + sample) % shape.channels;
            target[(sample * shape.channels + class) * positions + position] = 1.0;
        }
    }
    let inputs = [Input::Prediction, Input::Fixed(target.clone())];
    let problem = Problem::new(shape, activation, &inputs, &raw, None).unwrap();
    Case {
        shape,
        raw,
        target,
        problem,
    }
}

/// Loss and gradient with respect to the raw prediction of each sample, in f64.
///
/// With `noise` every number is first changed by as much as single precision may change it.
fn exact(
    case: &Case,
    graph: &LossGraph,
    activation: Activation,
    noise: bool,
) -> Vec<(f64, Vec<f64>)> {
    let (c, n) = (case.shape.channels, case.shape.positions());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut one = |values: &[f32]| -> Vec<f64> {
        let mut factor = || {
            1.0 + if noise {
                rng.random_range(-6e-8..6e-8)
            } else {
                0.0
            }
        };
        values.iter().map(|&x| f64::from(x) * factor()).collect()
    };
    let shape = [1, c, case.shape.height, case.shape.width];
    let samples = case.raw.chunks(c * n).zip(case.target.chunks(c * n));
    samples
        .map(|(raw, target)| {
            let (raw, target) = (one(raw), one(target));
            let mut p = raw.clone();
            match activation {
                Activation::Softmax => {
                    for at in 0..n {
                        let sum: f64 = (0..c).map(|c| raw[c * n + at].exp()).sum();
                        (0..c).for_each(|c| p[c * n + at] = raw[c * n + at].exp() / sum);
                    }
                }
                Activation::Sigmoid => p.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
                Activation::Identity => {}
                Activation::Boxes => unreachable!("no case here has boxes"),
            }
            let inputs = [
                Field::new(shape, p.clone()).unwrap(),
                Field::new(shape, target).unwrap(),
            ];
            let found = evaluate(graph, &inputs).unwrap();
            let g = found.gradients[0].data();
            let mut by_raw = g.to_vec();
            match activation {
                Activation::Softmax => {
                    for at in 0..n {
                        let dot: f64 = (0..c).map(|c| p[c * n + at] * g[c * n + at]).sum();
                        for c in 0..c {
                            by_raw[c * n + at] = p[c * n + at] * (g[c * n + at] - dot);
                        }
                    }
                }
                Activation::Sigmoid => {
                    by_raw
                        .iter_mut()
                        .zip(&p)
                        .for_each(|(g, p)| *g *= p * (1.0 - p));
                }
                Activation::Identity => {}
                Activation::Boxes => unreachable!("no case here has boxes"),
            }
            (found.value, by_raw)
        })
        .collect()
}

/// Largest difference relative to the norm, of loss and gradient.
fn difference(level: Level, case: &Case, graph: &LossGraph, activation: Activation) -> (f64, f64) {
    let program = case.problem.compile(graph);
    let mut machine = Machine::new(level);
    machine.reset(&case.problem);
    let measured = machine.gradient(&case.problem, &program);
    let mut gradient = Vec::new();
    machine.raw_gradient(&case.problem, &program, &mut gradient);
    let exact = exact(case, graph, activation, false);
    let mut worst = (0.0f64, 0.0f64);
    let sample = case.shape.channels * case.shape.positions();
    for (number, (value, by_raw)) in exact.iter().enumerate() {
        if !by_raw.iter().all(|g| g.is_finite()) {
            assert!(!measured.norms[number].is_finite());
            continue;
        }
        let norm = by_raw.iter().map(|g| g * g).sum::<f64>().sqrt();
        // Beyond what single precision holds.
        if !(1e-30..1e30).contains(&norm) {
            continue;
        }
        let own = &gradient[number * sample..][..sample];
        let error = own
            .iter()
            .zip(by_raw)
            .map(|(a, b)| (f64::from(*a) - b).powi(2))
            .sum::<f64>()
            .sqrt();
        worst.0 = worst
            .0
            .max((measured.losses[number] - value).abs() / value.abs().max(1e-30));
        worst.1 = worst
            .1
            .max(error / norm.max(measured.rounding_scale).max(1e-30));
        let off = (measured.norms[number] - norm).abs();
        assert!(
            off <= 1.001 * error + 1e-6 * norm,
            "{} is {norm}, off by {error}",
            measured.norms[number]
        );
    }
    worst
}

fn graph(text: &str) -> LossGraph {
    LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap()
}

#[test]
fn every_operator_has_the_right_value_and_gradient() {
    let activations = [
        Activation::Softmax,
        Activation::Sigmoid,
        Activation::Identity,
    ];
    let all = SHAPES.into_iter();
    let all = all.flat_map(|shape| activations.map(|activation| (shape, activation)));
    for (shape, activation) in all {
        let case = case(shape, 3, activation);
        for text in [
            "neg(mul(y, log(yhat)))",
            "add(tanh(neg(mul(y, log(yhat)))), square(neg(mul(y, log(yhat)))))",
            "mul(y, abs(add(yhat, neg(y))))",
            "mul(y, inv(add(yhat, 1)))",
            "mul(y, exp(neg(yhat)))",
            "mul(y, sqrt(yhat))",
            "mul(y, tanh(mul(yhat, yhat)))",
            "mul(mean_nhw(yhat), y)",
            "mul(mean_nhw(mul(y, yhat)), inv(add(mean_nhw(yhat), 1)))",
            "mul(mean_c(square(yhat)), y)",
            "mul(exp(mean_c(mul(y, yhat))), mean_nhw(square(yhat)))",
            "mul(max_pool3x3(yhat), y)",
            "mul(min_pool3x3(yhat), y)",
            "square(add(max_pool3x3(yhat), neg(min_pool3x3(mul(yhat, y)))))",
            "mul(max_pool3x3(mean_c(square(yhat))), y)",
            "mul(mean_nhw(max_pool3x3(mul(yhat, max_pool3x3(y)))), tanh(yhat))",
            "mul(max_pool3x3(mean_nhw(square(yhat))), y)",
            "mean_nhw(mul(y, log(yhat)))",
            "square(max_pool3x3(max_pool3x3(yhat)))",
            "mul(mean_nhw(y), square(yhat))",
        ] {
            for level in levels() {
                let (value, gradient) = difference(level, &case, &graph(text), activation);
                assert!(
                    value < 2e-6 && gradient < 2e-5,
                    "{text}, {activation:?}, {level:?}: {value:e}, {gradient:e}"
                );
            }
        }
    }
}

/// How much single precision alone may change the gradient, relative to its norm.
fn sensitivity(case: &Case, graph: &LossGraph, activation: Activation) -> f64 {
    let pairs = exact(case, graph, activation, false)
        .into_iter()
        .zip(exact(case, graph, activation, true));
    pairs
        .map(|((_, a), (_, b))| {
            let norm = a.iter().map(|a| a * a).sum::<f64>().sqrt();
            let change = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            change.sqrt() / norm
        })
        .fold(0.0, f64::max)
}

#[test]
fn random_graphs_agree() {
    let (signature, limits) = (Signature::dense(), Limits::default());
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let cases = SHAPES.map(|shape| case(shape, 4, Activation::Softmax));
    let (mut compared, mut all) = (0, 0);
    while all < 300 {
        let case = &cases[all % 2];
        let graph = random_graph(&mut rng, &signature, &GenerateConfig::default(), &limits);
        if autoloss_graph::static_check(&graph, &signature).is_err() {
            continue;
        }
        all += 1;
        let sensitivity = sensitivity(case, &graph, Activation::Softmax);
        // NaN and what is not determined by single precision say nothing.
        if sensitivity < 1e-5 {
            compared += 1;
            let (_, gradient) = difference(Level::new(), case, &graph, Activation::Softmax);
            let text = graph.display(&signature);
            assert!(
                gradient < 1e-4,
                "{text}: {gradient:e}, sensitivity {sensitivity:e}"
            );
        }
    }
    assert!(
        compared > all * 8 / 10,
        "only {compared} of {all} could be compared"
    );
}
