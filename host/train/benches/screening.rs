//! Random losses through every screen, stage by stage, and the verdicts of the fused engine beside those
//! of libtorch.
//!
//! `cargo xtask bench screening` runs it. Prints one JSON object.

#![allow(missing_docs, reason = "a program, not a library")]

use autoloss_graph::{GenerateConfig, Limits, LossGraph, Signature, random_graph, static_check};
use autoloss_search::{
    EquivalenceConfig, GradientKey, Probe, Rejection, Screener, ScreeningConfig, ScreeningEngine,
};
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, TaskScreener, Workbench, runtime};
use clap::Parser;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

#[derive(Parser)]
struct Options {
    /// Plugin library
    #[arg(long)]
    plugin: PathBuf,
    /// Random losses that are drawn
    #[arg(long, default_value_t = 20_000)]
    candidates: usize,
    /// Of those that reach the loss-rejection protocol, so many are judged by libtorch too
    #[arg(long, default_value_t = 200)]
    compared: usize,
    /// Rows and columns of the screened maps
    #[arg(long, default_value_t = 16)]
    size: usize,
    /// Steps of the loss-rejection protocol
    #[arg(long, default_value_t = 500)]
    steps: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes the course of every loss-rejection protocol to this file, one JSON object a line
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Steps between the points of a course
    #[arg(long, default_value_t = 10)]
    every: usize,
    /// Writes the shape of the predictions and the first losses that reach the protocol, as many as are
    /// compared, to this file, as JSON
    #[arg(long)]
    export: Option<PathBuf>,
    /// Also run the whole protocol for every loss, to see what early verdicts change
    #[arg(long)]
    whole: bool,
    /// Threads of libtorch
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What `cargo bench` passes to every program
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds and losses of a stage.
#[derive(Default, Serialize)]
struct Stage {
    seconds: f64,
    losses: usize,
}

impl Stage {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.seconds += started.elapsed().as_secs_f64();
        self.losses += 1;
        done
    }
}

#[derive(Serialize)]
struct Difference {
    loss: String,
    fused: String,
    libtorch: String,
}

#[derive(Default, Serialize)]
struct Report {
    stages: BTreeMap<&'static str, Stage>,
    /// How losses ended, by verdict.
    ends: BTreeMap<&'static str, usize>,
    /// Steps of all protocol runs.
    steps: usize,
    /// Of those run to the end as well, so many had another verdict, and of these so many pass.
    whole: Stage,
    early_errors: usize,
    early_lost: usize,
    compared: usize,
    fused_seconds: f64,
    libtorch_seconds: f64,
    same_key: usize,
    same_verdict: usize,
    differences: Vec<Difference>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    runtime::keep_freed_memory();
    runtime::set_threads(options.threads);
    let registry = Registry::load(std::slice::from_ref(&options.plugin))?;
    let stop = Arc::new(AtomicBool::new(false));
    let device = runtime::device("cpu")?;
    let limits = Limits::default();
    let workbench = Workbench::open(registry, &Choice::default(), device, limits, stop)?;
    let config = |engine| ScreeningConfig {
        engine,
        size: options.size,
        steps: options.steps,
        ..ScreeningConfig::default()
    };
    let fused = config(ScreeningEngine::Fused);
    let whole = ScreeningConfig {
        early: false,
        ..fused
    };
    let mut bench = Bench {
        signature: workbench.spec()?.branches[0].signature.clone(),
        fused: workbench.screener(&fused, options.seed)?,
        whole: options
            .whole
            .then(|| workbench.screener(&whole, options.seed))
            .transpose()?,
        libtorch: workbench.screener(&config(ScreeningEngine::Libtorch), options.seed)?,
        config: fused,
        forms: HashSet::new(),
        keys: HashSet::new(),
        report: Report::default(),
        reached: Vec::new(),
        every: options.every,
        trace: options.trace.as_ref().map(File::create).transpose()?,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    for _ in 0..options.candidates {
        bench.screen(&mut rng, &limits, options.compared)?;
    }
    if let Some(path) = &options.export {
        let work = serde_json::json!({
            "shape": bench.fused.shape(0),
            "steps": options.steps,
            "losses": bench.reached,
        });
        std::fs::write(path, work.to_string())?;
    }
    println!("{}", serde_json::to_string_pretty(&bench.report)?);
    Ok(())
}

struct Bench {
    signature: Signature,
    fused: TaskScreener,
    whole: Option<TaskScreener>,
    libtorch: TaskScreener,
    config: ScreeningConfig,
    forms: HashSet<u64>,
    keys: HashSet<GradientKey>,
    report: Report,
    /// Losses that reached the protocol, as many as are compared.
    reached: Vec<String>,
    every: usize,
    trace: Option<File>,
}

impl Bench {
    fn stage(&mut self, name: &'static str) -> &mut Stage {
        self.report.stages.entry(name).or_default()
    }

    fn end(&mut self, verdict: &'static str) {
        *self.report.ends.entry(verdict).or_default() += 1;
    }

    fn screen(
        &mut self,
        rng: &mut ChaCha8Rng,
        limits: &Limits,
        compared: usize,
    ) -> Result<(), Box<dyn Error>> {
        let signature = self.signature.clone();
        let generate = GenerateConfig::default();
        let graph = self
            .stage("generate")
            .measure(|| random_graph(rng, &signature, &generate, limits));
        let checked = self
            .stage("static")
            .measure(|| static_check(&graph, &signature));
        if checked.is_err() {
            self.end("static");
            return Ok(());
        }
        let form = self
            .stage("canonical")
            .measure(|| graph.canonical(&signature).structural_hash());
        if !self.forms.insert(form) {
            self.end("duplicate");
            return Ok(());
        }
        let started = Instant::now();
        let probe = self.fused.probe(0, &graph)?;
        let stage = self.stage("probe");
        stage.seconds += started.elapsed().as_secs_f64();
        stage.losses += 1;
        if !probe.is_finite() {
            self.end("non_finite");
        } else if probe.is_zero() {
            self.end("zero_gradient");
        } else if !key(&probe).is_some_and(|key| self.keys.insert(key)) {
            self.end("equivalent");
        } else {
            self.protocol(&graph, &probe, compared)?;
        }
        Ok(())
    }

    fn protocol(
        &mut self,
        graph: &LossGraph,
        probe: &Probe,
        compared: usize,
    ) -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        let rejection = self.fused.reject(0, graph)?;
        let seconds = started.elapsed().as_secs_f64();
        let stage = self.stage("reject");
        stage.seconds += seconds;
        stage.losses += 1;
        let verdict = self.verdict(&rejection);
        self.end(verdict);
        if let Rejection::Finished { steps, .. } = rejection {
            self.report.steps += steps;
        }
        if let Some(whole) = &mut self.whole {
            let started = Instant::now();
            let end = whole.reject(0, graph)?;
            self.report.whole.seconds += started.elapsed().as_secs_f64();
            self.report.whole.losses += 1;
            let end = self.verdict(&end);
            self.report.early_errors += usize::from(end != verdict);
            self.report.early_lost += usize::from(end == "passed" && verdict != "passed");
            if end != verdict {
                eprintln!("{verdict} early, {end}: {}", graph.display(&self.signature));
            }
        }
        if let Some(file) = &mut self.trace {
            let (_, course) = self.fused.trace(0, graph, self.every)?;
            let line = serde_json::json!({
                "loss": graph.display(&self.signature).to_string(),
                "verdict": verdict,
                "seconds": seconds,
                "alignments": probe.alignments,
                "norms": probe.norms,
                "course": course.points.iter().map(|point| point.1).collect::<Vec<_>>(),
            });
            writeln!(file, "{line}")?;
        }
        if self.report.compared >= compared {
            return Ok(());
        }
        self.reached
            .push(graph.display(&self.signature).to_string());
        let started = Instant::now();
        let other = self.libtorch.reject(0, graph)?;
        self.report.libtorch_seconds += started.elapsed().as_secs_f64();
        self.report.fused_seconds += seconds;
        self.report.compared += 1;
        let theirs = self.libtorch.probe(0, graph)?;
        self.report.same_key += usize::from(key(probe) == key(&theirs));
        if self.verdict(&other) == verdict {
            self.report.same_verdict += 1;
        } else {
            self.report.differences.push(Difference {
                loss: graph.display(&self.signature).to_string(),
                fused: format!("{rejection:?}"),
                libtorch: format!("{other:?}"),
            });
        }
        Ok(())
    }

    fn verdict(&self, rejection: &Rejection) -> &'static str {
        match rejection {
            Rejection::NonFinite { .. } => "non_finite_in_protocol",
            Rejection::Finished { gain, .. } if self.config.accepts(*gain) => "passed",
            Rejection::Finished { .. } => "rejected",
        }
    }
}

fn key(probe: &Probe) -> Option<GradientKey> {
    GradientKey::new(probe, EquivalenceConfig::default().digits)
}
