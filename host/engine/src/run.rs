//! One program on one sample: the order of levels and tiles, and what is done at the end of a step.

mod instructions;

use crate::boxes::{Boxes, PARTS};
use crate::kernels::{self, Adam, Arrived, Rows, State};
use crate::lower::Sizes;
use crate::machine::Machine;
use crate::problem::Problem;
use crate::program::{Level, Program, View};
use crate::tile::TILE;
use autoloss_spec::Activation;
use fearless_simd::prelude::*;

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
        Activation::Softmax => kernels::softmax(simd, x, to, valid),
        Activation::Sigmoid => kernels::sigmoid(simd, x, to, valid),
        Activation::Identity => kernels::copy(simd, x, to, valid),
        Activation::Boxes => {
            if let Some(target) = problem.boxes_of(sample, tile) {
                Boxes::new(x, target).area(simd, part, to, valid);
            }
        }
    }
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
    pub(crate) fn descend<S: Simd>(self, simd: S, machine: &mut Machine, steps: &[Adam]) -> usize {
        self.prepare(simd, machine);
        if !self.program.has_gradient() {
            return steps.len();
        }
        if self.program.is_local() {
            return self.descend_by_tile(simd, machine, steps);
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
                    finite &= self.step(simd, machine, tile, *adam);
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
    fn descend_by_tile<S: Simd>(self, simd: S, machine: &mut Machine, steps: &[Adam]) -> usize {
        let mut sound = steps.len();
        for tile in 0..self.sizes.tiles() {
            for (step, adam) in steps.iter().enumerate().take(sound) {
                let with_value = step + 1 == steps.len();
                let mut loss = 0.0;
                for level in &self.program.moving {
                    self.tile(simd, machine, level, tile, with_value, &mut loss);
                }
                let finite = self.step(simd, machine, tile, *adam);
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
    pub(crate) fn measure<S: Simd>(self, simd: S, machine: &mut Machine) -> Measured {
        let mut found = Measured::default();
        let length = self.sizes.channels * TILE;
        let target = self.target();
        let loss = self.gradient(
            simd,
            machine,
            #[inline(always)]
            |arrived, tile| {
                let target = target.map(|target| Rows::new(&target[tile * length..], TILE));
                let away = |c: usize, at: usize| match (&arrived.boxes, target) {
                    (Some(boxes), _) => f64::from(boxes.away(c, at)),
                    (None, Some(target)) => {
                        let (p, _) = arrived.parts[0];
                        f64::from(p.row(c)[at]) - f64::from(target.row(c)[at])
                    }
                    (None, None) => 1.0,
                };
                let own = self.lanes(tile);
                kernels::through_activation(
                    simd,
                    arrived,
                    #[inline(always)]
                    |c, at, by_raw| {
                        let lanes = own.saturating_sub(at);
                        for (lane, &by_raw) in by_raw.as_slice().iter().enumerate().take(lanes) {
                            let by_raw = f64::from(by_raw);
                            found.square += by_raw * by_raw;
                            found.alignment += by_raw * away(c, at + lane);
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
    pub(crate) fn write_gradient<S: Simd>(self, simd: S, machine: &mut Machine, out: &mut [f32]) {
        out.fill(0.0);
        self.gradient(
            simd,
            machine,
            #[inline(always)]
            |arrived, tile| {
                let rows = kernels::rows_of(&mut out[self.range(tile)]);
                kernels::through_activation(
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
        machine: &mut Machine,
        mut each: impl FnMut(&Arrived<'_>, usize),
    ) -> f64 {
        self.prepare(simd, machine);
        self.evaluate(
            simd,
            machine,
            true,
            #[inline(always)]
            |machine, tile| {
                if self.program.has_gradient() {
                    let x = &machine.samples[self.number].x[self.range(tile)];
                    each(&self.arrived(machine, x, tile), tile);
                }
            },
        )
    }

    /// Moves the predictions of a tile. Whether its gradient was finite.
    #[inline(always)]
    fn step<S: Simd>(self, simd: S, machine: &mut Machine, tile: usize, adam: Adam) -> bool {
        let mut sample = std::mem::take(&mut machine.samples[self.number]);
        let range = self.range(tile);
        let arrived = self.arrived(machine, &sample.x[range.clone()], tile);
        let mut state = State {
            x: &mut sample.x[range.clone()],
            first: &mut sample.first[range.clone()],
            second: &mut sample.second[range],
        };
        let finite = kernels::descend(simd, &mut state, &arrived, adam);
        machine.samples[self.number] = sample;
        finite
    }

    /// ŷ and ∂L/∂ŷ of a tile with the raw predictions `x`.
    #[inline(always)]
    fn arrived<'m>(self, machine: &'m Machine, x: &[f32], tile: usize) -> Arrived<'m>
    where
        'a: 'm,
    {
        let rows = |view: Option<View>| match view {
            Some(view) => self.field(machine, view).tile(tile),
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
    fn prepare<S: Simd>(self, simd: S, machine: &mut Machine) {
        self.sweep(simd, machine, &self.program.fixed, true, |_, _| {});
    }

    /// One evaluation; `end` is given each tile when its gradient is there.
    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        with_value: bool,
        end: impl FnMut(&mut Machine, usize),
    ) -> f64 {
        self.sweep(simd, machine, &self.program.moving, with_value, end)
    }

    /// All levels of a stage, and `end` behind the last of each tile. The loss, with its value.
    #[inline(always)]
    fn sweep<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        levels: &[Level],
        with_value: bool,
        mut end: impl FnMut(&mut Machine, usize),
    ) -> f64 {
        let mut loss = 0.0;
        for (number, level) in levels.iter().enumerate() {
            for instruction in level.whole.iter().filter(|i| with_value || !i.for_value) {
                self.whole(simd, machine, instruction, &mut loss);
            }
            for tile in 0..self.sizes.tiles() {
                self.tile(simd, machine, level, tile, with_value, &mut loss);
                if number + 1 == levels.len() {
                    end(machine, tile);
                }
            }
        }
        loss
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
