//! Memory for programs, and what is asked of them.

use crate::descent::Adam;
use crate::level::Level;
use crate::problem::Problem;
use crate::program::Program;
use crate::run::{Memory, Run, Sample, activate};
use crate::tile::{TILE, untiled};
use fearless_simd::dispatch;
use std::ops::ControlFlow;

/// Value and gradient of a loss at the first predictions; an entry for each sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradient {
    /// The loss.
    pub losses: Vec<f64>,
    /// ‖∂L/∂x‖₂, with respect to the raw prediction.
    pub norms: Vec<f64>,
    /// ⟨∂L/∂x, ŷ − y⟩.
    pub alignments: Vec<f64>,
    /// Largest norm of the terms that a gradient sums; a norm far below it is rounding.
    pub term_norm: f64,
}

/// Memory and registers for one thread. It grows to the largest program it has run and is then reused.
#[derive(Debug)]
pub struct Machine {
    level: Level,
    memory: Memory,
    steps: usize,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new(Level::new())
    }
}

impl Machine {
    /// A machine that uses the instructions of a level.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self {
            level,
            memory: Memory::default(),
            steps: 0,
        }
    }

    /// Goes back to the first predictions of a problem.
    pub fn reset(&mut self, problem: &Problem) {
        self.steps = 0;
        self.memory
            .samples
            .resize_with(problem.shape.samples, Sample::default);
        for (sample, raw) in self.memory.samples.iter_mut().zip(&problem.raw) {
            sample.x.clone_from(raw);
            for average in [&mut sample.first, &mut sample.second] {
                average.clear();
                average.resize(raw.len(), 0.0);
            }
        }
    }

    /// Steps made since the last reset.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// A part of the predictions ŷ as they are, (N, C, H, W), into `out`; most problems have part 0 alone.
    pub fn predictions(&mut self, problem: &Problem, part: u8, out: &mut Vec<f32>) {
        out.clear();
        for number in 0..self.memory.samples.len() {
            self.add_predictions(problem, part, number, out);
        }
    }

    /// The same of one sample alone, (1, C, H, W), behind what is in `out`.
    ///
    /// # Panics
    /// For a sample that the problem does not have.
    pub fn add_predictions(
        &mut self,
        problem: &Problem,
        part: u8,
        number: usize,
        out: &mut Vec<f32>,
    ) {
        let sizes = problem.sizes();
        let mut tile = vec![0.0; sizes.channels * TILE];
        let mut field = Vec::new();
        let raw = self.memory.samples[number]
            .x
            .chunks_exact(problem.raw_rows() * TILE);
        for (at, x) in raw.enumerate() {
            let place = (number, at);
            dispatch!(self.level, simd => activate(simd, problem, place, part, x, &mut tile));
            field.extend_from_slice(&tile);
        }
        untiled(&field, sizes.channels, sizes.positions, out);
    }

    /// Whether every raw prediction is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let finite = |sample: &Sample| sample.x.iter().all(|x| x.is_finite());
        self.memory.samples.iter().all(finite)
    }

    /// Value and gradient at the predictions as they are.
    pub fn gradient(&mut self, problem: &Problem, program: &Program) -> Gradient {
        self.memory.load(program);
        let mut found = Gradient::default();
        for number in 0..problem.shape.samples {
            self.memory.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            let measured = dispatch!(self.level, simd => run.measure(simd, &mut self.memory));
            found.losses.push(measured.loss * program.weight);
            found.norms.push(measured.square.sqrt());
            found.alignments.push(measured.alignment);
            found.term_norm = found.term_norm.max(measured.terms.sqrt());
        }
        found
    }

    /// ∂L/∂x at the predictions as they are, in the shape of the raw ones, into `out`; zeros where the loss
    /// does not depend on them.
    pub fn raw_gradient(&mut self, problem: &Problem, program: &Program, out: &mut Vec<f32>) {
        out.clear();
        self.memory.load(program);
        let (sizes, rows) = (problem.sizes(), problem.raw_rows());
        let mut field = vec![0.0; sizes.tiles() * rows * TILE];
        for number in 0..problem.shape.samples {
            self.memory.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            dispatch!(self.level, simd => run.write_gradient(simd, &mut self.memory, &mut field));
            untiled(&field, rows, sizes.positions, out);
        }
    }

    /// Moves the predictions by `count` steps of Adam. The step, from 0, at which loss or gradient stopped
    /// being finite, if one did; the loss itself is looked at in the last of the steps.
    pub fn descend(
        &mut self,
        problem: &Problem,
        program: &Program,
        count: usize,
        learning_rate: f64,
    ) -> ControlFlow<usize> {
        let steps: Vec<Adam> = (1..=count)
            .map(|step| Adam::at(learning_rate, self.steps + step))
            .collect();
        self.memory.load(program);
        let mut limit = count;
        for number in 0..problem.shape.samples {
            self.memory.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            let sound =
                dispatch!(self.level, simd => run.descend(simd, &mut self.memory, &steps[..limit]));
            limit = limit.min(sound);
        }
        let ended = self.steps + limit;
        self.steps += count;
        if limit < count {
            ControlFlow::Break(ended)
        } else {
            ControlFlow::Continue(())
        }
    }
}
