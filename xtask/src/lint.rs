//! `lint`: what CI checks besides the tests.

use crate::{process, python, setup};
use anyhow::Result;
use std::path::Path;

/// Formatting, clippy and rustdoc over the workspace, warnings denied; form, names and types of the Python code.
pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, &setup::Options::default())?;
    let cargo = || {
        let mut command = process::cargo();
        command.current_dir(root);
        command
    };
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    process::run(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--locked",
    ]))?;
    python::lint(root)
}
