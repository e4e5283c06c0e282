//! The formulas of the segmentation task's reference losses are the losses they name.
//!
//! A formula belongs to a plugin and its meaning to the host, and neither may depend on the other:
//! here, and only here, both are linked. Formulas are evaluated as trainings evaluate them and held
//! against the oracle's fixture of the plugin, and against what the plugin computes itself.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read fails the test"
)]

use autoloss_graph::{Limits, LossGraph, Signature};
use autoloss_plugin_api::Tensors;
use autoloss_train::{Scope, loss_of};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};
use voc_seg::losses::{Asl, reference_loss, reference_losses};
use voc_seg::one_hot;

const FIXTURE: &str = include_str!("../plugins/voc-seg/tests/fixtures/reference_losses.json");

/// Graphs add ε = 1e-12 where the losses do not; the least prediction of the fixture is 3e-7.
const VALUE: f64 = 1e-8;
const GRADIENT: f64 = 1e-5;
const SINGLE: f64 = 1e-5;

fn formulas() -> BTreeMap<String, LossGraph> {
    let parse =
        |text: &String| LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap();
    reference_losses()
        .iter()
        .filter_map(|loss| Some((loss.name.clone(), parse(loss.formulas.get("seg")?))))
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap();
    items.iter().map(|item| item.as_f64().unwrap()).collect()
}

/// Prediction and target of a case of the fixture.
fn maps(case: &Value, kind: Kind) -> (Tensor, Tensor) {
    let shape: Vec<i64> = numbers(&case["shape"]).iter().map(|&n| n as i64).collect();
    let labels = Tensor::from_slice(&numbers(&case["labels"]))
        .view([shape[0], shape[2], shape[3]])
        .to_kind(Kind::Int64);
    let yhat = Tensor::from_slice(&numbers(&case["yhat"]))
        .view(shape.as_slice())
        .to_kind(kind);
    (yhat, one_hot(&labels, shape[1]).unwrap().0.to_kind(kind))
}

/// Value and gradient of a formula, trained as a candidate is: whatever it says of void ends where
/// the branch sets its prediction to zero.
fn by_graph(graph: &LossGraph, yhat: &Tensor, y: &Tensor) -> (f64, Tensor) {
    let softmax = yhat.detach().set_requires_grad(true);
    let valid = y.sum_dim_intlist([1i64].as_slice(), true, y.kind());
    let loss = loss_of(graph, &[&(&softmax * valid), y], Scope::Batch).unwrap();
    loss.backward();
    (loss.double_value(&[]), softmax.grad())
}

fn by_task(name: &str, yhat: &Tensor, y: &Tensor) -> (f64, Tensor) {
    let yhat = yhat.detach().set_requires_grad(true);
    let inputs = Tensors::new()
        .with("yhat", yhat.shallow_clone())
        .with("y", y.shallow_clone());
    let loss = reference_loss(name, "seg", &inputs, &Asl::default()).unwrap();
    loss.backward();
    (loss.double_value(&[]), yhat.grad())
}

/// The largest difference of two maps, relative to the largest element of the second.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let most = |x: &Tensor| x.abs().max().to_kind(Kind::Double).double_value(&[]);
    most(&(a - b)) / most(b)
}

#[test]
fn formulas_are_the_oracles_losses() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let formulas = formulas();
    let names: Vec<&str> = formulas.keys().map(String::as_str).collect();
    assert_eq!(names, ["ce", "dice", "wce"]);
    for (name, graph) in &formulas {
        let (mut value, mut gradient, mut single) = (0f64, 0f64, 0f64);
        for case in fixture["cases"].as_array().unwrap() {
            let (yhat, y) = maps(case, Kind::Double);
            let expected = &case["losses"][name];
            let truth = expected["value"].as_f64().unwrap();
            let slopes = Tensor::from_slice(&numbers(&expected["gradient"])).view_as(&yhat);
            let (loss, slope) = by_graph(graph, &yhat, &y);
            value = value.max((loss - truth).abs() / truth);
            gradient = gradient.max(apart(&slope, &slopes));
            let (loss, slope) =
                by_graph(graph, &yhat.to_kind(Kind::Float), &y.to_kind(Kind::Float));
            single = single.max((loss - truth).abs() / truth);
            single = single.max(apart(&slope, &slopes));
        }
        println!("{name}: values {value:.1e}, gradients {gradient:.1e}, in f32 {single:.1e}");
        assert!(
            value < VALUE && gradient < GRADIENT && single < SINGLE,
            "{name}"
        );
    }
}

#[test]
fn formulas_and_the_tasks_own_computation_agree() {
    tch::manual_seed(11);
    let labels = Tensor::randint(9, [4, 24, 20], (Kind::Int64, Device::Cpu));
    let (y, valid) = one_hot(&labels, 7).unwrap();
    let logits = Tensor::randn([4, 7, 24, 20], (Kind::Float, Device::Cpu)) * 2;
    let yhat = logits.softmax(1, Kind::Float) * valid;
    for (name, graph) in formulas() {
        let (graphs, tasks) = (by_graph(&graph, &yhat, &y), by_task(&name, &yhat, &y));
        let value = (graphs.0 - tasks.0).abs() / tasks.0;
        let gradient = apart(&graphs.1, &tasks.1);
        println!("{name}: values {value:.1e}, gradients {gradient:.1e}");
        assert!(value < SINGLE && gradient < SINGLE, "{name}");
    }
}

/// ε keeps what a batch lacks from dividing by zero.
#[test]
fn formulas_are_finite_at_the_extremes() {
    let labels = Tensor::from_slice(&[0i64, 2, 255, 2]).view([1, 2, 2]);
    let nothing = Tensor::full([1, 2, 2], 255, (Kind::Int64, Device::Cpu));
    for (name, graph) in formulas() {
        let (y, valid) = one_hot(&labels, 4).unwrap();
        let sure = y.flip([1i64]) * valid;
        let (loss, slope) = by_graph(&graph, &sure, &y);
        assert!(
            loss.is_finite() && slope.isfinite().all().int64_value(&[]) == 1,
            "{name}"
        );
        let (y, _) = one_hot(&nothing, 4).unwrap();
        let (loss, slope) = by_graph(&graph, &y.zeros_like(), &y);
        assert_eq!(
            (loss, slope.abs().max().double_value(&[])),
            (0.0, 0.0),
            "{name}"
        );
    }
}
