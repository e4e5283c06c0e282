//! Trainings in worker processes: the same results as in one process, and nothing but a job is lost with a worker.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_tests::host::{Hanging, host, misbehaving, run, wait_until, with_plugins};
use autoloss_tests::run::{count, number};
use std::path::Path;
use std::process::Command;

fn compare(more: &[&str]) -> Command {
    let mut command = with_plugins(&["compare"], &[&misbehaving()]);
    command.args(["ce", "--only", "--seeds", "5", "--threads", "1"]);
    command.args(more);
    command
}

fn search(out: &Path, more: &[&str]) -> Command {
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    command.args([
        "--set",
        "evolution.initial=3",
        "--set",
        "screening.steps=30",
    ]);
    command.args(["--set", "confirmation.seeds=3", "--threads", "1"]);
    command.args(["--seed", "1", "--workers", "2"]);
    if !more.contains(&"--max-explored") {
        command.args(["--max-explored", "300"]);
    }
    command.arg("--out").arg(out).args(more);
    command
}

/// The workers of a host.
fn workers(host: u32) -> Vec<u32> {
    let told = Command::new("pgrep")
        .args(["-P", &host.to_string()])
        .output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    told.lines().map(|line| line.parse().unwrap()).collect()
}

fn gone(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
    // The name in brackets may hold anything; the state follows it.
    status.map_or(true, |stat| {
        stat.rsplit(')').next().unwrap().starts_with(" Z")
    })
}

/// A search whose two workers hang in their first trainings.
fn hanging(out: &Path) -> (Hanging, Vec<u32>) {
    let hanging = Hanging::start(
        &mut search(out, &["--no-final"]),
        "hang:ProxyNetwork::forward",
    );
    let workers = workers(hanging.id());
    assert_eq!(workers.len(), 2);
    (hanging, workers)
}

#[test]
fn workers_score_what_one_process_does() {
    let alone = run(&mut compare(&["--json"])).json();
    let together = run(&mut compare(&["--json", "--workers", "3"])).json();
    assert_eq!(alone, together);
}

#[test]
fn a_search_with_workers_leaves_what_any_does() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    run(&mut search(&out, &[])).succeeded();
    assert_eq!(count(&out, "candidates"), 300);
    for name in [
        "best.json",
        "final.json",
        "report.html",
        "pictures/index.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(!out.join("networks.part").exists());
    sound(&out);
}

/// What a run holds follows from what was settled before it, and every training belongs to a candidate.
fn sound(out: &Path) -> serde_json::Value {
    let told = run(host(["replay", "--verify", "--json"]).arg(out)).json();
    assert_eq!(told["verification"]["different"], 0);
    assert_eq!(told["verification"]["open"], 0);
    told
}

#[test]
fn a_lost_worker_costs_no_candidate() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let ended = run(search(&out, &["--no-final"])
        .env("AUTOLOSS_TEST_FAULT", "abort_once:ProxyNetwork::forward")
        .env("AUTOLOSS_TEST_MARKER", folder.path().join("marker")));
    ended.succeeded();
    assert!(
        ended.stderr.contains("is replaced") && ended.stderr.contains("SIGABRT"),
        "{ended:#?}"
    );
    assert_eq!(count(&out, "candidates"), 300);
    let failed = "SELECT count(*) FROM candidates WHERE verdict = 'failed'";
    assert_eq!(number(&out, failed), 0.0);
    sound(&out);
}

#[test]
fn a_run_goes_on_with_another_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    run(&mut search(&out, &["--no-final", "--max-explored", "150"])).succeeded();
    for (explored, workers) in [("220", "3"), ("300", "1")] {
        let mut resume = host(["resume"]);
        resume.arg(&out).args(["--threads", "1", "--no-final"]);
        resume.args(["--max-explored", explored, "--workers", workers]);
        run(&mut resume).succeeded();
    }
    assert_eq!(count(&out, "candidates"), 300);
    let told = sound(&out);
    let workers: std::collections::BTreeSet<Option<u64>> = told["trainings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|training| training["worker"].as_u64())
        .collect();
    let in_workers = workers.iter().any(Option::is_some);
    assert!(in_workers && workers.contains(&None), "{workers:?}");
}

#[test]
fn a_training_that_always_takes_its_worker_along_is_named() {
    let mut command = compare(&["--workers", "2"]);
    command.env("AUTOLOSS_TEST_FAULT", "abort:ProxyNetwork::forward");
    let parts = [
        "cross entropy, seed",
        "3 workers were lost with it",
        "SIGABRT",
        "the dog ate it",
        "MiB",
    ];
    run(&mut command).failed(&parts);
}

#[test]
fn ctrl_c_ends_workers_too_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (hanging, workers) = hanging(&out);
    hanging.interrupt();
    hanging.release();
    let ended = hanging.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    wait_until("the workers are gone", || {
        workers.iter().all(|&worker| gone(worker))
    });
    let mut resume = host(["resume"]);
    run(resume.arg(&out).args(["--threads", "1", "--no-final"])).succeeded();
    assert_eq!(count(&out, "candidates"), 300);
    sound(&out);
}

#[test]
fn workers_of_a_killed_host_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (hanging, workers) = hanging(&out);
    hanging.signal("KILL");
    wait_until("the workers are gone", || {
        workers.iter().all(|&worker| gone(worker))
    });
}

#[test]
fn a_library_that_is_overwritten_while_it_is_in_use_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (library, out) = (folder.path().join("lib.so"), folder.path().join("run"));
    std::fs::copy(misbehaving(), &library).unwrap();
    let mut command = with_plugins(&["search", "--no-final"], &[&library]);
    command.args(["--max-explored", "300", "--workers", "2", "--out"]);
    command.arg(&out).args(["--set", "screening.steps=30"]);
    let hanging = Hanging::start(&mut command, "hang:ProxyNetwork::forward");
    // In its place, as cp does: what a process has mapped of it is gone.
    std::fs::write(&library, "a build that was cut short").unwrap();
    // One that takes a worker's place loads what the search began with.
    let lost = workers(hanging.id())[0].to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "KILL", &lost])
            .status()
            .unwrap()
            .success()
    );
    hanging.release();
    let ended = hanging.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("is replaced"), "{ended:#?}");
    let failed = "SELECT count(*) FROM candidates WHERE verdict = 'failed'";
    assert_eq!(number(&out, failed), 0.0);
}

#[test]
fn threads_that_wait_for_one_another_go_to_sleep() {
    let spins = |threads: &str, own: Option<&str>| {
        let mut command = with_plugins(&["evaluate", "ce"], &[&misbehaving()]);
        command.args(["--workers", "1", "--threads", threads]);
        command
            .env_remove("GOMP_SPINCOUNT")
            .env_remove("OMP_WAIT_POLICY");
        if let Some(policy) = own {
            command.env("OMP_WAIT_POLICY", policy);
        }
        let hanging = Hanging::start(&mut command, "hang_at_batch:5");
        let environment = std::fs::read(format!("/proc/{}/environ", hanging.id())).unwrap();
        hanging.release();
        assert_eq!(hanging.end().code, Some(0));
        String::from_utf8(environment)
            .unwrap()
            .contains("GOMP_SPINCOUNT=1000")
    };
    assert!(spins("2", None));
    assert!(!spins("1", None), "nobody waits");
    assert!(!spins("2", Some("active")), "the user's own choice");
}

#[test]
fn a_changed_plugin_is_not_loaded() {
    // A worker that is told of another hash than its plugin has.
    use std::io::Write;
    let mut worker = host(["worker"]);
    worker.stdin(std::process::Stdio::piped());
    worker.stdout(std::process::Stdio::piped());
    let mut worker = worker.spawn().unwrap();
    let plugin = misbehaving();
    let spec = serde_json::json!({
        "spec": {"plugins": [plugin], "task": "misbehaving", "network": "pebble", "score": "mIoU",
            "data": null, "weights": null, "settings": {}},
        "config": {}, "plugins": [[plugin, "00"]], "threads": 1, "loaders": 0,
    });
    let order = serde_json::json!({"open": {"key": "k", "spec": spec}});
    let mut input = worker.stdin.take().unwrap();
    writeln!(input, "{order}").unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(worker.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains("\"hello\""));
    let refused = lines.next().unwrap().unwrap();
    assert!(
        refused.contains("no longer the plugin that this run began with"),
        "{refused}"
    );
    drop(input);
    assert!(worker.wait().unwrap().success());
}
