//! One program on one sample: the order of levels and tiles, and what is done at the end of a step.

mod instructions;

use crate::kernels::{self, Adam, Rows, State};
use crate::lower::Sizes;
use crate::machine::Machine;
use crate::problem::Problem;
use crate::program::{Level, Program, View};
use crate::tile::TILE;
use fearless_simd::prelude::*;

/// Which positions of a tile have a label; none where all have.
pub(crate) fn valid_row(problem: &Problem, sample: usize, tile: usize) -> Option<&[f32; TILE]> {
    let valid = problem.valid.as_ref()?;
    valid[sample].get(tile * TILE..)?.first_chunk()
}

#[inline(always)]
pub(crate) fn activate<S: Simd>(
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
        let Some(gradient) = self.program.gradient else {
            return steps.len();
        };
        if self.program.is_local() {
            return self.descend_by_tile(simd, machine, gradient, steps);
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
        steps.len()
    }

    /// All steps of a tile before the next tile.
    #[inline(always)]
    fn descend_by_tile<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        gradient: View,
        steps: &[Adam],
    ) -> usize {
        let mut sound = steps.len();
        for tile in 0..self.sizes.tiles() {
            for (step, adam) in steps.iter().enumerate().take(sound) {
                let with_value = step + 1 == steps.len();
                let mut loss = 0.0;
                for level in &self.program.moving {
                    self.tile(simd, machine, level, tile, with_value, &mut loss);
                }
                let finite = self.step(simd, machine, gradient, tile, *adam);
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
            |(p, g), tile, c, at, by_raw| {
                let target = target.map(|target| Rows::new(&target[tile * length..], TILE));
                let lanes = self.lanes(tile).saturating_sub(at);
                for (lane, &by_raw) in by_raw.as_slice().iter().enumerate().take(lanes) {
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
        Measured { loss, ..found }
    }

    /// ∂L/∂x into `out`, in tiles.
    #[inline(always)]
    pub(crate) fn write_gradient<S: Simd>(self, simd: S, machine: &mut Machine, out: &mut [f32]) {
        out.fill(0.0);
        let rows = self.sizes.channels;
        self.gradient(
            simd,
            machine,
            #[inline(always)]
            |_, tile, c, at, by_raw| {
                let begin = (tile * rows + c) * TILE + at;
                by_raw.store_slice(&mut out[begin..begin + S::f32s::LEN]);
            },
        );
    }

    /// The loss at the predictions as they are. `each` is given ŷ and ∂L/∂ŷ of a tile, its number, channel and
    /// position in it, and ∂L/∂x there; it is not called where the loss has no gradient.
    #[inline(always)]
    fn gradient<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        mut each: impl FnMut((Rows<'_>, Rows<'_>), usize, usize, usize, S::f32s),
    ) -> f64 {
        self.prepare(simd, machine);
        self.evaluate(
            simd,
            machine,
            true,
            #[inline(always)]
            |machine, tile| {
                let Some(gradient) = self.program.gradient else {
                    return;
                };
                let (activation, rows) = (self.problem.activation, self.sizes.channels);
                let inputs = self.inputs(machine, gradient, tile);
                let valid = valid_row(self.problem, self.number, tile);
                kernels::through_activation(
                    simd,
                    activation,
                    rows,
                    inputs,
                    valid,
                    #[inline(always)]
                    |c, at, by_raw| each(inputs, tile, c, at, by_raw),
                );
            },
        )
    }

    /// Moves the predictions of a tile. Whether its gradient was finite.
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
        let range = self.range(tile);
        let mut state = State {
            x: &mut sample.x[range.clone()],
            first: &mut sample.first[range.clone()],
            second: &mut sample.second[range],
        };
        let finite = kernels::descend(
            simd,
            self.problem.activation,
            &mut state,
            self.inputs(machine, gradient, tile),
            valid_row(self.problem, self.number, tile),
            adam,
        );
        machine.samples[self.number] = sample;
        finite
    }

    /// ŷ and ∂L/∂ŷ of a tile.
    #[inline(always)]
    fn inputs(self, machine: &Machine, gradient: View, tile: usize) -> (Rows<'_>, Rows<'_>) {
        (
            self.field(machine, self.program.prediction).tile(tile),
            self.field(machine, gradient).tile(tile),
        )
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
