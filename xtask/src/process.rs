//! Running other programs with errors that name them.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs `command` to its end with our own output streams; a status other than 0 is an error that
/// shows the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = display(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` to its end and returns what it wrote to standard output; its messages stay ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = display(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` wrote no text"))
}

/// The cargo that started us, so that a toolchain override holds for what we start.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A file of a release build, wherever cargo puts it.
pub(crate) fn released(root: &Path, file: &str) -> Result<PathBuf> {
    let mut metadata = cargo_metadata::MetadataCommand::new();
    let metadata = metadata.current_dir(root).no_deps().exec();
    let target = metadata.context("cargo metadata")?.target_directory;
    Ok(target.join("release").join(file).into())
}

/// `pip download` of what a requirements file pins, into a folder; pip checks every hash. With `local` the
/// wheels come from that folder instead of PyPI.
pub(crate) fn pip_download(requirements: &Path, into: &Path, local: Option<&Path>) -> Command {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ])
    .args(["--disable-pip-version-check", "--only-binary=:all:"]);
    if let Some(folder) = local {
        pip.arg("--no-index").arg("--find-links").arg(folder);
    }
    pip.arg("--dest")
        .arg(into)
        .arg("--requirement")
        .arg(requirements);
    pip
}

fn display(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
