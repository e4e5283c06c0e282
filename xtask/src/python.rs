//! Python environments of the oracles, of the tests and of the linters.
//!
//! Each lies in `.venv/` and holds exactly what its requirements file pins; a copy of that file, written last, marks
//! a complete environment, and any other is made anew. The tests' one has PyTorch without the CUDA libraries that
//! its wheel would bring along: 1.7 GB instead of 5. The wheel's libraries name them all the same, so empty
//! stand-ins take their place, and symbols are looked up when they are called, which without a GPU is never.

use crate::{files, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const STAMP: &str = "installed.txt";

/// Libraries that torch's CUDA part needs, by file name and name of their symbols' version.
const STAND_INS: [(&str, &str); 10] = [
    ("libcublas.so.13", "libcublas.so.13"),
    ("libcublasLt.so.13", "libcublasLt.so.13"),
    ("libcudnn.so.9", "libcudnn.so.9"),
    ("libcufft.so.12", "libcufft.so.12"),
    ("libcufile.so.0", "libcufile.so.0"),
    ("libcurand.so.10", "libcurand.so.10"),
    ("libcusparse.so.12", "libcusparse.so.12"),
    ("libcusparseLt.so.0", "libcusparseLt.so.0"),
    ("libnccl.so.2", "libnccl.so.2"),
    ("libnvshmem_host.so.3", "NVSHMEM"),
];

/// Python that runs at every start of the interpreter.
const LAZY_SYMBOLS: &str = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n";

/// An environment.
struct Environment {
    name: &'static str,
    requirements: &'static str,
    /// What is installed, for people.
    what: &'static str,
    /// Whether the requirements are whole, so that nothing is to be resolved.
    whole: bool,
}

const ORACLES: Environment = Environment {
    name: "oracles",
    requirements: "python/oracles/requirements.txt",
    what: "PyTorch and numpy for the oracles (5 GB on disk)",
    whole: false,
};

const TESTS: Environment = Environment {
    name: "tests",
    requirements: "python/tests/requirements.txt",
    what: "PyTorch, ONNX and Playwright for the tests (1.7 GB on disk)",
    whole: true,
};

const LINT: Environment = Environment {
    name: "lint",
    requirements: "python/lint/requirements.txt",
    what: "ruff and mypy (90 MB on disk)",
    whole: true,
};

/// Checks form, names and types of the Python code.
pub(crate) fn lint(root: &Path) -> Result<()> {
    let linters = LINT.interpreter(root)?;
    // Types of torch are those of the version that tests run with.
    let torch = TESTS.interpreter(root)?;
    let folder = root.join("python");
    let linter = |name: &str| {
        let mut command = Command::new(&linters);
        command.current_dir(&folder).args(["-m", name]);
        command
    };
    process::run(linter("ruff").args(["format", "--check", "."]))?;
    process::run(linter("ruff").args(["check", "."]))?;
    let mut types = linter("mypy");
    types.arg("--python-executable").arg(torch).arg("autoloss");
    process::run(&mut types)
}

/// The interpreter of the oracles.
pub(crate) fn oracles(root: &Path) -> Result<PathBuf> {
    ORACLES.interpreter(root)
}

/// The interpreter that tests start.
pub(crate) fn tests(root: &Path) -> Result<PathBuf> {
    TESTS.interpreter(root)
}

impl Environment {
    fn interpreter(&self, root: &Path) -> Result<PathBuf> {
        let folder = root.join(".venv").join(self.name);
        let python = folder.join("bin/python");
        let stamp = folder.join(STAMP);
        let requirements = root.join(self.requirements);
        let wanted = fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let installed = fs::read_to_string(&stamp).unwrap_or_default();
        if installed == wanted && python.exists() {
            return Ok(python);
        }
        files::remove(&folder)?;
        eprintln!("installing {} …", self.what);
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .context("python3 with venv is needed (Debian: apt-get install python3-venv)")?;
        self.install(&python, &requirements)?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(python)
    }

    fn install(&self, python: &Path, requirements: &Path) -> Result<()> {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet"]);
        pip.arg("--disable-pip-version-check");
        if self.whole {
            pip.arg("--no-deps");
        }
        process::run(pip.arg("--requirement").arg(requirements))?;
        if self.name == TESTS.name {
            let purelib = "import sysconfig; print(sysconfig.get_path('purelib'))";
            let packages = process::output(Command::new(python).args(["-c", purelib]))?;
            stand_ins(Path::new(packages.trim_end()))?;
        }
        Ok(())
    }
}

/// Makes the stand-ins in the torch of `packages`.
fn stand_ins(packages: &Path) -> Result<()> {
    let lib = packages.join("torch/lib");
    let map = lib.join("stand-in.map");
    let written = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    for (file, version) in STAND_INS {
        written(&map, &format!("{version} {{ }};\n"))?;
        process::run(
            Command::new(&compiler)
                .current_dir(&lib)
                .args(["-shared", "-x", "c++", "/dev/null", "-o", file])
                .arg(format!("-Wl,-soname,{file}"))
                .arg("-Wl,--version-script=stand-in.map"),
        )
        .context("a C++ compiler is needed (Debian: apt-get install g++)")?;
    }
    fs::remove_file(&map)?;
    written(&packages.join("lazy_symbols.pth"), LAZY_SYMBOLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_environment_is_not_touched_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".venv/tests");
        fs::create_dir_all(folder.join("bin")).unwrap();
        let requirements = root.path().join(TESTS.requirements);
        fs::create_dir_all(requirements.parent().unwrap()).unwrap();
        // A package that no index has would make any installation fail.
        fs::write(&requirements, "autoloss-has-no-such-package==0\n").unwrap();
        fs::copy(&requirements, folder.join(STAMP)).unwrap();
        let python = folder.join("bin/python");
        fs::write(&python, "").unwrap();
        assert_eq!(tests(root.path()).unwrap(), python);
    }

    #[test]
    fn every_requirement_is_pinned() {
        let oracles = include_str!("../../python/oracles/requirements.txt");
        let tests = include_str!("../../python/tests/requirements.txt");
        let lint = include_str!("../../python/lint/requirements.txt");
        for line in [oracles, tests, lint].into_iter().flat_map(str::lines) {
            assert!(line.starts_with('#') || line.contains("=="), "{line}");
        }
    }

    #[test]
    fn stand_ins_are_libraries_of_their_name() {
        let packages = tempfile::tempdir().unwrap();
        let lib = packages.path().join("torch/lib");
        fs::create_dir_all(&lib).unwrap();
        stand_ins(packages.path()).unwrap();
        assert!(packages.path().join("lazy_symbols.pth").exists());
        assert_eq!(fs::read_dir(lib).unwrap().count(), STAND_INS.len());
    }
}
