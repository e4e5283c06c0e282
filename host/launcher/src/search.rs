//! Where PyTorch is.
//!
//! In the order in which a user would expect to be understood: the active environment, the Python on the
//! path, an environment beside the package. Python is asked where it would import `torch` from, and
//! never imports it, which takes seconds. The version is read from the folder itself.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version whose libtorch the program is linked to; there is no compatibility between any two.
const VERSION: &str = "2.11.0";

/// Prints the folder of `torch`. The current folder is no place to import from: a folder called `torch`
/// there is the user's own.
const ASK: &str = "\
import sys, importlib.util
sys.path = [place for place in sys.path if place]
found = importlib.util.find_spec('torch')
print(found.submodule_search_locations[0] if found and found.origin else '')
";

/// What decides where is looked.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Environments that are active: `$VIRTUAL_ENV`, `$CONDA_PREFIX`.
    active: Vec<PathBuf>,
    /// `$PATH`.
    path: OsString,
    /// Folders beside the package in which an environment may be.
    beside: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process, for a package in this folder.
    pub(crate) fn of_process(package: &Path) -> Self {
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"];
        let active = active
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from);
        let folders = [Some(package), package.parent()];
        let beside = folders.into_iter().flatten();
        Self {
            active: active.collect(),
            path: std::env::var_os("PATH").unwrap_or_default(),
            beside: beside
                .flat_map(|folder| [".venv", "venv"].map(|name| folder.join(name)))
                .collect(),
        }
    }
}

/// No PyTorch that fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Of other versions, with these.
    others: Vec<(PathBuf, String)>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PyTorch {VERSION} is needed, and ")?;
        if self.others.is_empty() {
            f.write_str("neither the active environment nor python3 on the path has any")?;
        }
        for (at, (folder, version)) in self.others.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} is {version}", folder.display())?;
        }
        write!(f, ": python3 -m pip install torch=={VERSION}")
    }
}

/// The folder of the first `torch` that fits.
pub(crate) fn find(surroundings: &Surroundings) -> Result<PathBuf, Missing> {
    let environments = |folders: &[PathBuf]| -> Vec<PathBuf> {
        folders
            .iter()
            .flat_map(|folder| in_environment(folder))
            .collect()
    };
    let places: [&dyn Fn() -> Vec<PathBuf>; 3] = [
        &|| environments(&surroundings.active),
        &|| ask_interpreters(&surroundings.path),
        &|| environments(&surroundings.beside),
    ];
    let mut others: Vec<(PathBuf, String)> = Vec::new();
    for folder in places.iter().flat_map(|place| place()) {
        let Some(version) = version(&folder) else {
            continue;
        };
        // `2.11.0+cu130` and `2.11.0+cpu` are builds of one version.
        if version.split('+').next() == Some(VERSION) {
            return Ok(folder);
        }
        if others.iter().all(|(known, _)| *known != folder) {
            others.push((folder, version));
        }
    }
    Err(Missing { others })
}

/// `torch` in the environment of a folder, for each of its versions of Python.
fn in_environment(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder.join("lib"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("python")
        })
        .map(|path| path.join("site-packages/torch"))
        .collect();
    found.sort();
    found
}

/// `torch` as the Pythons on the path would import it.
fn ask_interpreters(path: &OsString) -> Vec<PathBuf> {
    let names = ["python3", "python"];
    let first = |name: &str| {
        let files = std::env::split_paths(path).map(|folder| folder.join(name));
        files.into_iter().find(|file| file.is_file())
    };
    names.iter().filter_map(|name| ask(&first(name)?)).collect()
}

fn ask(interpreter: &Path) -> Option<PathBuf> {
    let output = Command::new(interpreter)
        .args(["-c", ASK])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let folder = text.trim_end_matches('\n');
    (output.status.success() && !folder.is_empty()).then(|| PathBuf::from(folder))
}

/// The version of `torch` in a folder that holds its libraries.
fn version(folder: &Path) -> Option<String> {
    if !folder.join("lib/libtorch_cpu.so").is_file() {
        return None;
    }
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(value.trim().trim_matches(['\'', '"']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A folder that looks like an installed `torch`.
    fn torch(folder: &Path, version: &str) -> PathBuf {
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
        let text = format!("from typing import Optional\n__version__ = '{version}'\n");
        fs::write(folder.join("version.py"), text).unwrap();
        folder.to_owned()
    }

    fn environment(folder: &Path, version: &str) -> PathBuf {
        torch(&folder.join("lib/python3.11/site-packages/torch"), version)
    }

    /// A folder for the path, with a Python that prints what it is told.
    fn interpreter(folder: &Path, name: &str, says: &str) -> OsString {
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{says}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        folder.into()
    }

    #[test]
    fn the_active_environment_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("a b"), folder.path().join("c"));
        let found = environment(&one, "2.11.0+cu130");
        environment(&two, "2.11.0");
        let surroundings = Surroundings {
            active: vec![one],
            beside: vec![two],
            ..Surroundings::default()
        };
        assert_eq!(find(&surroundings), Ok(found));
    }

    #[test]
    fn the_interpreter_on_the_path_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let found = torch(&folder.path().join("user site/torch"), "2.11.0+cpu");
        let says = format!("echo '{}'", found.display());
        let path = interpreter(folder.path(), "python", &says);
        let surroundings = Surroundings {
            path,
            ..Surroundings::default()
        };
        assert_eq!(find(&surroundings), Ok(found));
    }

    #[test]
    fn a_real_interpreter_understands_the_question() {
        let folder = tempfile::tempdir().unwrap();
        let found = torch(&folder.path().join("torch"), "2.11.0");
        fs::write(found.join("__init__.py"), "raise SystemExit('imported')").unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let real = std::env::split_paths(&path)
            .map(|folder| folder.join("python3"))
            .find(|file| file.is_file())
            .expect("python3 is installed");
        let says = |place: &str| {
            let program = format!("exec env {place} '{}' \"$@\"", real.display());
            let path = interpreter(folder.path(), "python3", &program);
            ask_interpreters(&path)
        };
        let place = format!("PYTHONPATH='{}'", folder.path().display());
        assert_eq!(says(&place), std::slice::from_ref(&found));
        // Of the current folder's own `torch` it says nothing.
        let here = says(&format!("-C '{}'", folder.path().display()));
        assert!(!here.contains(&found), "{here:?}");
    }

    #[test]
    fn interpreters_that_fail_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let found = environment(&folder.path().join(".venv"), "2.11.0");
        let mut path = interpreter(folder.path(), "python3", "echo /nowhere; exit 1");
        path.push(":/nowhere");
        let surroundings = Surroundings {
            path,
            beside: vec![folder.path().join(".venv")],
            ..Surroundings::default()
        };
        assert_eq!(find(&surroundings), Ok(found));
    }

    #[test]
    fn what_is_missing_is_one_sentence_with_the_remedy() {
        let none = find(&Surroundings::default()).unwrap_err().to_string();
        assert_eq!(
            none,
            "PyTorch 2.11.0 is needed, and neither the active environment nor python3 on the path \
             has any: python3 -m pip install torch==2.11.0"
        );
        let folder = tempfile::tempdir().unwrap();
        let found = environment(folder.path(), "2.9.1");
        let surroundings = Surroundings {
            active: vec![folder.path().to_owned(), folder.path().to_owned()],
            ..Surroundings::default()
        };
        let message = find(&surroundings).unwrap_err().to_string();
        let other = format!("and {} is 2.9.1: python3", found.display());
        assert!(message.contains(&other), "{message}");
    }

    #[test]
    fn a_folder_without_libraries_is_no_torch() {
        let folder = tempfile::tempdir().unwrap();
        let found = environment(folder.path(), "2.11.0");
        assert_eq!(version(&found).as_deref(), Some("2.11.0"));
        fs::remove_file(found.join("lib/libtorch_cpu.so")).unwrap();
        assert_eq!(version(&found), None);
    }
}
