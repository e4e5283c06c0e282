//! `samples`: real data sets that the loaders are tested on.
//!
//! Debian's `labelme-examples` is the one package of a public registry that holds PASCAL VOC photographs
//! with masks; it has COCO annotations of them too. The source distribution of PyPI's `sahi` has a photograph
//! with COCO annotations of another origin. Both are fetched rather than committed, since they are not ours to
//! distribute. Each file is pinned by its SHA-256, unpacked beside its place and moved there at the end, so
//! that an interrupted call leaves nothing half-made.

use crate::{files, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written last, holds the package's SHA-256.
const STAMP: &str = "installed.txt";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// A package with samples.
struct Package {
    name: &'static str,
    version: &'static str,
    /// What is downloaded.
    file: &'static str,
    size: &'static str,
    sha256: &'static str,
    /// The folder inside the package that is kept.
    inside: &'static str,
    /// What of that folder is unpacked; all where it is empty.
    members: &'static [&'static str],
    /// The folder in `.samples`.
    place: &'static str,
    /// Where to get the file by hand, and how to say so.
    by_hand: (&'static str, &'static str),
    /// The ways to fetch the file into a folder, in the order in which they are tried.
    ways: fn(&Package, &Path) -> Vec<Command>,
    unpack: fn(&Package, &Path) -> Result<()>,
}

const LABELME: Package = Package {
    name: "labelme-examples",
    version: "5.1.1-1",
    file: "labelme-examples_5.1.1-1_all.deb",
    size: "10 MB",
    sha256: "acf0f5be435c8899098397eb9f0e46b4c1be080e0c1202f128609d6391179e23",
    inside: "usr/share/doc/labelme-examples",
    members: &[],
    place: "labelme",
    by_hand: ("a Debian mirror (pool/main/l/labelme)", "--package"),
    ways: from_debian,
    unpack: unpack_deb,
};

const SAHI: Package = Package {
    name: "sahi",
    version: "0.12.8",
    file: "sahi-0.12.8.tar.gz",
    size: "5 MB",
    sha256: "f2074b3b3aa0f655dbdd69fbb1f1a0b985220f5fb3d920a4206eba160d37028a",
    inside: "sahi-0.12.8/demo/demo_data",
    members: &["terrain2.png", "terrain2_coco.json"],
    place: "sahi",
    by_hand: ("PyPI", "--sdist"),
    ways: from_pypi,
    unpack: unpack_sdist,
};

/// PyPI's own address of the file.
const SAHI_URL: &str = "https://files.pythonhosted.org/packages/18/32/\
                        1e85bf558077a7783f88aa014f1b4025341cee8047c2416760a41fc9ac56/sahi-0.12.8.tar.gz";

/// Options of `samples`.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Take labelme's package from this file instead of a Debian mirror
    #[arg(long, value_name = "FILE")]
    pub(crate) package: Option<PathBuf>,
    /// Take sahi's source distribution from this file instead of PyPI
    #[arg(long, value_name = "FILE")]
    pub(crate) sdist: Option<PathBuf>,
}

/// Brings the samples into `.samples`; does nothing where they are complete.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    for (package, local) in [(&LABELME, &options.package), (&SAHI, &options.sdist)] {
        install(root, package, local.as_deref())?;
    }
    Ok(())
}

fn install(root: &Path, package: &Package, local: Option<&Path>) -> Result<()> {
    let target = root.join(".samples").join(package.place);
    if fs::read_to_string(target.join(STAMP)).is_ok_and(|stamp| stamp == package.sha256) {
        return Ok(());
    }
    let partial = root.join(".samples.partial");
    files::remove(&partial)?;
    let outcome = prepare(package, &partial, local);
    if let Err(error) = outcome {
        files::remove(&partial)?;
        let (name, version) = (package.name, package.version);
        return Err(error.context(format!(
            "the samples of {name} {version} were not installed; nothing was changed"
        )));
    }
    files::remove(&target)?;
    fs::create_dir_all(root.join(".samples")).context("cannot create .samples")?;
    fs::rename(partial.join(package.inside), &target)
        .with_context(|| format!("cannot move {} into place", target.display()))?;
    files::remove(&partial)?;
    let (name, version) = (package.name, package.version);
    eprintln!("{name} {version} is in {}", target.display());
    Ok(())
}

fn prepare(package: &Package, partial: &Path, local: Option<&Path>) -> Result<()> {
    fs::create_dir_all(partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let file = partial.join(package.file);
    match local {
        Some(local) => {
            fs::copy(local, &file).with_context(|| format!("cannot copy {}", local.display()))?;
            verify(package, &file)?;
        }
        None => fetch(package, partial)?,
    }
    (package.unpack)(package, partial)?;
    let inside = partial.join(package.inside);
    fs::write(inside.join(STAMP), package.sha256)
        .with_context(|| format!("{} does not hold {}", package.file, package.inside))
}

fn fetch(package: &Package, partial: &Path) -> Result<()> {
    let Package {
        name,
        version,
        file,
        size,
        by_hand: (source, option),
        ..
    } = package;
    eprintln!("fetching {name} {version} ({size}) …");
    let mut attempts = Vec::new();
    let path = partial.join(file);
    for mut way in (package.ways)(package, partial) {
        // pip would take what another way left for the whole file.
        let _ = fs::remove_file(&path);
        match process::run(&mut way).and_then(|()| verify(package, &path)) {
            Ok(()) => return Ok(()),
            Err(error) => attempts.push(format!("{error:#}")),
        }
    }
    bail!(
        "{file} cannot be fetched:\n  {}\nfetch it from {source} and run `cargo xtask samples {option} \
         FILE`",
        attempts.join("\n  ")
    )
}

/// apt's own mirror first, since a machine behind a proxy often reaches no other.
fn from_debian(package: &Package, partial: &Path) -> Vec<Command> {
    let wanted = format!("{}={}", package.name, package.version);
    let mut apt = Command::new("apt-get");
    // Without the option root is warned that apt's own user cannot write here.
    apt.current_dir(partial)
        .args(["-qq", "-o", "APT::Sandbox::User=root"])
        .args(["download", &wanted]);
    let url = |mirror| format!("{mirror}/pool/main/l/labelme/{}", package.file);
    let mirrors = mirrors().into_iter();
    let curls = mirrors.map(|mirror| curl(&url(mirror), &partial.join(package.file)));
    std::iter::once(apt).chain(curls).collect()
}

/// pip comes second, where only its own index is reached: to download a source distribution it installs and
/// runs what would build it, half a minute for two files.
fn from_pypi(package: &Package, partial: &Path) -> Vec<Command> {
    let direct = curl(SAHI_URL, &partial.join(package.file));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--no-binary=:all:", "--dest"])
        .arg(partial)
        .arg(format!("{}=={}", package.name, package.version));
    vec![direct, pip]
}

fn curl(url: &str, to: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location"]);
    curl.args(["--connect-timeout", "20", "--max-time", "300", "--output"]);
    curl.arg(to).arg(url);
    curl
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

fn verify(package: &Package, path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("there is no {}", path.display()))?;
    let found = files::sha256(&bytes);
    if found != package.sha256 {
        bail!(
            "{} has the SHA-256 {found}, expected {}: a broken or altered download",
            package.file,
            package.sha256
        );
    }
    Ok(())
}

fn unpack_deb(package: &Package, partial: &Path) -> Result<()> {
    let file = partial.join(package.file);
    process::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(partial)).or_else(|error| {
        unpack_without_dpkg(package, partial)
            .with_context(|| format!("{error:#}; and without dpkg-deb"))
    })
}

/// A Debian package is an `ar` archive with a compressed tar archive inside.
fn unpack_without_dpkg(package: &Package, partial: &Path) -> Result<()> {
    let mut ar = Command::new("ar");
    process::run(ar.current_dir(partial).arg("x").arg(package.file))
        .context("dpkg-deb or binutils and tar are needed (Debian: apt-get install dpkg)")?;
    let entries = fs::read_dir(partial)?.filter_map(|entry| Some(entry.ok()?.path()));
    let data = entries
        .filter(|path| path.file_stem().is_some_and(|stem| stem == "data.tar"))
        .max();
    let data = data.with_context(|| format!("{} holds no data.tar", package.file))?;
    let mut tar = Command::new("tar");
    process::run(tar.current_dir(partial).arg("-xf").arg(data))
}

fn unpack_sdist(package: &Package, partial: &Path) -> Result<()> {
    let members = package.members.iter();
    let members = members.map(|member| format!("{}/{member}", package.inside));
    let mut tar = Command::new("tar");
    tar.current_dir(partial).arg("-xzf").arg(package.file);
    process::run(tar.args(members)).context("tar with gzip is needed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_package_is_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken");
        fs::write(&file, "cut short").unwrap();
        for package in [&LABELME, &SAHI] {
            let message = format!(
                "{:#}",
                install(folder.path(), package, Some(&file)).unwrap_err()
            );
            assert!(message.contains(package.name), "{message}");
            assert!(message.contains("nothing was changed"), "{message}");
            assert!(message.contains("SHA-256"), "{message}");
            assert!(!folder.path().join(".samples").exists());
            assert!(!folder.path().join(".samples.partial").exists());
        }
    }

    #[test]
    fn complete_samples_are_not_touched_again() {
        let folder = tempfile::tempdir().unwrap();
        for package in [&LABELME, &SAHI] {
            let target = folder.path().join(".samples").join(package.place);
            fs::create_dir_all(&target).unwrap();
            fs::write(target.join(STAMP), package.sha256).unwrap();
        }
        // A package that does not exist would make any installation fail.
        let none = Some(folder.path().join("none"));
        let options = Options {
            package: none.clone(),
            sdist: none,
        };
        run(folder.path(), &options).unwrap();
    }

    #[test]
    fn a_source_distribution_is_unpacked_as_far_as_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join(SAHI.inside);
        fs::create_dir_all(&inside).unwrap();
        for name in ["terrain2.png", "terrain2_coco.json", "other.png"] {
            fs::write(inside.join(name), name).unwrap();
        }
        let mut tar = Command::new("tar");
        tar.current_dir(folder.path())
            .args(["-czf", SAHI.file, "sahi-0.12.8"]);
        process::run(&mut tar).unwrap();
        files::remove(&folder.path().join("sahi-0.12.8")).unwrap();
        unpack_sdist(&SAHI, folder.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(&inside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, SAHI.members);
    }

    #[test]
    fn packages_are_pinned_and_have_places_of_their_own() {
        assert_ne!(LABELME.place, SAHI.place);
        for package in [&LABELME, &SAHI] {
            assert!(package.file.contains(package.version));
            assert_eq!(package.sha256.len(), 64);
        }
        assert!(SAHI_URL.ends_with(SAHI.file));
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
