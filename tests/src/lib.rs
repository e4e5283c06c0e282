//! Integration tests: the built plugins and the binary, driven as a user would.
//!
//! The binary and the plugins are the files of the same build; `cargo test` alone does not build
//! those of another package, so `cargo build` comes first (`cargo xtask test` does both).

use std::path::PathBuf;
use std::process::{Command, Output};

/// The folder of the built binary and plugins.
///
/// # Panics
/// Where the test program lies in no build folder.
#[must_use]
pub fn build_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.parent().and_then(|deps| deps.parent());
    let Some(folder) = folder else {
        panic!("{} lies in no build folder", test.display())
    };
    folder.to_owned()
}

/// `autoloss-host` without the settings of the surrounding shell.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn host() -> Command {
    let binary = build_folder().join("autoloss-host");
    assert!(
        binary.is_file(),
        "{} is missing: run `cargo build` first",
        binary.display()
    );
    let mut command = Command::new(binary);
    for variable in ["AUTOLOSS_PLUGIN_PATH", "AUTOLOSS_TEST_FAULT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// What a finished command left.
pub struct Finished {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `autoloss-host` with arguments and environment to its end.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
    let output = host()
        .args(arguments)
        .envs(environment.iter().copied())
        .output();
    match output {
        Err(error) => panic!("cannot start autoloss-host: {error}"),
        Ok(Output {
            status,
            stdout,
            stderr,
        }) => Finished {
            code: status.code(),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        },
    }
}

impl Finished {
    /// The message of a failure: exit code 1, exactly one `error:` line, no panic, no backtrace.
    ///
    /// # Panics
    /// Where any of that does not hold.
    #[must_use]
    pub fn failure(&self) -> &str {
        assert_eq!(
            self.code,
            Some(1),
            "stdout: {}\nstderr: {}",
            self.out,
            self.err
        );
        for word in ["panicked at", "stack backtrace", "Exception raised from"] {
            assert!(!self.err.contains(word), "{}", self.err);
        }
        let errors: Vec<&str> = self
            .err
            .lines()
            .filter_map(|line| line.strip_prefix("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{}", self.err);
        errors[0]
    }

    /// Standard output of a success, as JSON.
    ///
    /// # Panics
    /// Where the exit code is not 0 or the output is no JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(
            self.code,
            Some(0),
            "stdout: {}\nstderr: {}",
            self.out,
            self.err
        );
        match serde_json::from_str(&self.out) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {}", self.out),
        }
    }
}
