//! The inner loops: one instruction on one tile.

use crate::expr::{Back, Map};
use crate::math;
use crate::occupied::RowSet;
use crate::tile::TILE;
use fearless_simd::prelude::*;

/// A row of zeros, for a view that reaches beyond its slot; the compiler makes no such view.
static NOTHING: [f32; TILE] = [0.0; TILE];

/// Rows of an operand.
#[derive(Copy, Clone)]
pub(crate) struct Rows<'a> {
    rows: &'a [[f32; TILE]],
    /// 1, or 0 where all rows are the first.
    step: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn new(data: &'a [f32], stride: usize) -> Self {
        Self {
            rows: data.as_chunks().0,
            step: usize::from(stride != 0),
        }
    }

    #[inline(always)]
    pub(crate) fn row(self, row: usize) -> &'a [f32; TILE] {
        self.rows.get(row * self.step).unwrap_or(&NOTHING)
    }
}

/// The rows of a field that is contiguous.
#[inline(always)]
pub(crate) fn rows_of(data: &mut [f32]) -> &mut [[f32; TILE]] {
    data.as_chunks_mut().0
}

/// The rows of a result that are computed.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) rows: RowSet,
    /// Whether the others become 0.
    pub(crate) clear: bool,
}

impl Pick {
    pub(crate) const ALL: Self = Self {
        rows: RowSet::ALL,
        clear: false,
    };
}

/// A result, and which of its rows are computed.
pub(crate) struct To<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) pick: Pick,
}

impl<'a> To<'a> {
    /// The numbers below `count` of the channels to compute, where it is a complete field.
    pub(crate) fn picked(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let rows = self.pick.rows;
        (0..count).filter(move |&row| rows.has(row))
    }

    /// Clears the other channels of a complete field of `count`, where that is wanted.
    pub(crate) fn clear_others(&mut self, count: usize) {
        if self.pick.clear {
            for (at, row) in rows_of(self.data).iter_mut().enumerate() {
                if !self.pick.rows.has(at % count) {
                    *row = [0.0; TILE];
                }
            }
        }
    }

    /// The rows to compute with their numbers; others are cleared where that is wanted.
    #[inline(always)]
    fn rows(self) -> impl Iterator<Item = (usize, &'a mut [f32; TILE])> {
        let pick = self.pick;
        let rows = rows_of(self.data).iter_mut().enumerate();
        rows.filter_map(
            #[inline(always)]
            move |(row, to)| {
                if pick.rows.has(row) {
                    return Some((row, to));
                }
                if pick.clear {
                    *to = [0.0; TILE];
                }
                None
            },
        )
    }
}

/// The vector at a position of a row or a flat field.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, row: &[f32], at: usize) -> S::f32s {
    S::f32s::from_slice(simd, &row[at..at + S::f32s::LEN])
}

#[inline(always)]
pub(crate) fn store<S: Simd>(value: S::f32s, row: &mut [f32], at: usize) {
    value.store_slice(&mut row[at..at + S::f32s::LEN]);
}

#[inline(always)]
pub(crate) fn map1<S: Simd>(simd: S, to: To<'_>, a: Rows<'_>, f: impl Fn(S::f32s) -> S::f32s) {
    for (row, to) in to.rows() {
        let a = a.row(row);
        for at in (0..TILE).step_by(S::f32s::LEN) {
            store::<S>(f(load(simd, a, at)), to, at);
        }
    }
}

#[inline(always)]
pub(crate) fn map2<S: Simd>(
    simd: S,
    to: To<'_>,
    (a, b): (Rows<'_>, Rows<'_>),
    f: impl Fn(S::f32s, S::f32s) -> S::f32s,
) {
    for (row, to) in to.rows() {
        let (a, b) = (a.row(row), b.row(row));
        for at in (0..TILE).step_by(S::f32s::LEN) {
            store::<S>(f(load(simd, a, at), load(simd, b, at)), to, at);
        }
    }
}

#[inline(always)]
pub(crate) fn map3<S: Simd>(
    simd: S,
    to: To<'_>,
    (a, b, c): (Rows<'_>, Rows<'_>, Rows<'_>),
    f: impl Fn(S::f32s, S::f32s, S::f32s) -> S::f32s,
) {
    for (row, to) in to.rows() {
        let (a, b, c) = (a.row(row), b.row(row), c.row(row));
        for at in (0..TILE).step_by(S::f32s::LEN) {
            let value = f(load(simd, a, at), load(simd, b, at), load(simd, c, at));
            store::<S>(value, to, at);
        }
    }
}

/// Calls a macro with the name of a map's function.
macro_rules! with_map {
    ($map:expr, $apply:ident) => {
        match $map {
            Map::Abs => $apply!(abs),
            Map::Inv => $apply!(inv),
            Map::Log => $apply!(signed_ln),
            Map::Exp => $apply!(exp),
            Map::Tanh => $apply!(tanh),
            Map::Square => $apply!(square),
            Map::Sqrt => $apply!(signed_sqrt),
        }
    };
}

/// Calls a macro with the name of a rule's function.
macro_rules! with_rule {
    ($rule:expr, $apply:ident) => {
        match $rule {
            Back::Abs => $apply!(abs_back),
            Back::Inv => $apply!(inv_back),
            Back::Log => $apply!(ln_back),
            Back::Tanh => $apply!(tanh_back),
            Back::Sqrt => $apply!(sqrt_back),
        }
    };
}

#[inline(always)]
pub(crate) fn map<S: Simd>(simd: S, map: Map, to: To<'_>, a: Rows<'_>) {
    macro_rules! apply {
        ($f:ident) => {
            map1(
                simd,
                to,
                a,
                #[inline(always)]
                |x| math::$f(simd, x),
            )
        };
    }
    with_map!(map, apply);
}

/// map(a) · b.
#[inline(always)]
pub(crate) fn map_mul<S: Simd>(simd: S, map: Map, to: To<'_>, a: Rows<'_>, b: Rows<'_>) {
    macro_rules! apply {
        ($f:ident) => {
            map2(
                simd,
                to,
                (a, b),
                #[inline(always)]
                |a, b| math::$f(simd, a) * b,
            )
        };
    }
    with_map!(map, apply);
}

#[inline(always)]
pub(crate) fn back<S: Simd>(simd: S, rule: Back, to: To<'_>, g: Rows<'_>, x: Rows<'_>) {
    macro_rules! apply {
        ($f:ident) => {
            map2(
                simd,
                to,
                (g, x),
                #[inline(always)]
                |g, x| math::$f(simd, g, x),
            )
        };
    }
    with_rule!(rule, apply);
}

/// The rule where a · b arrives.
#[inline(always)]
pub(crate) fn back_mul<S: Simd>(
    simd: S,
    rule: Back,
    to: To<'_>,
    (a, b): (Rows<'_>, Rows<'_>),
    x: Rows<'_>,
) {
    macro_rules! apply {
        ($f:ident) => {
            map3(
                simd,
                to,
                (a, b, x),
                #[inline(always)]
                |a, b, x| math::$f(simd, a * b, x),
            )
        };
    }
    with_rule!(rule, apply);
}

/// Σ over the rows, to one row.
#[inline(always)]
pub(crate) fn sum_rows<S: Simd>(simd: S, to: &mut [f32], a: Rows<'_>, rows: usize) {
    let Some(to) = to.first_chunk_mut::<TILE>() else {
        return;
    };
    for at in (0..TILE).step_by(S::f32s::LEN) {
        let mut sum = load(simd, a.row(0), at);
        for c in 1..rows {
            sum += load(simd, a.row(c), at);
        }
        store::<S>(sum, to, at);
    }
}

/// Most lanes of a vector, in which sums over positions are kept apart.
pub(crate) const LANES: usize = 16;

/// Adds a row to sums in double precision.
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(simd: S, row: &[f32; TILE], sums: &mut [f64; LANES]) {
    let width = S::f32s::LEN.min(LANES);
    let mut total = S::f32s::splat(simd, 0.0);
    for at in (0..TILE).step_by(width) {
        total += load(simd, row, at);
    }
    for (sum, &value) in sums.iter_mut().zip(total.as_slice()) {
        *sum += f64::from(value);
    }
}

/// The sum of the first `lanes` values of a row.
#[inline(always)]
pub(crate) fn sum_lanes(row: &[f32; TILE], lanes: usize) -> f64 {
    row.iter().take(lanes).map(|&x| f64::from(x)).sum()
}
