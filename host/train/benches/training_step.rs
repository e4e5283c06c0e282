//! Seconds of a training step, by loss: forward, loss, backward, update.
//!
//! `cargo xtask bench step` runs it beside the same step in Python. Losses take turns, so that a machine
//! that slows down slows all of them. Prints one JSON object: for each loss, one value a round.

#![allow(missing_docs, reason = "a program, not a library")]

use autoloss_graph::Limits;
use autoloss_plugin_api::TaskOptions;
use autoloss_search::{Optimizer, TrainingBudget};
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, Workbench, runtime};
use clap::Parser;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Parser)]
struct Options {
    /// Plugin library
    #[arg(long)]
    plugin: PathBuf,
    #[arg(long, default_value = "deeplabv3plus_r50")]
    network: String,
    /// Formula or name of a reference loss of the task's only branch (repeatable)
    #[arg(long = "loss", default_value = "ce")]
    losses: Vec<String>,
    /// Rows and columns of a training picture
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Steps of a round
    #[arg(long, default_value_t = 10)]
    steps: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Threads that load batches; 0 loads between the steps, and is not counted
    #[arg(long, default_value_t = 0)]
    loaders: usize,
    /// Data folder; none is the embedded data
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// f32 or bf16
    #[arg(long, default_value = "f32")]
    precision: String,
    /// contiguous or channels_last
    #[arg(long, default_value = "contiguous")]
    memory_format: String,
    /// A setting of the network, KEY=JSON (repeatable)
    #[arg(long = "network-setting")]
    settings: Vec<String>,
    /// What `cargo bench` passes to every program
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let device = runtime::device(&options.device)?;
    runtime::keep_freed_memory();
    runtime::set_threads(options.threads);
    let registry = Registry::load(std::slice::from_ref(&options.plugin))?;
    let choice = Choice {
        network: Some(options.network.clone()),
        options: TaskOptions {
            data: options.data.clone(),
            settings: [("size".to_owned(), options.size.into())]
                .into_iter()
                .collect(),
            ..TaskOptions::default()
        },
        network_settings: network_settings(&options.settings)?,
        loaders: Some(options.loaders),
        ..Choice::default()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let workbench = Workbench::open(registry, &choice, device, Limits::default(), stop)?;
    let budget = TrainingBudget {
        steps: options.steps,
        batch_size: options.batch,
        optimizer: Optimizer::Sgd,
        learning_rate: 1e-3,
        precision: serde_json::from_value(options.precision.clone().into())?,
        memory_format: serde_json::from_value(options.memory_format.clone().into())?,
        warmup_steps: 0,
        ..TrainingBudget::default()
    };
    let mut found: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    // The round before the first is for caches and clocks.
    for round in 0..=options.rounds {
        for loss in &options.losses {
            let measured = round_of(&workbench, loss, &budget)?;
            if round > 0 {
                found.entry(loss).or_default().push(measured);
            }
        }
    }
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// Trains a fresh network for a round: seconds of a step without waiting for data, and the share of time
/// spent waiting.
fn round_of(
    workbench: &Workbench,
    loss: &str,
    budget: &TrainingBudget,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let texts = match workbench.reference(loss) {
        Ok(texts) => texts,
        Err(_) => {
            let branch = workbench.info().branches.first().ok_or("no branch")?;
            BTreeMap::from([(branch.name.clone(), loss.to_owned())])
        }
    };
    let losses = workbench.losses(&texts)?;
    let (_, trained) = workbench.train(&losses, budget, 0, true, &mut |_| {})?;
    if trained.steps != budget.steps {
        return Err(format!("{loss}: only {} steps were made", trained.steps).into());
    }
    Ok(serde_json::json!({
        "step": (trained.seconds - trained.waited_seconds) / budget.steps as f64,
        "waiting": trained.waited_seconds / trained.seconds,
    }))
}

fn network_settings(
    pairs: &[String],
) -> Result<BTreeMap<String, serde_json::Value>, Box<dyn Error>> {
    let pair = |pair: &String| {
        let (key, value) = pair.split_once('=').ok_or("a setting is KEY=JSON")?;
        Ok((key.to_owned(), serde_json::from_str(value)?))
    };
    pairs.iter().map(pair).collect()
}
