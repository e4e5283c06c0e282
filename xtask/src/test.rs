//! `test`: every test of the workspace.

use crate::{files, process, samples, setup, weights};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const STAMP: &str = "installed.txt";

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
    let python = interpreter(root)?;
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

/// Python in a virtual environment that holds exactly what the oracles require. A copy of them, written last,
/// marks a complete environment; any other is made anew.
pub(crate) fn interpreter(root: &Path) -> Result<PathBuf> {
    environment(root, &root.join("python/oracles/requirements.txt"))
}

fn environment(root: &Path, requirements: &Path) -> Result<PathBuf> {
    let folder = root.join(".venv/oracles");
    let python = folder.join("bin/python");
    let stamp = folder.join(STAMP);
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let installed = fs::read_to_string(&stamp).unwrap_or_default();
    if installed == wanted && python.exists() {
        return Ok(python);
    }
    files::remove(&folder)?;
    eprintln!("installing PyTorch and numpy for the oracles (5 GB on disk) …");
    let venv = ["-m", "venv"];
    process::run(Command::new("python3").args(venv).arg(&folder))
        .context("python3 with venv is needed (Debian: apt-get install python3-venv)")?;
    process::run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(requirements),
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_environment_is_not_touched_again() {
        let root = tempfile::tempdir().unwrap();
        let environment = root.path().join(".venv/oracles");
        fs::create_dir_all(environment.join("bin")).unwrap();
        let requirements = root.path().join("requirements.txt");
        // A package that no index has would make any installation fail.
        fs::write(&requirements, "autoloss-has-no-such-package==0\n").unwrap();
        fs::copy(&requirements, environment.join(STAMP)).unwrap();
        let python = environment.join("bin/python");
        fs::write(&python, "").unwrap();
        assert_eq!(
            super::environment(root.path(), &requirements).unwrap(),
            python
        );
    }

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

    #[test]
    fn every_requirement_of_the_oracles_is_pinned() {
        let text = include_str!("../../python/oracles/requirements.txt");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains("=="), "{line}");
        }
    }
}
