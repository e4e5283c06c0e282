//! Exported Rust code is compiled here, and computes what the host computes.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_graph::{Limits, LossFile, LossGraph};
use autoloss_tests::host::{host, run};
use autoloss_train::{Scope, loss_of};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

#[allow(unreachable_pub, reason = "as it is exported")]
#[path = "fixtures/exported.rs"]
mod exported;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

#[test]
fn the_compiled_file_is_what_is_exported() {
    let file = fixture("exported.json");
    let mut export = host(["export", "--raw", "--format", "rust"]);
    let text = run(export.arg(file)).succeeded().stdout.clone();
    assert_eq!(
        text,
        std::fs::read_to_string(fixture("exported.rs")).unwrap()
    );
}

#[test]
fn values_and_gradients_are_the_hosts() {
    let text = std::fs::read_to_string(fixture("exported.json")).unwrap();
    let file = LossFile::from_json(&text).unwrap();
    tch::manual_seed(4);
    for (branch, shape) in [("map", [2, 3, 5, 4]), ("list", [7, 1, 1, 1])] {
        let signature = &file.conventions[branch].inputs;
        let graph =
            LossGraph::parse(&file.branches[branch], signature, &Limits::default()).unwrap();
        let values: Vec<Tensor> = signature
            .inputs()
            .iter()
            .map(|_| Tensor::rand(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true))
            .collect();
        let inputs: Vec<&Tensor> = values.iter().collect();
        let ours = loss_of(&graph, &inputs, Scope::Batch).unwrap();
        let theirs = match inputs[..] {
            [yhat, y] => exported::map_loss(yhat, y).unwrap(),
            [i, u, e] => exported::list_loss(i, u, e).unwrap(),
            _ => unreachable!("a branch of so many inputs"),
        };
        let close = |a: &Tensor, b: &Tensor| a.allclose(b, 1e-12, 1e-12, false);
        assert!(close(&ours, &theirs), "{branch}: {ours:?} {theirs:?}");
        let gradients = |loss: &Tensor| Tensor::run_backward(&[loss], &inputs, true, false);
        for (a, b) in gradients(&ours).iter().zip(gradients(&theirs)) {
            assert!(close(a, &b), "{branch}");
        }
    }
}
