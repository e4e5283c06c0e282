//! What every command says of itself, and what a shell and `man` are told.

use autoloss_tests::host::{host, run};
use std::process::{Command, Stdio};

/// Every command, the default one first.
const COMMANDS: [&str; 19] = [
    "",
    "search",
    "resume",
    "inspect",
    "check",
    "evaluate",
    "compare",
    "fidelity",
    "sensitivity",
    "retrain",
    "write-data",
    "worker",
    "doctor",
    "export",
    "report",
    "runs",
    "replay",
    "diff",
    "completions",
];

fn help(command: &str) -> String {
    let words = [command, "--help"];
    let words = words.into_iter().filter(|word| !word.is_empty());
    let mut command = host(words);
    run(command.env("COLUMNS", "100"))
        .succeeded()
        .stdout
        .clone()
}

#[test]
fn the_help_of_every_command() {
    for command in COMMANDS {
        let name = if command.is_empty() {
            "default"
        } else {
            command
        };
        insta::assert_snapshot!(format!("help_{name}"), help(command));
    }
}

#[test]
fn every_command_is_among_those() {
    let text = help("");
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    for line in listed {
        let name = line.split_whitespace().next().unwrap_or_default();
        // clap's own, and continued descriptions.
        let continued = line.starts_with("   ");
        let known = continued || name == "help" || COMMANDS.contains(&name);
        assert!(known, "{name} is not in the list of this test");
    }
}

#[test]
fn flags_that_hold_for_every_command_go_before_it_too() {
    for flags in [&["--quiet"][..], &["-v"], &["--color", "never"]] {
        let mut words = flags.to_vec();
        words.push("doctor");
        run(&mut host(words)).succeeded();
    }
}

#[test]
fn options_of_a_search_do_not_go_before_another_command() {
    let words = ["--plugin", "libmisbehaving.so", "doctor"];
    run(&mut host(words)).misused("'--plugin <FILE>' goes behind the command 'doctor'");
}

#[test]
fn bash_completes_commands_options_and_values() {
    let script = run(&mut host(["completions", "bash"]))
        .succeeded()
        .stdout
        .clone();
    let complete = |line: &str| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n\
             last=${{COMP_WORDS[-1]}}; before=${{COMP_WORDS[-2]}}\n\
             _autoloss__host autoloss-host \"$last\" \"$before\"; echo \"${{COMPREPLY[@]}}\"\n"
        );
        let output = Command::new("bash").arg("-c").arg(ask).output();
        let output = output.expect("bash is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(complete("autoloss-host re").contains("resume retrain"));
    assert!(complete("autoloss-host runs --j").contains("--json"));
    assert!(complete("autoloss-host evaluate --split s").contains("selection"));
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&mut host(["completions", shell]))
            .succeeded()
            .stdout
            .clone();
        assert!(script.contains("write-data"), "{shell}: {script}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut command = host(["completions", "zsh"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the host starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("the host ends");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
