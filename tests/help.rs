//! What a user reads who asks for help.

use autoloss_tests::host::{host, run};

#[test]
fn every_command_has_an_example() {
    for command in [
        "search",
        "resume",
        "inspect",
        "check",
        "evaluate",
        "compare",
        "retrain",
        "write-data",
        "doctor",
    ] {
        let help = run(&mut host([command, "--help"]));
        let example = format!("Example: autoloss-host {command}");
        assert!(
            help.succeeded().stdout.contains(&example),
            "{}",
            help.stdout
        );
    }
}

#[test]
fn without_arguments_the_commands_and_exit_codes_are_listed() {
    let help = run(&mut host(["--help"])).succeeded().stdout.clone();
    for part in ["resume", "inspect", "130", "--plugin <FILE>"] {
        assert!(help.contains(part), "{part:?} is not in {help}");
    }
}
