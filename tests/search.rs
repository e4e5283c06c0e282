//! Searches on the tiny task: what they leave behind, and that neither a kill nor an interrupt nor
//! a full disk costs more than the work in hand.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, Hanging, host, misbehaving, run, with_plugins};
use autoloss_tests::run::{best_files, count, findings, number, query, set_schema};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Small enough to finish in seconds, and long enough to get from random losses to evolved ones.
const SMALL: [&str; 9] = [
    "--threads",
    "1",
    "--set",
    "evolution.initial=3",
    "--set",
    "evolution.tournament_fraction=0.5",
    "--set",
    "screening.steps=30",
    "-q",
];

/// In the middle of the third training, which the search above reaches.
const MIDDLE: &str = "hang_at_batch:76";

/// A folder for a run that is not there yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    (folder, run)
}

fn search(out: &Path, more: &[&str]) -> Command {
    search_of(400, out, more)
}

fn search_of(explored: u64, out: &Path, more: &[&str]) -> Command {
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    command.arg("--out").arg(out).args(SMALL).args(more);
    command.arg("--max-explored").arg(explored.to_string());
    command
}

fn resume(run: &Path, more: &[&str]) -> Command {
    let mut command = host(["resume"]);
    command.arg(run).args(["--threads", "1"]).args(more);
    command
}

/// A whole search without the final measurements.
fn uninterrupted(seed: &str) -> (TempDir, PathBuf) {
    let (folder, out) = place();
    run(&mut search(&out, &["--no-final", "--seed", seed])).succeeded();
    (folder, out)
}

/// A search stopped in the middle of a training.
fn hanging(out: &Path) -> Hanging {
    let hanging = Hanging::start(&mut search(out, &["--no-final", "--seed", "1"]), MIDDLE);
    assert_eq!(
        count(out, "evaluations"),
        2,
        "it hangs in the third training"
    );
    hanging
}

/// A search that screens by the fused engine, as many losses at a time as there are threads. No gain is
/// enough, since a training is not the same to the last bit with another number of threads.
fn fused(threads: &str) -> (TempDir, PathBuf) {
    let (folder, out) = place();
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    command.arg("--out").arg(&out).args(&SMALL[2..]);
    command.args(["--set", "screening.engine=fused", "--threads", threads]);
    command.args(["--set", "screening.threshold=1"]);
    command.args(["--no-final", "--seed", "1", "--max-explored", "600"]);
    run(&mut command).succeeded();
    (folder, out)
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (findings(one), findings(other));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn how_many_losses_are_screened_at_a_time_decides_nothing() {
    let ((_one, one), (_three, three)) = (fused("1"), fused("3"));
    assert_eq!(count(&one, "candidates"), 600);
    let protocol = "SELECT count(*) FROM candidates WHERE verdict = 'rejected'";
    assert!(number(&one, protocol) >= 5.0);
    assert_same(&one, &three);
}

#[test]
fn what_happens_after_a_search_may_change_and_nothing_else() {
    let (_folder, out) = uninterrupted("1");
    for (pair, message) in [
        ("seed=3", "another value of seed"),
        ("evolution.initial=4", "another value of evolution.initial"),
        ("task.size=3", "goes on with the task that it began with"),
        ("confirmation.to=3", "no key 'confirmation.to'"),
    ] {
        run(&mut resume(&out, &["--set", pair])).failed(&[message]);
    }
    let sets = [
        "--set",
        "confirmation.top=2",
        "--set",
        "confirmation.seeds=3",
    ];
    run(&mut resume(&out, &sets)).succeeded();
    let again = "SELECT count(*) FROM evaluations WHERE purpose = 'confirmation'";
    // The best new loss may be a third.
    assert!((2.0..=3.0).contains(&number(&out, again)));
}

#[test]
fn a_search_leaves_what_it_found() {
    let (_folder, out) = place();
    let ended = run(&mut search(&out, &["--json", "--seed", "1"]));
    let found = ended.json();
    assert_eq!(count(&out, "candidates"), 400);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("misbehaving") && !page.contains("going on"));
    assert_eq!(found["explored"], 400);
    let verdicts = found["verdicts"].as_object().unwrap();
    assert_eq!(
        verdicts.values().filter_map(Value::as_u64).sum::<u64>(),
        400
    );
    assert!(
        found["verdicts"]["scored"].as_u64().unwrap() >= 3,
        "{found:#}"
    );

    let evolved = query(&out, "SELECT id FROM candidates WHERE parent IS NOT NULL");
    assert!(!evolved.is_empty(), "the search got past its random losses");

    let chosen = out.join("best.json");
    let files = best_files(&out);
    assert!(!files.is_empty());
    for file in files.iter().chain([&chosen]) {
        let check = [
            "check",
            file.to_str().unwrap(),
            "--json",
            "--set",
            "screening.steps=30",
        ];
        let report = run(&mut with_plugins(&check, &[&misbehaving()])).json();
        assert_eq!(
            report[0]["accepted"],
            true,
            "{}: {report:#}",
            file.display()
        );
    }
    let best = found["best"]["search_score"].as_f64().unwrap();
    assert!(best > 0.8, "a loss that trains was found: {best}");
    let table: Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("final.json")).unwrap()).unwrap();
    assert_eq!(table, found);
    let rows: Vec<&str> = found["test"].as_array().unwrap().iter().map(name).collect();
    assert!(
        rows.contains(&"found") && rows.contains(&"cross entropy"),
        "{rows:?}"
    );
}

fn name(row: &Value) -> &str {
    row["name"].as_str().unwrap()
}

#[test]
fn a_score_can_be_measured_again() {
    let (_folder, out) = uninterrupted("1");
    for file in best_files(&out) {
        let loss: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let id = loss["provenance"]["candidate"].as_u64().unwrap();
        let known = number(
            &out,
            &format!("SELECT score FROM evaluations WHERE purpose = 'search' AND candidate = {id}"),
        );
        // Trained as the search did: same seed, same split.
        let mut command = with_plugins(&["evaluate"], &[&misbehaving()]);
        command.arg(&file).args([
            "--split",
            "reward",
            "--seed",
            "1",
            "--threads",
            "1",
            "--json",
        ]);
        let measured = run(&mut command).json()["rows"][0]["scores"][0]["mIoU"]
            .as_f64()
            .unwrap();
        assert_eq!(measured, known, "candidate {id}");
    }
}

#[test]
fn one_seed_one_search() {
    let ((_a, one), (_b, other), (_c, third)) =
        (uninterrupted("1"), uninterrupted("1"), uninterrupted("2"));
    assert_same(&one, &other);
    assert_ne!(findings(&one), findings(&third));
    let texts = |run: &Path| -> Vec<String> {
        best_files(run)
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect()
    };
    assert_eq!(texts(&one), texts(&other));
}

#[test]
fn a_killed_search_goes_on_as_if_it_had_not_been() {
    let (_folder, out) = place();
    let killed = hanging(&out);
    killed.signal("KILL");
    assert_eq!(killed.end().code, None);
    run(&mut resume(&out, &["--no-final"])).succeeded();
    assert_same(&out, &uninterrupted("1").1);
}

#[test]
fn an_interrupted_search_goes_on_as_if_it_had_not_been() {
    let (_folder, out) = place();
    let interrupted = hanging(&out);
    interrupted.interrupt();
    interrupted.release();
    let ended = interrupted.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let hint = format!("autoloss-host resume {}", out.display());
    assert!(ended.stderr.contains(&hint), "{ended:#?}");
    assert!(!ended.stderr.contains("error"), "{ended:#?}");
    run(&mut resume(&out, &["--no-final"])).succeeded();
    assert_same(&out, &uninterrupted("1").1);
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let (_folder, out) = place();
    let interrupted = hanging(&out);
    interrupted.interrupt();
    interrupted.signal("INT");
    // Nothing releases it from the plugin's call.
    let ended = interrupted.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(count(&out, "evaluations"), 2, "nothing finished is lost");
    run(&mut resume(&out, &["--no-final"])).succeeded();
    assert_same(&out, &uninterrupted("1").1);
}

#[test]
fn a_finished_search_goes_on_with_a_larger_budget() {
    let (_folder, out) = uninterrupted("1");
    run(&mut resume(&out, &["--no-final", "--max-explored", "500"])).succeeded();
    let (_other, whole) = place();
    run(&mut search_of(500, &whole, &["--no-final", "--seed", "1"])).succeeded();
    assert_eq!(count(&out, "candidates"), 500);
    assert_same(&out, &whole);
}

#[test]
fn a_run_in_use() {
    let (_folder, out) = place();
    let working = hanging(&out);
    let process = format!("in use by process {}", working.id());
    run(&mut resume(&out, &[])).failed(&[&process, out.to_str().unwrap()]);
    run(&mut search(&out, &[])).failed(&[&process]);
}

#[test]
fn a_run_that_is_there_already() {
    let (_folder, out) = uninterrupted("1");
    run(&mut search(&out, &[])).failed(&["holds a run already", "resume it"]);
}

#[test]
fn a_run_of_a_later_version() {
    let (_folder, out) = uninterrupted("1");
    set_schema(&out, 99);
    run(&mut resume(&out, &[])).failed(&["later version", "schema 99", out.to_str().unwrap()]);
}

#[test]
fn runs_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut resume(folder.path(), &[])).failed(&["holds no run"]);
    run(&mut resume(Path::new("/nowhere"), &[])).failed(&["/nowhere holds no run"]);
    std::fs::write(
        folder.path().join("run.db"),
        "I am no database.\n".repeat(500),
    )
    .unwrap();
    run(&mut resume(folder.path(), &[])).failed(&["run.db"]);
}

#[test]
fn a_run_whose_plugin_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, out) = (folder.path().join("libgone.so"), folder.path().join("run"));
    std::fs::copy(misbehaving(), &plugin).unwrap();
    let mut command = with_plugins(&["search"], &[&plugin]);
    command
        .arg("--out")
        .arg(&out)
        .args(SMALL)
        .args(["--no-final", "--max-explored", "100"]);
    run(&mut command).succeeded();
    std::fs::remove_file(&plugin).unwrap();
    run(&mut resume(&out, &["--no-final"])).failed(&["libgone.so", "was not found"]);
    let elsewhere = misbehaving();
    run(&mut resume(
        &out,
        &["--no-final", "--plugin", elsewhere.to_str().unwrap()],
    ))
    .succeeded();
}

#[test]
fn a_folder_that_cannot_be() {
    // Root may write where nobody else may, but not below a file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let out = file.join("run");
    run(&mut search(&out, &[])).failed(&[out.to_str().unwrap(), "Not a directory"]);
}

#[test]
fn a_run_that_nothing_is_worth_training() {
    let (_folder, out) = place();
    let ended = run(&mut search(
        &out,
        &["--set", "screening.threshold=1", "--json"],
    ));
    let found = ended.json();
    assert_eq!(
        (&found["proxies"], &found["best"]),
        (&Value::from(0), &Value::Null)
    );
}

/// A script in a mount namespace of its own, with a disk of this size at `disk`. None where the
/// system does not let this user mount.
fn on_a_small_disk(disk: &Path, size: &str, script: &str) -> Option<Ended> {
    let mount = format!("mount -t tmpfs -o size={size} small '{}'", disk.display());
    for flags in [&["-m"][..], &["-r", "-m"]] {
        let shell = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(flags).args(["sh", "-c", script]);
            command.env_remove("AUTOLOSS_TEST_FAULT").output()
        };
        if shell(&mount).is_ok_and(|output| output.status.success()) {
            return Some(shell(&format!("{mount} && {script}")).unwrap().into());
        }
    }
    None
}

#[test]
fn a_full_disk_costs_nothing_that_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_str().unwrap();
    let binary = autoloss_tests::host::built("autoloss-host");
    let (binary, plugin) = (
        binary.display().to_string(),
        misbehaving().display().to_string(),
    );
    let script = format!(
        "{{ '{binary}' search --plugin '{plugin}' --out '{disk}/run' --max-explored 1500 --seed 1 \
         --no-lrp --no-final {} >/dev/null; echo \"first $?\"; \
         mount -o remount,size=50m small '{disk}'; \
         '{binary}' resume '{disk}/run' --no-final --threads 1 >/dev/null; echo \"second $?\"; }}",
        SMALL.join(" "),
    );
    let Some(ended) = on_a_small_disk(folder.path(), "300k", &script) else {
        // Past libtest's capture, so that a run of the tests shows it.
        let said = "skipped: a_full_disk_costs_nothing_that_was_finished: this system does not let it mount a small disk";
        writeln!(std::io::stderr(), "{said}").unwrap();
        return;
    };
    ended.did_not_crash();
    let full = format!("error: the disk of {disk}/run is full: free some space and resume");
    assert!(ended.stderr.contains(&full), "{ended:#?}");
    assert_eq!(ended.stdout, "first 1\nsecond 0\n", "{ended:#?}");
}

/// Every training of the search fails; the run ends after so many in a row, with the last reason.
fn failing(out: &Path, fault: &str) -> Ended {
    let more = [
        "--no-final",
        "--seed",
        "1",
        "--set",
        "budget.max_failures=3",
    ];
    run(search(out, &more).env("AUTOLOSS_TEST_FAULT", fault))
}

#[test]
fn a_training_that_fails_belongs_to_its_candidate_and_three_in_a_row_end_the_run() {
    for (fault, said) in [
        (
            "error:ProxyNetwork::forward",
            "failed in ProxyNetwork::forward",
        ),
        // The task is lost with its panic, and opened anew for the next candidate.
        ("panic:Task::batch", "panicked in Task::batch"),
        ("panic:Metric::compute", "panicked in Metric::compute"),
    ] {
        let (_folder, out) = place();
        let last = "error: the last 3 candidates could not be evaluated, the last one because: \
                    plugin 'misbehaving' ";
        failing(&out, fault).failed(&[&format!("{last}{said}")]);
        let failed = "SELECT count(*) FROM candidates WHERE verdict = 'failed'";
        assert_eq!(number(&out, failed), 3.0);

        let more = ["--no-final", "-q", "--json", "--max-explored", "1500"];
        let ended = run(&mut resume(&out, &more));
        let found = ended.json();
        assert_eq!(found["explored"], 1500);
        assert_eq!(found["verdicts"]["failed"], 3);
        assert!(
            found["verdicts"]["scored"].as_u64().unwrap() >= 3,
            "{found:#}"
        );
        let page = std::fs::read_to_string(out.join("report.html")).unwrap();
        assert!(page.contains("failed"), "the report counts them");
        let listed = run(host(["runs", "--json"]).arg(&out)).json();
        assert_eq!(listed[0]["failed"], 3);
    }
}

#[test]
fn a_failed_run_says_why_until_it_goes_on() {
    let (_folder, out) = place();
    let mut command = search(&out, &["--no-final", "--set", "budget.max_failures=2"]);
    let ended = run(command.env("AUTOLOSS_TEST_FAULT", "panic:ProxyNetwork::forward"));
    ended.failed(&["the dog ate it"]);
    let listed = |out: &Path| run(host(["runs", "--json"]).arg(out)).json()[0].clone();
    let told = listed(&out);
    assert_eq!(told["state"], "failed");
    assert!(
        told["failure"].as_str().unwrap().contains("the dog ate it"),
        "{told:#}"
    );
    run(host(["report"]).arg(&out)).succeeded();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.contains("The last session ended with an error: "),
        "{page:.400}"
    );

    run(&mut resume(&out, &["--no-final"])).succeeded();
    let told = listed(&out);
    assert_eq!(
        (&told["state"], &told["failure"]),
        (&"ended".into(), &Value::Null)
    );
}
