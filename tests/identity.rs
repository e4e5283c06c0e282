//! Results belong to what data and weights held when they were made, wherever the files lie: what was moved goes on,
//! what was changed is measured anew or refused.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, host, misbehaving, run, voc_seg, with_plugins};
use autoloss_tests::run::{count, query};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Data of two files, which the misbehaving plugin does not read, weights, and a cache.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        for file in ["data/a", "data/b", "weights"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with data and weights of these names.
    fn command(&self, words: &[&str], [data, weights]: [&str; 2], out: &str) -> Command {
        let mut command = with_plugins(words, &[&misbehaving()]);
        command
            .args(["--threads", "1", "--workers", "1"])
            .arg("--out")
            .arg(self.at(out));
        self.inputs(&mut command, [data, weights]);
        command
    }

    fn inputs(&self, command: &mut Command, [data, weights]: [&str; 2]) {
        command
            .env("XDG_CACHE_HOME", self.at("cache"))
            .arg("--data")
            .arg(self.at(data))
            .arg("--weights")
            .arg(self.at(weights));
    }
}

fn trained(ended: &Ended) -> usize {
    ended.succeeded().stderr.matches("waiting for data").count()
}

const HERE: [&str; 2] = ["data", "weights"];
const THERE: [&str; 2] = ["moved", "renamed"];

#[test]
fn trainings_are_found_again_by_what_files_hold() {
    let place = Place::new();
    let compare = |inputs| {
        let words = ["compare", "--only", "ce", "--seeds", "1"];
        trained(&run(&mut place.command(&words, inputs, "table")))
    };
    assert_eq!(compare(HERE), 1);
    assert_eq!(compare(HERE), 0);
    for (here, there) in HERE.into_iter().zip(THERE) {
        fs::rename(place.at(here), place.at(there)).unwrap();
    }
    assert_eq!(compare(THERE), 0, "moved");
    fs::write(place.at("renamed"), "WEIGHTS").unwrap();
    assert_eq!(compare(THERE), 1, "other weights in their place");
    fs::write(place.at("moved/b"), "DATA/B").unwrap();
    assert_eq!(compare(THERE), 1, "a file of other contents");
    fs::write(place.at("moved/b"), "data/b").unwrap();
    assert_eq!(compare(THERE), 0, "the old contents");
}

#[test]
fn a_retraining_goes_on_with_the_same_contents_alone() {
    let place = Place::new();
    let words = [
        "retrain",
        "ce",
        "--set=retrain.budget.steps=6",
        "--set=retrain.budget.warmup_steps=1",
    ];
    let retrain = |inputs| run(&mut place.command(&words, inputs, "out"));
    retrain(HERE).succeeded();
    fs::rename(place.at("data"), place.at("moved")).unwrap();
    retrain(["moved", "weights"]).succeeded();
    fs::write(place.at("moved/c"), "another").unwrap();
    let said = ["folder of a training with other data", "--out"];
    retrain(["moved", "weights"]).failed(&said);
    fs::remove_file(place.at("moved/c")).unwrap();
    fs::write(place.at("weights"), "WEIGHTS").unwrap();
    retrain(["moved", "weights"]).failed(&["folder of a training with other weights"]);
}

#[test]
fn a_search_goes_on_with_the_same_contents_alone() {
    let place = Place::new();
    let words = [
        "search",
        "--no-final",
        "--max-proxies",
        "1",
        "--set=screening.steps=30",
    ];
    run(&mut place.command(&words, HERE, "run")).succeeded();
    let resume = |more: &[&str], inputs: Option<[&str; 2]>| {
        let mut command = host(["resume", "--no-final"]);
        command.arg(place.at("run")).args(more);
        command.env("XDG_CACHE_HOME", place.at("cache"));
        if let Some(inputs) = inputs {
            place.inputs(&mut command, inputs);
        }
        run(&mut command)
    };
    fs::rename(place.at("data"), place.at("moved")).unwrap();
    resume(&[], None).failed(&["data is not there", "--data"]);
    let inputs = Some(["moved", "weights"]);
    resume(&["--max-proxies", "2"], inputs).succeeded();
    let trainings = || count(&place.at("run"), "evaluations");
    let before = trainings();
    // The new place is written down, and so are the threads that it was begun with.
    resume(&["--max-proxies", "6"], None).succeeded();
    let after = trainings();
    assert!(after > before, "{after} {before}");
    let [row] = &query(&place.at("run"), "SELECT spec FROM run")[..] else {
        panic!("one row")
    };
    assert!(
        row[0].contains(r#"\"threads\":1"#) || row[0].contains(r#""threads":1"#),
        "{row:?}"
    );

    fs::write(place.at("moved/a"), "DATA/A").unwrap();
    let ended = resume(&["--max-proxies", "12"], None);
    ended.failed(&[
        "the data in",
        "are not those that were there",
        "2 files as before",
    ]);
    fs::write(place.at("moved/a"), "data/a").unwrap();
    fs::write(place.at("weights"), "WEIGHTS").unwrap();
    resume(&["--max-proxies", "12"], None).failed(&["does not hold the weights that it held"]);
    assert_eq!(trainings(), after);
}

/// The files of one split of a folder that `write-data` made.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(part)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_masks_and_photographs_of_a_folder_count_and_nothing_else_in_it_does() {
    let place = Place::new();
    let data = place.at("scenes");
    let mut command = with_plugins(&["write-data"], &[&voc_seg()]);
    run(command.arg(&data).args(["--set", "task.size=32"])).succeeded();
    let compare = || {
        let words = [
            "compare",
            "--only",
            "ce",
            "--seeds",
            "1",
            "--network",
            "unet_tiny",
        ];
        let mut command = with_plugins(&words, &[&voc_seg()]);
        let short = [
            "--threads",
            "1",
            "--workers",
            "1",
            "--set",
            "proxy.budget.steps=2",
        ];
        command.args(short).env("XDG_CACHE_HOME", place.at("cache"));
        command
            .arg("--data")
            .arg(&data)
            .arg("--out")
            .arg(place.at("table"));
        trained(&run(&mut command))
    };
    assert_eq!(compare(), 1);
    fs::write(data.join("notes.txt"), "not read").unwrap();
    fs::write(data.join("JPEGImages/other.jpg"), "not listed").unwrap();
    assert_eq!(compare(), 0);
    // Two masks are exchanged: names, sizes of folders and lists are as before.
    let masks = files(&data, "SegmentationClass");
    let [first, second] = [&masks[0], &masks[1]].map(|file| fs::read(file).unwrap());
    assert_ne!(first, second);
    fs::write(&masks[0], &second).unwrap();
    fs::write(&masks[1], &first).unwrap();
    assert_eq!(compare(), 1);
    // A name of a class is part of what is trained and reported.
    let side = fs::read_to_string(data.join("autoloss.json")).unwrap();
    let renamed = side.replacen("background", "nothing", 1);
    assert_ne!(side, renamed);
    fs::write(data.join("autoloss.json"), renamed).unwrap();
    assert_eq!(compare(), 1);
}
