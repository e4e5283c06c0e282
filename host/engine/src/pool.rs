//! Extreme values of 3×3 neighbourhoods, and their gradient.
//!
//! A channel is copied out of its tiles to a flat field, where neighbours are at fixed distances, and is
//! worked on in strips as wide as a vector, from the first row to the last: what a row needs of its
//! neighbours is still in registers. Of three in a row first the greatest is found, then of three rows. A
//! minimum is the maximum of the negatives. The gradient goes to the first of equal values in reading
//! order, as PyTorch sends it: the first row whose greatest value is the greatest, and the first such value
//! in it.

use crate::expr::Pool;
use crate::kernels::{LANES, Rows, To, load, rows_of, store};
use crate::math::greater;
use crate::tile::TILE;
use fearless_simd::prelude::*;

/// Flat fields to work in.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    layout: Layout,
    value: Vec<f32>,
    result: Vec<f32>,
    gradient: Vec<f32>,
    /// What goes to the left neighbour, stays, and goes to the right one.
    to: [Vec<f32>; 3],
}

/// Values before the first and behind the last row.
const MARGIN: usize = LANES;

impl Scratch {
    /// Room for fields of `positions` values in rows of `width`.
    pub(crate) fn prepare(&mut self, width: usize, positions: usize) {
        let layout = Layout {
            width,
            height: positions / width,
            pitch: width.max(LANES),
        };
        if self.layout == layout {
            return;
        }
        let length = layout.pitch * layout.height + 2 * MARGIN;
        *self = Self {
            layout,
            value: vec![f32::NEG_INFINITY; length],
            result: vec![0.0; length],
            gradient: vec![0.0; length],
            to: std::array::from_fn(|_| vec![0.0; length]),
        };
    }

    /// The extreme values of all channels.
    #[inline(always)]
    pub(crate) fn pool<S: Simd>(&mut self, simd: S, pool: Pool, mut to: To<'_>, from: Field<'_>) {
        let sign = sign(pool);
        to.clear_others(from.rows);
        for channel in to.picked(from.rows) {
            self.layout
                .gather(simd, &mut self.value, from, channel, sign);
            for strip in self.strips::<S>() {
                self.extremes(simd, strip);
            }
            let place = (channel, from.rows);
            self.layout
                .scatter(simd, &self.result, to.data, place, sign);
        }
    }

    /// The gradient of the extreme values of `from`, where `g` arrives.
    #[inline(always)]
    pub(crate) fn back<S: Simd>(
        &mut self,
        simd: S,
        pool: Pool,
        mut to: To<'_>,
        g: Field<'_>,
        from: Field<'_>,
    ) {
        let layout = self.layout;
        let rows = to.data.len() / layout.positions().next_multiple_of(TILE);
        to.clear_others(rows);
        for channel in to.picked(rows) {
            layout.gather(simd, &mut self.value, from, channel, sign(pool));
            layout.gather(simd, &mut self.gradient, g, channel, 1.0);
            for strip in self.strips::<S>() {
                self.choose(simd, strip);
            }
            self.collect(simd);
            layout.scatter(simd, &self.result, to.data, (channel, rows), 1.0);
        }
    }

    /// Where strips begin. The last one may overlap the one before.
    #[inline(always)]
    fn strips<S: Simd>(&self) -> impl Iterator<Item = usize> + use<S> {
        let last = self.layout.pitch - S::f32s::LEN;
        let own = self.layout.width;
        (0..own)
            .step_by(S::f32s::LEN)
            .map(move |column| column.min(last))
    }

    /// The greatest of three in each row of a strip, and which, for a row after the other. Nothing is
    /// beyond the edges.
    #[inline(always)]
    fn in_rows<S: Simd>(&self, simd: S, column: usize) -> impl Fn(usize) -> [S::f32s; 3] {
        let (width, pitch) = (self.layout.width, self.layout.pitch);
        let left_edge = lane(simd, (column == 0).then_some(0));
        let right_edge = lane(simd, (width - 1).checked_sub(column));
        let none = S::f32s::splat(simd, f32::NEG_INFINITY);
        let value = &self.value;
        #[inline(always)]
        move |row| {
            let p = MARGIN + row * pitch + column;
            let left = left_edge.select(none, load(simd, value, p - 1));
            let right = right_edge.select(none, load(simd, value, p + 1));
            [left, load(simd, value, p), right]
        }
    }

    /// The greatest of 3×3 in a strip.
    #[inline(always)]
    fn extremes<S: Simd>(&mut self, simd: S, column: usize) {
        let none = S::f32s::splat(simd, f32::NEG_INFINITY);
        let mut result = std::mem::take(&mut self.result);
        let of_row = self.in_rows(simd, column);
        let (mut above, mut own) = (none, greatest_or_nan::<S>(of_row(0)));
        for row in 0..self.layout.height {
            let below = match row + 1 < self.layout.height {
                true => greatest_or_nan::<S>(of_row(row + 1)),
                false => none,
            };
            let all = greatest_or_nan::<S>([above, own, below]);
            store::<S>(all, &mut result, MARGIN + row * self.layout.pitch + column);
            (above, own) = (own, below);
        }
        drop(of_row);
        self.result = result;
    }

    /// Sends what arrives at a strip to the chosen row, and notes the chosen column.
    #[inline(always)]
    fn choose<S: Simd>(&mut self, simd: S, column: usize) {
        let zero = S::f32s::splat(simd, 0.0);
        let none = S::f32s::splat(simd, f32::NEG_INFINITY);
        let mut to = std::mem::take(&mut self.to);
        let of_row = self.in_rows(simd, column);
        let first = of_row(0);
        let mut own = (greatest::<S>(first), first);
        let mut above = (none, [none; 3]);
        // What has arrived at the row above so far, and what the row above sends down.
        let (mut arrived, mut down) = (zero, zero);
        for row in 0..=self.layout.height {
            let below = match row + 1 < self.layout.height {
                true => {
                    let three = of_row(row + 1);
                    (greatest::<S>(three), three)
                }
                false => (none, [none; 3]),
            };
            let mut sent = [zero; 3];
            if row < self.layout.height {
                let at = MARGIN + row * self.layout.pitch + column;
                let g = load(simd, &self.gradient, at);
                sent = split(simd, [above.0, own.0, below.0], g);
            }
            if let Some(row) = row.checked_sub(1) {
                let parts = split(simd, above.1, arrived + sent[0]);
                for (to, part) in to.iter_mut().zip(parts) {
                    store::<S>(part, to, MARGIN + row * self.layout.pitch + column);
                }
            }
            arrived = down + sent[1];
            down = sent[2];
            (above, own) = (own, below);
        }
        drop(of_row);
        self.to = to;
    }

    /// Adds up what neighbours in a row send.
    #[inline(always)]
    fn collect<S: Simd>(&mut self, simd: S) {
        let [to_left, to_own, to_right] = &self.to;
        let end = MARGIN + self.layout.pitch * self.layout.height;
        for at in (MARGIN..end).step_by(S::f32s::LEN) {
            let sum =
                load(simd, to_own, at) + load(simd, to_right, at - 1) + load(simd, to_left, at + 1);
            store::<S>(sum, &mut self.result, at);
        }
    }
}

/// Where a lane of this number is, if a vector has it.
#[inline(always)]
fn lane<S: Simd>(simd: S, number: Option<usize>) -> S::mask32s {
    let mut lanes = [0.0; LANES];
    if let Some(lane) = number.and_then(|number| lanes.get_mut(number)) {
        *lane = 1.0;
    }
    load(simd, &lanes, 0).simd_gt(S::f32s::splat(simd, 0.0))
}

#[inline(always)]
fn greatest_or_nan<S: Simd>([a, b, c]: [S::f32s; 3]) -> S::f32s {
    greater::<S>(greater::<S>(a, b), c)
}

/// The greatest of three; NaN is not looked for, since the value of the loss tells of it.
#[inline(always)]
fn greatest<S: Simd>([a, b, c]: [S::f32s; 3]) -> S::f32s {
    let two = b.simd_gt(a).select(b, a);
    c.simd_gt(two).select(c, two)
}

/// `g` at the greatest of three, the first of equals; 0 at the others.
#[inline(always)]
fn split<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3], g: S::f32s) -> [S::f32s; 3] {
    let zero = S::f32s::splat(simd, 0.0);
    let second = b.simd_gt(a);
    let third = c.simd_gt(second.select(b, a));
    let of_two = third.select(zero, g);
    [
        second.select(zero, of_two),
        second.select(of_two, zero),
        third.select(g, zero),
    ]
}

/// How a channel lies in a flat field.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
struct Layout {
    width: usize,
    height: usize,
    /// Distance of rows: the width, or that of a vector where rows are shorter.
    pitch: usize,
}

impl Layout {
    fn positions(self) -> usize {
        self.width * self.height
    }

    /// Copies a channel times `sign` out of its tiles.
    #[inline(always)]
    fn gather<S: Simd>(self, simd: S, to: &mut [f32], from: Field<'_>, channel: usize, sign: f32) {
        let signs = S::f32s::splat(simd, sign);
        let own = MARGIN..MARGIN + self.pitch * self.height;
        if self.pitch > self.width {
            for (row, to) in to[own].chunks_exact_mut(self.pitch).enumerate() {
                for (column, to) in to[..self.width].iter_mut().enumerate() {
                    let at = row * self.width + column;
                    *to = sign * from.tile(at / TILE).row(channel)[at % TILE];
                }
            }
            return;
        }
        for (tile, to) in to[own].chunks_mut(TILE).enumerate() {
            let row = from.tile(tile).row(channel);
            if let Some(to) = to.first_chunk_mut::<TILE>() {
                for at in (0..TILE).step_by(S::f32s::LEN) {
                    store::<S>(load(simd, row, at) * signs, to, at);
                }
            } else {
                for (to, from) in to.iter_mut().zip(row) {
                    *to = from * sign;
                }
            }
        }
    }

    /// Copies a channel times `sign` into the tiles of a field of `rows` channels, and fills the last one up.
    #[inline(always)]
    fn scatter<S: Simd>(
        self,
        simd: S,
        from: &[f32],
        to: &mut [f32],
        (channel, rows): (usize, usize),
        sign: f32,
    ) {
        let signs = S::f32s::splat(simd, sign);
        let from = &from[MARGIN..MARGIN + self.pitch * self.height];
        let to = rows_of(to).iter_mut().skip(channel).step_by(rows);
        if self.pitch > self.width {
            let last = self.positions() - 1;
            for (tile, to) in to.enumerate() {
                for (lane, to) in to.iter_mut().enumerate() {
                    let at = (tile * TILE + lane).min(last);
                    *to = sign * from[at / self.width * self.pitch + at % self.width];
                }
            }
            return;
        }
        for (from, to) in from.chunks(TILE).zip(to) {
            if let Some(from) = from.first_chunk::<TILE>() {
                for at in (0..TILE).step_by(S::f32s::LEN) {
                    store::<S>(load(simd, from, at) * signs, to, at);
                }
            } else {
                for (lane, to) in to.iter_mut().enumerate() {
                    *to = from[lane.min(from.len() - 1)] * sign;
                }
            }
        }
    }
}

/// A field in tiles.
#[derive(Copy, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) data: &'a [f32],
    /// Distances of tiles and rows; 0 where all are the same.
    pub(crate) tile: usize,
    pub(crate) row: usize,
    pub(crate) rows: usize,
}

impl<'a> Field<'a> {
    /// The rows of a tile.
    #[inline(always)]
    pub(crate) fn tile(self, tile: usize) -> Rows<'a> {
        Rows::new(
            self.data.get(tile * self.tile..).unwrap_or_default(),
            self.row,
        )
    }
}

fn sign(pool: Pool) -> f32 {
    match pool {
        Pool::Max => 1.0,
        Pool::Min => -1.0,
    }
}
