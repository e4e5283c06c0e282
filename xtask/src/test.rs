//! `test`: every test of the workspace.

use crate::{browser, process, python, samples, setup, weights};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also compute the oracle fixtures again with Python (PyTorch, numpy: 5 GB) and compare
    #[arg(long)]
    pub(crate) oracles: bool,
}

/// Builds what the integration tests load, then runs all tests.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    setup::run(root, &setup::Options::default())?;
    samples::run(root, &samples::Options::default())?;
    weights::run(root, &weights::Options::default())?;
    python::tests(root)?;
    browser::ensure()?;
    let cargo = || {
        let mut command = process::cargo();
        command.current_dir(root);
        command
    };
    // The integration tests load the plugins and start the binary, which `cargo test` alone does
    // not build for another package.
    process::run(cargo().args(["build", "--locked"]))?;
    process::run(cargo().args(["test", "--workspace", "--locked"]))?;
    if options.oracles {
        oracles(root)?;
    }
    Ok(())
}

/// Runs every oracle, each to its end, so that one report names all fixtures that are stale.
fn oracles(root: &Path) -> Result<()> {
    let folder = root.join("python/oracles");
    let scripts = scripts(&folder)?;
    let python = python::oracles(root)?;
    let mut stale = Vec::new();
    for script in &scripts {
        eprintln!("{} --check", script.display());
        let outcome = process::run(Command::new(&python).arg(script).arg("--check"));
        if let Err(error) = outcome {
            stale.push(format!("{error:#}"));
        }
    }
    if !stale.is_empty() {
        let all = scripts.len();
        bail!(
            "{} of {all} oracles disagree:\n{}",
            stale.len(),
            stale.join("\n")
        );
    }
    Ok(())
}

/// The Python programs of `folder`, in the order of their names.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("{} has no oracle", folder.display());
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracles_are_the_python_programs_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert!(scripts(folder.path()).is_err());
        for name in ["b.py", "requirements.txt", "a.py"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = [folder.path().join("a.py"), folder.path().join("b.py")];
        assert_eq!(scripts(folder.path()).unwrap(), names);
    }
}
