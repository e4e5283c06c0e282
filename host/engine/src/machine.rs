//! Runs programs: memory, the order of instructions, and what is read off in the end.

use crate::kernels::{self, Adam, LANES, Rows, State};
use crate::level::Level;
use crate::lower::Sizes;
use crate::pool::{Field, Scratch};
use crate::problem::Problem;
use crate::program::{Instruction, Program, View, Work};
use crate::tile::{TILE, untiled};
use fearless_simd::{Simd, dispatch, prelude::*};
use std::ops::ControlFlow;

/// A gradient below this share of the terms it is summed from is rounding (single precision).
const ROUNDING: f64 = 1e-5;

/// Value and gradient of a loss at the first predictions; an entry for each sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradient {
    /// The loss.
    pub losses: Vec<f64>,
    /// ‖∂L/∂x‖₂, with respect to the raw prediction.
    pub norms: Vec<f64>,
    /// ⟨∂L/∂x, ŷ − y⟩.
    pub alignments: Vec<f64>,
    /// A norm at or below this is rounding.
    pub rounding_scale: f64,
}

/// The predictions of one sample while they are optimised.
#[derive(Clone, Debug, Default)]
struct Sample {
    x: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Memory and registers for one thread. It grows to the largest program it has run and is then reused.
#[derive(Debug)]
pub struct Machine {
    level: Level,
    slots: Vec<Vec<f32>>,
    sums: Vec<Vec<[f64; LANES]>>,
    scratch: Scratch,
    samples: Vec<Sample>,
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
            slots: Vec::new(),
            sums: Vec::new(),
            scratch: Scratch::default(),
            samples: Vec::new(),
            steps: 0,
        }
    }

    /// Goes back to the first predictions of a problem.
    pub fn reset(&mut self, problem: &Problem) {
        self.steps = 0;
        self.samples
            .resize_with(problem.shape.samples, Sample::default);
        for (sample, raw) in self.samples.iter_mut().zip(&problem.raw) {
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

    /// The predictions ŷ as they are, (N, C, H, W), into `out`.
    pub fn predictions(&mut self, problem: &Problem, out: &mut Vec<f32>) {
        out.clear();
        let sizes = problem.sizes();
        let mut tile = vec![0.0; sizes.channels * TILE];
        let mut field = Vec::new();
        for (number, sample) in self.samples.iter().enumerate() {
            field.clear();
            for (at, x) in sample.x.chunks_exact(tile.len()).enumerate() {
                let valid = valid_row(problem, number, at);
                dispatch!(self.level, simd => activate(simd, problem, x, &mut tile, valid));
                field.extend_from_slice(&tile);
            }
            untiled(&field, sizes.channels, sizes.positions, out);
        }
    }

    /// Whether every raw prediction is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let finite = |sample: &Sample| sample.x.iter().all(|x| x.is_finite());
        self.samples.iter().all(finite)
    }

    /// Value and gradient at the predictions as they are.
    pub fn gradient(&mut self, problem: &Problem, program: &Program) -> Gradient {
        self.load(program);
        let mut found = Gradient::default();
        let mut terms = 0.0f64;
        for number in 0..problem.shape.samples {
            self.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            let measured = dispatch!(self.level, simd => run.measure(simd, self));
            found.losses.push(measured.loss * program.weight);
            found.norms.push(measured.square.sqrt());
            found.alignments.push(measured.alignment);
            terms = terms.max(measured.terms.sqrt());
        }
        found.rounding_scale = ROUNDING * terms;
        found
    }

    /// ∂L/∂x at the predictions as they are, (N, C, H, W), into `out`; zeros where the loss does not depend
    /// on them.
    pub fn raw_gradient(&mut self, problem: &Problem, program: &Program, out: &mut Vec<f32>) {
        out.clear();
        self.load(program);
        let sizes = problem.sizes();
        let mut field = vec![0.0; sizes.tiles() * sizes.channels * TILE];
        for number in 0..problem.shape.samples {
            self.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            dispatch!(self.level, simd => run.write_gradient(simd, self, &mut field));
            untiled(&field, sizes.channels, sizes.positions, out);
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
        self.load(program);
        let mut limit = count;
        for number in 0..problem.shape.samples {
            self.enter(problem, program, number);
            let run = Run::new(problem, program, number);
            let sound = dispatch!(self.level, simd => run.descend(simd, self, &steps[..limit]));
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

    /// Memory for a program.
    fn load(&mut self, program: &Program) {
        if self.slots.len() < program.slots.len() {
            self.slots.resize_with(program.slots.len(), Vec::new);
        }
        for (slot, &length) in self.slots.iter_mut().zip(&program.slots) {
            slot.resize(length, 0.0);
        }
        for &(slot, value) in &program.constants {
            self.slots[slot].fill(value);
        }
        self.sums
            .resize_with(program.sums.len().max(self.sums.len()), Vec::new);
        for (sums, &rows) in self.sums.iter_mut().zip(&program.sums) {
            sums.clear();
            sums.resize(rows, [0.0; LANES]);
        }
    }

    /// The fixed inputs of a sample.
    fn enter(&mut self, problem: &Problem, program: &Program, number: usize) {
        self.scratch
            .prepare(problem.shape.width, problem.shape.positions());
        for &(input, slot) in &program.inputs {
            if let Some(Some(samples)) = problem.fixed.get(usize::from(input)) {
                self.slots[slot].copy_from_slice(&samples[number]);
            }
        }
    }
}

fn valid_row(problem: &Problem, sample: usize, tile: usize) -> Option<&[f32; TILE]> {
    let valid = problem.valid.as_ref()?;
    valid[sample].get(tile * TILE..)?.first_chunk()
}

#[inline(always)]
fn activate<S: Simd>(
    simd: S,
    problem: &Problem,
    x: &[f32],
    to: &mut [f32],
    valid: Option<&[f32; TILE]>,
) {
    match problem.activation {
        crate::Activation::Softmax => kernels::softmax(simd, x, to, valid),
        crate::Activation::Sigmoid => kernels::sigmoid(simd, x, to, valid),
        crate::Activation::Identity => kernels::copy(simd, x, to, valid),
    }
}

/// Sums of a sample.
#[derive(Copy, Clone, Debug, Default)]
struct Measured {
    loss: f64,
    square: f64,
    alignment: f64,
    /// Σ (∂L/∂ŷ · ŷ)².
    terms: f64,
}

/// One program on one sample.
#[derive(Copy, Clone)]
struct Run<'a> {
    problem: &'a Problem,
    program: &'a Program,
    number: usize,
    sizes: Sizes,
}

impl<'a> Run<'a> {
    fn new(problem: &'a Problem, program: &'a Program, number: usize) -> Self {
        Self {
            problem,
            program,
            number,
            sizes: problem.sizes(),
        }
    }

    #[inline(always)]
    fn field(self, machine: &Machine, view: View) -> Field<'_> {
        Field {
            data: &machine.slots[view.slot],
            tile: view.tile,
            row: view.row,
            rows: if view.row == 0 {
                1
            } else {
                self.sizes.channels
            },
        }
    }

    /// Everything that does not depend on the prediction.
    #[inline(always)]
    fn prepare<S: Simd>(self, simd: S, machine: &mut Machine) {
        let mut loss = 0.0;
        for level in &self.program.fixed {
            for instruction in &level.whole {
                self.whole(simd, machine, instruction, &mut loss);
            }
            for tile in 0..self.sizes.tiles() {
                for instruction in &level.tile {
                    self.tile(simd, machine, instruction, tile, &mut loss);
                }
            }
        }
    }

    /// One evaluation; `end` is given each tile when its gradient is there.
    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        with_value: bool,
        mut end: impl FnMut(&mut Machine, usize),
    ) -> f64 {
        let mut loss = 0.0;
        let levels = &self.program.moving;
        for (number, level) in levels.iter().enumerate() {
            for instruction in level.whole.iter().filter(|i| with_value || !i.for_value) {
                self.whole(simd, machine, instruction, &mut loss);
            }
            for tile in 0..self.sizes.tiles() {
                for instruction in level.tile.iter().filter(|i| with_value || !i.for_value) {
                    self.tile(simd, machine, instruction, tile, &mut loss);
                }
                if number + 1 == levels.len() {
                    end(machine, tile);
                }
            }
        }
        loss
    }

    /// Steps until the first that is not sound; how many were.
    #[inline(always)]
    fn descend<S: Simd>(self, simd: S, machine: &mut Machine, steps: &[Adam]) -> usize {
        self.prepare(simd, machine);
        let Some(gradient) = self.program.gradient else {
            return steps.len();
        };
        let mut sound = steps.len();
        if self.program.is_local() {
            for tile in 0..self.sizes.tiles() {
                for (step, adam) in steps.iter().enumerate() {
                    if step >= sound {
                        break;
                    }
                    let with_value = step + 1 == steps.len();
                    let mut loss = 0.0;
                    for level in &self.program.moving {
                        for instruction in level.tile.iter().filter(|i| with_value || !i.for_value)
                        {
                            self.tile(simd, machine, instruction, tile, &mut loss);
                        }
                    }
                    let finite = self.step(simd, machine, gradient, tile, *adam);
                    if !finite || !loss.is_finite() {
                        sound = step;
                    }
                }
            }
            return sound;
        }
        for (step, adam) in steps.iter().enumerate() {
            let with_value = step + 1 == steps.len();
            let mut finite = true;
            let loss = self.evaluate(
                simd,
                machine,
                with_value,
                #[inline(always)]
                |machine, tile| {
                    finite &= self.step(simd, machine, gradient, tile, *adam);
                },
            );
            if !finite || !loss.is_finite() {
                return step;
            }
        }
        sound
    }

    #[inline(always)]
    fn step<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        gradient: View,
        tile: usize,
        adam: Adam,
    ) -> bool {
        let mut sample = std::mem::take(&mut machine.samples[self.number]);
        let length = self.sizes.channels * TILE;
        let range = tile * length..(tile + 1) * length;
        let mut state = State {
            x: &mut sample.x[range.clone()],
            first: &mut sample.first[range.clone()],
            second: &mut sample.second[range],
        };
        let inputs = (
            self.field(machine, self.program.prediction).tile(tile),
            self.field(machine, gradient).tile(tile),
        );
        let valid = valid_row(self.problem, self.number, tile);
        let finite = kernels::descend(
            simd,
            self.problem.activation,
            &mut state,
            inputs,
            valid,
            adam,
        );
        machine.samples[self.number] = sample;
        finite
    }

    #[inline(always)]
    fn measure<S: Simd>(self, simd: S, machine: &mut Machine) -> Measured {
        self.prepare(simd, machine);
        let mut found = Measured::default();
        let loss = self.evaluate(
            simd,
            machine,
            true,
            #[inline(always)]
            |machine, tile| {
                self.measure_tile(simd, machine, tile, &mut found);
            },
        );
        Measured { loss, ..found }
    }

    #[inline(always)]
    fn measure_tile<S: Simd>(self, simd: S, machine: &Machine, tile: usize, found: &mut Measured) {
        let Some(gradient) = self.program.gradient else {
            return;
        };
        let p = self.field(machine, self.program.prediction).tile(tile);
        let g = self.field(machine, gradient).tile(tile);
        let length = self.sizes.channels * TILE;
        let target = self
            .target()
            .map(|target| Rows::new(&target[tile * length..][..length], TILE));
        let lanes = TILE.min(self.sizes.positions - tile * TILE);
        let valid = valid_row(self.problem, self.number, tile);
        let activation = self.problem.activation;
        let rows = self.sizes.channels;
        kernels::through_activation(
            simd,
            activation,
            rows,
            (p, g),
            valid,
            #[inline(always)]
            |c, at, by_raw| {
                for (lane, &by_raw) in by_raw.as_slice().iter().enumerate() {
                    if at + lane >= lanes {
                        break;
                    }
                    let (by_raw, p) = (f64::from(by_raw), f64::from(p.row(c)[at + lane]));
                    let away = match target {
                        Some(target) => p - f64::from(target.row(c)[at + lane]),
                        None => 1.0,
                    };
                    found.square += by_raw * by_raw;
                    found.alignment += by_raw * away;
                    let term = f64::from(g.row(c)[at + lane]) * p;
                    found.terms += term * term;
                }
            },
        );
    }

    fn target(self) -> Option<&'a [f32]> {
        let samples = self.problem.fixed.get(self.problem.target?)?.as_ref()?;
        Some(&samples[self.number])
    }

    #[inline(always)]
    fn write_gradient<S: Simd>(self, simd: S, machine: &mut Machine, out: &mut [f32]) {
        self.prepare(simd, machine);
        let Some(gradient) = self.program.gradient else {
            out.fill(0.0);
            return;
        };
        let rows = self.sizes.channels;
        self.evaluate(
            simd,
            machine,
            false,
            #[inline(always)]
            |machine, tile| {
                let p = self.field(machine, self.program.prediction).tile(tile);
                let g = self.field(machine, gradient).tile(tile);
                let valid = valid_row(self.problem, self.number, tile);
                let activation = self.problem.activation;
                kernels::through_activation(
                    simd,
                    activation,
                    rows,
                    (p, g),
                    valid,
                    #[inline(always)]
                    |c, at, g| {
                        let begin = (tile * rows + c) * TILE + at;
                        g.store_slice(&mut out[begin..begin + S::f32s::LEN]);
                    },
                );
            },
        );
    }

    /// A whole instruction.
    #[inline(always)]
    fn whole<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        instruction: &Instruction,
        loss: &mut f64,
    ) {
        match instruction.work {
            Work::Pool(pool, a) => {
                let mut scratch = std::mem::take(&mut machine.scratch);
                let mut to = std::mem::take(&mut machine.slots[instruction.to.slot]);
                scratch.pool(simd, pool, &mut to, self.field(machine, a));
                machine.slots[instruction.to.slot] = to;
                machine.scratch = scratch;
            }
            Work::PoolBack(pool, g, x) => {
                let mut scratch = std::mem::take(&mut machine.scratch);
                let mut to = std::mem::take(&mut machine.slots[instruction.to.slot]);
                scratch.back(
                    simd,
                    pool,
                    &mut to,
                    self.field(machine, g),
                    self.field(machine, x),
                );
                machine.slots[instruction.to.slot] = to;
                machine.scratch = scratch;
            }
            Work::Collect(number) => {
                let rows = kernels::rows_of(&mut machine.slots[instruction.to.slot]);
                for (row, sum) in rows.iter_mut().zip(&mut machine.sums[number]) {
                    row.fill(std::mem::take(sum).iter().sum::<f64>() as f32);
                }
            }
            Work::SumPositions(a) => {
                let mut to = std::mem::take(&mut machine.slots[instruction.to.slot]);
                let field = self.field(machine, a);
                for (c, row) in kernels::rows_of(&mut to).iter_mut().enumerate() {
                    let sum: f64 = (0..self.sizes.tiles())
                        .map(|tile| kernels::sum_lanes(field.tile(tile).row(c), self.lanes(tile)))
                        .sum();
                    row.fill(sum as f32);
                }
                machine.slots[instruction.to.slot] = to;
            }
            Work::Total(a) => {
                let a = self.field(machine, a).tile(0);
                *loss += (0..instruction.rows)
                    .map(|c| f64::from(a.row(c)[0]))
                    .sum::<f64>();
            }
            _ => self.tile(simd, machine, instruction, 0, loss),
        }
    }

    /// Positions of a tile that are the sample's own.
    fn lanes(self, tile: usize) -> usize {
        TILE.min(self.sizes.positions - tile * TILE)
    }

    /// A tile instruction.
    #[inline(always)]
    fn tile<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        instruction: &Instruction,
        tile: usize,
        loss: &mut f64,
    ) {
        let place = instruction.to;
        let rows = instruction.rows;
        match instruction.work {
            Work::Accumulate(number, a) => {
                let lanes = self.lanes(tile);
                let a = Rows::new(&machine.slots[a.slot][tile * a.tile..], a.row);
                for (c, sum) in machine.sums[number].iter_mut().enumerate() {
                    if lanes == TILE {
                        kernels::accumulate(simd, a.row(c), sum);
                    } else {
                        sum[0] += kernels::sum_lanes(a.row(c), lanes);
                    }
                }
                return;
            }
            Work::Total(a) => {
                let a = self.field(machine, a).tile(tile);
                let lanes = self.lanes(tile);
                *loss += (0..rows)
                    .map(|c| kernels::sum_lanes(a.row(c), lanes))
                    .sum::<f64>();
                return;
            }
            _ => {}
        }
        let mut taken = std::mem::take(&mut machine.slots[place.slot]);
        let begin = tile * place.tile;
        let length = if matches!(instruction.work, Work::SumChannels(_)) {
            TILE
        } else {
            rows * TILE
        };
        let to = &mut taken[begin..begin + length];
        let at = |view: View| self.field(machine, view).tile(tile);
        match instruction.work {
            Work::Add(a, b) => kernels::map2(
                simd,
                to,
                (at(a), at(b)),
                #[inline(always)]
                |a, b| a + b,
            ),
            Work::Sub(a, b) => kernels::map2(
                simd,
                to,
                (at(a), at(b)),
                #[inline(always)]
                |a, b| a - b,
            ),
            Work::Mul(a, b) => kernels::map2(
                simd,
                to,
                (at(a), at(b)),
                #[inline(always)]
                |a, b| a * b,
            ),
            Work::MulAdd(a, b, c) => kernels::mul_add(simd, to, at(a), at(b), at(c)),
            Work::Map(map, a) => kernels::map(simd, map, to, at(a)),
            Work::MapMul(map, a, b) => kernels::map_mul(simd, map, to, at(a), at(b)),
            Work::Back(rule, g, x) => kernels::back(simd, rule, to, at(g), at(x)),
            Work::BackMul(rule, [a, b], x) => {
                kernels::back_mul(simd, rule, to, (at(a), at(b)), at(x));
            }
            Work::SumChannels(a) => kernels::sum_rows(simd, to, at(a), rows),
            Work::Activate => {
                let length = self.sizes.channels * TILE;
                let x = &machine.samples[self.number].x[tile * length..(tile + 1) * length];
                activate(
                    simd,
                    self.problem,
                    x,
                    to,
                    valid_row(self.problem, self.number, tile),
                );
            }
            // These are no tile instructions with a result.
            Work::Accumulate(..)
            | Work::Total(_)
            | Work::Collect(_)
            | Work::SumPositions(_)
            | Work::Pool(..)
            | Work::PoolBack(..) => {}
        }
        machine.slots[place.slot] = taken;
    }
}
