//! The command line: commands and global flags.

mod options;

use crate::commands::export::ExportArgs;
use crate::commands::report::ReportArgs;
use crate::terminal::color;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
pub(crate) use options::*;

/// Discovers loss functions from scratch: give it a task plugin, get a formula that trains a better
/// network.
#[derive(Parser)]
#[command(
    name = "autoloss-host",
    version,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = "Example: autoloss-host --plugin libvoc_seg.so\n\n\
                  Exit codes: 0 done, 1 failure, 2 usage, 130 interrupted (the run can be resumed)"
)]
pub(crate) struct Cli {
    /// More log on standard error (-v debug, -vv trace)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// No progress and no log but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Colours: where a terminal shows them, in files too, or nowhere
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub(crate) color: color::When,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Flags that go before a command as well as behind it.
const GLOBAL: [&str; 3] = ["verbose", "quiet", "color"];

impl Cli {
    /// Reads the command line, or ends the process with clap's message.
    ///
    /// Options of a search in front of another command would be ignored, so they are refused. clap can
    /// refuse only all flags there, the global ones too.
    pub(crate) fn read() -> Self {
        let mut command = Self::command();
        let matches = command.get_matches_mut();
        if let Some(name) = matches.subcommand_name() {
            let given = |id: &&str| {
                matches.value_source(id) == Some(ValueSource::CommandLine) && !GLOBAL.contains(id)
            };
            let ids = matches.ids().map(clap::Id::as_str);
            if let Some(id) = ids
                .filter(|id| matches.try_contains_id(id).is_ok())
                .find(given)
            {
                let flag = command.get_arguments().find(|flag| flag.get_id() == id);
                let flag = flag.map_or(id.to_owned(), ToString::to_string);
                let why = format!("'{flag}' goes behind the command '{name}', not before it");
                command.error(ErrorKind::ArgumentConflict, why).exit();
            }
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Search a loss (the default command)
    #[command(
        after_help = "Example: autoloss-host search --plugin libvoc_seg.so --max-seconds 3600"
    )]
    Search(SearchArgs),
    /// Go on with an interrupted or finished run
    #[command(
        after_help = "Example: autoloss-host resume runs/voc_seg-20261124-101500 --max-seconds 7200"
    )]
    Resume(ResumeArgs),
    /// Show what plugins offer
    #[command(after_help = "Example: autoloss-host inspect --plugin libvoc_seg.so")]
    Inspect(InspectArgs),
    /// Send one loss through every screen and explain each outcome
    #[command(
        after_help = "Example: autoloss-host check 'neg(mul(y, log(yhat)))' --plugin libvoc_seg.so"
    )]
    Check(CheckArgs),
    /// Train with one loss and show every score
    #[command(after_help = "Example: autoloss-host evaluate ce --plugin libvoc_seg.so --seeds 3")]
    Evaluate(EvaluateArgs),
    /// Compare reference losses and loss files on every score
    #[command(
        after_help = "Example: autoloss-host compare runs/x/best.json --plugin libvoc_seg.so --out table"
    )]
    Compare(CompareArgs),
    /// Measure whether the proxy ranks losses as long training does
    #[command(
        after_help = "Example: autoloss-host fidelity 'neg(mul(y, sqrt(yhat)))' --run runs/x --plugin libvoc_seg.so --out fidelity\n\n\
                      Before a search of days: a proxy that ranks losses another way finds what wins on the proxy \
                      only. The same command goes on where it was stopped."
    )]
    Fidelity(FidelityArgs),
    /// Show how a loss's score depends on learning rate, batch size and a reference loss beside it
    #[command(
        after_help = "Example: autoloss-host sensitivity runs/x/best.json --plugin libvoc_seg.so --out sensitivity"
    )]
    Sensitivity(SensitivityArgs),
    /// Train with one loss at full length, with checkpoints
    #[command(
        after_help = "Example: autoloss-host retrain runs/x/best.json --plugin libvoc_seg.so --out net\n\n\
                      The same command goes on from the last checkpoint. The schedule is section \
                      [retrain] of the configuration."
    )]
    Retrain(RetrainArgs),
    /// Write the task's data into a new folder that --data reads
    #[command(
        after_help = "Example: autoloss-host write-data scenes --plugin libvoc_seg.so --set task.size=128"
    )]
    WriteData(WriteDataArgs),
    /// Train for another autoloss-host, which starts this one and speaks to it through pipes
    Worker {
        /// Device for training
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Say what this machine and installation can do
    #[command(after_help = "Example: autoloss-host doctor --plugin libvoc_seg.so")]
    Doctor(DoctorArgs),
    /// Write a loss as PyTorch or Rust code, as a formula, or as a file that needs no plugin
    #[command(after_help = "Example: autoloss-host export runs/x --format pytorch --out loss.py")]
    Export(ExportArgs),
    /// Write a run's report, one page that needs no other file, or serve it while the run goes on
    #[command(after_help = "Example: autoloss-host report runs/x --watch")]
    Report(ReportArgs),
    /// List the runs in a folder, newest first
    #[command(after_help = "Example: autoloss-host runs --json")]
    Runs(RunsArgs),
    /// Show a search's trainings in the order in which they were settled
    #[command(after_help = "Example: autoloss-host replay runs/voc_seg-1 --verify")]
    Replay(ReplayArgs),
    /// Show how two runs differ: settings and results
    #[command(after_help = "Example: autoloss-host diff runs/voc_seg-1 runs/voc_seg-2")]
    Diff(DiffArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example: autoloss-host completions bash > ~/.local/share/bash-completion/completions/autoloss-host"
    )]
    Completions(CompletionsArgs),
    /// Write a manual page for each command
    #[command(hide = true, after_help = "Example: autoloss-host man --out man1")]
    Man(ManArgs),
}
