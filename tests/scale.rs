//! Losses are trained at one scale, so that a factor changes no training, and that scale leaves with the loss.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_graph::Limits;
use autoloss_search::{Evaluation, Evaluator, Job, Optimizer, ScreeningConfig, TrainingBudget};
use autoloss_tests::host::{host, misbehaving, run, voc_seg, with_plugins};
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, Scaling, Workbench, runtime};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

const CE: &str = "neg(mul(y, log(yhat)))";
/// Twice that.
const TWICE: &str = "neg(mul(add(y, y), log(yhat)))";

fn workbench(scaling: bool) -> Workbench {
    let registry = Registry::load(&[voc_seg()]).unwrap();
    let choice = Choice {
        network: Some("unet_tiny".into()),
        scaling: scaling.then(|| Scaling {
            screening: ScreeningConfig::default(),
            seed: 0,
        }),
        ..Choice::default()
    };
    let device = runtime::device("cpu").unwrap();
    Workbench::open(registry, &choice, device, Limits::default(), Arc::default()).unwrap()
}

/// Four steps of SGD, to which a factor of the loss is one of the learning rate.
fn trained(workbench: &mut Workbench, loss: &str) -> Evaluation {
    let job = Job {
        task: "voc_seg".into(),
        network: "unet_tiny".into(),
        run_spec: String::new(),
        losses: BTreeMap::from([("seg".to_owned(), loss.to_owned())]),
        budget: TrainingBudget {
            steps: 4,
            batch_size: 2,
            optimizer: Optimizer::Sgd,
            learning_rate: 0.5,
            eval_images: 8,
            ..TrainingBudget::default()
        },
        seed: 3,
        split: "reward".into(),
        stop_invalid: true,
        pruning: None,
        keep: None,
        checkpoints: None,
    };
    workbench.evaluate(&job).unwrap()
}

#[test]
fn a_factor_changes_no_training_with_sgd() {
    runtime::set_threads(1);
    let mut scaled = workbench(true);
    let losses = |loss: &str| BTreeMap::from([("seg".to_owned(), loss.to_owned())]);
    assert_eq!(scaled.scales(&losses(CE)).unwrap(), BTreeMap::new());
    assert_eq!(scaled.scales(&losses(TWICE)).unwrap()["seg"], 0.5);
    let [once, twice] = [CE, TWICE].map(|loss| trained(&mut scaled, loss).final_loss.unwrap());
    assert!((once - twice).abs() < 1e-5 * once, "{once} and {twice}");

    let mut plain = workbench(false);
    let [once, twice] = [CE, TWICE].map(|loss| trained(&mut plain, loss).final_loss.unwrap());
    // Twice the value, and another network besides.
    assert!(
        (2.0 * once - twice).abs() > 1e-3 * twice,
        "{once} and {twice}"
    );
}

#[test]
fn the_scale_of_a_found_loss_stands_in_its_file_and_in_its_exports() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = with_plugins(&["search", "--threads", "1"], &[&misbehaving()]);
    command.args([
        "--max-explored",
        "1",
        "--guess",
        "neg(mul(add(y, y), log(yhat)))",
    ]);
    command.args([
        "--set",
        "confirmation.top=1",
        "--set",
        "confirmation.seeds=1",
    ]);
    let ended = run(command.arg("--out").arg(&out));
    let best = out.join("best.json");
    let file: Value = serde_json::from_str(&fs::read_to_string(&best).unwrap()).unwrap();
    let scales = file["scales"].as_object().unwrap();
    let (branch, scale) = scales.iter().next().unwrap();
    let scale = scale.as_f64().unwrap();
    assert_eq!(scale, 0.5, "{file:#}");
    let said = format!("  {branch}: trained as 0.5 × L");
    assert!(ended.succeeded().stdout.contains(&said), "{}", ended.stdout);
    let export = |format: &str| {
        let mut command = host(["export"]);
        let ended = run(command.arg(&best).args(["--format", format]));
        ended.succeeded().stdout.clone()
    };
    assert!(export("pytorch").contains("scale: float = 5e-1"));
    assert!(export("rust").contains(".f_mul_scalar(5e-1)"));
    assert!(export("text").contains("0.5 × the formula"));
    let json: Value = serde_json::from_str(&export("json")).unwrap();
    assert_eq!(json["scales"][branch], 0.5);
}
