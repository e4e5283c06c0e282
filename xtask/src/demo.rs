//! `demo`: the main job on the embedded data.

use crate::{process, setup};
use anyhow::Result;
use std::path::Path;

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Further arguments for `autoloss-host`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Sets up, builds in release mode and searches a segmentation loss.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    setup::run(root, &setup::Options::default())?;
    process::run(process::cargo().current_dir(root).args([
        "build",
        "--release",
        "--locked",
        "-p",
        "autoloss-host",
        "-p",
        "voc-seg",
    ]))?;
    process::run(
        std::process::Command::new(root.join("target/release/autoloss-host"))
            .current_dir(root)
            .args(["--plugin", "libvoc_seg.so"])
            .args(&options.arguments),
    )
}
