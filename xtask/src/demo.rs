//! `demo`: the main job on the embedded data.

use crate::{process, setup, weights};
use anyhow::Result;
use std::path::Path;

/// The search's share of five minutes; the rest measures what it found.
const SEARCH_SECONDS: &str = "160";

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
        &["--max-seconds".to_owned(), SEARCH_SECONDS.to_owned()]
    } else {
        options.arguments.as_slice()
    };
    process::run(
        std::process::Command::new(root.join("target/release/autoloss-host"))
            .current_dir(root)
            .args(["--plugin", "libvoc_seg.so"])
            .args(arguments),
    )
}
