//! A found loss leaves the host: a training in PyTorch with the exported module comes to the host's own result.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_plugin_api::{Batch, BatchRequest, Split, Task, TaskOptions};
use autoloss_search::mean_and_deviation;
use autoloss_tests::host::{run, voc_seg as plugin, with_plugins};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::Tensor;
use voc_seg::VocSeg;

/// Found by a search (docs/benchmarks.md).
const LOSS: &str = "mul(log(neg(yhat)), tanh(tanh(y)))";
/// Of the default training.
const STEPS: u64 = 450;
const BATCH: u64 = 8;
const SEEDS: u64 = 3;

/// Samples of a split as `export_training.py` reads them.
fn write(task: &VocSeg, split: Split, count: u64, folder: &Path) {
    let batch: Batch = task
        .batch(&BatchRequest::new(split, (0..count).collect()))
        .unwrap();
    let drawn = task.draw(&batch, None).unwrap();
    let images = drawn
        .get("image")
        .unwrap()
        .permute([0, 2, 3, 1])
        .contiguous();
    let save = |what: &str, tensor: &Tensor| {
        let path = folder.join(format!("{split}_{what}.npy"));
        tensor.write_npy(path).unwrap();
    };
    save("images", &images);
    save("labels", batch.targets.get("labels").unwrap());
}

fn python(root: &Path) -> PathBuf {
    let python = root.join(".venv/tests/bin/python");
    let missing = "the tests' Python environment is missing: `cargo xtask test` installs it";
    assert!(python.exists(), "{missing}");
    python
}

/// mIoU of a training in PyTorch.
fn elsewhere(loss: &Path, data: &Path, seed: u64) -> f64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(python(root))
        .arg(root.join("python/tests/export_training.py"))
        .arg(loss)
        .arg("--data")
        .arg(data)
        .args(["--steps", &STEPS.to_string(), "--seed", &seed.to_string()])
        .args(["--batch-size", &BATCH.to_string(), "--threads", "1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    scores["mIoU"].as_f64().unwrap()
}

#[test]
fn a_training_in_pytorch_comes_to_the_same_score() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin();
    let file = folder.path().join("found.py");
    let mut export = with_plugins(&["export", LOSS], &[&plugin]);
    run(export.arg("--out").arg(&file)).succeeded();

    let seeds = SEEDS.to_string();
    // One thread on either side: waiting threads would starve whatever else runs.
    let evaluate = [
        "evaluate",
        LOSS,
        "--json",
        "--threads",
        "1",
        "--seeds",
        &seeds,
    ];
    let row = run(&mut with_plugins(&evaluate, &[&plugin])).json()["rows"][0].clone();
    let scores = row["scores"].as_array().unwrap().iter();
    let ours: Vec<f64> = scores.map(|seed| seed["mIoU"].as_f64().unwrap()).collect();

    let task = VocSeg::open(&TaskOptions::default()).unwrap();
    let train = task.len(Split::Train).unwrap().min(STEPS * BATCH);
    write(&task, Split::Train, train, folder.path());
    write(
        &task,
        Split::Test,
        task.len(Split::Test).unwrap(),
        folder.path(),
    );
    let theirs: Vec<f64> = (0..SEEDS)
        .map(|seed| elsewhere(&file, folder.path(), seed))
        .collect();

    let (our_mean, our_deviation) = mean_and_deviation(&ours).unwrap();
    let (their_mean, their_deviation) = mean_and_deviation(&theirs).unwrap();
    let error = our_deviation.unwrap().hypot(their_deviation.unwrap()) / (SEEDS as f64).sqrt();
    println!("host {ours:?}, PyTorch {theirs:?}");
    assert!(our_mean > 0.15, "{ours:?}");
    // Four standard errors, estimated from three values, and what they cannot show.
    let noise = 4.0 * error + 0.01;
    assert!(
        (our_mean - their_mean).abs() <= noise,
        "{ours:?} {theirs:?}"
    );
}
