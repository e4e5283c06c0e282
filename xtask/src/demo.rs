//! `demo`: the main job on the embedded data.

use crate::{process, setup, weights};
use anyhow::Result;
use std::path::Path;

/// Five minutes with everything: a search is left half of them or more, since few losses are measured again.
const ARGUMENTS: [&str; 4] = ["--max-seconds", "290", "--set", "confirmation.top=4"];

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Arguments for `autoloss-host` instead of the demonstration's own time limit
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Sets up, brings the pretrained encoder, builds in release mode and searches a segmentation loss.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    setup::run(root, &setup::Options::default())?;
    weights::run(root, &weights::Options::default())?;
    process::run(process::cargo().current_dir(root).args([
        "build",
        "--release",
        "--locked",
        "-p",
        "autoloss-host",
        "-p",
        "voc-seg",
    ]))?;
    let arguments = if options.arguments.is_empty() {
        ARGUMENTS.map(str::to_owned).to_vec()
    } else {
        options.arguments.clone()
    };
    process::run(
        std::process::Command::new(process::released(root, "autoloss-host")?)
            .current_dir(root)
            .args(["--plugin", "libvoc_seg.so"])
            .args(arguments),
    )
}
