//! The detection plugin through the command line: four branches, each with a loss of its own.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, coco_det, host, run, with_plugins};
use autoloss_tests::run::number;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const BRANCHES: [&str; 4] = ["rpn_cls", "rpn_reg", "rcnn_cls", "rcnn_reg"];
const CE: &str = "neg(mul(y, log(yhat)))";
const GIOU: &str = "add(add(1, neg(mul(i, inv(u)))), mul(add(e, neg(u)), inv(e)))";

/// A training of a moment.
const SHORT: [&str; 8] = [
    "--threads",
    "1",
    "--set",
    "task.size=64",
    "--set",
    "proxy.budget.steps=3",
    "--set",
    "proxy.budget.batch_size=2",
];
/// Screens of a moment, and few losses to begin with.
const SMALL: [&str; 11] = [
    "-q",
    "--set",
    "screening.size=4",
    "--set",
    "screening.samples=2",
    "--set",
    "proxy.budget.eval_images=4",
    "--set",
    "evolution.initial=2",
    "--set",
    "evolution.tournament_fraction=0.5",
];

/// A loss file, and the folder it lies in.
fn loss_file(branches: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loss.json");
    let branches: Value = branches.iter().copied().collect();
    let file = json!({"schema": 1, "task": "coco_det", "branches": branches});
    fs::write(&path, file.to_string()).unwrap();
    (folder, path)
}

fn classic(cls: &str, reg: &str) -> (TempDir, PathBuf) {
    let text = |branch: &'static str| if branch.ends_with("cls") { cls } else { reg };
    loss_file(&BRANCHES.map(|branch| (branch, text(branch))))
}

fn command(arguments: &[&str], more: &[&str]) -> Ended {
    run(with_plugins(arguments, &[&coco_det()]).args(more))
}

fn evaluate(loss: &str, more: &[&str]) -> Ended {
    let arguments = ["evaluate", loss, "--json", "--split", "reward"];
    command(&arguments, &[&SHORT, more].concat())
}

fn search(out: &Path, more: &[&str]) -> Ended {
    let arguments = ["search", "--out", out.to_str().unwrap()];
    command(&arguments, &[&SHORT[..], &SMALL, more].concat())
}

fn scores(ended: &Ended) -> Value {
    ended.succeeded().json()["rows"][0]["scores"][0].clone()
}

#[test]
fn what_it_offers() {
    let shown = command(&["inspect"], &[]).succeeded().stdout.clone();
    for part in [
        "task coco_det",
        "rpn_cls",
        "yhat, y",
        "i, u, e",
        "faster_rcnn_tiny",
        "faster_rcnn_r50",
        "mAP, AP50, AP75",
        "screening metric fit: balanced_accuracy, mean_iou",
        "reference loss giou",
        GIOU,
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
}

#[test]
fn losses_of_the_field_are_accepted_and_their_negations_rejected() {
    for (sign, accepted) in [(false, true), (true, false)] {
        let signed = |text: &str| match sign {
            true => format!("neg({text})"),
            false => text.to_owned(),
        };
        let (_folder, path) = classic(&signed(CE), &signed(GIOU));
        let shown = command(&["check", path.to_str().unwrap(), "--json"], &SHORT);
        let reports = shown.succeeded().json();
        assert_eq!(reports.as_array().unwrap().len(), 4);
        for report in reports.as_array().unwrap() {
            assert_eq!(report["accepted"], accepted, "{report:#}");
        }
    }
}

#[test]
fn pools_are_no_operators_of_lists() {
    let (_folder, path) = classic("max_pool3x3(yhat)", GIOU);
    command(&["check", path.to_str().unwrap()], &[]).failed(&["max_pool3x3", "neighbouring"]);
}

#[test]
fn a_search_screens_only_the_branches_that_a_child_changed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let ended = search(&out, &["--max-proxies", "8", "--no-final"]);
    ended.succeeded();
    let inherited = "json_extract(c.origins, '$[' || s.branch || ']') = 'inherited'";
    let screened = format!(
        "SELECT count(*) FROM screens s JOIN candidates c ON c.id = s.candidate WHERE {inherited}"
    );
    assert_eq!(number(&out, &screened), 0.0);
    let children = "SELECT count(*) FROM candidates WHERE origins LIKE '%inherited%'";
    assert!(number(&out, children) > 0.0);
    for branch in 0..BRANCHES.len() {
        let own = format!("SELECT count(*) FROM screens WHERE branch = {branch}");
        assert!(number(&out, &own) > 0.0, "{branch}");
    }
}

#[test]
fn branches_can_be_held_at_losses_of_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let held = [
        "--fix",
        "rpn_cls=ce",
        "--fix",
        "rpn_reg=l1",
        "--fix",
        &format!("rcnn_reg={GIOU}"),
    ];
    let confirm = [
        "--set",
        "confirmation.top=1",
        "--set",
        "confirmation.seeds=2",
    ];
    let ended = search(
        &out,
        &[&held[..], &confirm, &["--max-proxies", "3"]].concat(),
    );
    let shown = &ended.succeeded().stdout;
    assert!(
        shown.contains("rcnn_cls: L = ") && !shown.contains("rpn_reg: L"),
        "{shown}"
    );
    assert!(shown.contains("frozen: rpn_reg at @l1"), "{shown}");
    let best = out.join("best.json");
    let text = fs::read_to_string(&best).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["branches"]["rpn_cls"], CE, "{text}");
    assert_eq!(file["branches"]["rpn_reg"], "@l1", "{text}");
    // The file is whole: it trains without saying again what was held.
    evaluate(best.to_str().unwrap(), &[]).succeeded();
    let resumed = run(host(["resume"])
        .arg(&out)
        .args(["--max-proxies", "4", "--no-final", "-q"]));
    resumed.succeeded();
}

#[test]
fn what_cannot_be_held_is_said() {
    for (held, parts) in [
        ("seg=l1", vec!["branch", "'seg'", "rpn_reg"]),
        ("rpn_reg=l2", vec!["reference loss", "'l2'", "smooth_l1"]),
        ("rpn_reg=ce", vec!["reference loss", "'ce'", "giou"]),
        ("rpn_reg=@ce", vec!["reference loss", "'@ce'", "giou"]),
        ("rpn_reg=add(i)", vec!["rpn_reg", "add takes 2"]),
    ] {
        command(&["search"], &["--fix", held]).failed(&parts);
    }
    command(&["search"], &["--fix", "rpn_reg"]).misused("expected BRANCH=LOSS");
    let all = BRANCHES.map(|branch| ["--fix".to_owned(), format!("{branch}=focal")]);
    let all: Vec<&str> = all.as_flattened().iter().map(String::as_str).collect();
    command(&["search"], &all).failed(&["none is left to search"]);
    command(&["evaluate", "ce"], &SHORT).failed(&["has no loss"]);
}

#[test]
fn every_reference_loss_trains() {
    for name in [
        "l1",
        "smooth_l1",
        "iou",
        "giou",
        "focal",
        "cse_auto_a",
        "@giou",
    ] {
        let found = scores(&evaluate(name, &[]));
        assert!(
            found["AP50"].is_number() && found.get("APl").is_none(),
            "{name}: {found:#}"
        );
    }
}

#[test]
fn a_score_that_the_data_does_not_define_ends_a_search_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let small = [
        "--set",
        "task.size=32",
        "--score",
        "APl",
        "--max-proxies",
        "4",
    ];
    search(&out, &small).failed(&["reward split", "'APl'", "--score"]);
}

#[test]
fn a_loss_without_finite_values_gives_a_verdict() {
    let (_folder, path) = classic("exp(exp(exp(inv(yhat))))", GIOU);
    let ended = evaluate(path.to_str().unwrap(), &[]);
    assert_eq!(
        ended.succeeded().json()["rows"][0]["scores"][0],
        Value::Null
    );
}

#[test]
fn written_scenes_score_as_the_scenes_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("scenes");
    let written = command(
        &["write-data", data.to_str().unwrap()],
        &["--set", "task.size=64"],
    );
    assert!(
        written.succeeded().stdout.contains("train 4096"),
        "{written:#?}"
    );
    let drawn = scores(&evaluate("giou", &[]));
    let read = scores(&evaluate("giou", &["--data", data.to_str().unwrap()]));
    assert_eq!(drawn, read);
    // Where nothing can be scored nothing is trained, and no run folder is made.
    let val = data.join("annotations/instances_val2017.json");
    let text = fs::read_to_string(&val).unwrap();
    let crowds = text.replace("\"iscrowd\":0", "\"iscrowd\":1");
    assert_ne!(crowds, text);
    fs::write(&val, crowds).unwrap();
    let out = folder.path().join("run");
    search(&out, &["--data", data.to_str().unwrap()])
        .failed(&["test split has no object that can be scored", "crowds"]);
    assert!(!out.exists());
    fs::write(&val, "{\"images\": [").unwrap();
    let broken = ["--data", data.to_str().unwrap()];
    command(&["evaluate", "giou"], &broken).failed(&["instances_val2017.json"]);
}
