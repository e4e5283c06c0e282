//! `gpu-check`: the package that measures a machine with a GPU, and what to type there.
//!
//! Such a machine is lent for minutes, so everything is made and tried before: the script is in the package, needs
//! nothing but PyTorch and torchvision, and runs at toy sizes on a CPU.

use crate::dist::{self, Package, SYSTEM};
use crate::{process, setup};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script in the package.
const SCRIPT: &str = "python/tools/gpu_check.py";
/// What a machine that is lent takes without thinking.
const LARGEST: u64 = 40_000_000;

/// Options of `gpu-check`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Afterwards unpack the package elsewhere and run its script at toy sizes on the CPU with this Python
    #[arg(long = "try", value_name = "PYTHON", num_args = 0..=1, default_missing_value = ".venv/tests/bin/python")]
    pub(crate) trial: Option<PathBuf>,
}

/// Packs, says how to go on, and tries it where asked.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let package = dist::package(root)?;
    ensure!(
        package.bytes < LARGEST,
        "{} has {:.1} MB, expected less than {:.0}",
        package.path.display(),
        package.bytes as f64 / 1e6,
        LARGEST as f64 / 1e6
    );
    println!("{}", steps(&package));
    match &options.trial {
        Some(python) => trial(&package, &root.join(python)),
        None => Ok(()),
    }
}

/// What to type on the machine with the GPU.
fn steps(package: &Package) -> String {
    let name = &package.name;
    format!(
        "Copy {} to a machine with a GPU whose python3 has torch {torch} (CUDA 13) and torchvision. There:\n\n  \
         tar xzf {name}.tar.gz\n  \
         python3 {name}/{SCRIPT} --device cuda:0 --minutes 8 --out gpu_check\n\n\
         and bring back gpu_check/gpu_check.json and gpu_check/gpu_check.md.",
        package.path.display(),
        torch = setup::TORCH_VERSION,
    )
}

/// Runs the script of the unpacked package with an environment that holds nothing but the path.
fn trial(package: &Package, python: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let script = package.unpack(folder.path())?.join(SCRIPT);
    let out = folder.path().join("out");
    let mut check = Command::new(python);
    check.current_dir(&folder).env_clear().env("PATH", SYSTEM);
    check
        .arg(script)
        .args(["--device", "cpu", "--small", "--out"]);
    process::run(check.arg(&out))?;
    for name in ["gpu_check.json", "gpu_check.md"] {
        ensure!(out.join(name).is_file(), "the script wrote no {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_name_the_folder_that_is_unpacked() {
        let package = Package {
            path: "target/dist/autoloss-1-x.tar.gz".into(),
            name: "autoloss-1-x".to_owned(),
            bytes: 1,
        };
        let text = steps(&package);
        assert!(text.contains("tar xzf autoloss-1-x.tar.gz"), "{text}");
        assert!(text.contains(&format!("autoloss-1-x/{SCRIPT}")), "{text}");
    }

    #[test]
    fn the_script_is_where_the_package_has_it() {
        let root = crate::workspace_root();
        assert!(root.join(SCRIPT).is_file());
        assert!(root.join("python/tools/gpu_networks.py").is_file());
    }
}
