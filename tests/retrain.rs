//! Full-length training: checkpoints, going on, and what is left at the end.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Hanging, misbehaving, run, voc_seg, with_plugins};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const LONG: [&str; 8] = [
    "--threads",
    "1",
    "--set",
    "retrain.budget.steps=70",
    "--set",
    "retrain.budget.warmup_steps=5",
    "--set",
    "retrain.checkpoint_every=20",
];

/// After two checkpoints and before the third.
const MIDDLE: &str = "hang_at_batch:55";

fn retrain(out: &Path, more: &[&str]) -> Command {
    let mut command = with_plugins(&["retrain", "ce"], &[&misbehaving()]);
    command.args(LONG).args(more).arg("--out").arg(out);
    command
}

fn network(out: &Path) -> Vec<u8> {
    fs::read(out.join("network.safetensors")).unwrap()
}

fn checkpoints(out: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(out.join("checkpoints")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_killed_training_goes_on_to_the_same_network() {
    let place = tempfile::tempdir().unwrap();
    let (whole, killed) = (place.path().join("whole"), place.path().join("killed"));
    let expected = run(&mut retrain(&whole, &["--json"])).json();
    for optimizer in ["--set=retrain.budget.optimizer=adam", "--set=seed=1"] {
        let (whole, killed) = (
            place.path().join(format!("whole {optimizer}")),
            place.path().join(format!("killed {optimizer}")),
        );
        run(&mut retrain(&whole, &[optimizer])).succeeded();
        let hanging = Hanging::start(&mut retrain(&killed, &[optimizer]), MIDDLE);
        hanging.signal("KILL");
        assert_eq!(hanging.end().code, None);
        assert_eq!(checkpoints(&killed), ["step-00000040"]);
        let ended = run(&mut retrain(&killed, &[optimizer]));
        ended.succeeded();
        assert!(
            ended.stderr.contains("going on after 40 steps"),
            "{ended:#?}"
        );
        assert_eq!(network(&whole), network(&killed), "{optimizer}");
    }
    // Interrupted politely, it keeps the step it was at.
    let hanging = Hanging::start(&mut retrain(&killed, &[]), MIDDLE);
    hanging.interrupt();
    hanging.release();
    let ended = hanging.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let [kept] = &checkpoints(&killed)[..] else {
        panic!("{:?}", checkpoints(&killed))
    };
    assert!(
        kept.as_str() > "step-00000040" && kept.as_str() < "step-00000060",
        "{kept}"
    );
    let found = run(&mut retrain(&killed, &["--json"])).json();
    assert_eq!(found["rows"], expected["rows"]);
    assert_eq!(network(&whole), network(&killed));
}

#[test]
fn signals_of_schedulers_end_it_with_a_checkpoint_or_ask_for_one() {
    let place = tempfile::tempdir().unwrap();
    for signal in ["XCPU", "TERM"] {
        let out = place.path().join(signal);
        let hanging = Hanging::start(&mut retrain(&out, &[]), MIDDLE);
        hanging.signal(signal);
        hanging.release();
        let ended = hanging.end();
        assert_eq!(ended.code, Some(130), "{signal}: {ended:#?}");
        let [kept] = &checkpoints(&out)[..] else {
            panic!("{signal}: {:?}", checkpoints(&out))
        };
        assert!(kept.as_str() > "step-00000040", "{signal}: {kept}");
    }
    let out = place.path().join("saved");
    let hanging = Hanging::start(&mut retrain(&out, &["-v"]), MIDDLE);
    hanging.signal("USR1");
    hanging.release();
    let ended = hanging.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let asked = ended.stderr.matches("steps was asked for").count();
    assert_eq!(asked, 1, "{ended:#?}");
    assert_eq!(checkpoints(&out), ["step-00000070"]);
}

#[test]
fn an_interrupt_leaves_a_checkpoint_of_every_worker() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let seeds = ["--seeds", "3", "--workers", "2"];
    let hanging = Hanging::start(&mut retrain(&out, &seeds), MIDDLE);
    hanging.interrupt();
    hanging.release();
    let ended = hanging.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let of_seed = |seed: u64| checkpoints(&out.join(format!("seed-{seed}")));
    let hung = (0..2).filter(|&seed| {
        let kept = of_seed(seed);
        kept.len() == 1 && kept[0].as_str() > "step-00000040"
    });
    assert!(hung.count() >= 1, "{:?} {:?}", of_seed(0), of_seed(1));
    let again = run(&mut retrain(&out, &seeds));
    again.succeeded();
}

#[test]
fn seeds_train_beside_one_another_as_they_do_alone() {
    let place = tempfile::tempdir().unwrap();
    let (both, one_by_one) = (place.path().join("both"), place.path().join("one_by_one"));
    let seeds = ["--seeds", "2", "--workers", "2", "--json"];
    let found = run(&mut retrain(&both, &seeds)).json();
    let here = run(&mut retrain(&one_by_one, &["--seeds", "2", "--json"])).json();
    let [first, second] = ["seed-0", "seed-1"].map(|folder| both.join(folder));
    assert_eq!(network(&one_by_one.join("seed-1")), network(&second));
    assert_ne!(network(&first), network(&second));
    assert_eq!(found["seeds"], serde_json::json!([0, 1]));
    assert_eq!(found, here);

    // Checkpoints are gone on from, whoever left them.
    fs::remove_file(second.join("network.safetensors")).unwrap();
    let again = run(&mut retrain(&both, &["--seeds", "2", "--json"]));
    assert_eq!(
        again.stderr.matches("going on after 70 steps").count(),
        2,
        "{again:#?}"
    );
    assert_eq!(again.json(), found);
    assert_eq!(network(&one_by_one.join("seed-1")), network(&second));
    // The same seed with other pictures is another training.
    run(&mut retrain(&second, &["--seed", "1"])).failed(&["data_seed is 0, not 1"]);
}

#[test]
fn a_finished_training_is_told_again_and_another_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let first = run(&mut retrain(&out, &["--json"])).json();
    let again = run(&mut retrain(&out, &["--json"]));
    assert!(
        again.stderr.contains("going on after 70 steps"),
        "{again:#?}"
    );
    assert_eq!(again.json(), first);
    for name in [
        "comparison.txt",
        "comparison.md",
        "comparison.csv",
        "comparison.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let other = run(&mut retrain(&out, &["--seed", "9"]));
    other.failed(&["another training", "seed is 0, not 9", "--out"]);
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    run(&mut retrain(&out, &[])).succeeded();
    let file = out.join("checkpoints/step-00000070/network.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    run(&mut retrain(&out, &[])).failed(&["step-00000070", "network.safetensors"]);
}

#[test]
fn the_saved_network_is_judged_alike() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let settings = ["--threads", "1", "--set", "task.size=32"];
    let mut command = with_plugins(&["retrain", "dice", "--json"], &[&voc_seg()]);
    command.args(settings).arg("--out").arg(&out);
    command.args([
        "--set",
        "retrain.budget.steps=6",
        "--set",
        "retrain.budget.warmup_steps=1",
    ]);
    let trained: Value = run(&mut command).json();
    let file = out.join("network.safetensors");
    let mut command = with_plugins(&["evaluate", "--json"], &[&voc_seg()]);
    let judged = run(command.arg("--trained").arg(&file).args(settings)).json();
    assert_eq!(judged["rows"][0]["scores"], trained["rows"][0]["scores"]);

    let mut command = with_plugins(&["evaluate", "--network", "fpn_lite0"], &[&voc_seg()]);
    let other = run(command.arg("--trained").arg(&file).args(settings));
    other.failed(&["network.safetensors", "encoder.model.conv_stem.weight"]);
}
