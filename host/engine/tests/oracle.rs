//! Programs against PyTorch: 2,000 random graphs of softmax predictions and 300 of boxes in f64, and the infinities of f32
//! (python/oracles/engine.py).

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_engine::{Activation, Input, Machine, Problem, Shape, levels};
use autoloss_graph::{Limits, LossGraph, Signature};
use serde::Deserialize;

/// Relative error that single precision may have.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Fixture {
    problems: Vec<Fields>,
    graphs: Vec<Case>,
}

/// Numbers are texts with blanks between them.
#[derive(Deserialize)]
struct Fields {
    shape: [usize; 3],
    raw: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    boxes: String,
    valid: String,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    problem: usize,
    loss: String,
    norm: String,
    sums: String,
    finite32: bool,
    error32: String,
    loss_error32: String,
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    let number = |word: &str| word.parse().ok();
    text.split(' ').map(|word| number(word).unwrap()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn problem(fields: &Fields) -> Problem {
    let [channels, height, width] = fields.shape;
    let shape = Shape {
        samples: 1,
        channels,
        height,
        width,
    };
    let (raw, valid): (Vec<f32>, Vec<f32>) = (numbers(&fields.raw), numbers(&fields.valid));
    if !fields.boxes.is_empty() {
        let shape = Shape {
            channels: 1,
            ..shape
        };
        let inputs = [const { Input::Prediction }; 3];
        let target: Vec<f32> = numbers(&fields.boxes);
        return Problem::boxes(shape, &inputs, &raw, &target, Some(&valid)).unwrap();
    }
    let inputs = [Input::Prediction, Input::Fixed(numbers(&fields.y))];
    Problem::new(shape, Activation::Softmax, &inputs, &raw, Some(&valid)).unwrap()
}

/// What is wrong with the engine's figures of a case.
fn faults(case: &Case, fields: &Fields, problem: &Problem, machine: &mut Machine) -> Vec<String> {
    let signature = match fields.boxes.is_empty() {
        true => Signature::dense(),
        false => Signature::boxes(),
    };
    let graph = LossGraph::parse(&case.text, &signature, &Limits::default()).unwrap();
    let program = problem.compile(&graph);
    machine.reset(problem);
    let found = machine.gradient(problem, &program);
    let mut gradient = Vec::new();
    machine.raw_gradient(problem, &program, &mut gradient);
    let mut faults = Vec::new();
    let finite = found.losses[0].is_finite() && gradient.iter().all(|g| g.is_finite());
    if finite != case.finite32 {
        faults.push(format!("finite: {finite}, PyTorch {}", case.finite32));
    }
    let (loss, norm) = (number(&case.loss), number(&case.norm));
    if number(&case.loss_error32) < TOLERANCE {
        let off = (found.losses[0] - loss).abs() / loss.abs();
        if off > TOLERANCE {
            faults.push(format!("loss {loss} is off by {off:e}"));
        }
    }
    if number(&case.error32) < TOLERANCE {
        let mut pairs = vec![(found.norms[0], norm, 1.0)];
        for (at, sum) in numbers::<f64>(&case.sums).into_iter().enumerate() {
            let weight = |element: usize| (1.7 * element as f64 + at as f64).cos();
            let own = gradient.iter().enumerate();
            let own: f64 = own
                .map(|(element, g)| weight(element) * f64::from(*g))
                .sum();
            let size = (0..gradient.len())
                .map(|element| weight(element).powi(2))
                .sum::<f64>();
            pairs.push((own, sum, size.sqrt()));
        }
        for (own, exact, size) in pairs {
            let off = (own - exact).abs() / (norm * size);
            if off > TOLERANCE {
                faults.push(format!("{exact} of the gradient is off by {off:e}"));
            }
        }
    }
    faults
}

#[test]
fn random_graphs_are_those_of_pytorch() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/graphs.json")).unwrap();
    assert_eq!(fixture.graphs.len(), 2300);
    let problems: Vec<Problem> = fixture.problems.iter().map(problem).collect();
    for level in levels() {
        let mut machine = Machine::new(level);
        let mut found = Vec::new();
        for case in &fixture.graphs {
            let fields = &fixture.problems[case.problem];
            let faults = faults(case, fields, &problems[case.problem], &mut machine);
            if !faults.is_empty() {
                found.push(format!("{}: {}", case.text, faults.join("; ")));
            }
        }
        assert!(
            found.is_empty(),
            "{level:?}, {} graphs:\n{}",
            found.len(),
            found.join("\n")
        );
    }
}
