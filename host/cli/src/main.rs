//! `autoloss-host`: the command line.
//!
//! Results go to standard output, progress and log to standard error. Exit codes: 0 done, 1 failure,
//! 2 usage, 130 interrupted with the run resumable.

mod args;
mod commands;
mod formats;
mod interrupt;
mod loss_input;
mod measure;
mod pictures;
mod session;
mod settings;
mod terminal;
mod trainings;
mod workers;

use args::{Cli, Command};
use commands::*;
use std::process::ExitCode;
use terminal::{color, hint, logging, output};

/// Interrupted; the run can be resumed.
const INTERRUPTED: u8 = 130;

/// How a command that did not fail ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Interrupted,
}

fn main() -> ExitCode {
    color::start(std::env::args_os().skip(1));
    let cli = Cli::read();
    logging::start(cli.verbose, cli.quiet);
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if interrupt::caused(&error) => ExitCode::from(INTERRUPTED),
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::failure(&hint::with_suggestion(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        None => search::search(&cli.search),
        Some(Command::Search(options)) => search::search(&options),
        Some(Command::Resume(options)) => search::resume(&options),
        Some(Command::Inspect(options)) => inspect::run(&options),
        Some(Command::Check(options)) => check::run(&options),
        Some(Command::Evaluate(options)) => evaluate::run(&options),
        Some(Command::Compare(options)) => compare::run(&options),
        Some(Command::Fidelity(options)) => fidelity::run(&options),
        Some(Command::Sensitivity(options)) => sensitivity::run(&options),
        Some(Command::Retrain(options)) => retrain::run(&options),
        Some(Command::WriteData(options)) => write_data::run(&options),
        Some(Command::Worker { device }) => workers::run(&device),
        Some(Command::Doctor(options)) => doctor::run(&options),
        Some(Command::Export(options)) => export::run(&options),
        Some(Command::Report(options)) => report::run(&options),
        Some(Command::Runs(options)) => runs::run(&options),
        Some(Command::Replay(options)) => replay::run(&options),
        Some(Command::Diff(options)) => diff::run(&options),
        Some(Command::Completions(options)) => shell::completions(&options),
        Some(Command::Man(options)) => shell::man(&options),
    }
}
