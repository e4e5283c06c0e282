//! Reference losses and their gradients against other people's implementations.
//!
//! `python/oracles/reference_losses.py` writes the fixture with PyTorch, segmentation-models-pytorch,
//! torchmetrics and scipy; it says which stands for which loss. Gradients are compared relative to
//! the largest of a map: where they cancel, single elements keep few digits.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read fails the test"
)]

use autoloss_plugin_api::{Task, TaskOptions, Tensors, serde_json};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use voc_seg::losses::{Asl, reference_loss, reference_losses};
use voc_seg::{VocSeg, one_hot};

const FIXTURE: &str = include_str!("fixtures/reference_losses.json");

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    shape: [i64; 4],
    labels: Vec<i64>,
    yhat: Vec<f64>,
    losses: BTreeMap<String, Expected>,
    surrogates: Vec<Surrogate>,
}

#[derive(Deserialize)]
struct Expected {
    value: f64,
    gradient: Vec<f64>,
}

/// An Auto-Seg-Loss, its gradient at some elements of yhat only.
#[derive(Deserialize)]
struct Surrogate {
    asl: Value,
    places: Vec<usize>,
    value: f64,
    gradient: Vec<f64>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixture>(FIXTURE).unwrap().cases
}

impl Case {
    /// Value and gradient with respect to yhat, in the precision `kind`.
    fn computed(&self, name: &str, asl: &Asl, kind: Kind) -> (f64, Vec<f64>) {
        let [n, classes, height, width] = self.shape;
        let labels = Tensor::from_slice(&self.labels).view([n, height, width]);
        let yhat = Tensor::from_slice(&self.yhat)
            .view(self.shape)
            .to_kind(kind);
        let yhat = yhat.set_requires_grad(true);
        let (y, _) = one_hot(&labels, classes).unwrap();
        let inputs = Tensors::new()
            .with("yhat", yhat.shallow_clone())
            .with("y", y);
        let loss = reference_loss(name, "seg", &inputs, asl).unwrap();
        assert_eq!((loss.kind(), loss.size()), (kind, vec![]), "{name}");
        loss.backward();
        let gradient = yhat.grad().to_kind(Kind::Double).view([-1]);
        (loss.double_value(&[]), Vec::try_from(&gradient).unwrap())
    }
}

/// The largest differences seen, relative to the value and to the largest slope of a map.
#[derive(Default)]
struct Seen {
    value: f64,
    gradient: f64,
    compared: usize,
}

impl Seen {
    fn add(&mut self, case: &str, ours: (f64, &[f64]), theirs: (f64, &[f64])) {
        let scale = theirs
            .1
            .iter()
            .fold(0.0, |most: f64, slope| most.max(slope.abs()));
        assert!(scale > 0.0 && ours.1.len() == theirs.1.len());
        let value = (ours.0 - theirs.0).abs() / theirs.0.abs();
        let slopes = ours.1.iter().zip(theirs.1);
        let gradient = slopes
            .map(|(a, b)| (a - b).abs() / scale)
            .fold(0.0, f64::max);
        // A maximum would pass NaN over.
        assert!(
            value.is_finite() && ours.1.iter().all(|slope| slope.is_finite()),
            "{case}: not finite"
        );
        self.value = self.value.max(value);
        self.gradient = self.gradient.max(gradient);
        self.compared += 1;
    }

    fn finish(&self, what: &str, value: f64, gradient: f64) {
        println!(
            "{what}: {} compared, largest difference {:.2e} of values, {:.2e} of gradients",
            self.compared, self.value, self.gradient
        );
        assert!(
            self.value <= value,
            "{what}: values differ by {:.2e}",
            self.value
        );
        assert!(
            self.gradient <= gradient,
            "{what}: gradients differ by {:.2e}",
            self.gradient
        );
    }
}

fn compare(kind: Kind, value: f64, gradient: f64) {
    let cases = cases();
    for name in cases[0].losses.keys() {
        let mut seen = Seen::default();
        for case in &cases {
            let expected = &case.losses[name];
            let (loss, slopes) = case.computed(name, &Asl::default(), kind);
            seen.add(
                &case.name,
                (loss, &slopes),
                (expected.value, &expected.gradient),
            );
        }
        assert_eq!(seen.compared, cases.len());
        seen.finish(&format!("{name}, {kind:?}"), value, gradient);
    }
}

fn compare_surrogates(kind: Kind, value: f64, gradient: f64) {
    let cases = cases();
    for at in 0..cases[0].surrogates.len() {
        let mut seen = Seen::default();
        for case in &cases {
            let expected = &case.surrogates[at];
            let asl = Asl::from_json(&expected.asl).unwrap();
            let (loss, slopes) = case.computed("asl", &asl, kind);
            let slopes: Vec<f64> = expected.places.iter().map(|&place| slopes[place]).collect();
            seen.add(
                &case.name,
                (loss, &slopes),
                (expected.value, &expected.gradient),
            );
        }
        let what = format!("asl {}, {kind:?}", cases[0].surrogates[at].asl);
        seen.finish(&what, value, gradient);
    }
}

#[test]
fn losses_in_double_precision_are_the_oracles() {
    compare(Kind::Double, 1e-12, 1e-11);
}

#[test]
fn losses_in_single_precision_are_the_oracles() {
    compare(Kind::Float, 1e-6, 1e-5);
}

/// The oracle's gradients are differences of values, which is what bounds their agreement.
#[test]
fn surrogates_in_double_precision_are_the_oracles() {
    compare_surrogates(Kind::Double, 1e-12, 1e-6);
}

#[test]
fn surrogates_in_single_precision_are_the_oracles() {
    compare_surrogates(Kind::Float, 1e-6, 1e-5);
}

#[test]
fn the_task_offers_what_the_oracle_covers() {
    let case = &cases()[0];
    let mut covered: Vec<&str> = case.losses.keys().map(String::as_str).collect();
    covered.push("asl");
    covered.sort_unstable();
    let info = VocSeg::info();
    let mut offered: Vec<&str> = info
        .reference_losses
        .iter()
        .map(|loss| loss.name.as_str())
        .collect();
    assert_eq!(offered[0], "ce");
    offered.sort_unstable();
    assert_eq!(offered, covered);
    assert_eq!(info.reference_losses, reference_losses());
}

#[test]
fn the_task_computes_them_by_name() {
    let task = VocSeg::open(&TaskOptions::default()).unwrap();
    let case = &cases()[0];
    let [n, classes, height, width] = case.shape;
    let labels = Tensor::from_slice(&case.labels).view([n, height, width]);
    let (y, _) = one_hot(&labels, classes).unwrap();
    let yhat = Tensor::from_slice(&case.yhat).view(case.shape);
    let inputs = Tensors::new().with("yhat", yhat).with("y", y);
    for (name, expected) in &case.losses {
        let loss = task.reference_loss(name, "seg", &inputs).unwrap();
        assert!(
            (loss.double_value(&[]) - expected.value).abs() < 1e-9,
            "{name}"
        );
    }
}
