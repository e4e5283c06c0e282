//! Extreme values of 3×3 neighbourhoods, and their gradient.
//!
//! A channel is copied out of its tiles to a flat field with margins, where neighbours are at fixed
//! distances, and is worked on rows first, then columns. A minimum is the maximum of the negatives.
//! The gradient goes to the first of equal values in reading order, as PyTorch sends it: the first row
//! whose greatest value is the greatest, and the first such value in it.

use crate::expr::Pool;
use crate::kernels::{LANES, Rows, load, rows_of, store};
use crate::math::greater;
use crate::tile::TILE;
use fearless_simd::prelude::*;
use std::ops::Range;

/// A choice that is no neighbour.
const NONE_OF_THREE: f32 = 3.0;

/// Flat fields to work in.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    width: usize,
    positions: usize,
    margin: usize,
    /// 0 where there is a neighbour to the left or right, −1 where there is none.
    left: Vec<f32>,
    right: Vec<f32>,
    value: Vec<f32>,
    /// Greatest value of three in a row, and which of the three.
    row: Vec<f32>,
    column_of: Vec<f32>,
    /// Which of three rows.
    row_of: Vec<f32>,
    gradient: Vec<f32>,
    by_row: Vec<f32>,
    result: Vec<f32>,
}

impl Scratch {
    /// Room for fields of `positions` values in rows of `width`.
    pub(crate) fn prepare(&mut self, width: usize, positions: usize) {
        if (self.width, self.positions) == (width, positions) {
            return;
        }
        let margin = (width + 1).next_multiple_of(LANES);
        let length = positions.next_multiple_of(LANES) + 2 * margin;
        let edge = |column: usize| -> Vec<f32> {
            let at = |p: usize| if p % width == column { -1.0 } else { 0.0 };
            (0..positions.next_multiple_of(LANES)).map(at).collect()
        };
        *self = Self {
            width,
            positions,
            margin,
            left: edge(0),
            right: edge(width - 1),
            value: vec![f32::NEG_INFINITY; length],
            row: vec![f32::NEG_INFINITY; length],
            column_of: vec![NONE_OF_THREE; length],
            row_of: vec![NONE_OF_THREE; length],
            gradient: vec![0.0; length],
            by_row: vec![0.0; length],
            result: vec![0.0; length],
        };
    }

    /// The extreme values of all channels.
    #[inline(always)]
    pub(crate) fn pool<S: Simd>(&mut self, simd: S, pool: Pool, to: &mut [f32], from: Field<'_>) {
        let (sign, own) = (sign(pool), self.own());
        for channel in 0..from.rows {
            gather(simd, &mut self.value[own.clone()], from, channel, sign);
            self.rows::<S, false>(simd);
            self.columns::<S, false>(simd);
            let place = (channel, from.rows);
            scatter(simd, &self.result[own.clone()], to, place, sign);
        }
    }

    /// The gradient of the extreme values of `from`, where `g` arrives.
    #[inline(always)]
    pub(crate) fn back<S: Simd>(
        &mut self,
        simd: S,
        pool: Pool,
        to: &mut [f32],
        g: Field<'_>,
        from: Field<'_>,
    ) {
        let own = self.own();
        let rows = to.len() / self.positions.next_multiple_of(TILE);
        for channel in 0..rows {
            gather(
                simd,
                &mut self.value[own.clone()],
                from,
                channel,
                sign(pool),
            );
            gather(simd, &mut self.gradient[own.clone()], g, channel, 1.0);
            self.rows::<S, true>(simd);
            self.columns::<S, true>(simd);
            self.send_to_rows(simd);
            self.send_to_columns(simd);
            scatter(simd, &self.result[own.clone()], to, (channel, rows), 1.0);
        }
    }

    /// Where the values of a channel lie in a flat field.
    fn own(&self) -> Range<usize> {
        self.margin..self.margin + self.positions
    }

    /// The lanes of the last vector that are behind the end.
    fn behind(&self) -> Range<usize> {
        let end = self.margin + self.positions;
        end..self.margin + self.positions.next_multiple_of(LANES)
    }

    /// The greatest of three in a row and, with `CHOICE`, which.
    #[inline(always)]
    fn rows<S: Simd, const CHOICE: bool>(&mut self, simd: S) {
        let none = S::f32s::splat(simd, f32::NEG_INFINITY);
        let zero = S::f32s::splat(simd, 0.0);
        for at in (0..self.positions).step_by(S::f32s::LEN) {
            let p = at + self.margin;
            let edge = load(simd, &self.left, at).simd_lt(zero);
            let left = edge.select(none, load(simd, &self.value, p - 1));
            let middle = load(simd, &self.value, p);
            let edge = load(simd, &self.right, at).simd_lt(zero);
            let right = edge.select(none, load(simd, &self.value, p + 1));
            let two = greater::<S>(left, middle);
            store::<S>(greater::<S>(two, right), &mut self.row, p);
            if CHOICE {
                let which = which(simd, left, middle, two, right);
                store::<S>(which, &mut self.column_of, p);
            }
        }
        // Lanes behind the end belong to no row.
        let behind = self.behind();
        self.row[behind.clone()].fill(f32::NEG_INFINITY);
        if CHOICE {
            self.column_of[behind].fill(NONE_OF_THREE);
        }
    }

    /// The greatest of three rows or, with `CHOICE`, which.
    #[inline(always)]
    fn columns<S: Simd, const CHOICE: bool>(&mut self, simd: S) {
        for at in (0..self.positions).step_by(S::f32s::LEN) {
            let p = at + self.margin;
            let above = load(simd, &self.row, p - self.width);
            let middle = load(simd, &self.row, p);
            let below = load(simd, &self.row, p + self.width);
            let two = greater::<S>(above, middle);
            if CHOICE {
                let which = which(simd, above, middle, two, below);
                store::<S>(which, &mut self.row_of, p);
            } else {
                store::<S>(greater::<S>(two, below), &mut self.result, p);
            }
        }
        if CHOICE {
            let behind = self.behind();
            self.row_of[behind].fill(NONE_OF_THREE);
        }
    }

    /// Sends what arrives to the chosen row.
    #[inline(always)]
    fn send_to_rows<S: Simd>(&mut self, simd: S) {
        for at in (0..self.positions).step_by(S::f32s::LEN) {
            let p = at + self.margin;
            let own = chosen(simd, &self.row_of, &self.gradient, p, 1.0);
            let below = chosen(simd, &self.row_of, &self.gradient, p + self.width, 0.0);
            let above = chosen(simd, &self.row_of, &self.gradient, p - self.width, 2.0);
            store::<S>(own + below + above, &mut self.by_row, p);
        }
    }

    /// Sends what arrived at a row to the chosen column.
    #[inline(always)]
    fn send_to_columns<S: Simd>(&mut self, simd: S) {
        for at in (0..self.positions).step_by(S::f32s::LEN) {
            let p = at + self.margin;
            let own = chosen(simd, &self.column_of, &self.by_row, p, 1.0);
            let right = chosen(simd, &self.column_of, &self.by_row, p + 1, 0.0);
            let left = chosen(simd, &self.column_of, &self.by_row, p - 1, 2.0);
            store::<S>(own + right + left, &mut self.result, p);
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

/// Which of three is the greatest: the first of equals. `two` is the greater of the first two.
#[inline(always)]
fn which<S: Simd>(
    simd: S,
    first: S::f32s,
    second: S::f32s,
    two: S::f32s,
    third: S::f32s,
) -> S::f32s {
    let number = |value: f32| S::f32s::splat(simd, value);
    let of_two = second.simd_gt(first).select(number(1.0), number(0.0));
    third.simd_gt(two).select(number(2.0), of_two)
}

/// The value at a position where its choice is `number`, else 0.
#[inline(always)]
fn chosen<S: Simd>(simd: S, choice: &[f32], value: &[f32], at: usize, number: f32) -> S::f32s {
    let here = load(simd, choice, at).simd_eq(S::f32s::splat(simd, number));
    here.select(load(simd, value, at), S::f32s::splat(simd, 0.0))
}

/// Copies a channel times `sign` out of its tiles.
#[inline(always)]
fn gather<S: Simd>(simd: S, to: &mut [f32], from: Field<'_>, channel: usize, sign: f32) {
    let signs = S::f32s::splat(simd, sign);
    for (tile, to) in to.chunks_mut(TILE).enumerate() {
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
    simd: S,
    from: &[f32],
    to: &mut [f32],
    (channel, rows): (usize, usize),
    sign: f32,
) {
    let signs = S::f32s::splat(simd, sign);
    let to = rows_of(to).iter_mut().skip(channel).step_by(rows);
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
