//! Operators, losses and gradients against PyTorch.
//!
//! `python/oracles/operators.py` writes the fixture with PyTorch's eager operators and autograd.
//! Both of ours are held against it: graphs on tensors, which trainings use, and the slow
//! interpreter, which the properties of the pure crates are judged by. A value agrees when it is not
//! finite in the same way, or when it differs by no more than a part of itself or of the magnitude
//! of what it was summed from.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read fails the test"
)]

use autoloss_graph::{Limits, LossGraph, Signature, reference};
use autoloss_train::{Scope, evaluate_graph, loss_of};
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

const FIXTURE: &str = include_str!("fixtures/operators.json");
const TOLERANCE: f64 = 1e-9;
const TOLERANCE_F32: f64 = 1e-4;
/// Parts of a magnitude below which an element or a sum is only what rounding left over.
const ELEMENT_FLOOR: f64 = 1e-6;
const SUM_FLOOR: f64 = 1e-3;
const SAMPLES: usize = 8;

#[derive(Deserialize)]
struct Fixture {
    inputs: Vec<Inputs>,
    operators: Vec<OperatorCase>,
    graphs: Vec<GraphCase>,
}

#[derive(Deserialize)]
struct Inputs {
    shape: [usize; 4],
    yhat: String,
    y: String,
}

/// One operator at special points, all values stored.
#[derive(Deserialize)]
struct OperatorCase {
    text: String,
    inputs: usize,
    root: String,
    root32: String,
    gradients: BTreeMap<String, String>,
}

/// A random graph, its gradients stored as digests.
#[derive(Deserialize)]
struct GraphCase {
    text: String,
    inputs: usize,
    loss: String,
    magnitude: String,
    loss32: String,
    gradients: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
struct Digest {
    sum: String,
    norm: String,
    samples: String,
}

/// What an evaluation of ours gave; gradients in the order of the signature.
struct Outcome {
    loss: f64,
    root: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

type Evaluator = fn(&LossGraph, &Inputs) -> Outcome;

fn fixture() -> Fixture {
    serde_json::from_str(FIXTURE).unwrap()
}

fn graph(text: &str) -> LossGraph {
    LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap()
}

/// Texts keep every bit; a JSON number may lose the last one.
fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

impl Inputs {
    fn tensor(&self, values: &str, kind: Kind) -> Tensor {
        let shape = self.shape.map(|size| i64::try_from(size).unwrap());
        Tensor::from_slice(&numbers(values))
            .reshape(shape)
            .to_kind(kind)
            .set_requires_grad(true)
    }

    fn tensors(&self, kind: Kind) -> [Tensor; 2] {
        [self.tensor(&self.yhat, kind), self.tensor(&self.y, kind)]
    }

    fn fields(&self) -> [reference::Field; 2] {
        [&self.yhat, &self.y]
            .map(|values| reference::Field::new(self.shape, numbers(values)).unwrap())
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor
        .detach()
        .to_kind(Kind::Double)
        .contiguous()
        .view([-1]);
    Vec::try_from(flat).unwrap()
}

fn with_tensors(graph: &LossGraph, inputs: &Inputs) -> Outcome {
    let tensors = inputs.tensors(Kind::Double);
    let given: Vec<&Tensor> = tensors.iter().collect();
    let root = values(&evaluate_graph(graph, &given, Scope::Batch).unwrap());
    let loss = loss_of(graph, &given, Scope::Batch).unwrap();
    loss.backward();
    let gradient = |input: &Tensor| {
        let gradient = input.grad();
        // An input that the graph does not use has no gradient at all.
        if gradient.defined() {
            values(&gradient)
        } else {
            vec![0.0; input.numel()]
        }
    };
    Outcome {
        loss: loss.double_value(&[]),
        root,
        gradients: tensors.iter().map(gradient).collect(),
    }
}

fn with_reference(graph: &LossGraph, inputs: &Inputs) -> Outcome {
    let evaluation = reference::evaluate(graph, &inputs.fields()).unwrap();
    Outcome {
        loss: evaluation.value,
        root: evaluation.root.data().to_vec(),
        gradients: evaluation
            .gradients
            .iter()
            .map(|field| field.data().to_vec())
            .collect(),
    }
}

/// The largest difference seen, and every one beyond the tolerance.
struct Comparison {
    name: &'static str,
    tolerance: f64,
    compared: usize,
    not_finite: usize,
    largest: f64,
    place: String,
    failures: Vec<String>,
}

impl Comparison {
    fn new(name: &'static str, tolerance: f64) -> Self {
        Comparison {
            name,
            tolerance,
            compared: 0,
            not_finite: 0,
            largest: 0.0,
            place: "any case".to_owned(),
            failures: Vec::new(),
        }
    }

    /// `scale` is the magnitude below which a difference counts as one of `scale`; 0 for none.
    fn number(&mut self, place: &str, ours: f64, theirs: f64, scale: f64) {
        self.compared += 1;
        let difference = difference(ours, theirs, scale);
        self.not_finite += usize::from(!theirs.is_finite());
        if difference > self.largest {
            self.largest = difference;
            place.clone_into(&mut self.place);
        }
        if difference > self.tolerance {
            self.failures
                .push(format!("{place}: {ours:e} here, {theirs:e} in PyTorch"));
        }
    }

    fn array(&mut self, place: &str, ours: &[f64], theirs: &[f64], scale: f64) {
        assert_eq!(ours.len(), theirs.len(), "{place}");
        for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            self.number(&format!("{place}[{at}]"), *ours, *theirs, scale);
        }
    }

    fn finish(self) {
        println!(
            "{}: {} numbers, {} not finite, largest relative difference {:.3e} at {}",
            self.name, self.compared, self.not_finite, self.largest, self.place
        );
        assert!(
            self.failures.is_empty(),
            "{} of {} numbers differ, first\n{}",
            self.failures.len(),
            self.compared,
            self.failures[..self.failures.len().min(20)].join("\n")
        );
    }
}

/// Relative to `theirs` or to `scale`; infinite where one is not finite and the other is not the same.
fn difference(ours: f64, theirs: f64, scale: f64) -> f64 {
    if !(ours.is_finite() && theirs.is_finite()) {
        let same = ours == theirs || (ours.is_nan() && theirs.is_nan());
        return if same { 0.0 } else { f64::INFINITY };
    }
    let floor = if scale.is_finite() { scale } else { 0.0 };
    let size = theirs.abs().max(floor).max(f64::MIN_POSITIVE);
    // Divided before the subtraction, which could overflow.
    (ours / size - theirs / size).abs()
}

/// L2, scaled so that squares of large values do not overflow.
fn norm(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let largest = values
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest
        * values
            .iter()
            .map(|value| (value / largest).powi(2))
            .sum::<f64>()
            .sqrt()
}

fn samples(values: &[f64]) -> Vec<f64> {
    (0..SAMPLES)
        .map(|at| values[at * values.len() / SAMPLES])
        .collect()
}

fn named(signature: &Signature) -> impl Iterator<Item = (usize, &str)> {
    signature
        .iter()
        .map(|(input, spec)| (input.index(), spec.name.as_str()))
}

fn compare_operators(name: &'static str, evaluate: Evaluator) {
    let fixture = fixture();
    let signature = Signature::dense();
    let mut seen = Comparison::new(name, TOLERANCE);
    for (at, case) in fixture.operators.iter().enumerate() {
        let outcome = evaluate(&graph(&case.text), &fixture.inputs[case.inputs]);
        let place = format!("{} (case {at})", case.text);
        seen.array(
            &format!("{place} root"),
            &outcome.root,
            &numbers(&case.root),
            0.0,
        );
        for (input, name) in named(&signature) {
            let theirs = numbers(&case.gradients[name]);
            let place = format!("{place} gradient {name}");
            seen.array(&place, &outcome.gradients[input], &theirs, 0.0);
        }
    }
    assert!(
        seen.compared > 5000 && seen.not_finite > 500,
        "the fixture has lost its special points"
    );
    seen.finish();
}

fn compare_graphs(name: &'static str, tolerance: f64, evaluate: Evaluator) {
    let fixture = fixture();
    let signature = Signature::dense();
    let mut seen = Comparison::new(name, tolerance);
    for case in &fixture.graphs {
        let outcome = evaluate(&graph(&case.text), &fixture.inputs[case.inputs]);
        let scale = SUM_FLOOR * number(&case.magnitude);
        seen.number(
            &format!("{} loss", case.text),
            outcome.loss,
            number(&case.loss),
            scale,
        );
        for (input, name) in named(&signature) {
            let (ours, theirs) = (&outcome.gradients[input], &case.gradients[name]);
            let size = number(&theirs.norm);
            let place = format!("{} gradient {name}", case.text);
            seen.number(&format!("{place} norm"), norm(ours), size, 0.0);
            let sum = ours.iter().sum();
            seen.number(
                &format!("{place} sum"),
                sum,
                number(&theirs.sum),
                SUM_FLOOR * size,
            );
            let theirs = numbers(&theirs.samples);
            seen.array(&place, &samples(ours), &theirs, ELEMENT_FLOOR * size);
        }
    }
    assert!(
        fixture.graphs.len() == 200 && seen.not_finite > 20,
        "the fixture has lost its graphs"
    );
    seen.finish();
}

#[test]
fn operators_on_tensors_are_pytorchs() {
    compare_operators("operators on tensors, f64", with_tensors);
}

#[test]
fn operators_of_the_reference_are_pytorchs() {
    compare_operators("operators of the reference, f64", with_reference);
}

#[test]
fn operators_in_single_precision_are_pytorchs() {
    let fixture = fixture();
    let mut seen = Comparison::new("operators on tensors, f32", TOLERANCE_F32);
    for (at, case) in fixture.operators.iter().enumerate() {
        let tensors = fixture.inputs[case.inputs].tensors(Kind::Float);
        let given: Vec<&Tensor> = tensors.iter().collect();
        let root = evaluate_graph(&graph(&case.text), &given, Scope::Batch).unwrap();
        assert_eq!(root.kind(), Kind::Float);
        let place = format!("{} (case {at})", case.text);
        // What is subnormal in f32 has too few digits to be compared relatively.
        seen.array(
            &place,
            &values(&root),
            &numbers(&case.root32),
            f64::from(f32::MIN_POSITIVE),
        );
    }
    seen.finish();
}

#[test]
fn random_graphs_on_tensors_are_pytorchs() {
    compare_graphs("random graphs on tensors, f64", TOLERANCE, with_tensors);
}

#[test]
fn random_graphs_of_the_reference_are_pytorchs() {
    // 1 − tanh² keeps few digits where tanh is near 1, and libraries differ in tanh's last one.
    compare_graphs(
        "random graphs of the reference, f64",
        10.0 * TOLERANCE,
        with_reference,
    );
}

#[test]
fn random_graphs_in_single_precision_are_pytorchs() {
    let fixture = fixture();
    let mut seen = Comparison::new("random graphs on tensors, f32", TOLERANCE_F32);
    for case in &fixture.graphs {
        let (theirs, exact) = (number(&case.loss32), number(&case.loss));
        let scale = SUM_FLOOR * number(&case.magnitude);
        // A loss that PyTorch itself loses in f32 says nothing about ours, unless it is not finite.
        if theirs.is_finite() && difference(theirs, exact, scale) > TOLERANCE_F32 {
            continue;
        }
        let tensors = fixture.inputs[case.inputs].tensors(Kind::Float);
        let given: Vec<&Tensor> = tensors.iter().collect();
        let loss = loss_of(&graph(&case.text), &given, Scope::Batch).unwrap();
        assert_eq!(loss.kind(), Kind::Float);
        seen.number(&case.text, loss.double_value(&[]), theirs, scale);
    }
    assert!(seen.compared > 150, "few graphs are precise in f32");
    seen.finish();
}
