//! The formulas of the detection task's reference losses are the losses that the plugin computes itself.
//!
//! Two plugins cannot be linked into one program, so this one is apart from `reference_losses`.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_graph::{Limits, LossGraph, Signature};
use autoloss_plugin_api::{Task, TaskOptions, Tensors};
use autoloss_train::{Scope, loss_of};
use coco_det::CocoDet;
use tch::{Device, Kind, Tensor};

/// Relative error in single precision.
const SINGLE: f64 = 1e-5;

/// The largest difference of two gradients, relative to the largest element of the second.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let most = |x: &Tensor| x.abs().max().to_kind(Kind::Double).double_value(&[]);
    most(&(a - b)) / most(b)
}

/// Lists of a detector's branch, (N, C, 1, 1), and for boxes the numbers that move them.
fn lists(branch: &str, kind: Kind) -> (Tensor, Tensors) {
    tch::manual_seed(5);
    let options = (kind, Device::Cpu);
    if branch.ends_with("cls") {
        let logits = Tensor::randn([40, 6, 1, 1], options).set_requires_grad(true);
        let labels = Tensor::randint(6, [40], (Kind::Int64, Device::Cpu));
        let y = labels.one_hot(6).to_kind(kind).view([40, 6, 1, 1]);
        let inputs = Tensors::new()
            .with("yhat", logits.softmax(1, kind))
            .with("y", y);
        return (logits, inputs);
    }
    // Areas of two squares of sides that differ, one within the other or beside it.
    let sides = (Tensor::rand([30, 1, 1, 1], options) + 0.5).set_requires_grad(true);
    let shared = &sides * (Tensor::rand([30, 1, 1, 1], options) * 0.5);
    let areas = &sides * &sides + 1.0;
    let inputs = Tensors::new()
        .with("u", &areas - &shared)
        .with("e", &areas * 1.5)
        .with("i", shared);
    (sides, inputs)
}

#[test]
fn formulas_of_detection_are_what_the_plugin_computes() {
    let task = CocoDet::open(&TaskOptions::default()).unwrap();
    let mut compared = 0;
    for branch in CocoDet::info().branches {
        let dense = branch.inputs.iter().any(|input| input.name == "yhat");
        let signature = if dense {
            Signature::dense()
        } else {
            Signature::boxes()
        };
        for loss in CocoDet::info().reference_losses {
            let Some(text) = loss.formulas.get(&branch.name) else {
                continue;
            };
            let graph = LossGraph::parse(text, &signature, &Limits::default()).unwrap();
            let slope = |by: &dyn Fn(&Tensors) -> Tensor| {
                let (leaf, inputs) = lists(&branch.name, Kind::Float);
                let value = by(&inputs);
                value.backward();
                (value.double_value(&[]), leaf.grad())
            };
            let by_graph = slope(&|inputs| {
                let ordered = branch
                    .inputs
                    .iter()
                    .map(|input| inputs.get(&input.name).unwrap());
                loss_of(&graph, &ordered.collect::<Vec<_>>(), Scope::Batch).unwrap()
            });
            let by_task = slope(&|inputs| {
                task.reference_loss(&loss.name, &branch.name, inputs)
                    .unwrap()
            });
            let value = (by_graph.0 - by_task.0).abs() / by_task.0.abs();
            let gradient = apart(&by_graph.1, &by_task.1);
            let name = format!("{} of {}", loss.name, branch.name);
            assert!(
                value < SINGLE && gradient < SINGLE,
                "{name}: {value:e}, {gradient:e}"
            );
            compared += 1;
        }
    }
    // Six classifying and three regressing ones, for two branches each.
    assert_eq!(compared, 18);
}
