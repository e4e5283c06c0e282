//! The release build of a package.
//!
//! In a target folder of its own: without a run path and with other flags it would replace what
//! development uses.

use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Between the flags of `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// Builds, and returns the folder of what was built.
pub(super) fn release(root: &Path) -> Result<PathBuf> {
    let target = root.join("target/dist/build");
    let renamed: Vec<(String, &str)> = private_folders(root)?
        .into_iter()
        .zip(["/autoloss", "/cargo"])
        .collect();
    let rust = renamed
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={folder}={name}"));
    let c = renamed
        .iter()
        .map(|(folder, name)| format!("-ffile-prefix-map={folder}={name}"));
    let c = c.collect::<Vec<_>>().join(" ");
    process::run(
        process::cargo()
            .current_dir(root)
            .env("AUTOLOSS_RPATH", "none")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                rust.collect::<Vec<_>>().join(SEPARATOR),
            )
            .env("CFLAGS", &c)
            .env("CXXFLAGS", &c)
            .args(["build", "--release", "--locked", "--target-dir"])
            .arg(&target)
            .args(["-p", "autoloss-host", "-p", "voc-seg", "-p", "coco-det"])
            .args(["-p", "autoloss-launcher"]),
    )?;
    Ok(target.join("release"))
}

/// Folders of this machine that a package must not name: the repository, and cargo's.
pub(super) fn private_folders(root: &Path) -> Result<Vec<String>> {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cargo = home("CARGO_HOME").or_else(|| Some(home("HOME")?.join(".cargo")));
    let cargo = cargo.context("neither CARGO_HOME nor HOME is set")?;
    Ok([root, &cargo]
        .map(|folder| folder.display().to_string())
        .to_vec())
}
