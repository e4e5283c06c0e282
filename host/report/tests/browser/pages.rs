//! Written pages.

use std::path::Path;

use autoloss_report::{Options, Report, summary_json, tensorboard};
use serde_json::{Value, json};

use crate::outside::{program, succeeds};
use crate::runs::{HOSTILE, Recipe, long, pictures, repeated};

/// Candidates of the largest run.
const MOST: u64 = 1_500_000;

/// A folder whose name is no better than what is in it.
const FOLDER: &str = "hostile <b>bold & \"quoted\" '";

/// Writes the page of a run, and tells its short name and its file.
fn written(folder: &Path, run: &str) -> (String, Value) {
    let name = if run == FOLDER { "hostile" } else { run };
    let page = folder.join(format!("{name}.html"));
    let report = Report::read(&folder.join(run), &Options::default()).unwrap();
    report.write(&page).unwrap();
    (name.to_owned(), page.display().to_string().into())
}

#[test]
fn pages_are_what_a_reader_expects() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Recipe::plain(1, 1500).run(&at("whole"));
    pictures(&at("whole"), "test");
    let random = Recipe {
        random: true,
        finished: false,
        ..Recipe::plain(1, 800)
    };
    random.run(&at("random"));
    let branches = Recipe {
        name: "branches".into(),
        ..Recipe::plain(2, 600)
    };
    branches.run(&at("branches"));
    let hostile = Recipe {
        name: HOSTILE.into(),
        metrics: vec![HOSTILE.into(), long(), format!("{HOSTILE}2")],
        ..Recipe::plain(1, 600)
    };
    hostile.run(&at(FOLDER));
    pictures(&at(FOLDER), HOSTILE);
    let endless = Recipe {
        name: long(),
        metrics: vec![long()],
        ..Recipe::plain(1, 600)
    };
    endless.run(&at("endless"));
    drop(
        Recipe {
            name: "empty".into(),
            ..Recipe::plain(1, 1)
        }
        .begin(&at("empty")),
    );
    let unscored = Recipe {
        name: "unscored".into(),
        scores: false,
        finished: false,
        ..Recipe::plain(1, 60)
    };
    unscored.run(&at("unscored"));
    let interrupted = Recipe {
        name: "interrupted".into(),
        finished: false,
        ..Recipe::plain(1, 300)
    };
    interrupted.run(&at("interrupted"));
    repeated(&at("large"), MOST);

    let runs = [
        "whole",
        "branches",
        FOLDER,
        "endless",
        "empty",
        "unscored",
        "interrupted",
        "large",
    ];
    let pages: serde_json::Map<String, Value> = runs
        .into_iter()
        .map(|run| written(folder.path(), run))
        .collect();
    let plan = json!({ "pages": pages, "hostile": HOSTILE, "explored": MOST });
    let mut command = program("report_browser.py");
    command.arg("pages").arg(plan.to_string());
    succeeds(command);
}

#[test]
fn a_random_search_beside_a_run_is_found_and_another_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Recipe::plain(1, 300).run(&at("run"));
    let curves = |options: &Options| {
        let json = Report::read(&at("run"), options).unwrap().json();
        let curves = json["curves"].as_array().unwrap().clone();
        curves
            .iter()
            .map(|curve| curve["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut options = Options::default();
    assert_eq!(curves(&options), ["run"]);
    let random = Recipe {
        random: true,
        finished: false,
        ..Recipe::plain(1, 200)
    };
    random.run(&at("random"));
    Recipe {
        explored: 250,
        ..random
    }
    .run(&at("larger random"));
    let other = Recipe {
        random: true,
        finished: false,
        name: "other".into(),
        ..Recipe::plain(1, 400)
    };
    other.run(&at("another task"));
    assert_eq!(curves(&options), ["run", "larger random"]);
    options.beside = Some(at("another task"));
    assert_eq!(curves(&options), ["run", "another task"]);
    let report = Report::read(&at("run"), &options).unwrap();
    let notes = report.json()["summary"]["notes"].to_string();
    assert!(
        notes.contains("The run another task beside this one has another task"),
        "{notes}"
    );
    options.beside = Some(at("nowhere"));
    assert!(Report::read(&at("run"), &options).is_err());
}

#[test]
fn the_data_says_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Recipe::plain(2, 600).run(&run);
    let json = summary_json(&run).unwrap();
    assert_eq!(json["summary"]["explored"], 600);
    assert_eq!(json["summary"]["state"], "ended");
    assert_eq!(json["funnel"][0]["entered"], 600);
    assert_eq!(json["comparison"]["gamed"][0]["metric"], "BF1");
    assert_eq!(json["shapes"].as_array().unwrap().len(), 4);
    let lineage = json["lineage"].as_array().unwrap();
    assert_eq!(
        lineage.last().unwrap()["candidate"],
        json["summary"]["best_candidate"]
    );
    let verdict = json["summary"]["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("The found loss beats reference toy: mIoU 0.630 ± 0.007"),
        "{verdict}"
    );
}

#[test]
fn a_final_table_that_is_damaged_or_old_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Recipe::plain(1, 300).run(&run);
    let notes = || {
        let json = summary_json(&run).unwrap();
        (
            json["summary"]["notes"].to_string(),
            json["summary"]["state"].clone(),
        )
    };
    assert_eq!(notes(), ("[]".to_owned(), json!("ended")));
    let text = std::fs::read_to_string(run.join("final.json")).unwrap();
    let old = text.replace("\"explored\":300", "\"explored\":200");
    std::fs::write(run.join("final.json"), old).unwrap();
    let (found, state) = notes();
    assert!(
        found.contains("made after 200 explored candidates; the run has 300"),
        "{found}"
    );
    assert_eq!(state, "interrupted");
    std::fs::write(run.join("final.json"), &text[..text.len() / 2]).unwrap();
    assert!(notes().0.contains("final.json is damaged"));
}

#[test]
fn a_loss_that_broke_down_is_not_flattered() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Recipe::plain(1, 300).run(&run);
    let path = run.join("final.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut findings: Value = serde_json::from_str(&text).unwrap();
    findings["test"][0]["scores"][1] = Value::Null;
    std::fs::write(&path, findings.to_string()).unwrap();
    let json = summary_json(&run).unwrap();
    let found = &json["comparison"]["rows"][0];
    assert_eq!(
        (&found["trainings"], &found["invalid"]),
        (&json!(6), &json!(1))
    );
    assert_eq!(found["metrics"], json!({}));
    let verdict = json["summary"]["verdict"].as_str().unwrap();
    assert!(verdict.contains("the found loss could not be measured: a training became invalid"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    drop(Recipe::plain(1, 1).begin(&run));
    let report = Report::read(&run, &Options::default()).unwrap();
    let inside_a_file = run.join("run.db/report.html");
    let error = report.write(&inside_a_file).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write ") && error.contains("report.html"),
        "{error}"
    );
    // A folder stands where the page should.
    std::fs::create_dir(folder.path().join("page.html")).unwrap();
    assert!(report.write(&folder.path().join("page.html")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn events_are_what_tensorboard_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Recipe::plain(1, 700).run(&at("run"));
    drop(Recipe::plain(1, 1).begin(&at("empty")));
    let file = tensorboard::write(&at("run"), &at("events")).unwrap();
    // An export that follows is a later file of the same run, and the only one.
    let again = tensorboard::write(&at("run"), &at("events")).unwrap();
    assert!(again > file && again.is_file() && !file.exists());
    // A run of the same name and moment elsewhere has its own.
    std::fs::create_dir(at("elsewhere")).unwrap();
    std::fs::create_dir(at("elsewhere/run")).unwrap();
    for entry in std::fs::read_dir(at("run")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let copy = at("elsewhere/run").join(entry.file_name());
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
    let other = tensorboard::write(&at("elsewhere/run"), &at("events")).unwrap();
    assert_ne!(other.parent(), again.parent());
    assert!(other.is_file() && again.is_file());
    std::fs::remove_dir_all(other.parent().unwrap()).unwrap();
    tensorboard::write(&at("empty"), &at("no events")).unwrap();
    let data = Report::read(&at("run"), &Options::default())
        .unwrap()
        .json();
    let mut command = program("report_events.py");
    command
        .arg(at("events"))
        .arg(at("no events"))
        .arg(data.to_string());
    succeeds(command);
}
