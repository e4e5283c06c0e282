//! `samples`: real data sets that the loaders are tested on.
//!
//! Debian's `labelme-examples` is the one package of a public registry that holds PASCAL VOC photographs
//! with masks. It is fetched rather than committed, since the photographs are not ours to distribute. The
//! file is pinned by its SHA-256 and comes from whatever mirror apt is configured for, else from Debian's
//! own; it is unpacked beside its place and renamed at the end, so that an interrupted call leaves nothing
//! half-made.

use crate::{files, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "labelme-examples";
const VERSION: &str = "5.1.1-1";
const FILE: &str = "labelme-examples_5.1.1-1_all.deb";
const POOL: &str = "pool/main/l/labelme";
const SHA256: &str = "acf0f5be435c8899098397eb9f0e46b4c1be080e0c1202f128609d6391179e23";
/// The folder inside the package that is kept.
const INSIDE: &str = "usr/share/doc/labelme-examples";
/// Written last, holds [`SHA256`].
const STAMP: &str = "installed.txt";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Options of `samples`.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Take the package from this file instead of a Debian mirror
    #[arg(long, value_name = "FILE")]
    pub(crate) package: Option<PathBuf>,
}

/// Brings the samples into `.samples/labelme`; does nothing where they are complete.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let target = root.join(".samples/labelme");
    if fs::read_to_string(target.join(STAMP)).is_ok_and(|stamp| stamp == SHA256) {
        return Ok(());
    }
    let partial = root.join(".samples.partial");
    files::remove(&partial)?;
    let outcome = prepare(&partial, options.package.as_deref());
    if let Err(error) = outcome {
        files::remove(&partial)?;
        return Err(error.context("the samples were not installed; nothing was changed"));
    }
    files::remove(&target)?;
    fs::create_dir_all(root.join(".samples")).context("cannot create .samples")?;
    fs::rename(partial.join(INSIDE), &target)
        .with_context(|| format!("cannot move {} into place", target.display()))?;
    files::remove(&partial)?;
    eprintln!("{PACKAGE} {VERSION} is in {}", target.display());
    Ok(())
}

fn prepare(partial: &Path, local: Option<&Path>) -> Result<()> {
    fs::create_dir_all(partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let package = partial.join(FILE);
    match local {
        Some(file) => {
            fs::copy(file, &package).with_context(|| format!("cannot copy {}", file.display()))?;
            verify(&package)?;
        }
        None => fetch(partial, &package)?,
    }
    process::run(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&package)
            .arg(partial),
    )
    .or_else(|error| {
        unpack_without_dpkg(&package, partial)
            .with_context(|| format!("{error:#}; and without dpkg-deb"))
    })?;
    let inside = partial.join(INSIDE);
    fs::write(inside.join(STAMP), SHA256).with_context(|| format!("{FILE} does not hold {INSIDE}"))
}

/// apt's own mirror first, since a machine behind a proxy often reaches no other.
fn fetch(partial: &Path, package: &Path) -> Result<()> {
    eprintln!("fetching {PACKAGE} {VERSION} (10 MB) …");
    let mut attempts = Vec::new();
    let wanted = format!("{PACKAGE}={VERSION}");
    let mut apt = Command::new("apt-get");
    // Without the option root is warned that apt's own user cannot write here.
    apt.current_dir(partial)
        .args(["-qq", "-o", "APT::Sandbox::User=root"])
        .args(["download", &wanted]);
    match process::run(&mut apt).and_then(|()| verify(package)) {
        Ok(()) => return Ok(()),
        Err(error) => attempts.push(format!("{error:#}")),
    }
    for mirror in mirrors() {
        let url = format!("{mirror}/{POOL}/{FILE}");
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--silent", "--show-error", "--location"]);
        curl.args(["--connect-timeout", "20", "--max-time", "300", "--output"]);
        curl.arg(package).arg(&url);
        match process::run(&mut curl).and_then(|()| verify(package)) {
            Ok(()) => return Ok(()),
            Err(error) => attempts.push(format!("{error:#}")),
        }
    }
    bail!(
        "{FILE} cannot be fetched:\n  {}\nfetch it from a Debian mirror ({POOL}/{FILE}) and run \
         `cargo xtask samples --package FILE`",
        attempts.join("\n  ")
    )
}

/// The mirrors of apt's configuration, then Debian's.
fn mirrors() -> Vec<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let mut found: Vec<String> = Vec::new();
    for mirror in texts.flat_map(|text| mirrors_in(&text)) {
        if !found.contains(&mirror) {
            found.push(mirror);
        }
    }
    if !found.iter().any(|mirror| mirror == DEFAULT_MIRROR) {
        found.push(DEFAULT_MIRROR.to_owned());
    }
    found
}

/// Addresses that end in `/debian`, in either of apt's two formats; others serve other packages.
fn mirrors_in(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let used = lines.filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    used.flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .filter(|word| word.starts_with("http") && word.ends_with("/debian"))
        .map(str::to_owned)
        .collect()
}

fn verify(package: &Path) -> Result<()> {
    let bytes = fs::read(package).with_context(|| format!("there is no {}", package.display()))?;
    let found = files::sha256(&bytes);
    if found != SHA256 {
        bail!("{FILE} has the SHA-256 {found}, expected {SHA256}: a broken or altered download");
    }
    Ok(())
}

/// A Debian package is an `ar` archive with a compressed tar archive inside.
fn unpack_without_dpkg(package: &Path, partial: &Path) -> Result<()> {
    let mut ar = Command::new("ar");
    process::run(ar.current_dir(partial).arg("x").arg(package))
        .context("dpkg-deb or binutils and tar are needed (Debian: apt-get install dpkg)")?;
    let entries = fs::read_dir(partial)?.filter_map(|entry| Some(entry.ok()?.path()));
    let data = entries
        .filter(|path| path.file_stem().is_some_and(|stem| stem == "data.tar"))
        .max();
    let data = data.with_context(|| format!("{FILE} holds no data.tar"))?;
    process::run(
        Command::new("tar")
            .current_dir(partial)
            .arg("-xf")
            .arg(data),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_package_is_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken.deb");
        fs::write(&file, "cut short").unwrap();
        let package = Some(file);
        let message = format!(
            "{:#}",
            run(folder.path(), &Options { package }).unwrap_err()
        );
        assert!(message.contains("nothing was changed"), "{message}");
        assert!(message.contains("SHA-256"), "{message}");
        assert!(!folder.path().join(".samples").exists());
        assert!(!folder.path().join(".samples.partial").exists());
    }

    #[test]
    fn complete_samples_are_not_touched_again() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(".samples/labelme");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join(STAMP), SHA256).unwrap();
        // A package that does not exist would make any installation fail.
        let package = Some(folder.path().join("none.deb"));
        run(folder.path(), &Options { package }).unwrap();
    }

    #[test]
    fn mirrors_are_read_from_both_formats_of_apt() {
        let text = "Types: deb\nURIs: http://mirror.example/debian/ http://mirror.example/other\n\
                    # deb http://commented.example/debian bookworm main\n\
                    deb [signed-by=/k] https://two.example/debian bookworm main\n";
        let expected = ["http://mirror.example/debian", "https://two.example/debian"];
        assert_eq!(mirrors_in(text), expected);
        assert!(mirrors().iter().any(|mirror| mirror == DEFAULT_MIRROR));
    }
}
