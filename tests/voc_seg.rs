//! The segmentation plugin through the command line.

use autoloss_tests::host::{Ended, run, voc_seg, with_plugins};
use serde_json::Value;

const CROSS_ENTROPY: &str = "neg(mul(y, log(yhat)))";
/// Dice without its constant parts: −Σ y·ŷ / (Σ y + Σ ŷ) of each class.
const DICE: &str = "neg(mul(mean_nhw(mul(y, yhat)), inv(add(mean_nhw(y), mean_nhw(yhat)))))";
const SQUARES: &str = "square(add(y, neg(yhat)))";

fn host(command: &[&str]) -> Ended {
    run(&mut with_plugins(command, &[&voc_seg()]))
}

fn check(loss: &str) -> Value {
    host(&["check", loss, "--json"]).json()[0].clone()
}

#[test]
fn what_it_offers() {
    let shown = host(&["inspect"]).succeeded().stdout.clone();
    for part in [
        "task voc_seg",
        "seg",
        "yhat, y",
        "softmax",
        "unet_tiny",
        "mIoU, FWIoU, gAcc, mAcc",
        "BIoU, BF1",
        "reference loss ce",
        CROSS_ENTROPY,
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
}

#[test]
fn losses_of_the_field_are_accepted() {
    for loss in [CROSS_ENTROPY, DICE, SQUARES] {
        let report = check(loss);
        assert_eq!(report["accepted"], true, "{report:#}");
        assert!(
            report["protocol"]["gain"].as_f64().unwrap() >= 0.6,
            "{report:#}"
        );
    }
    assert_eq!(check("ce"), check(CROSS_ENTROPY));
}

#[test]
fn their_negations_are_rejected_by_the_protocol() {
    for loss in [CROSS_ENTROPY, DICE, SQUARES] {
        let report = check(&format!("neg({loss})"));
        assert_eq!(report["accepted"], false, "{report:#}");
        let verdict = report["verdict"].as_str().unwrap();
        assert!(verdict.starts_with("rejected in the protocol"), "{verdict}");
        assert!(report["protocol"].is_object(), "{report:#}");
    }
}

#[test]
fn losses_that_cannot_teach_are_rejected_by_their_structure() {
    for loss in [
        "exp(1)",
        "square(yhat)",
        "square(y)",
        "add(square(yhat), y)",
        "mul(y, mean_c(yhat))",
    ] {
        let report = check(loss);
        assert_eq!(report["accepted"], false, "{report:#}");
        let verdict = report["verdict"].as_str().unwrap();
        assert!(
            verdict.starts_with("rejected by its structure: "),
            "{loss}: {verdict}"
        );
    }
}

#[test]
fn the_fused_engine_judges_as_libtorch_does() {
    let pools = "mul(max_pool3x3(yhat), neg(min_pool3x3(mul(y, exp(yhat)))))";
    let worse = format!("neg({CROSS_ENTROPY})");
    for loss in [CROSS_ENTROPY, DICE, SQUARES, pools, &worse] {
        let judged = |engine: &str| {
            let engine = format!("screening.engine={engine}");
            host(&["check", loss, "--json", "--set", &engine]).json()[0].clone()
        };
        let (fused, libtorch) = (judged("fused"), judged("libtorch"));
        assert_eq!(fused["accepted"], libtorch["accepted"], "{loss}");
        let numbers = |report: &Value, list: &str| -> Vec<f64> {
            let list = report["probe"][list].as_array().unwrap();
            list.iter().map(|number| number.as_f64().unwrap()).collect()
        };
        for list in ["losses", "gradient_norms", "alignments"] {
            for (a, b) in numbers(&fused, list).iter().zip(numbers(&libtorch, list)) {
                assert!(
                    (a - b).abs() <= 1e-4 * b.abs(),
                    "{loss}, {list}: {a}, libtorch {b}"
                );
            }
        }
        let reached = |report: &Value| report["protocol"]["reached"].as_f64().unwrap();
        let apart = reached(&fused) - reached(&libtorch);
        assert!(apart.abs() < 0.02, "{loss} is {apart} apart");
    }
}

#[test]
fn the_figures_are_printed() {
    let shown = host(&["check", "ce"]).succeeded().stdout.clone();
    for part in [
        "branch seg: accepted: it gains 0.",
        "−y·log(ŷ)",
        "gradient norm of each sample",
        "mIoU while predictions are optimised, by step: 0: ",
        "500: ",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let shown = host(&["check", &format!("neg({CROSS_ENTROPY})")])
        .succeeded()
        .stdout
        .clone();
    assert!(
        shown.contains("rejected in the protocol: it gains "),
        "{shown}"
    );
}

#[test]
fn a_few_steps_of_training() {
    let evaluate = [
        "evaluate",
        "ce",
        "--set",
        "proxy.budget.steps=4",
        "--set",
        "proxy.budget.warmup_steps=1",
        "--threads",
        "1",
        "--json",
    ];
    let measured = host(&evaluate).json();
    let scores = measured["rows"][0]["scores"][0].as_object().unwrap();
    for name in ["mIoU", "FWIoU", "gAcc", "mAcc", "BIoU", "BF1"] {
        let score = scores[name].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{name} is {score}");
    }
    assert_eq!(measured, host(&evaluate).json(), "the same again");
}

#[test]
fn a_data_folder_it_cannot_read_is_named() {
    host(&["check", "ce", "--data", "/nowhere"]).failed(&["'voc-seg'", "/nowhere"]);
}
