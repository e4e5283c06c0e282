//! `setup`: libtorch from the pinned PyPI wheels.
//!
//! The torch wheel is the one source of libtorch that a package registry serves. Its layout is kept
//! (`torch/lib` beside `nvidia/*/lib`), because the run paths inside the libraries point there. The
//! default is the CPU part alone: 0.6 GB on disk instead of several. Everything is prepared in
//! `.libtorch.partial` and renamed at the end, so that an interrupted set-up leaves nothing usable
//! half-made.

use crate::unpack::{self, Selection};
use crate::{files, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CPU_WHEELS: &str = include_str!("../libtorch-cpu.txt");
const CUDA_WHEELS: &str = include_str!("../libtorch-cuda.txt");
const STAMP: &str = "installed.txt";
pub(crate) const TORCH_VERSION: &str = "2.11.0";

/// Options of `setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// The full set with CUDA libraries (about 8 GB free disk) instead of the CPU set
    #[arg(long)]
    pub(crate) cuda: bool,
    /// Take the wheels from this folder instead of PyPI
    #[arg(long, value_name = "DIR")]
    pub(crate) wheels: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Cpu,
    Cuda,
}

impl Flavour {
    fn requirements(self) -> String {
        match self {
            Flavour::Cpu => CPU_WHEELS.to_owned(),
            Flavour::Cuda => format!("{CPU_WHEELS}{CUDA_WHEELS}"),
        }
    }

    /// Wheels and what is unpacked from them, in bytes, with a tenth to spare.
    fn disk(self) -> u64 {
        match self {
            Flavour::Cpu => 1_400_000_000,
            Flavour::Cuda => 8_500_000_000,
        }
    }

    fn stamp(self) -> String {
        let name = match self {
            Flavour::Cpu => "cpu",
            Flavour::Cuda => "cuda",
        };
        let hex = files::sha256(self.requirements().as_bytes());
        format!("{name} {hex}\n")
    }
}

/// Makes sure that `.libtorch` holds what is asked for; a complete CUDA set also serves as CPU set.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let flavour = if options.cuda {
        Flavour::Cuda
    } else {
        Flavour::Cpu
    };
    let target = root.join(".libtorch");
    let installed = fs::read_to_string(target.join(STAMP)).unwrap_or_default();
    if installed == flavour.stamp() || installed == Flavour::Cuda.stamp() {
        return Ok(());
    }
    let partial = root.join(".libtorch.partial");
    files::remove(&partial)?;
    check_disk(root, flavour)?;
    let outcome = prepare(&partial, flavour, options.wheels.as_deref());
    if let Err(error) = outcome {
        files::remove(&partial)?;
        return Err(error.context("libtorch was not installed; nothing was changed"));
    }
    files::remove(&target)?;
    fs::rename(&partial, &target)
        .with_context(|| format!("cannot move {} into place", target.display()))?;
    eprintln!("libtorch {TORCH_VERSION} is in {}", target.display());
    Ok(())
}

fn prepare(partial: &Path, flavour: Flavour, local: Option<&Path>) -> Result<()> {
    let wheels = partial.join("wheels");
    fs::create_dir_all(&wheels).with_context(|| format!("cannot create {}", wheels.display()))?;
    let requirements = partial.join("requirements.txt");
    fs::write(&requirements, flavour.requirements())?;
    eprintln!("fetching the torch {TORCH_VERSION} wheels (0.5 GB for the CPU set) …");
    download(&requirements, &wheels, local)?;
    eprintln!("unpacking …");
    let selection = match flavour {
        Flavour::Cpu => Selection::Cpu,
        Flavour::Cuda => Selection::Everything,
    };
    unpack::wheels(&wheels, partial, selection)?;
    if flavour == Flavour::Cpu {
        link_umbrella(&partial.join("torch/lib"))?;
    }
    // torch-sys compares this file with the version it was written for.
    fs::write(partial.join("torch/build-version"), TORCH_VERSION)?;
    fs::remove_dir_all(&wheels)?;
    fs::remove_file(&requirements)?;
    fs::write(partial.join(STAMP), flavour.stamp())?;
    Ok(())
}

/// The interpreter tags are fixed, so that the same wheel is fetched
/// whatever Python runs pip.
fn download(requirements: &Path, wheels: &Path, local: Option<&Path>) -> Result<()> {
    let mut pip = process::pip_download(requirements, wheels, local);
    pip.args(["--python-version", "3.12", "--implementation", "cp"]);
    for minor in (5..=28).rev() {
        pip.arg("--platform")
            .arg(format!("manylinux_2_{minor}_x86_64"));
    }
    for tag in [
        "manylinux2014_x86_64",
        "manylinux2010_x86_64",
        "manylinux1_x86_64",
    ] {
        pip.args(["--platform", tag]);
    }
    let status = pip
        .status()
        .context("cannot start `python3 -m pip`: install python3 with pip")?;
    if !status.success() {
        bail!(
            "pip could not fetch the pinned wheels ({status}; its message is above). A hash that \
             does not match means a broken or altered download: run `python3 -m pip cache purge` \
             and try again"
        );
    }
    Ok(())
}

/// The wheel's `libtorch.so` only pulls in the CPU and the CUDA library; without CUDA a stand-in
/// pulls in the first. Programs built against either run with either.
fn link_umbrella(lib: &Path) -> Result<()> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    process::run(
        Command::new(compiler)
            .current_dir(lib)
            .args([
                "-shared",
                "-x",
                "c++",
                "/dev/null",
                "-x",
                "none",
                "-o",
                "libtorch.so",
            ])
            .args([
                "-Wl,-soname,libtorch.so",
                "-Wl,--no-as-needed",
                "-Wl,-rpath,$ORIGIN",
            ])
            .args(["-Wl,--unresolved-symbols=ignore-all", "-L.", "-ltorch_cpu"]),
    )
    .context("a C++ compiler is needed (Debian: apt-get install g++)")
}

fn check_disk(root: &Path, flavour: Flavour) -> Result<()> {
    let free = fs4::available_space(root)
        .with_context(|| format!("cannot read the free space of {}", root.display()))?;
    if free < flavour.disk() {
        bail!(
            "{} has {:.1} GB free; this set of libtorch needs {:.1} GB while it is unpacked",
            root.display(),
            free as f64 / 1e9,
            flavour.disk() as f64 / 1e9
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupt_wheel_is_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let wheels = folder.path().join("broken");
        fs::create_dir(&wheels).unwrap();
        let name = format!("torch-{TORCH_VERSION}-cp312-cp312-manylinux_2_28_x86_64.whl");
        fs::write(wheels.join(name), b"cut short").unwrap();
        let options = Options {
            cuda: false,
            wheels: Some(wheels),
        };
        let message = format!("{:#}", run(folder.path(), &options).unwrap_err());
        assert!(message.contains("nothing was changed"), "{message}");
        assert!(!folder.path().join(".libtorch").exists());
        assert!(!folder.path().join(".libtorch.partial").exists());
    }

    #[test]
    fn a_complete_set_is_not_touched_again() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(".libtorch");
        fs::create_dir(&target).unwrap();
        fs::write(target.join(STAMP), Flavour::Cuda.stamp()).unwrap();
        // A folder without wheels would make any download fail.
        let options = Options {
            cuda: false,
            wheels: Some(folder.path().join("none")),
        };
        run(folder.path(), &options).unwrap();
    }

    #[test]
    fn every_requirement_is_pinned_with_a_hash() {
        for line in Flavour::Cuda
            .requirements()
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            assert!(
                line.contains("==") && line.contains("--hash=sha256:"),
                "{line}"
            );
        }
    }
}
