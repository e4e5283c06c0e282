//! Python and the browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of `python/tests`, ready to run.
pub(crate) fn program(name: &str) -> Command {
    let python = root().join(".venv/tests/bin/python");
    assert!(
        python.is_file(),
        "{} is missing: `cargo xtask test` installs the Python of the tests",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root().join("python/tests").join(name));
    command.env("AUTOLOSS_CHROMIUM", chromium());
    command
}

fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("AUTOLOSS_CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("chromium"))
        .find(|program| program.is_file());
    found.expect("there is no chromium on the PATH: `cargo xtask test` installs it")
}

/// Runs to the end; what it prints is shown where it fails, and with `--nocapture`.
pub(crate) fn succeeds(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
