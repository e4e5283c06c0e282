//! Unpacking wheels, which are zip archives, and only what a Rust program links against.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use zip::ZipArchive;

/// Which files of the wheels are wanted.
#[derive(Clone, Copy)]
pub(crate) enum Selection {
    /// Headers and the libraries a CPU-only program loads.
    Cpu,
    /// Headers and every native library but Python's.
    Everything,
}

impl Selection {
    fn wants(self, name: &str) -> bool {
        if name.starts_with("torch/include/") {
            return true;
        }
        let Some(file) = name.rsplit('/').next() else {
            return false;
        };
        let library = name.contains("/lib/") && file.contains(".so");
        let native = name.starts_with("torch/lib/") || name.starts_with("nvidia/");
        match self {
            Selection::Everything => library && native && file != "libtorch_python.so",
            Selection::Cpu => {
                const WANTED: [&str; 5] = [
                    "torch/lib/libtorch_cpu.so",
                    "torch/lib/libc10.so",
                    "torch/lib/libgomp.so.1",
                    "nvidia/cu13/lib/libcudart.so.13",
                    "nvidia/cu13/lib/libcupti.so.13",
                ];
                WANTED.contains(&name)
            }
        }
    }
}

/// Unpacks the selected files of every wheel in `folder` into `target`.
pub(crate) fn wheels(folder: &Path, target: &Path, selection: Selection) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        wheel(&path, target, selection)
            .with_context(|| format!("cannot unpack {}", path.display()))?;
    }
    if !target.join("torch/lib/libtorch_cpu.so").is_file() {
        bail!("the torch wheel holds no libtorch_cpu.so");
    }
    Ok(())
}

fn wheel(path: &Path, target: &Path, selection: Selection) -> Result<()> {
    let mut archive = ZipArchive::new(io::BufReader::new(File::open(path)?))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if entry.is_dir() || !entry.name().is_ok_and(|name| selection.wants(&name)) {
            continue;
        }
        let Some(inside) = entry.enclosed_name() else {
            continue;
        };
        let to = target.join(inside);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut File::create(&to)?)
            .with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}
