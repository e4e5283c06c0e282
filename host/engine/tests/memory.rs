//! What screening on large maps takes: machine and predictions of one thread, whatever graphs it meets.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_engine::{Activation, Input, Machine, Problem, Shape};
use autoloss_graph::{GenerateConfig, Limits, Signature, random_graph, static_check};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Five maps of 128×128 with 21 classes.
const SHAPE: Shape = Shape {
    samples: 5,
    channels: 21,
    height: 128,
    width: 128,
};
const GRAPHS: usize = 40;
/// Of the 64 MiB that a thread may take; the metric takes the rest.
const MOST: usize = 48 << 20;

#[test]
fn a_thread_takes_less_than_48_mebibytes() {
    let raw: Vec<f32> = (0..SHAPE.len()).map(|at| (at as f32).sin()).collect();
    let y: Vec<f32> = (0..SHAPE.len()).map(|at| (at % 2) as f32).collect();
    let inputs = [Input::Prediction, Input::Fixed(y)];
    let problem = Problem::new(SHAPE, Activation::Softmax, &inputs, &raw, None).unwrap();
    drop((raw, inputs));
    let profiler = dhat::Profiler::builder().testing().build();
    let mut machine = Machine::default();
    let mut predictions = Vec::new();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let config = GenerateConfig { depth: 5 };
    let mut pools = 0;
    let mut left = GRAPHS;
    while left > 0 {
        let signature = Signature::dense();
        let graph = random_graph(&mut rng, &signature, &config, &Limits::default());
        if static_check(&graph, &signature).is_err() {
            continue;
        }
        left -= 1;
        let program = problem.compile(&graph);
        pools = pools.max(program.pools());
        machine.reset(&problem);
        let _ = machine.gradient(&problem, &program);
        let _ = machine.descend(&problem, &program, 1, 0.1);
        machine.predictions(&problem, 0, &mut predictions);
    }
    assert!(pools >= 4, "the graphs are too easy: {pools} pools");
    let most = dhat::HeapStats::get().max_bytes;
    println!("{:.1} MiB", most as f64 / f64::from(1 << 20));
    dhat::assert!(most <= MOST, "{most} bytes");
    drop(profiler);
}
