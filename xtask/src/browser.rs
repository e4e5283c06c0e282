//! The browser that the report's tests drive: Debian's Chromium.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;

const PACKAGE: &str = "chromium";

/// Makes sure that there is one; as root of a Debian system it is installed.
pub(crate) fn ensure() -> Result<()> {
    if starts() {
        return Ok(());
    }
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root {
        bail!(
            "the report's tests drive Chromium, and there is no program `{PACKAGE}` (Debian: sudo apt-get install {PACKAGE})"
        );
    }
    eprintln!("installing Chromium for the report's tests …");
    let install =
        || process::run(apt().args(["install", "-y", "--no-install-recommends", PACKAGE]));
    // Lists of packages may be old, or not there at all.
    install()
        .or_else(|_| process::run(apt().arg("update")).and_then(|()| install()))
        .with_context(|| format!("Chromium was not installed (try: apt-get install {PACKAGE})"))?;
    if !starts() {
        bail!("`{PACKAGE}` is installed and does not start");
    }
    Ok(())
}

fn starts() -> bool {
    let version = Command::new(PACKAGE).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
    apt
}
