//! `bench`: the measurements of docs/benchmarks.md.
//!
//! A comparison is always within one run: both sides take turns, and what is reported is the ratio of
//! neighbours, so that a machine that slows down in between slows both.

mod screening;

use crate::process;
use crate::{python, samples, setup};
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A graph of eleven nodes: two inputs and nine operators.
const SEARCHED: &str = "neg(mul(sqrt(y), log(mul(tanh(yhat), square(exp(neg(yhat)))))))";
const CROSS_ENTROPY: &str = "neg(mul(y, log(yhat)))";

/// A VOC folder of the samples, and how many photographs it has.
const PHOTOGRAPHS: &str = "examples/semantic_segmentation/data_dataset_voc";
const SAMPLES: usize = 3;

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A training step beside the same step in Python, and a searched graph beside cross entropy
    Step(Step),
    /// The share of training time spent waiting for batches
    Waiting(Waiting),
    /// Reading a folder of 11 000 photographs: time and memory
    Reading(Reading),
    /// Nanoseconds of the fused engine for each element and step
    Engine,
    /// Random losses through every screen, stage by stage, and the engine beside libtorch
    Screening(screening::Options),
}

#[derive(clap::Args)]
struct Step {
    #[command(flatten)]
    net: Net,
    /// How often the two sides take turns
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Rounds of a turn; a round trains a fresh network
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(clap::Args)]
struct Waiting {
    #[command(flatten)]
    net: Net,
    /// Threads that load batches
    #[arg(long, default_value_t = 1)]
    loaders: usize,
    /// Data folder; none is the embedded data
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Reading {
    /// Threads that read
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Photographs to read, the samples again and again
    #[arg(long, default_value_t = 11_000)]
    images: usize,
}

#[derive(clap::Args)]
struct Net {
    #[arg(long, default_value = "deeplabv3plus_r50")]
    network: String,
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Steps of a round
    #[arg(long, default_value_t = 10)]
    steps: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, default_value = "f32")]
    precision: String,
    #[arg(long, default_value = "contiguous")]
    memory_format: String,
}

impl Net {
    fn arguments(&self) -> Vec<String> {
        let pairs = [
            ("--network", self.network.clone()),
            ("--size", self.size.to_string()),
            ("--batch", self.batch.to_string()),
            ("--steps", self.steps.to_string()),
            ("--threads", self.threads.to_string()),
            ("--device", self.device.clone()),
            ("--precision", self.precision.clone()),
            ("--memory-format", self.memory_format.clone()),
        ];
        pairs
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }
}

/// Measures and prints.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    // The engine is measured without libtorch.
    if !matches!(options.what, What::Engine) {
        setup::run(root, &setup::Options::default())?;
    }
    match &options.what {
        What::Step(step) => compare_steps(root, step),
        What::Waiting(waiting) => {
            let program = build(root, "training_step")?;
            let mut command = program.command(&waiting.net);
            command.args(["--loaders", &waiting.loaders.to_string()]);
            if let Some(data) = &waiting.data {
                command.arg("--data").arg(data);
            }
            for (loss, rounds) in measured::<Measured>(&mut command)? {
                let waiting = median(&rounds, "waiting")?;
                let step = median(&rounds, "step")?;
                println!(
                    "{loss}: {:.1} % of the time waiting, {:.1} ms a step",
                    100.0 * waiting,
                    1e3 * step
                );
            }
            Ok(())
        }
        What::Reading(reading) => read(root, reading),
        What::Screening(options) => screening::run(root, options),
        What::Engine => engine(root, &[]),
    }
}

/// The fused engine by itself.
fn engine(root: &Path, options: &[&str]) -> Result<()> {
    let bench = "bench --quiet -p autoloss-engine --bench engine --".split(' ');
    process::run(process::cargo().args(bench).args(options).current_dir(root))
}

/// Reads the sample photographs again and again.
fn read(root: &Path, options: &Reading) -> Result<()> {
    samples::run(root, &samples::Options::default())?;
    let folder = root.join(".samples/labelme").join(PHOTOGRAPHS);
    let times = options.images.div_ceil(SAMPLES);
    let mut command = process::cargo();
    command.current_dir(root);
    command.args(["run", "--release", "--locked", "-p", "autoloss-vision"]);
    command.args(["--example", "read_folder", "--"]).arg(folder);
    command.args([times.to_string(), options.threads.to_string()]);
    process::run(&mut command)
}

fn compare_steps(root: &Path, options: &Step) -> Result<()> {
    let program = build(root, "training_step")?;
    let python = python::oracles(root)?;
    let script = root.join("python/benchmarks/training_step.py");
    let losses = [CROSS_ENTROPY, SEARCHED];
    let rounds = options.rounds.to_string();
    let mut pairs: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for turn in 1..=options.turns {
        let mut ours = program.command(&options.net);
        let mut theirs = Command::new(&python);
        theirs.arg(&script).args(options.net.arguments());
        for command in [&mut ours, &mut theirs] {
            command.args(["--rounds", &rounds]);
            for loss in losses {
                command.args(["--loss", loss]);
            }
        }
        let (ours, theirs): (Measured, Measured) = (measured(&mut ours)?, measured(&mut theirs)?);
        for loss in losses {
            let side = |side: &Measured| {
                let rounds = side
                    .get(loss)
                    .with_context(|| format!("no figure of {loss}"))?;
                median(rounds, "step")
            };
            let pair = [side(&ours)?, side(&theirs)?];
            eprintln!(
                "turn {turn}, {loss}: {:.1} ms, Python {:.1} ms",
                1e3 * pair[0],
                1e3 * pair[1]
            );
            pairs.entry(loss).or_default().push(pair);
        }
    }
    let images = options.net.batch as f64;
    for loss in losses {
        let of = |value: fn(&[f64; 2]) -> f64| middle(pairs[loss].iter().map(value).collect());
        let (ours, theirs) = (of(|pair| pair[0]), of(|pair| pair[1]));
        println!(
            "{loss}\n  {:.1} ms a step ({:.1} images/s), Python {:.1} ms ({:.1} images/s), ratio {:.3}",
            1e3 * ours,
            images / ours,
            1e3 * theirs,
            images / theirs,
            of(|pair| pair[0] / pair[1])
        );
    }
    let graph = pairs[SEARCHED].iter().zip(&pairs[CROSS_ENTROPY]);
    let ratio = middle(
        graph
            .map(|(graph, entropy)| graph[0] / entropy[0])
            .collect(),
    );
    println!("a searched graph's step beside cross entropy's: ratio {ratio:.3}");
    Ok(())
}

/// The built program and the plugin it loads.
struct Program {
    path: PathBuf,
    plugin: PathBuf,
}

impl Program {
    fn command(&self, net: &Net) -> Command {
        let mut command = Command::new(&self.path);
        command
            .arg("--plugin")
            .arg(&self.plugin)
            .args(net.arguments());
        command
    }
}

/// Builds the plugin and a program of host/train/benches.
fn build(root: &Path, name: &str) -> Result<Program> {
    let cargo = |arguments: &[&str]| {
        let mut command = process::cargo();
        command.current_dir(root).args(arguments);
        command
    };
    process::run(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "voc-seg",
    ]))?;
    let bench = [
        "bench",
        "--no-run",
        "--locked",
        "-p",
        "autoloss-train",
        "--bench",
        name,
    ];
    let mut bench = cargo(&bench);
    bench.arg("--message-format=json");
    let told = process::output(&mut bench)?;
    let executable = told.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    Ok(Program {
        path: executable.context("cargo named no built program")?,
        plugin: process::released(root, "libvoc_seg.so")?,
    })
}

/// Rounds by loss.
type Measured = BTreeMap<String, Vec<Value>>;

/// The figures that a program prints.
fn measured<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let text = process::output(command)?;
    serde_json::from_str(text.trim()).with_context(|| format!("not the expected figures: {text}"))
}

fn median(rounds: &[Value], key: &str) -> Result<f64> {
    let values: Option<Vec<f64>> = rounds
        .iter()
        .map(|round| round.get(key)?.as_f64())
        .collect();
    match values {
        Some(values) if !values.is_empty() => Ok(middle(values)),
        _ => bail!("a round lacks the figure '{key}'"),
    }
}

/// The median; of an even number the lower of the two in the middle.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_figures() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        let rounds = [
            serde_json::json!({"step": 0.5}),
            serde_json::json!({"step": 0.25}),
        ];
        assert_eq!(median(&rounds, "step").unwrap(), 0.25);
        assert!(median(&rounds, "waiting").is_err());
        assert!(median(&[], "step").is_err());
    }

    #[test]
    fn the_searched_graph_has_eleven_nodes() {
        let words = |text: &str| {
            let split = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            split
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // ŷ occurs twice in the text and is one node.
        assert_eq!(words(SEARCHED).len() - 1, 11);
    }
}
