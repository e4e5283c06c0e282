//! Comparisons of losses, and losses carried to other networks.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, misbehaving, run, voc_seg, with_plugins};
use serde_json::Value;
use std::fs;

const SQUARES: &str = "square(add(y, neg(yhat)))";

fn compare(arguments: &[&str]) -> Ended {
    let mut command = with_plugins(&["compare", "--threads", "1"], &[&misbehaving()]);
    run(command.args(arguments))
}

#[test]
fn every_row_has_every_score_and_the_first_is_what_others_are_held_against() {
    let found = compare(&[SQUARES, "--format", "json"]).json();
    let rows = found["rows"].as_array().unwrap();
    let named: Vec<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(named.last(), Some(&SQUARES));
    assert!(named.len() >= 2, "{named:?}");
    assert_eq!(found["seeds"], serde_json::json!([0, 1, 2]));
    let scores = found["scores"].as_array().unwrap();
    for row in rows {
        let seeds = row["scores"].as_array().unwrap();
        assert_eq!(seeds.len(), 3);
        for (seed, score) in seeds
            .iter()
            .flat_map(|s| scores.iter().map(move |n| (s, n)))
        {
            assert!(seed[score.as_str().unwrap()].is_f64(), "{seed}");
        }
    }
    let summary = found["summary"].as_array().unwrap();
    assert_eq!(summary.len(), rows.len() * scores.len());
    assert_eq!(summary[0]["p_value"], Value::Null);
    let p = summary.last().unwrap()["p_value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&p), "{p}");
    let evaluated = run(
        with_plugins(&["evaluate", SQUARES, "--threads", "1"], &[&misbehaving()])
            .args(["--seeds", "3", "--json"]),
    )
    .json();
    assert_eq!(
        evaluated["rows"][0]["scores"],
        rows[rows.len() - 1]["scores"]
    );
}

#[test]
fn a_stopped_comparison_repeats_no_finished_training() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("table");
    let arguments = [
        "ce",
        SQUARES,
        "--only",
        "--seeds",
        "2",
        "--out",
        out.to_str().unwrap(),
    ];
    let first = compare(&arguments);
    let table = &first.succeeded().stdout;
    assert!(table.contains(SQUARES) && table.contains("±"), "{table}");
    for (name, sign) in [
        ("txt", "│"),
        ("md", "|---"),
        ("csv", "loss,score"),
        ("json", "\"rows\""),
    ] {
        let text = fs::read_to_string(out.join(format!("comparison.{name}"))).unwrap();
        assert!(text.contains(sign), "{name}: {text}");
    }
    // As a kill in the middle of writing leaves it.
    let file = out.join("trainings.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 4);
    let cut = format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..20]);
    fs::write(&file, cut).unwrap();
    let again = compare(&arguments);
    assert_eq!(again.succeeded().stdout, first.stdout);
    let trained = again.stderr.matches("waiting for data").count();
    assert_eq!(trained, 2, "{again:#?}");
    // Another setting shares nothing.
    let other = compare(&[&arguments[..], &["--set", "proxy.budget.steps=21"]].concat());
    assert_eq!(
        other.succeeded().stderr.matches("waiting for data").count(),
        4
    );
}

#[test]
fn nothing_to_compare_and_unknown_losses_are_said() {
    compare(&["--only"]).failed(&["--only", "nothing to compare"]);
    compare(&["focal"]).failed(&["focal", "ce"]);
    compare(&["--format", "yaml"]).misused("yaml");
}

/// A loss file goes to another network and other data of its task.
#[test]
fn a_loss_file_is_carried_to_another_network() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("found.json");
    let text = format!(
        "{{\"schema\": 1, \"task\": \"voc_seg\", \"branches\": {{\"seg\": \"{SQUARES}\"}}}}"
    );
    fs::write(&file, text).unwrap();
    for network in ["fpn_lite0", "deeplabv3plus_r50", "pspnet_r50"] {
        let mut command = with_plugins(&["evaluate"], &[&voc_seg()]);
        let found = run(command
            .arg(&file)
            .args(["--network", network, "--json"])
            .args([
                "--set",
                "task.size=64",
                "--set",
                "proxy.budget.steps=2",
                "--set",
                "proxy.budget.batch_size=2",
                "--split",
                "reward",
            ]))
        .json();
        assert_eq!(found["network"], network);
        let score = found["rows"][0]["scores"][0]["mIoU"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{network}: {score}");
    }
}

#[test]
fn a_loss_that_cannot_be_read_is_refused_before_the_first_training() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("table");
    let ended = compare(&[SQUARES, "sub(1, yhat)", "--out", out.to_str().unwrap()]);
    ended.failed(&["'sub'"]);
    assert!(!out.exists(), "{ended:#?}");
}
