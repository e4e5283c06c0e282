//! One program on one sample: the order of phases and tiles, and what is done at the end of a step.

use crate::boxes::{Boxes, PARTS};
use crate::descent::{self, Adam, Arrived, State};
use crate::kernels::{self, LANES, Rows, To};
use crate::lower::Sizes;
use crate::pool::{Field, Scratch};
use crate::problem::Problem;
use crate::program::{Instruction, Phase, Program, View, Work};
use crate::tile::TILE;
use autoloss_spec::Activation;
use fearless_simd::prelude::*;
use std::cmp::Reverse;

/// A part of ŷ of a sample's tile.
#[inline(always)]
pub(crate) fn activate<S: Simd>(
    simd: S,
    problem: &Problem,
    (sample, tile): (usize, usize),
    part: u8,
    x: &[f32],
    to: &mut [f32],
) {
    let valid = problem.valid_of(sample, tile);
    match problem.activation {
        Activation::Softmax => descent::softmax(simd, x, to, valid),
        Activation::Sigmoid => descent::sigmoid(simd, x, to, valid),
        Activation::Identity => descent::copy(simd, x, to, valid),
        Activation::Boxes => {
            if let Some(target) = problem.boxes_of(sample, tile) {
                Boxes::new(x, target).area(simd, part, to, valid);
            }
        }
    }
}

/// What programs work on; it grows to the largest that has run and is then reused.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) slots: Vec<Vec<f32>>,
    pub(crate) sums: Vec<Vec<[f64; LANES]>>,
    pub(crate) scratch: Scratch,
    pub(crate) samples: Vec<Sample>,
}

impl Memory {
    /// Makes room for a program, and writes its constants.
    pub(crate) fn load(&mut self, program: &Program) {
        let count = program.slots.len().max(self.slots.len());
        self.slots.resize_with(count, Vec::new);
        // Large ones to large ones, or each would grow to the largest it has ever been.
        self.slots.sort_by_key(|slot| Reverse(slot.capacity()));
        let mut found = std::mem::take(&mut self.slots).into_iter();
        self.slots.resize_with(program.slots.len(), Vec::new);
        for (&slot, mut values) in program.by_length.iter().zip(found.by_ref()) {
            values.resize(program.slots[slot], 0.0);
            self.slots[slot] = values;
        }
        self.slots.extend(found);
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

    /// Takes the fixed inputs of a sample.
    pub(crate) fn enter(&mut self, problem: &Problem, program: &Program, number: usize) {
        self.scratch
            .prepare(problem.shape.width, problem.shape.positions());
        for &(input, slot) in &program.inputs {
            if let Some(Some(samples)) = problem.fixed.get(usize::from(input)) {
                self.slots[slot].copy_from_slice(&samples[number]);
            }
        }
    }
}

/// The predictions of one sample while they are optimised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) x: Vec<f32>,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// Sums of a sample.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) loss: f64,
    /// Σ (∂L/∂x)².
    pub(crate) square: f64,
    /// Σ ∂L/∂x · (ŷ − y).
    pub(crate) alignment: f64,
    /// Σ (∂L/∂ŷ · ŷ)².
    pub(crate) terms: f64,
}

impl Measured {
    /// Adds values of ∂L/∂x, each with its ŷ − y, in their order.
    #[inline(always)]
    fn add(&mut self, by_raw: &[f32], away: impl Iterator<Item = f64>) {
        // In registers: through the reference each addition would wait for the memory.
        let (mut square, mut alignment) = (self.square, self.alignment);
        for (&by_raw, away) in by_raw.iter().zip(away) {
            let by_raw = f64::from(by_raw);
            square += by_raw * by_raw;
            alignment += by_raw * away;
        }
        (self.square, self.alignment) = (square, alignment);
    }
}

/// See the [module](self).
#[derive(Copy, Clone)]
pub(crate) struct Run<'a> {
    problem: &'a Problem,
    program: &'a Program,
    number: usize,
    sizes: Sizes,
}

impl<'a> Run<'a> {
    pub(crate) fn new(problem: &'a Problem, program: &'a Program, number: usize) -> Self {
        Self {
            problem,
            program,
            number,
            sizes: problem.sizes(),
        }
    }

    /// Steps until the first that is not sound; how many were.
    #[inline(always)]
    pub(crate) fn descend<S: Simd>(self, simd: S, memory: &mut Memory, steps: &[Adam]) -> usize {
        self.prepare(simd, memory);
        if !self.program.has_gradient() {
            return steps.len();
        }
        if self.program.is_local() {
            return self.descend_by_tile(simd, memory, steps);
        }
        for (step, adam) in steps.iter().enumerate() {
            let with_value = step + 1 == steps.len();
            let mut finite = true;
            let loss = self.evaluate(
                simd,
                memory,
                with_value,
                #[inline(always)]
                |memory, tile| {
                    finite &= self.step(simd, memory, tile, *adam);
                },
            );
            if !finite || !loss.is_finite() {
                return step;
            }
        }
        steps.len()
    }

    /// All steps of a tile before the next tile.
    #[inline(always)]
    fn descend_by_tile<S: Simd>(self, simd: S, memory: &mut Memory, steps: &[Adam]) -> usize {
        let mut sound = steps.len();
        for tile in 0..self.sizes.tiles() {
            for (step, adam) in steps.iter().enumerate().take(sound) {
                let with_value = step + 1 == steps.len();
                let mut loss = 0.0;
                for phase in &self.program.moving {
                    self.tile(simd, memory, phase, tile, with_value, &mut loss);
                }
                let finite = self.step(simd, memory, tile, *adam);
                if !finite || !loss.is_finite() {
                    sound = step;
                    break;
                }
            }
        }
        sound
    }

    /// Loss, gradient and what is derived of them.
    #[inline(always)]
    pub(crate) fn measure<S: Simd>(self, simd: S, memory: &mut Memory) -> Measured {
        let mut found = Measured::default();
        let length = self.sizes.channels * TILE;
        let target = self.target();
        let loss = self.gradient(
            simd,
            memory,
            #[inline(always)]
            |arrived, tile| {
                let target = target.map(|target| Rows::new(&target[tile * length..], TILE));
                let own = self.lanes(tile);
                descent::through_activation(
                    simd,
                    arrived,
                    #[inline(always)]
                    |c, at, by_raw| {
                        let by_raw = by_raw.as_slice();
                        let by_raw = &by_raw[..own.saturating_sub(at).min(by_raw.len())];
                        match (&arrived.boxes, target) {
                            (Some(boxes), _) => {
                                let away = (at..).map(|at| boxes.away(c, at));
                                found.add(by_raw, away.map(f64::from));
                            }
                            (None, Some(target)) => {
                                let p = arrived.parts[0].0.row(c)[at..].iter();
                                let pairs = p.zip(&target.row(c)[at..]);
                                found
                                    .add(by_raw, pairs.map(|(&p, &y)| f64::from(p) - f64::from(y)));
                            }
                            (None, None) => found.add(by_raw, std::iter::repeat(1.0)),
                        }
                    },
                );
                found.terms += terms(arrived, own);
            },
        );
        Measured { loss, ..found }
    }

    /// ∂L/∂x into `out`, in tiles.
    #[inline(always)]
    pub(crate) fn write_gradient<S: Simd>(self, simd: S, memory: &mut Memory, out: &mut [f32]) {
        out.fill(0.0);
        self.gradient(
            simd,
            memory,
            #[inline(always)]
            |arrived, tile| {
                let rows = kernels::rows_of(&mut out[self.range(tile)]);
                descent::through_activation(
                    simd,
                    arrived,
                    #[inline(always)]
                    |c, at, by_raw| kernels::store::<S>(by_raw, &mut rows[c], at),
                );
            },
        );
    }

    /// The loss at the predictions as they are. `each` is given ŷ and ∂L/∂ŷ of a tile, and its number; it is
    /// not called where the loss has no gradient.
    #[inline(always)]
    fn gradient<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        mut each: impl FnMut(&Arrived<'_>, usize),
    ) -> f64 {
        self.prepare(simd, memory);
        self.evaluate(
            simd,
            memory,
            true,
            #[inline(always)]
            |memory, tile| {
                if self.program.has_gradient() {
                    let x = &memory.samples[self.number].x[self.range(tile)];
                    each(&self.arrived(memory, x, tile), tile);
                }
            },
        )
    }

    /// Moves the predictions of a tile. Whether its gradient was finite.
    #[inline(always)]
    fn step<S: Simd>(self, simd: S, memory: &mut Memory, tile: usize, adam: Adam) -> bool {
        let mut sample = std::mem::take(&mut memory.samples[self.number]);
        let range = self.range(tile);
        let arrived = self.arrived(memory, &sample.x[range.clone()], tile);
        let mut state = State {
            x: &mut sample.x[range.clone()],
            first: &mut sample.first[range.clone()],
            second: &mut sample.second[range],
        };
        let finite = descent::descend(simd, &mut state, &arrived, adam);
        memory.samples[self.number] = sample;
        finite
    }

    /// ŷ and ∂L/∂ŷ of a tile with the raw predictions `x`.
    #[inline(always)]
    fn arrived<'m>(self, memory: &'m Memory, x: &[f32], tile: usize) -> Arrived<'m>
    where
        'a: 'm,
    {
        let rows = |view: Option<View>| match view {
            Some(view) => self.field(memory, view).tile(tile),
            None => Rows::new(&[], 0),
        };
        let mut parts = [(rows(None), rows(None)); PARTS];
        for (to, part) in parts.iter_mut().zip(&self.program.parts) {
            *to = (rows(part.prediction), rows(part.gradient));
        }
        let target = self.problem.boxes_of(self.number, tile);
        Arrived {
            activation: self.problem.activation,
            rows: self.sizes.channels,
            parts,
            valid: self.problem.valid_of(self.number, tile),
            boxes: target.map(|target| Boxes::new(x, target)),
        }
    }

    fn target(self) -> Option<&'a [f32]> {
        let samples = self.problem.fixed.get(self.problem.target?)?.as_ref()?;
        Some(&samples[self.number])
    }

    /// Everything that does not depend on the prediction.
    #[inline(always)]
    fn prepare<S: Simd>(self, simd: S, memory: &mut Memory) {
        self.sweep(simd, memory, &self.program.fixed, true, |_, _| {});
    }

    /// One evaluation; `end` is given each tile when its gradient is there.
    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        with_value: bool,
        end: impl FnMut(&mut Memory, usize),
    ) -> f64 {
        self.sweep(simd, memory, &self.program.moving, with_value, end)
    }

    /// All phases of a stage, and `end` behind the last of each tile. The loss, with its value.
    #[inline(always)]
    fn sweep<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        phases: &[Phase],
        with_value: bool,
        mut end: impl FnMut(&mut Memory, usize),
    ) -> f64 {
        let mut loss = 0.0;
        for (number, phase) in phases.iter().enumerate() {
            for instruction in phase.whole.iter().filter(|i| with_value || !i.for_value) {
                self.whole(simd, memory, instruction, &mut loss);
            }
            for tile in 0..self.sizes.tiles() {
                self.tile(simd, memory, phase, tile, with_value, &mut loss);
                if number + 1 == phases.len() {
                    end(memory, tile);
                }
            }
        }
        loss
    }

    // What each instruction does.

    /// The tile instructions of a phase.
    #[inline(always)]
    fn tile<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        phase: &Phase,
        tile: usize,
        with_value: bool,
        loss: &mut f64,
    ) {
        for instruction in phase.tile.iter().filter(|i| with_value || !i.for_value) {
            match instruction.work {
                Work::Accumulate(number, a) => self.accumulate(simd, memory, number, a, tile),
                Work::Total(a) => {
                    let a = self.field(memory, a).tile(tile);
                    let lanes = self.lanes(tile);
                    *loss += (0..instruction.rows)
                        .map(|c| kernels::sum_lanes(a.row(c), lanes))
                        .sum::<f64>();
                }
                _ => self.compute(simd, memory, instruction, tile),
            }
        }
    }

    #[inline(always)]
    fn accumulate<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        number: usize,
        a: View,
        tile: usize,
    ) {
        let lanes = self.lanes(tile);
        let a = Rows::new(&memory.slots[a.slot][tile * a.tile..], a.row);
        for (c, sum) in memory.sums[number].iter_mut().enumerate() {
            if lanes == TILE {
                kernels::accumulate(simd, a.row(c), sum);
            } else {
                sum[0] += kernels::sum_lanes(a.row(c), lanes);
            }
        }
    }

    /// A whole instruction.
    #[inline(always)]
    fn whole<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        instruction: &Instruction,
        loss: &mut f64,
    ) {
        let to = instruction.to.slot;
        // Pools are computed by channel, the same in all tiles.
        let pick = self.problem.pick(instruction.on, self.number, 0);
        match instruction.work {
            Work::Pool(pool, a) => self.fill_with(
                memory,
                to,
                #[inline(always)]
                |memory, scratch, to| {
                    let to = To { data: to, pick };
                    scratch.pool(simd, pool, to, self.field(memory, a));
                },
            ),
            Work::PoolBack(pool, g, x) => self.fill_with(
                memory,
                to,
                #[inline(always)]
                |memory, scratch, to| {
                    let (g, x) = (self.field(memory, g), self.field(memory, x));
                    scratch.back(simd, pool, To { data: to, pick }, g, x);
                },
            ),
            Work::Collect(number) => {
                let rows = kernels::rows_of(&mut memory.slots[to]);
                for (row, sum) in rows.iter_mut().zip(&mut memory.sums[number]) {
                    row.fill(std::mem::take(sum).iter().sum::<f64>() as f32);
                }
            }
            Work::SumPositions(a) => self.fill(
                memory,
                to,
                #[inline(always)]
                |memory, to| {
                    let field = self.field(memory, a);
                    for (c, row) in kernels::rows_of(to).iter_mut().enumerate() {
                        let sum: f64 = (0..self.sizes.tiles())
                            .map(|tile| {
                                kernels::sum_lanes(field.tile(tile).row(c), self.lanes(tile))
                            })
                            .sum();
                        row.fill(sum as f32);
                    }
                },
            ),
            Work::Total(a) => {
                let a = self.field(memory, a).tile(0);
                *loss += (0..instruction.rows)
                    .map(|c| f64::from(a.row(c)[0]))
                    .sum::<f64>();
            }
            _ => self.compute(simd, memory, instruction, 0),
        }
    }

    /// An instruction whose result is a tile, or the same for all of them.
    #[inline(always)]
    fn compute<S: Simd>(
        self,
        simd: S,
        memory: &mut Memory,
        instruction: &Instruction,
        tile: usize,
    ) {
        let (place, rows) = (instruction.to, instruction.rows);
        let length = match instruction.work {
            Work::SumChannels(_) => TILE,
            _ => rows * TILE,
        };
        self.fill(
            memory,
            place.slot,
            #[inline(always)]
            |memory, to| {
                let to = &mut to[tile * place.tile..][..length];
                self.write(simd, memory, instruction, tile, to);
            },
        );
    }

    #[inline(always)]
    fn write<S: Simd>(
        self,
        simd: S,
        memory: &Memory,
        instruction: &Instruction,
        tile: usize,
        to: &mut [f32],
    ) {
        let at = |view: View| self.field(memory, view).tile(tile);
        match instruction.work {
            Work::SumChannels(a) => {
                return kernels::sum_rows(simd, to, at(a), instruction.rows);
            }
            Work::Activate(part) => {
                let x = &memory.samples[self.number].x[self.range(tile)];
                return activate(simd, self.problem, (self.number, tile), part, x, to);
            }
            _ => {}
        }
        let to = To {
            data: to,
            pick: self.problem.pick(instruction.on, self.number, tile),
        };
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
            Work::MulAdd(a, b, c) => kernels::map3(
                simd,
                to,
                (at(a), at(b), at(c)),
                #[inline(always)]
                |a, b, c| a.mul_add(b, c),
            ),
            Work::MulSub(a, b, c) => kernels::map3(
                simd,
                to,
                (at(a), at(b), at(c)),
                #[inline(always)]
                |a, b, c| a.mul_add(b, -c),
            ),
            Work::SubMul(a, b, c) => kernels::map3(
                simd,
                to,
                (at(a), at(b), at(c)),
                #[inline(always)]
                |a, b, c| (-a).mul_add(b, c),
            ),
            Work::Map(map, a) => kernels::map(simd, map, to, at(a)),
            Work::MapMul(map, a, b) => kernels::map_mul(simd, map, to, at(a), at(b)),
            Work::Back(rule, g, x) => kernels::back(simd, rule, to, at(g), at(x)),
            Work::BackMul(rule, [a, b], x) => {
                kernels::back_mul(simd, rule, to, (at(a), at(b)), at(x));
            }
            // Dealt with above, and by `tile` and `whole`.
            Work::SumChannels(_)
            | Work::Activate(_)
            | Work::Accumulate(..)
            | Work::Total(_)
            | Work::Collect(_)
            | Work::SumPositions(_)
            | Work::Pool(..)
            | Work::PoolBack(..) => {}
        }
    }

    /// Lets `work` write a slot while it reads others.
    #[inline(always)]
    fn fill(self, memory: &mut Memory, slot: usize, work: impl FnOnce(&Memory, &mut [f32])) {
        let mut to = std::mem::take(&mut memory.slots[slot]);
        work(memory, &mut to);
        memory.slots[slot] = to;
    }

    /// The same, with flat fields to work in.
    #[inline(always)]
    fn fill_with(
        self,
        memory: &mut Memory,
        slot: usize,
        work: impl FnOnce(&Memory, &mut Scratch, &mut [f32]),
    ) {
        let mut scratch = std::mem::take(&mut memory.scratch);
        self.fill(
            memory,
            slot,
            #[inline(always)]
            |memory, to| work(memory, &mut scratch, to),
        );
        memory.scratch = scratch;
    }

    #[inline(always)]
    fn field(self, memory: &Memory, view: View) -> Field<'_> {
        let one = view.row == 0;
        Field {
            data: &memory.slots[view.slot],
            tile: view.tile,
            row: view.row,
            rows: if one { 1 } else { self.sizes.channels },
        }
    }

    /// Positions of a tile that are the sample's own.
    fn lanes(self, tile: usize) -> usize {
        TILE.min(self.sizes.positions - tile * TILE)
    }

    /// Where the raw predictions of a tile lie.
    fn range(self, tile: usize) -> std::ops::Range<usize> {
        let length = self.problem.raw_rows() * TILE;
        tile * length..(tile + 1) * length
    }
}

/// Σ (∂L/∂ŷ · ŷ)² over the first `lanes` positions of a tile.
fn terms(arrived: &Arrived<'_>, lanes: usize) -> f64 {
    let term = |c: usize, at: usize| {
        let parts = arrived.parts.iter();
        let term = parts.map(|(p, g)| f64::from(g.row(c)[at]) * f64::from(p.row(c)[at]));
        term.map(|term| term * term).sum::<f64>()
    };
    let row = |c: usize| (0..lanes).map(|at| term(c, at)).sum::<f64>();
    (0..arrived.rows).map(row).sum()
}
