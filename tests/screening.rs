//! The screens on the embedded pictures: what must pass passes, what cannot train is rejected.

use autoloss_tests::run;

/// Verdict and gain of a formula.
fn check(formula: &str) -> (bool, Option<f64>, String) {
    let report = run(
        &["check", formula, "--plugin", "libvoc_seg.so", "--json"],
        &[],
    )
    .json();
    let gain = report[0]["protocol"]["gain"].as_f64();
    let verdict = report[0]["verdict"].as_str().unwrap_or_default().to_owned();
    println!("{formula}: {verdict}");
    (report[0]["accepted"] == true, gain, verdict)
}

const GOOD: [&str; 4] = [
    "neg(mul(y, log(yhat)))",
    "square(add(y, neg(yhat)))",
    "neg(mul(mean_nhw(mul(y, yhat)), inv(add(mean_nhw(y), mean_nhw(yhat)))))",
    "neg(mul(y, tanh(yhat)))",
];

#[test]
fn cross_entropy_squared_error_and_dice_are_accepted() {
    for formula in GOOD {
        let (accepted, gain, verdict) = check(formula);
        assert!(accepted, "{formula}: {verdict}");
        assert!(gain.is_some_and(|gain| gain > 0.9), "{formula}: {verdict}");
    }
}

#[test]
fn their_negations_are_rejected_by_the_protocol() {
    for formula in GOOD {
        let (accepted, gain, verdict) = check(&format!("neg({formula})"));
        assert!(!accepted, "{formula}: {verdict}");
        assert!(gain.is_some_and(|gain| gain <= 0.0), "{formula}: {verdict}");
    }
}

#[test]
fn constants_and_losses_that_ignore_an_input_are_rejected_by_structure() {
    for formula in [
        "exp(1)",
        "log(yhat)",
        "square(y)",
        "mul(y, mean_c(yhat))",
        "add(exp(yhat), tanh(y))",
    ] {
        let (accepted, gain, verdict) = check(formula);
        assert!(!accepted && gain.is_none(), "{formula}: {verdict}");
        assert!(verdict.contains("by its structure"), "{formula}: {verdict}");
    }
}

#[test]
fn inspect_shows_what_the_plugin_offers() {
    let plugins = run(&["inspect", "--plugin", "libvoc_seg.so", "--json"], &[]).json();
    assert_eq!(plugins[0]["tasks"][0]["name"], "voc_seg");
    assert_eq!(plugins[0]["tasks"][0]["branches"][0]["name"], "seg");
    let scores: Vec<&str> = plugins[0]["metrics"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|metric| metric["scores"].as_array().into_iter().flatten())
        .filter_map(|score| score.as_str())
        .collect();
    assert_eq!(scores, ["BIoU", "BF1", "mIoU", "FWIoU", "gAcc", "mAcc"]);
}
