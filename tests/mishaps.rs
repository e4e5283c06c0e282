//! Searches to which everything happens: workers that end in every way, a host that is killed again and again.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_tests::host::{Ended, host, misbehaving, run, wait_until, with_plugins};
use autoloss_tests::run::{count, number, query};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn search(out: &Path, workers: &str, more: &[&str]) -> Command {
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    for setting in [
        "evolution.initial=3",
        "screening.steps=30",
        "budget.max_failures=1000",
        "pool.silence_seconds=3",
        "pool.memory_mb=1500",
    ] {
        command.args(["--set", setting]);
    }
    command.args([
        "--threads",
        "1",
        "--no-final",
        "--seed",
        "1",
        "--workers",
        workers,
    ]);
    command.arg("--out").arg(out).args(more);
    command
}

/// Processes with a word in their environment, but for this one.
fn processes_with(word: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let with = |process: &u32| {
        let environment = std::fs::read(format!("/proc/{process}/environ"));
        let environment = environment.unwrap_or_default();
        environment
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    processes.filter(with).collect()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Proposals follow from what was settled before them, and trainings and candidates belong together.
fn sound(out: &Path) {
    let told = run(host(["replay", "--verify", "--json"]).arg(out)).json();
    let verification = &told["verification"];
    assert_eq!(verification["different"], 0);
    assert_eq!(verification["without_training"], serde_json::json!([]));
    assert_eq!(verification["stray_trainings"], serde_json::json!([]));
}

/// Killed, stopped, out of memory, closed pipes, garbage and half messages, early ends, exceptions of C++.
#[test]
fn fifty_mishaps_cost_a_search_no_more_than_their_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let (out, mishaps) = (folder.path().join("run"), folder.path().join("mishaps"));
    std::fs::create_dir(&mishaps).unwrap();
    let mut command = search(&out, "4", &["--max-proxies", "150"]);
    command.env("AUTOLOSS_TEST_FAULT", "mishap:ProxyNetwork::forward");
    command.env("AUTOLOSS_TEST_MARKER", &mishaps);
    // Last words hold what a crash of the host would show.
    let ended = Ended::from(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let met = files(&mishaps).len();
    assert!(met >= 50, "{met}");
    for sign in [
        "SIGKILL",
        "SIGSEGV",
        "SIGABRT",
        "silent for 3 s",
        "MiB of memory",
        "code 0",
        "progress bar",
    ] {
        assert!(ended.stderr.contains(sign), "{sign} in {}", ended.stderr);
    }
    sound(&out);
    let trained = "SELECT count(*) FROM candidates WHERE verdict IN \
                   ('scored', 'stopped_early', 'invalid_training', 'failed')";
    assert_eq!(number(&out, trained), 150.0);
    assert_eq!(count(&out, "open"), 0);
    let explored = number(&out, "SELECT max(id) + 1 FROM candidates");
    assert_eq!(number(&out, "SELECT count(*) FROM candidates"), explored);
    let scored = number(
        &out,
        "SELECT count(*) FROM candidates WHERE verdict = 'scored'",
    );
    assert!(scored > 20.0, "{scored}");
    // A failure tells what its last worker left.
    let failed = query(
        &out,
        "SELECT detail FROM candidates WHERE verdict = 'failed'",
    );
    assert!(
        failed.iter().all(|row| row[0].contains("mishap")),
        "{failed:?}"
    );
    let left = processes_with(mishaps.to_str().unwrap());
    assert_eq!(left, Vec::<u32>::new());
    let expected = [
        "best",
        "best.json",
        "final.json",
        "report.html",
        "run.db",
        "run.lock",
    ];
    assert_eq!(files(&out), expected.map(String::from).into());
}

/// Whenever the host is killed, its workers go, the database is whole, and the run goes on from there.
#[test]
fn a_host_that_is_killed_twenty_times_ends_its_search() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // Named in the environment of the host and of its workers.
    let name = folder.path().to_str().unwrap();
    let mut trained = 0.0;
    for time in 0..20u64 {
        let mut command = match out.join("run.db").exists() {
            true => {
                let mut resume = host(["resume"]);
                resume.arg(&out).args(["--threads", "1", "--no-final"]);
                resume
            }
            false => search(&out, "2", &["--max-proxies", "400"]),
        };
        command.env("AUTOLOSS_TEST_MARKER", name);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut killed = command.spawn().unwrap();
        // Between the first moments and the middle of trainings.
        std::thread::sleep(Duration::from_millis(60 + time * 379 % 1400));
        killed.kill().unwrap();
        killed.wait().unwrap();
        wait_until("the workers are gone", || processes_with(name).is_empty());
        if out.join("run.db").exists() {
            let check = query(&out, "PRAGMA integrity_check");
            assert_eq!(check, [["integrity_check=Text(\"ok\")"]]);
            let now = number(&out, "SELECT count(*) FROM evaluations");
            assert!(now >= trained, "{now} after {trained}");
            trained = now;
        }
    }
    let mut resume = host(["resume"]);
    resume
        .arg(&out)
        .args(["--threads", "1", "--no-final", "--max-proxies", "200"]);
    run(&mut resume).succeeded();
    sound(&out);
    assert_eq!(count(&out, "open"), 0);
}
