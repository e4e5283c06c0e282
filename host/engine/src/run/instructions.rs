//! What each instruction does.

use super::{Run, activate};
use crate::kernels::{self, Rows, To};
use crate::machine::Machine;
use crate::pool::{Field, Scratch};
use crate::program::{Instruction, Level, View, Work};
use crate::tile::TILE;
use fearless_simd::prelude::*;

impl Run<'_> {
    /// The tile instructions of a level.
    #[inline(always)]
    pub(super) fn tile<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        level: &Level,
        tile: usize,
        with_value: bool,
        loss: &mut f64,
    ) {
        for instruction in level.tile.iter().filter(|i| with_value || !i.for_value) {
            match instruction.work {
                Work::Accumulate(number, a) => self.accumulate(simd, machine, number, a, tile),
                Work::Total(a) => {
                    let a = self.field(machine, a).tile(tile);
                    let lanes = self.lanes(tile);
                    *loss += (0..instruction.rows)
                        .map(|c| kernels::sum_lanes(a.row(c), lanes))
                        .sum::<f64>();
                }
                _ => self.compute(simd, machine, instruction, tile),
            }
        }
    }

    #[inline(always)]
    fn accumulate<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        number: usize,
        a: View,
        tile: usize,
    ) {
        let lanes = self.lanes(tile);
        let a = Rows::new(&machine.slots[a.slot][tile * a.tile..], a.row);
        for (c, sum) in machine.sums[number].iter_mut().enumerate() {
            if lanes == TILE {
                kernels::accumulate(simd, a.row(c), sum);
            } else {
                sum[0] += kernels::sum_lanes(a.row(c), lanes);
            }
        }
    }

    /// A whole instruction.
    #[inline(always)]
    pub(super) fn whole<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        instruction: &Instruction,
        loss: &mut f64,
    ) {
        let to = instruction.to.slot;
        // Pools are computed by channel, the same in all tiles.
        let pick = self.problem.pick(instruction.on, self.number, 0);
        match instruction.work {
            Work::Pool(pool, a) => self.fill_with(
                machine,
                to,
                #[inline(always)]
                |machine, scratch, to| {
                    let to = To { data: to, pick };
                    scratch.pool(simd, pool, to, self.field(machine, a));
                },
            ),
            Work::PoolBack(pool, g, x) => self.fill_with(
                machine,
                to,
                #[inline(always)]
                |machine, scratch, to| {
                    let (g, x) = (self.field(machine, g), self.field(machine, x));
                    scratch.back(simd, pool, To { data: to, pick }, g, x);
                },
            ),
            Work::Collect(number) => {
                let rows = kernels::rows_of(&mut machine.slots[to]);
                for (row, sum) in rows.iter_mut().zip(&mut machine.sums[number]) {
                    row.fill(std::mem::take(sum).iter().sum::<f64>() as f32);
                }
            }
            Work::SumPositions(a) => self.fill(
                machine,
                to,
                #[inline(always)]
                |machine, to| {
                    let field = self.field(machine, a);
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
                let a = self.field(machine, a).tile(0);
                *loss += (0..instruction.rows)
                    .map(|c| f64::from(a.row(c)[0]))
                    .sum::<f64>();
            }
            _ => self.compute(simd, machine, instruction, 0),
        }
    }

    /// An instruction whose result is a tile, or the same for all of them.
    #[inline(always)]
    fn compute<S: Simd>(
        self,
        simd: S,
        machine: &mut Machine,
        instruction: &Instruction,
        tile: usize,
    ) {
        let (place, rows) = (instruction.to, instruction.rows);
        let length = match instruction.work {
            Work::SumChannels(_) => TILE,
            _ => rows * TILE,
        };
        self.fill(
            machine,
            place.slot,
            #[inline(always)]
            |machine, to| {
                let to = &mut to[tile * place.tile..][..length];
                self.write(simd, machine, instruction, tile, to);
            },
        );
    }

    #[inline(always)]
    fn write<S: Simd>(
        self,
        simd: S,
        machine: &Machine,
        instruction: &Instruction,
        tile: usize,
        to: &mut [f32],
    ) {
        let at = |view: View| self.field(machine, view).tile(tile);
        match instruction.work {
            Work::SumChannels(a) => {
                return kernels::sum_rows(simd, to, at(a), instruction.rows);
            }
            Work::Activate(part) => {
                let x = &machine.samples[self.number].x[self.range(tile)];
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
    fn fill(self, machine: &mut Machine, slot: usize, work: impl FnOnce(&Machine, &mut [f32])) {
        let mut to = std::mem::take(&mut machine.slots[slot]);
        work(machine, &mut to);
        machine.slots[slot] = to;
    }

    /// The same, with flat fields to work in.
    #[inline(always)]
    fn fill_with(
        self,
        machine: &mut Machine,
        slot: usize,
        work: impl FnOnce(&Machine, &mut Scratch, &mut [f32]),
    ) {
        let mut scratch = std::mem::take(&mut machine.scratch);
        self.fill(
            machine,
            slot,
            #[inline(always)]
            |machine, to| work(machine, &mut scratch, to),
        );
        machine.scratch = scratch;
    }

    #[inline(always)]
    pub(super) fn field(self, machine: &Machine, view: View) -> Field<'_> {
        let one = view.row == 0;
        Field {
            data: &machine.slots[view.slot],
            tile: view.tile,
            row: view.row,
            rows: if one { 1 } else { self.sizes.channels },
        }
    }

    /// Positions of a tile that are the sample's own.
    pub(super) fn lanes(self, tile: usize) -> usize {
        TILE.min(self.sizes.positions - tile * TILE)
    }

    /// Where the raw predictions of a tile lie.
    pub(super) fn range(self, tile: usize) -> std::ops::Range<usize> {
        let length = self.problem.raw_rows() * TILE;
        tile * length..(tile + 1) * length
    }
}
