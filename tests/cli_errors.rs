//! Names that are not known, and what was probably meant; what a program can rely on.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, host, misbehaving, run, with_plugins};
use std::fmt::Write;

const CHECK: [&str; 2] = ["check", "mul(y, yhat)"];

/// The command, and what it says on standard error without the folders of this machine.
fn said(ended: &Ended) -> String {
    let plugin = misbehaving();
    let folder = plugin.parent().unwrap().display().to_string();
    ended.failed(&[]);
    ended.stderr.replace(&folder, "TARGET")
}

#[test]
fn names_that_are_nearly_right() {
    let mut text = String::new();
    for more in [
        &["--task", "misbehavin"][..],
        &["--network", "peble"],
        &["--score", "miou"],
        &["--fix", "mop=ce"],
        &["--set", "screening.stesp=5"],
        &["--set", "sceening.steps=5"],
        &["--set", "max_proxies=5"],
        &["--set", "evolution.strategy=randon"],
        &["--set", "confirmation.split=selectoin"],
        &["--device", "gpu"],
    ] {
        let mut command = with_plugins(&CHECK, &[&misbehaving()]);
        writeln!(text, "$ check {}", more.join(" ")).unwrap();
        text += &said(&run(command.args(more)));
    }
    for loss in [
        "cee",
        "neg(mul(y, lgo(yhat)))",
        "neg(mul(y, log(yhatt)))",
        "nowhere.json",
    ] {
        writeln!(text, "$ check '{loss}'").unwrap();
        text += &said(&run(&mut with_plugins(&["check", loss], &[&misbehaving()])));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_setting_of_a_plugin_that_is_nearly_right() {
    let mut command = with_plugins(&CHECK, &[&misbehaving()]);
    let ended = run(command.args(["--set", "task.falut=x"]));
    ended.failed(&[
        "no setting 'falut' (there are: fault)",
        "did you mean 'fault'?",
    ]);
}

#[test]
fn a_plugin_that_is_nearly_right() {
    let mut text = String::new();
    for name in ["libmisbehavign.so", "misbehaving"] {
        writeln!(text, "$ inspect --plugin {name}").unwrap();
        text += &said(&run(&mut host(["inspect", "--plugin", name])));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_key_of_a_configuration_file_that_is_nearly_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    std::fs::write(&file, "[screening]\nstesp = 5\n").unwrap();
    let mut command = with_plugins(&CHECK, &[&misbehaving()]);
    let ended = run(command.arg("--config").arg(&file));
    ended.failed(&["run.toml:2:1: ", "did you mean 'steps'?"]);
}

#[test]
fn folders_that_are_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    std::fs::create_dir_all(runs.join("voc-1")).unwrap();
    std::fs::write(runs.join("voc-1/run.db"), "").unwrap();
    let path = folder.path().display().to_string();
    let mut text = String::new();
    for (command, run_folder) in [
        ("resume", "runs/vco-1"),
        ("resume", "voc-1"),
        ("resume", "runs"),
        ("resume", "elsewhere"),
        ("runs", "elsewhere"),
    ] {
        let mut host = host([command, run_folder]);
        let ended = run(host.current_dir(&folder));
        writeln!(text, "$ {command} {run_folder}").unwrap();
        text += &said(&ended).replace(&path, "HERE");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn json_changes_nothing_about_failures() {
    let words = [&CHECK[..], &["--score", "miou"]].concat();
    let plain = run(&mut with_plugins(&words, &[&misbehaving()]));
    let json = run(with_plugins(&words, &[&misbehaving()]).arg("--json"));
    json.failed(&["did you mean 'mIoU'?"]);
    assert_eq!(plain.stderr, json.stderr);
}

#[test]
fn what_doctor_tried_is_json_also_where_something_does_not_work() {
    let works = run(host(["doctor", "--json", "--plugin"]).arg(misbehaving())).json();
    let checks = works.as_array().unwrap();
    assert!(checks.len() > 4 && checks.iter().all(|check| check["works"] == true));
    let broken = run(&mut host(["doctor", "--json", "--plugin", "libnone.so"]));
    assert_eq!(broken.code, Some(1));
    let checks: serde_json::Value = serde_json::from_str(&broken.stdout).unwrap();
    let last = checks.as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["works"], false);
    assert!(last["what"].as_str().unwrap().contains("libnone.so"));
}

#[test]
fn inspect_tells_programs_which_file_a_plugin_is() {
    let plugins = run(&mut with_plugins(&["inspect", "--json"], &[&misbehaving()])).json();
    assert_eq!(plugins[0]["path"], misbehaving().display().to_string());
    assert_eq!(plugins[0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(plugins[0]["tasks"][0]["name"], "misbehaving");
}
