//! Nanoseconds of the engine for each element and step, on every level of instructions.
//!
//! `cargo xtask bench engine` runs it. Beside known graphs it takes random ones as screening meets them,
//! by what they need: *local* ones run all steps of a tile at once, others wait for sums over the whole
//! map, or for pools. The tanh of rten-vecmath, measured alongside, tells how fast the machine is.

#![allow(missing_docs, reason = "a program, not a library")]

use autoloss_engine::{Activation, Input, Level, Machine, Problem, Program, Shape, levels};
use autoloss_graph::{GenerateConfig, Limits, LossGraph, Signature, random_graph, static_check};
use clap::Parser;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rten_simd::SimdUnaryOp;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::sync::Barrier;
use std::time::Instant;

const GRAPHS: [(&str, &str); 5] = [
    (
        "reference",
        "add(tanh(neg(mul(y, log(yhat)))), square(neg(mul(y, log(yhat)))))",
    ),
    ("cross entropy", "neg(mul(y, log(yhat)))"),
    ("sum", "mul(mean_nhw(mul(y, yhat)), tanh(log(yhat)))"),
    ("pool", "mul(max_pool3x3(yhat), neg(y))"),
    (
        "two pools",
        "square(add(max_pool3x3(yhat), neg(min_pool3x3(mul(yhat, y)))))",
    ),
];

const SAMPLES: usize = 5;
const CHANNELS: usize = 21;

#[derive(Parser)]
struct Options {
    /// Rows and columns of the maps
    #[arg(long, num_args = 1.., default_values_t = [16, 32, 128])]
    sizes: Vec<usize>,
    /// Only the graph of this name
    #[arg(long)]
    only: Option<String>,
    /// Random graphs, at the first of the sizes
    #[arg(long, default_value_t = 300)]
    random: usize,
    /// Levels of instructions, the best first
    #[arg(long, default_value_t = 2)]
    levels: usize,
    /// What `cargo bench` passes to every program
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let levels: Vec<Level> = levels().into_iter().take(options.levels).collect();
    println!("ns an element and step: {levels:?}");
    println!(
        "{:3} {:24} {}",
        "",
        "tanh of rten-vecmath",
        nanoseconds(known_tanh())
    );
    for &size in &options.sizes {
        let problem = problem(size)?;
        for (name, text) in GRAPHS {
            if options.only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let graph = LossGraph::parse(text, &Signature::dense(), &Limits::default())?;
            let program = problem.compile(&graph);
            let found = levels.iter().map(|&level| {
                let mut timer = Timer::new(level, &problem);
                nanoseconds(timer.step(&program, (4000 / (size * size)).clamp(4, 30)))
            });
            let found: Vec<String> = found.collect();
            println!("{size:3} {name:24} {}", found.join(" "));
        }
    }
    if options.only.is_none() {
        let problem = problem(options.sizes[0])?;
        random(&problem, &levels, options.random);
        println!(
            "two threads: {:.2} times one",
            two_threads(&problem, levels[0])?
        );
    }
    Ok(())
}

fn nanoseconds(value: f64) -> String {
    format!("{value:6.3}")
}

fn problem(size: usize) -> Result<Problem, Box<dyn Error>> {
    let shape = Shape {
        samples: SAMPLES,
        channels: CHANNELS,
        height: size,
        width: size,
    };
    let mut seed = 1u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let raw: Vec<f32> = (0..shape.len()).map(|_| next()).collect();
    let positions = shape.positions();
    let mut y = vec![0.0; shape.len()];
    for sample in 0..SAMPLES {
        for at in 0..positions {
            // Squares of a quarter of the side.
            let square = (at / size) * 4 / size * 4 + (at % size) * 4 / size;
            let class = (square * 5 + sample) % CHANNELS;
            y[(sample * CHANNELS + class) * positions + at] = 1.0;
        }
    }
    let inputs = [Input::Prediction, Input::Fixed(y)];
    Ok(Problem::new(
        shape,
        Activation::Softmax,
        &inputs,
        &raw,
        None,
    )?)
}

/// Runs programs on one problem.
struct Timer<'a> {
    machine: Machine,
    problem: &'a Problem,
    steps: usize,
}

impl<'a> Timer<'a> {
    fn new(level: Level, problem: &'a Problem) -> Self {
        Self {
            machine: Machine::new(level),
            problem,
            steps: 50,
        }
    }

    /// Seconds of the steps.
    fn run(&mut self, program: &Program) -> f64 {
        self.machine.reset(self.problem);
        let started = Instant::now();
        let _ = self.machine.descend(self.problem, program, self.steps, 0.1);
        started.elapsed().as_secs_f64()
    }

    /// The least of several runs.
    fn step(&mut self, program: &Program, runs: usize) -> f64 {
        let run = |_| self.run(program);
        let least = (0..runs).map(run).fold(f64::INFINITY, f64::min);
        least * 1e9 / (self.steps * self.problem.shape().len()) as f64
    }
}

/// Random graphs that reach the loss-rejection protocol.
fn random(problem: &Problem, levels: &[Level], count: usize) {
    let (signature, limits) = (Signature::dense(), Limits::default());
    let config = GenerateConfig::default();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut timers: Vec<Timer> = levels
        .iter()
        .map(|&level| Timer::new(level, problem))
        .collect();
    let mut known = HashSet::new();
    let mut classes: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
    while known.len() < count {
        let graph = random_graph(&mut rng, &signature, &config, &limits);
        let form = graph.training_form(&signature).structural_hash();
        if static_check(&graph, &signature).is_err() || known.contains(&form) {
            continue;
        }
        let program = problem.compile(&graph);
        let machine = &mut timers[0].machine;
        machine.reset(problem);
        let found = machine.gradient(problem, &program);
        let trains = |norm: &f64| norm.is_finite() && *norm > 1e-5 * found.term_norm;
        if !found.norms.iter().all(trains) || machine.descend(problem, &program, 50, 0.1).is_break()
        {
            continue;
        }
        known.insert(form);
        let class = match (program.is_local(), program.pools()) {
            (true, _) => "local",
            (false, 0) => "with sums",
            (false, _) => "with pools",
        };
        let taken = timers
            .iter_mut()
            .map(|timer| timer.step(&program, 5))
            .collect();
        classes.entry(class).or_default().push(taken);
    }
    for (class, taken) in classes {
        let mean = |level: usize| {
            let sum: f64 = taken.iter().map(|taken| taken[level]).sum();
            nanoseconds(sum / taken.len() as f64)
        };
        let means: Vec<String> = (0..levels.len()).map(mean).collect();
        let name = format!("{} random, {class}", taken.len());
        println!("{:3} {name:24} {}", problem.shape().height, means.join(" "));
    }
}

/// What two threads do in the time in which one does 1.
fn two_threads(problem: &Problem, level: Level) -> Result<f64, Box<dyn Error>> {
    let graph = LossGraph::parse(GRAPHS[0].1, &Signature::dense(), &Limits::default())?;
    let program = problem.compile(&graph);
    let seconds = |threads: usize| {
        let barrier = Barrier::new(threads);
        let work = || {
            let mut timer = Timer::new(level, problem);
            timer.run(&program);
            barrier.wait();
            let started = Instant::now();
            for _ in 0..200 {
                timer.run(&program);
            }
            started.elapsed().as_secs_f64()
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ended = running
                .into_iter()
                .map(|thread| thread.join().unwrap_or(f64::NAN));
            ended.fold(0.0, f64::max)
        })
    };
    let ratio = |_| 2.0 * seconds(1) / seconds(2);
    Ok((0..5).map(ratio).fold(0.0, f64::max))
}

/// The tanh of another crate, for each value.
fn known_tanh() -> f64 {
    let mut values: Vec<f32> = (0..CHANNELS * 64).map(|i| i as f32 / 1344.0).collect();
    let mut run = || {
        let started = Instant::now();
        for _ in 0..2000 {
            rten_vecmath::Tanh {}.map_mut(std::hint::black_box(&mut values));
        }
        started.elapsed().as_secs_f64() * 1e9 / (2000 * values.len()) as f64
    };
    (0..20).map(|_| run()).fold(f64::INFINITY, f64::min)
}
