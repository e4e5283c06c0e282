//! The options of each command, and those that several share.

use crate::formats::Format;
use autoloss_plugin_api::Split;
use autoloss_run::MachineUse;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};

/// The device that is chosen where the user names none.
pub(crate) const AUTO: &str = "auto";

/// Reads the name of a split.
fn split() -> impl TypedValueParser<Value = Split> {
    PossibleValuesParser::new(Split::ALL.map(Split::name)).try_map(|name| name.parse::<Split>())
}

/// Which plugins.
#[derive(Args, Clone, Debug)]
pub(crate) struct PluginArgs {
    /// Plugin library: a path, or a name beside the binary or on $AUTOLOSS_PLUGIN_PATH (repeatable)
    #[arg(long = "plugin", value_name = "FILE", required = true)]
    pub(crate) plugins: Vec<PathBuf>,
}

/// Task, network, data and configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct TaskArgs {
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    /// Task, where the plugins offer several
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// Network that is trained [default: the task's]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Target score of the search [default: the task's]
    #[arg(long, value_name = "NAME")]
    pub(crate) score: Option<String>,
    /// Freeze a branch at a loss, a reference loss or a formula, instead of searching it: rpn_reg=l1
    /// (repeatable)
    #[arg(long = "fix", value_name = "BRANCH=LOSS", value_parser = branch_and_loss)]
    pub(crate) fixed: Vec<(String, String)>,
    /// Data folder [default: the task's embedded data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Skip samples that cannot be read, with a warning, instead of ending
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Threads that load and augment batches; 0 loads between the steps [default: half the cores; all
    /// of them with a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=256))]
    pub(crate) loaders: Option<u16>,
    /// Pretrained weights or a checkpoint (safetensors)
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Device for training: auto, cpu or cuda:N; auto is the first GPU, or for workers all of them in turn
    #[arg(long, value_name = "DEVICE", default_value = AUTO)]
    pub(crate) device: String,
    /// Threads of libtorch [default: OMP_NUM_THREADS, or all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A setting by its dotted key, as proxy.budget.steps=100; task.KEY and network.KEY are those of the
    /// task and of the network (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed that decides everything random
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl TaskArgs {
    /// What of the machine is used.
    pub(crate) fn machine(&self) -> MachineUse {
        MachineUse {
            device: (self.device != AUTO).then(|| self.device.clone()),
            threads: self.threads,
            loaders: self.loaders,
        }
    }

    /// A plugin's task as it is without further options.
    pub(crate) fn of(plugin: &Path) -> Self {
        Self {
            plugins: PluginArgs {
                plugins: vec![plugin.to_owned()],
            },
            task: None,
            network: None,
            score: None,
            fixed: Vec::new(),
            data: None,
            skip_bad: false,
            loaders: None,
            weights: None,
            device: AUTO.to_owned(),
            threads: None,
            config: None,
            set: Vec::new(),
            seed: None,
            json: false,
        }
    }
}

/// Where trainings run.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WorkerArgs {
    /// Worker processes, each of which trains on one thread, beside one another: a number, or auto for one
    /// per core, at most as many as --threads, or with GPUs one for each; 1 is one training at a time in this process
    /// [default: auto; a run goes on with as many as it had]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<Workers>,
    /// Workers that share a GPU, where --workers does not say how many there are: small networks leave it idle
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers_per_device: Option<u16>,
}

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// As many as the machine has room for.
    Auto,
    /// So many.
    Exactly(usize),
}

/// Most worker processes of one machine.
const WORKERS: usize = 4096;

fn workers(text: &str) -> Result<Workers, String> {
    if text == "auto" {
        return Ok(Workers::Auto);
    }
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=WORKERS).contains(number));
    number
        .map(Workers::Exactly)
        .ok_or_else(|| format!("expected auto or a number from 1 to {WORKERS}"))
}

fn branch_and_loss(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((branch, loss)) if !branch.is_empty() && !loss.is_empty() => {
            Ok((branch.trim().to_owned(), loss.trim().to_owned()))
        }
        _ => Err("expected BRANCH=LOSS".to_owned()),
    }
}

/// When a search ends.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BudgetArgs {
    /// End after this many explored losses
    #[arg(long, value_name = "N")]
    pub(crate) max_explored: Option<u64>,
    /// End after this many proxy trainings
    #[arg(long, value_name = "N")]
    pub(crate) max_proxies: Option<u64>,
    /// End after this many seconds, confirmation and final table included [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_seconds: Option<f64>,
    /// Skip the confirmation of the best losses and the final table
    #[arg(long)]
    pub(crate) no_final: bool,
}

/// Options of `search`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// Run folder [default: runs/TASK-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Begin the population with this loss: a loss file, a reference loss or a formula (repeatable)
    #[arg(long = "guess", value_name = "LOSS")]
    pub(crate) guesses: Vec<String>,
    /// Draw every child at random instead of evolving
    #[arg(long)]
    pub(crate) random: bool,
    /// Switch the loss-rejection protocol off
    #[arg(long)]
    pub(crate) no_lrp: bool,
    /// Switch the gradient-equivalence check off
    #[arg(long)]
    pub(crate) no_gec: bool,
    /// Switch off early stopping, at NaN or infinity and by pruning
    #[arg(long)]
    pub(crate) no_stop: bool,
}

/// Options of `resume`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ResumeArgs {
    /// Run folder
    pub(crate) run: PathBuf,
    /// Plugin libraries, where they are no longer where the run found them (repeatable)
    #[arg(long = "plugin", value_name = "FILE")]
    pub(crate) plugins: Vec<PathBuf>,
    /// Data folder, where it is no longer where the run found it; it must hold what it held
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Pretrained weights, where they are no longer where the run found them; the file must hold what it held
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// A setting by its dotted key, of those that decide only what happens after the search: confirmation.KEY,
    /// promotion.KEY, retrain.KEY (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Device for training: auto, cpu or cuda:N [default: as the run had it]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads of libtorch [default: as the run had it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Threads that load and augment batches [default: as the run had it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=256))]
    pub(crate) loaders: Option<u16>,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `inspect`.
#[derive(Args, Clone, Debug)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// Loss file, name of a reference loss, or a formula where the task has one branch
    pub(crate) loss: String,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
}

/// Options of `evaluate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct EvaluateArgs {
    /// Loss file, name of a reference loss, or a formula where the task has one branch
    #[arg(required_unless_present = "trained")]
    pub(crate) loss: Option<String>,
    /// Evaluate this trained network (safetensors, as `retrain` writes it) instead of training one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["loss", "seeds", "weights"])]
    pub(crate) trained: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Trainings, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) seeds: u16,
    /// Split the scores are measured on
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = split())]
    pub(crate) split: Split,
}

/// Options of `compare`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    /// Loss files, formulas or names of reference losses, besides all reference losses of the task
    pub(crate) losses: Vec<String>,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Only the losses named; the others are compared with the first
    #[arg(long)]
    pub(crate) only: bool,
    /// Trainings of each loss, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) seeds: u16,
    /// Train at full length, as `retrain` does, instead of at a proxy's
    #[arg(long)]
    pub(crate) full: bool,
    /// Split the scores are measured on
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = split())]
    pub(crate) split: Split,
    /// What is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Folder for the table in every format and for finished trainings, which are not repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Options of `fidelity`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FidelityArgs {
    /// Loss files, formulas or names of reference losses, besides all reference losses of the task
    pub(crate) losses: Vec<String>,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Only the losses named, and those of --run
    #[arg(long)]
    pub(crate) only: bool,
    /// Losses that this run trained to their end, evenly spaced in the order of their discovery
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// How many of the run's
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) count: u16,
    /// Network of the long training [default: that of the second stage, with its weights and settings]
    #[arg(long, value_name = "NAME")]
    pub(crate) long_network: Option<String>,
    /// Weights that the long training starts from (safetensors)
    #[arg(long, value_name = "FILE")]
    pub(crate) long_weights: Option<String>,
    /// A setting of the long training, as with --set (repeatable)
    #[arg(long = "long-set", value_name = "KEY=VALUE")]
    pub(crate) long_set: Vec<String>,
    /// Trainings of each loss on the proxy, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) seeds: u16,
    /// Long trainings of each loss, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) long_seeds: u16,
    /// Split the scores are measured on
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = split())]
    pub(crate) split: Split,
    /// Folder for results and for finished trainings, which are not repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Options of `sensitivity`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SensitivityArgs {
    /// Loss file, name of a reference loss, or a formula where the task has one branch
    pub(crate) loss: String,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Trainings of each setting, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) seeds: u16,
    /// Split the scores are measured on
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = split())]
    pub(crate) split: Split,
    /// Folder for results and for finished trainings, which are not repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Options of `retrain`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RetrainArgs {
    /// Loss file, name of a reference loss, or a formula where the task has one branch
    pub(crate) loss: String,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Trainings, each with its own seed and a folder of its own in --out
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) seeds: u16,
    /// Folder of checkpoints and results [default: runs/retrain-TASK-NETWORK-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Options of `write-data`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WriteDataArgs {
    /// Folder to write; it must be new or empty
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
}

/// Options of `doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorArgs {
    /// Plugin libraries to try (repeatable)
    #[arg(long = "plugin", value_name = "FILE")]
    pub(crate) plugins: Vec<PathBuf>,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `runs`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunsArgs {
    /// Folder that holds run folders, or a run folder [default: runs]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Make every proposal again and say where it differs
    #[arg(long)]
    pub(crate) verify: bool,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `diff`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) first: PathBuf,
    /// Run folder it is compared with
    #[arg(value_name = "RUN")]
    pub(crate) second: PathBuf,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `completions`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ManArgs {
    /// Folder to write the pages into
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}
