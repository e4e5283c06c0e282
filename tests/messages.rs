//! Bad input is one clear sentence and an exit code.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::{build_folder, run};
use std::fs;
use std::path::Path;
use std::process::Command;

const PLUGIN: [&str; 2] = ["--plugin", "libmisbehaving.so"];

fn failure(arguments: &[&str]) -> String {
    let finished = run(arguments, &[]);
    let message = finished.failure().to_owned();
    println!("{message}");
    message
}

fn refused(arguments: &[&str]) -> String {
    let all: Vec<&str> = arguments.iter().chain(&PLUGIN).copied().collect();
    failure(&all)
}

fn said(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn files_that_are_no_plugins() {
    let folder = tempfile::tempdir().unwrap();
    said(
        &failure(&["inspect", "--plugin", "no_such.so"]),
        &["no_such.so", "was not found"],
    );
    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    said(
        &failure(&["inspect", "--plugin", text.to_str().unwrap()]),
        &["text.so", "cannot be loaded"],
    );
    let plain = library(folder.path(), "plain", "int autoloss_nothing;");
    said(
        &failure(&["inspect", "--plugin", &plain]),
        &["no autoloss plugin"],
    );
}

#[test]
fn a_library_whose_copying_was_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(build_folder().join("libmisbehaving.so")).unwrap();
    let cut = folder.path().join("cut.so");
    for length in [0, 64, 4096, 100_000, 1_000_000] {
        fs::write(&cut, &whole[..length]).unwrap();
        let message = failure(&["inspect", "--plugin", cut.to_str().unwrap()]);
        said(&message, &["cut.so", "cannot be loaded"]);
    }
}

#[test]
fn plugins_of_other_versions() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("major", record(2, 0, 1, "2.11.0"), "plugin interface 2.0"),
        ("minor", record(1, 9, 1, "2.11.0"), "update autoloss-host"),
        ("older", record(0, 3, 1, "2.11.0"), "rebuild the plugin"),
        ("torch", record(1, 0, 1, "1.13.1"), "libtorch 1.13.1"),
        ("abort", record(1, 0, 0, "2.11.0"), "panic=abort"),
    ];
    for (name, source, words) in cases {
        let file = library(folder.path(), name, &source);
        said(
            &failure(&["inspect", "--plugin", &file]),
            &["'old' 0.0.9", "does not fit", words],
        );
    }
    let short = record(1, 0, 1, "2.11.0").replace("312u", "20u");
    let file = library(folder.path(), "short", &short);
    said(
        &failure(&["inspect", "--plugin", &file]),
        &["no autoloss plugin"],
    );
}

#[test]
fn names_that_clash_or_do_not_exist() {
    let copy = tempfile::tempdir().unwrap();
    let second = copy.path().join("libmisbehaving.so");
    fs::copy(build_folder().join("libmisbehaving.so"), &second).unwrap();
    let second = second.to_str().unwrap();
    said(
        &refused(&["inspect", "--plugin", second]),
        &["both offer", "misbehaving", "load only one"],
    );
    said(
        &refused(&["check", "ce", "--task", "other"]),
        &["task 'other'", "misbehaving"],
    );
    said(
        &refused(&["check", "ce", "--network", "other"]),
        &["network 'other'", "pebble"],
    );
    said(
        &refused(&["check", "ce", "--score", "other"]),
        &["score 'other'", "mIoU"],
    );
    said(
        &refused(&["check", "ce", "--device", "cuda:99"]),
        &["cuda:99"],
    );
    said(
        &failure(&[
            "check",
            "ce",
            "--plugin",
            "libvoc_seg.so",
            "--plugin",
            second,
        ]),
        &["several tasks", "--task"],
    );
}

#[test]
fn a_plugin_serves_beside_another_and_is_found_on_the_path() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(
        build_folder().join("libmisbehaving.so"),
        elsewhere.path().join("libelsewhere.so"),
    )
    .unwrap();
    let path = elsewhere.path().to_str().unwrap();
    let both = [
        "inspect",
        "--json",
        "--plugin",
        "libvoc_seg.so",
        "--plugin",
        "libelsewhere.so",
    ];
    let plugins = run(&both, &[("AUTOLOSS_PLUGIN_PATH", path)]).json();
    assert_eq!(plugins.as_array().map(Vec::len), Some(2));
    said(&failure(&both), &["libelsewhere.so", "was not found"]);
}

#[test]
fn losses_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    said(
        &refused(&["check", "missing.json"]),
        &["missing.json", "ce"],
    );
    said(
        &refused(&["check", "neg(mul(y, z))"]),
        &["line 1, column 12", "'z'"],
    );
    said(
        &refused(&["check", &file("cut.json", "{\n \"schema\": 1,")]),
        &["line 2"],
    );
    let newer = file("newer.json", r#"{"schema": 7}"#);
    said(
        &refused(&["check", &newer]),
        &["schema 7", "update autoloss"],
    );
    let other = r#"{"schema": 1, "task": "voc_seg", "branches": {"seg": "neg(yhat)"}}"#;
    said(
        &refused(&["check", &file("other.json", other)]),
        &["voc_seg", "misbehaving"],
    );
    let branch = r#"{"schema": 1, "task": "misbehaving", "branches": {"seg": "neg(yhat)"}}"#;
    said(
        &refused(&["check", &file("branch.json", branch)]),
        &["no branch 'seg'"],
    );
    let broken =
        "{\"schema\": 1, \"task\": \"misbehaving\", \"branches\": {\"map\": \"neg(\\n yhat\"}}";
    said(
        &refused(&["check", &file("broken.json", broken)]),
        &["branch 'map', line 2, column 6"],
    );
}

#[test]
fn configurations_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let with = |text: &str| {
        fs::write(&path, text).unwrap();
        refused(&["check", "ce", "--config", path.to_str().unwrap()])
    };
    said(&with("[screening]\nsteps = \"many\"\n"), &["c.toml:2:9"]);
    said(&with("[screening]\nstep = 3\n"), &["c.toml:2:1", "step"]);
    said(&with("[screening\n"), &["c.toml:1:"]);
    said(&with("[screening]\nsteps = 0\n"), &["screening.steps"]);
    said(
        &refused(&["check", "ce", "--config", "none.toml"]),
        &["none.toml"],
    );
    said(
        &refused(&["check", "ce", "--set", "screening.steps"]),
        &["not KEY=VALUE"],
    );
    said(
        &refused(&["check", "ce", "--set", "screening.nothing=1"]),
        &["nothing"],
    );
    said(
        &refused(&["check", "ce", "--set", "task.nothing=1"]),
        &["nothing"],
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["inspect"][..],
        &["--plugin"],
        &["dance"],
        &["check", "--plugin", "a"],
    ] {
        let finished = run(arguments, &[]);
        assert_eq!(finished.code, Some(2), "{}", finished.err);
        assert!(finished.err.contains("--help"), "{}", finished.err);
    }
}

#[test]
fn every_command_has_an_example() {
    for command in ["search", "resume", "inspect", "check", "evaluate", "doctor"] {
        let help = run(&[command, "--help"], &[]);
        assert_eq!(help.code, Some(0));
        assert!(
            help.out
                .contains(&format!("Example: autoloss-host {command}")),
            "{}",
            help.out
        );
    }
    let doctor = run(&["doctor", "--plugin", "libvoc_seg.so"], &[]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
    assert!(doctor.out.contains("libtorch 2.11.0") && !doctor.out.contains("FAIL"));
}

/// C source of a preflight record.
fn record(major: u32, minor: u32, unwinds: u32, torch: &str) -> String {
    let target = "x86_64-unknown-linux-gnu";
    format!(
        "struct {{ char magic[8]; unsigned size, major, minor, unwinds; char sdk[32], name[64], \
         version[32], rustc[64], target[64], torch[32]; }} AUTOLOSS_PREFLIGHT = {{ \
         {{'A','U','T','O','L','O','S','S'}}, 312u, {major}, {minor}, {unwinds}, \"0.0.9\", \"old\", \
         \"0.0.9\", \"rustc\", \"{target}\", \"{torch}\" }};"
    )
}

fn library(folder: &Path, name: &str, source: &str) -> String {
    let (code, library) = (
        folder.join(format!("{name}.c")),
        folder.join(format!("lib{name}.so")),
    );
    fs::write(&code, source).unwrap();
    let mut compiler = Command::new("cc");
    let status = compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&code)
        .status();
    assert!(status.unwrap().success(), "cc is needed");
    library.to_str().unwrap().to_owned()
}
