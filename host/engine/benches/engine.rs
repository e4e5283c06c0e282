//! Nanoseconds of the engine for each element and step.
#![allow(missing_docs, reason = "a program, not a library")]
use autoloss_engine::{Activation, Input, Machine, Problem, Shape, levels};
use autoloss_graph::{Limits, LossGraph, Signature};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let graphs = [
        (
            "reference",
            "add(tanh(neg(mul(y, log(yhat)))), square(neg(mul(y, log(yhat)))))",
        ),
        ("ce", "neg(mul(y, log(yhat)))"),
        ("mean", "mul(mean_nhw(mul(y, yhat)), tanh(log(yhat)))"),
        ("pool", "mul(max_pool3x3(yhat), neg(y))"),
        (
            "pools",
            "square(add(max_pool3x3(yhat), neg(min_pool3x3(mul(yhat, y)))))",
        ),
    ];
    for size in [16usize, 32, 128] {
        let shape = Shape {
            samples: 5,
            channels: 21,
            height: size,
            width: size,
        };
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let raw: Vec<f32> = (0..shape.len()).map(|_| next()).collect();
        let n = shape.positions();
        let mut y = vec![0.0; shape.len()];
        for s in 0..5 {
            for p in 0..n {
                y[(s * 21 + (p / 37 + s) % 21) * n + p] = 1.0;
            }
        }
        let problem = Problem::new(
            shape,
            Activation::Softmax,
            &[Input::Prediction, Input::Fixed(y)],
            &raw,
            None,
        )?;
        for (name, text) in graphs {
            let only = std::env::args().nth(1).filter(|a| !a.starts_with("--"));
            if only.is_some_and(|only| only != format!("{name}{size}")) {
                continue;
            }
            let graph = LossGraph::parse(text, &Signature::dense(), &Limits::default())?;
            let program = problem.compile(&graph);
            print!(
                "{size:4} {name:10} {:2} instructions:",
                program.instructions()
            );
            for level in levels().into_iter().take(2) {
                let mut machine = Machine::new(level);
                let steps = (2_000_000 / shape.len()).clamp(2, 50);
                let mut best = f64::INFINITY;
                for _ in 0..40 {
                    machine.reset(&problem);
                    let started = Instant::now();
                    let _ = machine.descend(&problem, &program, steps, 0.1);
                    best = best.min(started.elapsed().as_secs_f64());
                }
                print!(" {:.3}", best * 1e9 / (steps * shape.len()) as f64);
            }
            println!();
        }
    }
    Ok(())
}
