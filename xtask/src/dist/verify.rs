//! Whether a package runs: unpacked elsewhere, with an empty environment but for the path, on the PyTorch
//! of one Python.

use super::{Package, SYSTEM};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLUGIN: [&str; 2] = ["--plugin", "libvoc_seg.so"];

/// Unpacks and runs.
pub(super) fn run(package: &Package, python: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let unpacked = package.unpack(folder.path())?;
    let bin = python.parent().unwrap_or(Path::new("."));
    let trial = Trial {
        program: unpacked.join("bin/autoloss-host"),
        path: format!("{}:{SYSTEM}", bin.display()),
        folder: folder.path().join("elsewhere"),
    };
    std::fs::create_dir(&trial.folder)?;
    trial.works(&["--version"], "autoloss-host")?;
    trial.works(&[&["doctor"], &PLUGIN[..]].concat(), "plugin voc-seg")?;
    trial.works(&[&["inspect"], &PLUGIN[..]].concat(), "task voc_seg")?;
    let search = ["--max-seconds", "20", "--no-final"];
    trial.works(&[&PLUGIN[..], &search].concat(), "explored")?;
    trial.works(&["runs"], "voc_seg")?;
    trial.is_told_what_is_missing()
}

struct Trial {
    program: PathBuf,
    path: String,
    folder: PathBuf,
}

impl Trial {
    fn output(&self, program: &Path, path: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", path);
        let output = command.current_dir(&self.folder).output();
        output.with_context(|| format!("cannot start {}", program.display()))
    }

    /// A command that succeeds and says this.
    fn works(&self, arguments: &[&str], says: &str) -> Result<()> {
        // By a link, as an installed program may be called.
        let link = self.folder.join("linked");
        if !link.exists() {
            std::os::unix::fs::symlink(&self.program, &link)?;
        }
        let output = self.output(&link, &self.path, arguments)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = arguments.join(" ");
        eprintln!("$ autoloss-host {line}\n{text}");
        ensure!(
            output.status.success() && text.contains(says),
            "autoloss-host {line} ended with {} and said: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Without any Python on the path there is one sentence.
    fn is_told_what_is_missing(&self) -> Result<()> {
        let output = self.output(&self.program, "", &["--version"])?;
        let text = String::from_utf8_lossy(&output.stderr);
        eprintln!("without PyTorch: {text}");
        ensure!(
            output.status.code() == Some(1) && text.contains("pip install torch=="),
            "without PyTorch it ended with {} and said: {text}",
            output.status
        );
        Ok(())
    }
}
