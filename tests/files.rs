//! Files the user hands in: what is wrong with them, and where.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, misbehaving, run, with_plugins};
use std::path::PathBuf;
use tempfile::TempDir;

/// A file with this text, in a folder of its own.
fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn with_config(text: &str) -> (Ended, String) {
    let (_folder, path) = file("run.toml", text);
    let path = path.to_str().unwrap();
    let mut command = with_plugins(&["evaluate", "ce", "--config", path], &[&misbehaving()]);
    (run(&mut command), path.to_owned())
}

fn with_loss(text: &str) -> (Ended, String) {
    let (_folder, path) = file("loss.json", text);
    let path = path.to_str().unwrap();
    (
        run(&mut with_plugins(&["check", path], &[&misbehaving()])),
        path.to_owned(),
    )
}

#[test]
fn a_configuration_that_is_no_toml() {
    let (ended, path) = with_config("seed = 1\n\n[screening]\nsteps = = 5\n");
    ended.failed(&[&format!("{path}:4:9: ")]);
}

#[test]
fn a_configuration_with_a_value_of_the_wrong_kind() {
    let (ended, path) = with_config("[proxy.budget]\nsteps = \"many\"\n");
    ended.failed(&[&format!("{path}:2:9: "), "\"many\""]);
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let (ended, path) = with_config("seed = 1\n[screening]\nstesp = 5\n");
    ended.failed(&[&format!("{path}:3:1: "), "'stesp'", "steps"]);
}

#[test]
fn a_configuration_out_of_range() {
    let (ended, path) = with_config("workers = 0\n[screening]\nsamples = 0\n");
    ended.failed(&[&path, "workers is 0", "screening.samples is 0"]);
}

#[test]
fn a_configuration_that_is_not_there() {
    let command = ["evaluate", "ce", "--config", "/nowhere/run.toml"];
    let ended = run(&mut with_plugins(&command, &[&misbehaving()]));
    ended.failed(&["cannot read the configuration /nowhere/run.toml"]);
}

#[test]
fn settings_that_are_unknown_or_out_of_range() {
    for (setting, parts) in [
        ("screening.stesp=5", &["stesp", "steps"][..]),
        ("sceening.steps=5", &["no key 'sceening.steps'"]),
        ("screening.steps=0", &["screening.steps is 0"]),
        ("screening.steps=many", &["screening.steps", "many"]),
        ("screening.steps", &["screening.steps", "KEY=VALUE"]),
    ] {
        let command = ["evaluate", "ce", "--set", setting];
        run(&mut with_plugins(&command, &[&misbehaving()])).failed(parts);
    }
}

#[test]
fn a_loss_file_that_is_no_json() {
    let text = "{\"schema\": 1,\n  \"task\": \"misbehaving\"\n  \"branches\": {}}";
    let (ended, path) = with_loss(text);
    ended.failed(&[&path, "line 3 column 3"]);
}

#[test]
fn a_loss_file_with_a_formula_that_is_none() {
    for (formula, parts) in [
        (
            "neg(mul(y, log(yhatt)))",
            &["yhatt", "line 1, column 16"][..],
        ),
        ("neg(mul(y, log(yhat))", &["line 1, column 22", "')'"]),
        ("neg(sub(y, yhat))", &["sub", "line 1, column 5"]),
        ("add(y)", &["line 1, column 1", "add takes 2"]),
        ("", &["line 1, column 1"]),
    ] {
        let text = format!(
            "{{\"schema\": 1, \"task\": \"misbehaving\", \"branches\": {{\"map\": \"{formula}\"}}}}"
        );
        let (ended, path) = with_loss(&text);
        ended.failed(&[&path, "branch 'map'"]);
        ended.failed(parts);
    }
}

#[test]
fn a_formula_on_the_command_line_that_is_none() {
    let formula = "neg(mul(y, log(yhatt)))";
    for command in ["check", "evaluate"] {
        let ended = run(&mut with_plugins(&[command, formula], &[&misbehaving()]));
        ended.failed(&["branch 'map'", "yhatt", "line 1, column 16"]);
    }
}

#[test]
fn a_formula_nested_without_end() {
    let formula = format!("{}y{}", "neg(".repeat(100_000), ")".repeat(100_000));
    let (ended, _) = with_loss(&format!(
        "{{\"schema\": 1, \"task\": \"misbehaving\", \"branches\": {{\"map\": \"{formula}\"}}}}"
    ));
    ended.failed(&["branch 'map'"]);
    assert!(
        ended.stderr.len() < 2_000,
        "{} bytes of message",
        ended.stderr.len()
    );
}

#[test]
fn a_loss_file_of_other_branches() {
    let file = |branches: &str| {
        format!("{{\"schema\": 1, \"task\": \"misbehaving\", \"branches\": {branches}}}")
    };
    let (ended, path) = with_loss(&file("{\"mask\": \"mul(y, yhat)\"}"));
    ended.failed(&[&path, "mask", "map"]);
    let (ended, _) = with_loss(&file(
        "{\"map\": \"mul(y, yhat)\", \"mask\": \"mul(y, yhat)\"}",
    ));
    ended.failed(&["mask", "map"]);
    let (ended, _) = with_loss(&file("{}"));
    ended.failed(&["map"]);
}

#[test]
fn a_loss_file_of_another_task_or_time() {
    let branches = "\"branches\": {\"map\": \"mul(y, yhat)\"}";
    let (ended, path) = with_loss(&format!("{{\"schema\": 1, \"task\": \"x\", {branches}}}"));
    ended.failed(&[&path, "task 'x', not 'misbehaving'"]);
    let (ended, path) = with_loss(&format!(
        "{{\"schema\": 9, \"task\": \"misbehaving\", {branches}}}"
    ));
    ended.failed(&[&path, "schema 9"]);
}
