//! Whether a proxy ranks losses as long training does, how sensitive a loss is, and what a second stage chooses.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, misbehaving, run, with_plugins};
use serde_json::Value;
use std::fs;
use std::path::Path;

const SQUARES: &str = "square(add(y, neg(yhat)))";

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn trainings(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("trainings.jsonl")).unwrap();
    text.lines().count()
}

fn fidelity(out: &Path, more: &[&str]) -> Ended {
    let mut command = with_plugins(&["fidelity", "--threads", "1"], &[&misbehaving()]);
    run(command.arg("--out").arg(out).args(more))
}

#[test]
fn two_ways_of_training_are_compared_by_their_rankings_and_none_is_repeated() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("fidelity");
    let network = "pebble";
    let arguments = [
        "ce",
        SQUARES,
        "neg(mul(y, yhat))",
        "neg(mul(y, sqrt(yhat)))",
        "--only",
        "--seeds",
        "2",
        "--long-network",
        network,
        "--long-set",
        "proxy.budget.steps=7",
    ];
    let ended = fidelity(&out, &arguments);
    let text = &ended.succeeded().stdout;
    assert!(
        text.contains("Kendall's τ") && text.contains("--set 'promotion.fidelity=["),
        "{text}"
    );
    assert!(
        text.contains(&format!("long: network {network}, 7 steps of ")),
        "{text}"
    );
    assert_eq!(
        (trainings(&out.join("proxy")), trainings(&out.join("long"))),
        (8, 4)
    );
    let found = read(&out.join("fidelity.json"));
    let (proxy, long) = (&found["proxy"], &found["long"]);
    assert_eq!(proxy.as_array().unwrap().len(), 4);
    assert_eq!(long[1]["losses"], proxy[1]["losses"]);
    assert_eq!(long[0]["scores"].as_array().unwrap().len(), 1);
    let page = fs::read_to_string(out.join("fidelity.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("<script"));

    let again = fidelity(&out, &arguments);
    assert_eq!(again.succeeded().stdout, ended.stdout);
    assert_eq!(
        (trainings(&out.join("proxy")), trainings(&out.join("long"))),
        (8, 4)
    );
}

#[test]
fn what_cannot_be_ranked_is_refused_before_the_first_training() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("fidelity");
    let few = fidelity(&out, &["ce", "--only", "--long-network", "pebble"]);
    few.failed(&["name at least three"]);
    let none = fidelity(&out, &["ce"]);
    none.failed(&["name one with --long-network"]);
    let unknown = fidelity(&out, &["ce", "--long-network", "nonesuch"]);
    unknown.failed(&["no network 'nonesuch'"]);
    assert!(!out.join("proxy").exists());
}

#[test]
fn every_setting_of_a_loss_is_trained_and_shown() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("sensitivity");
    let mut command = with_plugins(
        &["sensitivity", SQUARES, "--threads", "1"],
        &[&misbehaving()],
    );
    let ended = run(command.args(["--seeds", "2", "--out"]).arg(&out));
    let text = &ended.succeeded().stdout;
    for setting in [
        "as it is",
        "learning rate × 0.25",
        "learning rate × 4",
        "batches of ",
        "with ",
    ] {
        assert!(text.contains(setting), "{setting}: {text}");
    }
    let found = read(&out.join("sensitivity.json"));
    let variants = found["variants"].as_array().unwrap();
    assert!(
        variants
            .iter()
            .all(|variant| variant["row"]["scores"].as_array().unwrap().len() == 2)
    );
    let sum = variants
        .iter()
        .find(|variant| variant["label"].as_str().unwrap().starts_with("with "));
    let losses = sum.unwrap()["row"]["losses"].to_string();
    assert!(losses.contains(&format!("add({SQUARES}, ")), "{losses}");
    assert_eq!(trainings(&out), 2 * variants.len());
    let page = fs::read_to_string(out.join("sensitivity.html")).unwrap();
    assert_eq!(page.matches("<circle").count(), 2 * variants.len());
}

#[test]
fn a_second_stage_is_shown_beside_the_proxy_and_goes_on_where_it_was() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run");
    let settings = [
        "promotion.mode=on",
        "promotion.network=pebble",
        "promotion.top=2",
        "promotion.set=[\"proxy.budget.steps=6\"]",
        "confirmation.top=2",
        "confirmation.seeds=2",
    ];
    let mut command = with_plugins(
        &["search", "--threads", "1", "--seed", "1"],
        &[&misbehaving()],
    );
    command.args(["--max-explored", "300", "--guess", SQUARES]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let ended = run(command.arg("--out").arg(&out));
    let text = &ended.succeeded().stdout;
    assert!(
        text.starts_with("The ") && text.contains(" on the test split ("),
        "{text}"
    );
    assert!(text.contains(", second stage"), "{text}");
    let found = read(&out.join("final.json"));
    let second = found["second"].as_array().unwrap();
    assert_eq!(
        second.iter().filter(|row| row["reference"] == true).count(),
        1
    );
    assert!(
        second
            .iter()
            .filter(|row| row["reference"] == false)
            .count()
            >= 2
    );
    assert!(
        second
            .iter()
            .all(|row| row["scores"].as_array().unwrap().len() == 2)
    );
    let best = second.iter().find(|row| row["reference"] == false).unwrap();
    assert_eq!(best["name"], found["best"]["candidate"]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("in the second stage"));

    let wrong = run(
        with_plugins(&["search", "--guess", "@ce"], &[&misbehaving()])
            .args(["--max-explored", "5"]),
    );
    wrong.failed(&["a search begins with formulas"]);
}
