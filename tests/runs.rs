//! Runs: searched, stopped, killed, resumed, refused.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::{Finished, host, run};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SETTINGS: [&str; 13] = [
    "--plugin",
    "libmisbehaving.so",
    "--seed",
    "3",
    "--set",
    "proxy.budget.steps=4",
    "--set",
    "proxy.budget.warmup_steps=1",
    "--set",
    "screening.steps=60",
    "--set",
    "screening.threshold=0.1",
    "--quiet",
];

fn arguments<'a>(folder: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = SETTINGS.to_vec();
    all.extend(["--threads", "1", "--out", folder]);
    all.extend(more);
    all
}

fn search(folder: &Path, more: &[&str]) -> Finished {
    run(&arguments(folder.to_str().unwrap(), more), &[])
}

fn start(folder: &Path, more: &[&str]) -> Child {
    let mut command = host();
    command.args(arguments(folder.to_str().unwrap(), more));
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Number, losses, verdict and score of every candidate.
type Row = (i64, String, String, Option<f64>);

fn rows(folder: &Path) -> Vec<Row> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(folder.join("run.db"), flags).unwrap();
    let mut query = database
        .prepare("SELECT id, losses, verdict, score FROM candidates ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Waits until a run has so many scored candidates on disk.
fn wait_for(folder: &Path, scored: usize, child: &mut Child) {
    let begun = Instant::now();
    loop {
        let known = folder.join("run.db").is_file()
            && Connection::open(folder.join("run.db"))
                .and_then(|database| {
                    database.query_row(
                        "SELECT count(*) FROM candidates WHERE verdict = 'scored'",
                        [],
                        |row| row.get::<_, i64>(0),
                    )
                })
                .is_ok_and(|count| count >= scored as i64);
        if known {
            return;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "the search ended too early"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no candidate was scored"
        );
        sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([name, &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_search_finds_a_loss_and_equals_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    let limits = [
        "--max-proxies",
        "12",
        "--json",
        "--set",
        "confirmation.seeds=2",
    ];
    let found = search(&first, &limits).json();
    assert!(found["explored"].as_u64() >= Some(12), "{found}");
    assert_eq!(found["proxies"], 12);
    assert_eq!(found["test"][0]["scores"].as_array().map(Vec::len), Some(2));
    let loss = found["best"]["file"].as_str().unwrap();
    let check = run(&[&["check", loss, "--json"], &SETTINGS[..]].concat(), &[]).json();
    assert_eq!(check[0]["accepted"], true, "{check}");
    let _ = search(&second, &[&limits[..], &["--no-final"]].concat()).json();
    assert_eq!(rows(&first), rows(&second));
}

#[test]
fn a_stored_score_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("run");
    let _ = search(&run_folder, &["--max-proxies", "2", "--no-final", "--json"]).json();
    let scored = rows(&run_folder)
        .into_iter()
        .find(|(_, _, verdict, _)| verdict == "scored");
    let (_, losses, _, score) = scored.unwrap();
    let losses: serde_json::Value = serde_json::from_str(&losses).unwrap();
    let text = losses["map"].as_str().unwrap();
    let command = [
        "evaluate",
        text,
        "--split",
        "reward",
        "--json",
        "--threads",
        "1",
    ];
    let row = run(&[&command[..], &SETTINGS[..]].concat(), &[]).json();
    let again = row["scores"][0]["mIoU"].as_f64();
    assert!(
        (again.unwrap() - score.unwrap()).abs() < 1e-9,
        "{again:?} {score:?}"
    );
}

#[test]
fn a_killed_run_goes_on_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let limits = ["--max-proxies", "14", "--no-final", "--json"];
    let _ = search(&whole, &limits).json();
    let mut child = start(&cut, &limits);
    wait_for(&cut, 4, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let resume = [
        "resume",
        cut.to_str().unwrap(),
        "--no-final",
        "--json",
        "--threads",
        "1",
    ];
    let _ = run(&resume, &[]).json();
    assert_eq!(rows(&whole), rows(&cut));
}

#[test]
fn one_interrupt_ends_cleanly_and_two_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("one", 1), ("two", 2)] {
        let run_folder = folder.path().join(name);
        let mut child = start(&run_folder, &["--max-proxies", "5000"]);
        wait_for(&run_folder, 2, &mut child);
        for _ in 0..count {
            signal(&child, "-INT");
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        let before = rows(&run_folder).len();
        let resume = [
            "resume",
            run_folder.to_str().unwrap(),
            "--max-proxies",
            "6",
            "--no-final",
            "--json",
        ];
        let found = run(&resume, &[]).json();
        assert!(found["explored"].as_u64() >= Some(before as u64), "{found}");
    }
}

#[test]
fn folders_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let used = folder.path().join("used");
    let _ = search(&used, &["--max-proxies", "1", "--no-final", "--json"]).json();
    let used_name = used.to_str().unwrap();
    assert!(
        search(&used, &["--max-proxies", "1"])
            .failure()
            .contains("holds a run already")
    );
    let mut child = start(&folder.path().join("busy"), &["--max-proxies", "5000"]);
    wait_for(&folder.path().join("busy"), 1, &mut child);
    let busy = folder.path().join("busy");
    let message = run(&["resume", busy.to_str().unwrap()], &[])
        .failure()
        .to_owned();
    assert!(
        message.contains(&format!("in use by process {}", child.id())),
        "{message}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = search(&file.join("run"), &["--max-proxies", "1"]);
    assert!(below.failure().contains("file"), "{}", below.err);
    assert!(
        run(&["resume", "no_such_run"], &[])
            .failure()
            .contains("holds no run")
    );
    let database = Connection::open(used.join("run.db")).unwrap();
    database.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(database);
    let newer = run(&["resume", used_name], &[]);
    assert!(
        newer.failure().contains("later version (schema 99"),
        "{}",
        newer.err
    );
    std::fs::write(
        used.join("run.db"),
        "not a database, but long enough to be read as one",
    )
    .unwrap();
    assert!(
        run(&["resume", used_name], &[])
            .failure()
            .contains("damaged")
    );
}
