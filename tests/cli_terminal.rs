//! Progress and colours on terminals, narrow ones too, and in log files. The terminals are made by
//! `script`, which Debian and others install with the system.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{host, misbehaving, run, with_plugins};
use std::process::{Command, Stdio};

const ROWS: u16 = 24;

/// What a terminal of so many columns is sent by a command of the host.
fn on_terminal(columns: u16, host: &Command) -> String {
    let words = std::iter::once(host.get_program()).chain(host.get_args());
    let words = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]);
    script.arg(format!("stty rows {ROWS} cols {columns}; exec {line}"));
    script
        .arg("/dev/null")
        .stdin(Stdio::null())
        .env("TERM", "xterm");
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_LOG", "CI"] {
        script.env_remove(variable);
    }
    script.envs(
        host.get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    let output = script.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn search(folder: &tempfile::TempDir) -> Command {
    let mut command = with_plugins(&["search"], &[&misbehaving()]);
    command.arg("--out").arg(folder.path().join("run"));
    command.args(["--threads", "1", "--max-explored", "600", "--no-final"]);
    command.args([
        "--set",
        "screening.steps=30",
        "--set",
        "evolution.initial=3",
    ]);
    command
}

#[test]
fn progress_takes_two_lines_of_any_terminal_and_leaves_none() {
    for columns in [20, 32, 40, 80] {
        let folder = tempfile::tempdir().unwrap();
        let sent = on_terminal(columns, &search(&folder));
        let size = |count| std::num::NonZero::new(count).unwrap();
        let mut terminal = vt100::Parser::new(size(ROWS), size(columns), 0);
        let rows = |terminal: &vt100::Parser| -> Vec<String> {
            let rows = terminal.screen().rows(0, columns);
            rows.filter(|row| row.contains("best mIoU") || row.contains("screening"))
                .collect()
        };
        let mut most = 0;
        for byte in sent.bytes() {
            terminal.process(&[byte]);
            let drawn = rows(&terminal);
            most = most.max(drawn.len());
            assert!(drawn.len() <= 2, "in {columns} columns: {drawn:#?}");
        }
        assert_eq!(most, 2, "in {columns} columns: {sent:?}");
        assert_eq!(
            rows(&terminal),
            Vec::<String>::new(),
            "in {columns} columns"
        );
    }
}

#[test]
fn a_log_file_holds_lines_without_escape_codes() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&mut search(&folder));
    let text = &ended.succeeded().stderr;
    assert!(
        text.starts_with("task misbehaving, network pebble"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
}

#[test]
fn a_dumb_terminal_is_not_drawn_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = search(&folder);
    command.env("TERM", "dumb");
    let text = on_terminal(80, &command);
    assert!(
        text.contains("task misbehaving") && !text.contains('\u{1b}'),
        "{text:?}"
    );
}

#[test]
fn colours_are_for_terminals_unless_told_otherwise() {
    let failing = ["resume", "/nowhere"];
    let coloured = |text: &str| text.contains("\u{1b}[");
    let terminal = |more: &[&str], variables: &[(&str, &str)]| {
        let mut command = host(more.iter().chain(&failing));
        command.envs(variables.iter().copied());
        coloured(&on_terminal(80, &command))
    };
    assert!(terminal(&[], &[]));
    assert!(!terminal(&[], &[("NO_COLOR", "1")]));
    assert!(!terminal(&[], &[("TERM", "dumb")]));
    assert!(!terminal(&["--color", "never"], &[]));
    assert!(terminal(&["--color", "always"], &[("NO_COLOR", "1")]));

    let file = |more: &[&str], variables: &[(&str, &str)]| {
        let mut command = host(more.iter().chain(&failing));
        command
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().copied());
        coloured(&run(&mut command).stderr)
    };
    assert!(!file(&[], &[]));
    assert!(file(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(file(&["--color=always"], &[]));
    assert!(!file(&["--color=never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn help_and_usage_follow_the_same_flag() {
    let coloured = |words: &[&str]| {
        let output = host(words).output().unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    assert!(coloured(&["--color=always", "--help"]));
    assert!(!coloured(&["--help"]));
    assert!(coloured(&["--color=always", "runs", "--no-such"]));
    assert!(!coloured(&["runs", "--no-such"]));
}

#[test]
fn the_log_is_coloured_as_the_rest() {
    let warned = |when: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = search(&folder);
        run(command.args(["-vv", "--color", when])).stderr
    };
    assert!(warned("always").contains("\u{1b}["));
    assert!(!warned("auto").contains('\u{1b}'));
}
