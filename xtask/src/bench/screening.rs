//! `bench screening`: random losses through every screen, and the engine's verdicts beside libtorch's.

use super::{build, measured};
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Random losses that are drawn
    #[arg(long, default_value_t = 20_000)]
    candidates: usize,
    /// Of those that reach the loss-rejection protocol, so many are judged by libtorch too
    #[arg(long, default_value_t = 50)]
    compared: usize,
    /// Of those in turn, so many are timed in eager PyTorch
    #[arg(long, default_value_t = 50)]
    eager: usize,
    /// Run the protocol to its end as well, to see what early verdicts change
    #[arg(long)]
    whole: bool,
    /// Rows and columns of the screened maps
    #[arg(long, default_value_t = 16)]
    size: usize,
    /// Do not measure the engine by itself
    #[arg(long)]
    no_engine: bool,
    /// Do not screen on smaller maps first
    #[arg(long)]
    no_coarse: bool,
    /// Threads of libtorch, and losses that are screened at a time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Deserialize)]
struct Stage {
    seconds: f64,
    losses: usize,
}

impl Stage {
    /// Seconds of a loss.
    fn each(&self) -> f64 {
        self.seconds / self.losses.max(1) as f64
    }
}

#[derive(Deserialize)]
struct Difference {
    loss: String,
    fused: String,
    libtorch: String,
}

#[derive(Deserialize)]
struct Report {
    stages: BTreeMap<String, Stage>,
    ends: BTreeMap<String, usize>,
    same_function: usize,
    /// Null where Linux does not say.
    mebibytes: Option<f64>,
    steps: usize,
    whole: Stage,
    early_errors: usize,
    early_lost: usize,
    compared: usize,
    libtorch_seconds: f64,
    same_key: usize,
    same_verdict: usize,
    differences: Vec<Difference>,
}

/// Measures and prints.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let program = build(root, "screening")?;
    let mut command = Command::new(&program.path);
    command.arg("--plugin").arg(&program.plugin);
    for (name, value) in [
        ("--candidates", options.candidates),
        ("--compared", options.compared),
        ("--size", options.size),
        ("--threads", options.threads),
    ] {
        command.args([name, &value.to_string()]);
    }
    command.args(["--seed", &options.seed.to_string()]);
    for (name, wanted) in [
        ("--whole", options.whole),
        ("--no-coarse", options.no_coarse),
    ] {
        if wanted {
            command.arg(name);
        }
    }
    let work = root.join("target/screening.json");
    command.arg("--export").arg(&work);
    let report: Report = measured(&mut command)?;
    print(&report, options.candidates);
    if report.compared > 0 && options.eager > 0 {
        let mut eager = Command::new(crate::python::oracles(root)?);
        eager
            .arg(root.join("python/benchmarks/screening.py"))
            .arg(&work)
            .args(["--threads", &options.threads.to_string()])
            .args(["--most", &options.eager.to_string()]);
        let eager: Stage = measured(&mut eager)?;
        println!(
            "eager PyTorch: {:.3} s a loss in the protocol, {:.1} times as long as ours; all steps of ours: {}",
            eager.each(),
            eager.each() / report.stages["reject"].each(),
            if report.whole.losses > 0 {
                format!("{:.1} times", eager.each() / report.whole.each())
            } else {
                "not measured".to_owned()
            }
        );
    }
    match options.no_engine {
        true => Ok(()),
        false => super::engine(root, &["--sizes", &options.size.to_string()]),
    }
}

fn print(report: &Report, candidates: usize) {
    println!(
        "{:10} {:>8} {:>10} {:>12}",
        "stage", "losses", "seconds", "µs a loss"
    );
    let mut total = 0.0;
    for name in ["generate", "static", "canonical", "probe", "reject"] {
        if let Some(stage) = report.stages.get(name) {
            total += stage.seconds;
            let each = 1e6 * stage.each();
            println!(
                "{name:10} {:>8} {:>10.3} {each:>12.2}",
                stage.losses, stage.seconds
            );
        }
    }
    println!("{:.0} losses a second", candidates as f64 / total);
    for (verdict, count) in &report.ends {
        let share = 100.0 * *count as f64 / candidates.max(1) as f64;
        println!("{verdict:24} {count:>8} {share:>7.2} %");
    }
    println!(
        "of those equivalent by gradient {} have the same norms to four digits",
        report.same_function
    );
    if let Some(stage) = report.stages.get("reject").filter(|stage| stage.losses > 0) {
        println!(
            "{:.0} steps of the protocol a loss",
            report.steps as f64 / stage.losses as f64
        );
        if report.whole.losses > 0 {
            println!(
                "early verdicts: {:.1} times as fast, {} of {} differ, {} passes lost",
                report.whole.seconds / stage.seconds,
                report.early_errors,
                report.whole.losses,
                report.early_lost
            );
        }
    }
    if let Some(mebibytes) = report.mebibytes {
        println!("{mebibytes:.0} MiB at most, all threads together");
    }
    if report.compared > 0 {
        println!(
            "libtorch: {:.3} s a loss in the protocol; of {} losses {} have the same verdict and {} the \
             same gradient key",
            report.libtorch_seconds / report.compared as f64,
            report.compared,
            report.same_verdict,
            report.same_key
        );
    }
    for difference in &report.differences {
        println!(
            "{}: {}, libtorch {}",
            difference.loss, difference.fused, difference.libtorch
        );
    }
}
