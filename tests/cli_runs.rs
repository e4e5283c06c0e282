//! `runs` and `diff` on runs of the tiny task.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Hanging, host, misbehaving, run, with_plugins};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A search that ends in a second or two.
fn search(folder: &Path, name: &str, more: &[&str]) -> Command {
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    command.arg("--out").arg(folder.join(name)).args(more);
    command.args(["--threads", "1", "--set", "screening.steps=30", "-q"]);
    command.args(["--set", "evolution.initial=3"]);
    command
}

fn listed(folder: &Path) -> Vec<Value> {
    let listed = run(host(["runs", "--json"]).arg(folder)).json();
    listed.as_array().unwrap().clone()
}

fn named<'a>(listed: &'a [Value], name: &str) -> &'a Value {
    let named = |run: &&Value| run["folder"].as_str().unwrap().ends_with(name);
    listed.iter().find(named).unwrap()
}

#[test]
fn runs_are_listed_with_what_they_are_doing() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path();
    run(&mut search(
        runs,
        "ended",
        &["--max-explored", "60", "--no-final"],
    ))
    .succeeded();
    let fault = "hang_at_batch:5";
    let hanging = Hanging::start(&mut search(runs, "busy", &["--max-explored", "900"]), fault);
    std::fs::create_dir(runs.join("other")).unwrap();
    std::fs::create_dir(runs.join("damaged")).unwrap();
    std::fs::write(runs.join("damaged/session.json"), "{").unwrap();

    let found = listed(runs);
    assert_eq!(found.len(), 3, "{found:#?}");
    let ended = named(&found, "/ended");
    assert_eq!(ended["state"], "ended");
    assert_eq!(ended["explored"], 60);
    assert_eq!(ended["task"], "misbehaving");
    assert_eq!(ended["network"], "pebble");
    assert_eq!(ended["strategy"], "evolution");
    assert_eq!(named(&found, "/busy")["state"], "running");
    let damaged = named(&found, "/damaged");
    assert!(
        damaged["damaged"]
            .as_str()
            .unwrap()
            .contains("holds no run")
    );
    assert_eq!(found.last(), Some(damaged), "damaged runs come last");

    drop(hanging);
    let found = listed(runs);
    assert_eq!(named(&found, "/busy")["state"], "interrupted");
    let text = run(host(["runs"]).arg(runs)).succeeded().stdout.clone();
    assert!(
        text.contains("interrupted") && text.contains("damaged: "),
        "{text}"
    );
}

#[test]
fn a_run_that_goes_on_after_its_end_has_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--max-explored", "40", "--no-final", "--seed", "3"];
    run(&mut search(folder.path(), "a", &more)).succeeded();
    let path = folder.path().join("a/final.json");
    let mut found: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    found["explored"] = 39.into();
    std::fs::write(&path, found.to_string()).unwrap();
    assert_eq!(listed(folder.path())[0]["state"], "interrupted");
}

#[test]
fn two_runs_differ_in_what_they_were_told_and_what_they_found() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = [
        "--set",
        "confirmation.seeds=2",
        "--set",
        "confirmation.top=1",
    ];
    for (name, more) in [("a", ["--seed", "1"]), ("b", ["--seed", "2"])] {
        let more = [&more[..], &seeds, &["--max-explored", "300"]].concat();
        run(&mut search(folder.path(), name, &more)).succeeded();
    }
    let diff = |first: &str, second: &str| {
        let mut command = host(["diff", "--json"]);
        command
            .arg(folder.path().join(first))
            .arg(folder.path().join(second));
        run(&mut command).json()
    };
    let found = diff("a", "b");
    assert_eq!(found["settings"]["seed"], serde_json::json!(["1", "2"]));
    assert_eq!(found["settings"].as_object().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["results"]["explored"], serde_json::json!([300, 300]));
    let trained = found["results"]["trained"].as_array().unwrap();
    let row = trained
        .iter()
        .find(|row| row["name"] == "found, test split")
        .unwrap();
    assert_eq!(row["seeds"], serde_json::json!([2, 2]));
    assert!(
        (0.0..=1.0).contains(&row["p_value"].as_f64().unwrap()),
        "{row:#}"
    );

    let same = diff("a", "a");
    assert_eq!(same["settings"], serde_json::json!({}));
    let best = same["results"]["common"].as_array().unwrap();
    assert_eq!(best[0]["places"], serde_json::json!([1, 1]));
    let trained = same["results"]["trained"].as_array().unwrap();
    assert!(
        trained
            .iter()
            .all(|row| row["p_value"] == 1.0 || row["seeds"] == serde_json::json!([1, 1])),
        "{trained:#?}"
    );
}
