//! Random losses through every screen, stage by stage, and the verdicts of the fused engine beside those
//! of libtorch.
//!
//! `cargo xtask bench screening` runs it. Prints one JSON object.

#![allow(missing_docs, reason = "a program, not a library")]

use autoloss_graph::{GenerateConfig, Limits, LossGraph, Signature, random_graph, static_check};
use autoloss_search::{
    EquivalenceConfig, Gain, GradientKey, Probe, Screener, ScreeningConfig, ScreeningEngine, Work,
};
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, TaskScreener, Workbench, runtime};
use clap::Parser;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Losses that are drawn together.
const BLOCK: usize = 20_000;

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
    /// Fingerprints as AutoLoss-Zero has them
    #[arg(long)]
    paper: bool,
    /// Do not screen on smaller maps first
    #[arg(long)]
    no_coarse: bool,
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
    /// Writes the losses that are equivalent by gradient, each with the first of its kind, to this file
    #[arg(long)]
    equivalents: Option<PathBuf>,
    /// Also run the whole protocol for every loss, to see what early verdicts change
    #[arg(long)]
    whole: bool,
    /// Threads of libtorch, and losses that are screened at a time
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
    fn measure<T>(&mut self, losses: usize, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.add(losses, started);
        done
    }

    fn add(&mut self, losses: usize, started: Instant) {
        self.seconds += started.elapsed().as_secs_f64();
        self.losses += losses;
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
    /// Of those equivalent by gradient, so many have the same norms to four digits.
    same_function: usize,
    /// Memory that screening took at most, beside what was there when it began, all threads together.
    mebibytes: f64,
    /// Steps of all protocol runs.
    steps: usize,
    /// Of those run to the end as well, so many had another verdict, and of these so many pass.
    whole: Stage,
    early_errors: usize,
    early_lost: usize,
    compared: usize,
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
        coarse: !options.no_coarse,
        steps: options.steps,
        ..ScreeningConfig::default()
    };
    let fused = config(ScreeningEngine::Fused);
    let sketched = match options.paper {
        true => 0,
        false => EquivalenceConfig::default().sketched(),
    };
    let whole = ScreeningConfig {
        early: false,
        ..fused.clone()
    };
    let mut bench = Bench {
        signature: workbench.spec()?.branches[0].signature.clone(),
        fused: workbench.screener(&fused, sketched, options.seed)?,
        whole: options
            .whole
            .then(|| workbench.screener(&whole, sketched, options.seed))
            .transpose()?,
        libtorch: workbench.screener(&config(ScreeningEngine::Libtorch), sketched, options.seed)?,
        config: fused,
        forms: HashSet::new(),
        keys: HashMap::new(),
        equivalents: options.equivalents.as_ref().map(File::create).transpose()?,
        report: Report::default(),
        reached: Vec::new(),
        every: options.every,
        trace: options.trace.as_ref().map(File::create).transpose()?,
    };
    let before = memory("VmRSS");
    // The peak begins anew; where the system refuses, it is that of the whole program.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut left = options.candidates;
    while left > 0 {
        let count = left.min(BLOCK);
        bench.block(&mut rng, &limits, count, options.compared)?;
        left -= count;
    }
    if let Some(path) = &options.export {
        let work = serde_json::json!({
            "shape": bench.fused.shape(0),
            "steps": options.steps,
            "losses": bench.reached,
        });
        std::fs::write(path, work.to_string())?;
    }
    bench.report.mebibytes = memory("VmHWM") - before;
    println!("{}", serde_json::to_string_pretty(&bench.report)?);
    Ok(())
}

/// Mebibytes of this process, by the name that Linux gives them.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) / 1024.0
}

struct Bench {
    signature: Signature,
    fused: TaskScreener,
    whole: Option<TaskScreener>,
    libtorch: TaskScreener,
    config: ScreeningConfig,
    forms: HashSet<u64>,
    /// The first loss of each key, and its norms.
    keys: HashMap<GradientKey, (LossGraph, Vec<f64>)>,
    equivalents: Option<File>,
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

    fn end(&mut self, verdict: &'static str, count: usize) {
        *self.report.ends.entry(verdict).or_default() += count;
    }

    /// So many random losses, a stage at a time.
    fn block(
        &mut self,
        rng: &mut ChaCha8Rng,
        limits: &Limits,
        count: usize,
        compared: usize,
    ) -> Result<(), Box<dyn Error>> {
        let signature = self.signature.clone();
        let config = GenerateConfig::default();
        let graphs: Vec<LossGraph> = self.stage("generate").measure(count, || {
            let draw = |_| random_graph(rng, &signature, &config, limits);
            (0..count).map(draw).collect()
        });
        let sound: Vec<LossGraph> = self.stage("static").measure(count, || {
            let sound = |graph: &LossGraph| static_check(graph, &signature).is_ok();
            graphs.into_iter().filter(sound).collect()
        });
        self.end("static", count - sound.len());
        let (all, mut forms) = (sound.len(), std::mem::take(&mut self.forms));
        let new: Vec<Work> = self.stage("canonical").measure(all, || {
            let form = |graph: &LossGraph| graph.training_form(&signature).structural_hash();
            let new = sound.into_iter().filter(|graph| forms.insert(form(graph)));
            new.map(|graph| Work { branch: 0, graph }).collect()
        });
        self.forms = forms;
        self.end("duplicate", all - new.len());
        let started = Instant::now();
        let probes = self.fused.probe_all(&new)?;
        self.stage("probe").add(new.len(), started);
        let mut work = Vec::new();
        for (new, probe) in new.into_iter().zip(probes) {
            let probe = probe.answer;
            if !probe.is_finite() {
                self.end("non_finite", 1);
            } else if probe.is_zero() {
                self.end("zero_gradient", 1);
            } else if self.is_equivalent(&new.graph, &probe)? {
                self.end("equivalent", 1);
            } else {
                work.push((new, probe));
            }
        }
        self.protocol(&work, compared)
    }

    fn is_equivalent(&mut self, graph: &LossGraph, probe: &Probe) -> Result<bool, Box<dyn Error>> {
        let Some(key) = key(probe) else {
            return Ok(false);
        };
        let Some((first, norms)) = self.keys.get(&key) else {
            let first = (graph.clone(), probe.norms.clone());
            self.keys.insert(key, first);
            return Ok(false);
        };
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-4 * b.abs();
        let same = probe.norms.iter().zip(norms).all(close);
        self.report.same_function += usize::from(same);
        if let Some(file) = &mut self.equivalents {
            let kind = if same { "same" } else { "close" };
            let (own, first) = (
                graph.display(&self.signature),
                first.display(&self.signature),
            );
            writeln!(file, "{kind}: {own}   {first}")?;
        }
        Ok(true)
    }

    fn protocol(&mut self, work: &[(Work, Probe)], compared: usize) -> Result<(), Box<dyn Error>> {
        let all: Vec<Work> = work.iter().map(|(work, _)| work.clone()).collect();
        let started = Instant::now();
        let answers = self.fused.reject_all(&all)?;
        self.stage("reject").add(all.len(), started);
        if let Some(whole) = &mut self.whole {
            let started = Instant::now();
            let ends = whole.reject_all(&all)?;
            self.report.whole.add(all.len(), started);
            for ((answer, end), work) in answers.iter().zip(ends).zip(&all) {
                self.compare_with_end(&answer.answer, &end.answer, &work.graph);
            }
        }
        for (answer, (work, probe)) in answers.iter().zip(work) {
            let verdict = self.verdict(&answer.answer);
            self.end(verdict, 1);
            if answer.answer.gain.is_finite() {
                self.report.steps += answer.answer.steps;
            }
            self.write_course(&work.graph, probe, verdict)?;
            if self.report.compared < compared {
                self.compare_with_libtorch(&work.graph, probe, &answer.answer)?;
            }
        }
        Ok(())
    }

    fn compare_with_end(&mut self, early: &Gain, end: &Gain, graph: &LossGraph) {
        let (early, end) = (self.verdict(early), self.verdict(end));
        if early != end {
            self.report.early_errors += 1;
            self.report.early_lost += usize::from(end == "passed");
            eprintln!("{early} early, {end}: {}", graph.display(&self.signature));
        }
    }

    fn write_course(
        &mut self,
        graph: &LossGraph,
        probe: &Probe,
        verdict: &str,
    ) -> Result<(), Box<dyn Error>> {
        let Some(file) = &mut self.trace else {
            return Ok(());
        };
        let (_, course) = self.fused.trace(0, graph, self.every)?;
        let line = serde_json::json!({
            "loss": graph.display(&self.signature).to_string(),
            "verdict": verdict,
            "alignments": probe.alignments,
            "course": course.points.iter().map(|point| point.1).collect::<Vec<_>>(),
        });
        writeln!(file, "{line}")?;
        Ok(())
    }

    /// One after the other: libtorch takes all cores for one loss.
    fn compare_with_libtorch(
        &mut self,
        graph: &LossGraph,
        probe: &Probe,
        ours: &Gain,
    ) -> Result<(), Box<dyn Error>> {
        let text = graph.display(&self.signature).to_string();
        let started = Instant::now();
        let theirs = self.libtorch.reject(0, graph)?;
        self.report.libtorch_seconds += started.elapsed().as_secs_f64();
        self.report.compared += 1;
        let their_key = key(&self.libtorch.probe(0, graph)?);
        self.report.same_key += usize::from(key(probe) == their_key);
        if self.verdict(&theirs) == self.verdict(ours) {
            self.report.same_verdict += 1;
        } else {
            self.report.differences.push(Difference {
                loss: text.clone(),
                fused: format!("{ours:?}"),
                libtorch: format!("{theirs:?}"),
            });
        }
        self.reached.push(text);
        Ok(())
    }

    fn verdict(&self, found: &Gain) -> &'static str {
        match found.gain {
            gain if !gain.is_finite() => "non_finite_in_protocol",
            gain if self.config.accepts(gain) => "passed",
            _ => "rejected",
        }
    }
}

fn key(probe: &Probe) -> Option<GradientKey> {
    GradientKey::new(probe, &EquivalenceConfig::default(), true)
}
