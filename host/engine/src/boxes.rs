//! Boxes in raw predictions: from offsets and logarithms to overlaps, and the gradient back.
//!
//! A box is given by dx, dy, ln w and ln h in units of a box of reference: its centre is (dx, dy), its sides
//! are w and h. What a loss is given is three areas, of the intersection i with the target's box, of the
//! union u and of the smallest enclosing box e.

use crate::kernels::{Rows, load, store};
use crate::math;
use crate::tile::TILE;
use fearless_simd::prelude::*;

/// Numbers that tell a box.
pub(crate) const NUMBERS: usize = 4;
/// Areas that a loss is given.
pub(crate) const PARTS: usize = 3;

/// The boxes of a tile, and those they should become.
pub(crate) struct Boxes<'a> {
    own: [[f32; TILE]; NUMBERS],
    target: Rows<'a>,
}

/// One axis of a box and its target's, for a vector of positions.
struct Axis<V> {
    /// The side.
    side: V,
    target_side: V,
    /// Low and high ends.
    ends: [V; 2],
    target_ends: [V; 2],
    /// Of both; not positive where they do not meet.
    overlap: V,
    /// From the lowest to the highest end.
    hull: V,
}

impl<'a> Boxes<'a> {
    /// Copies the boxes, which may be moved while their gradient is taken.
    #[inline(always)]
    pub(crate) fn new(own: &[f32], target: &'a [f32]) -> Self {
        let mut rows = [[0.0; TILE]; NUMBERS];
        for (row, own) in rows.iter_mut().zip(own.as_chunks().0) {
            *row = *own;
        }
        Self {
            own: rows,
            target: Rows::new(target, TILE),
        }
    }

    pub(crate) fn away(&self, number: usize, at: usize) -> f32 {
        self.own[number][at] - self.target.row(number)[at]
    }

    #[inline(always)]
    fn axis<S: Simd>(&self, simd: S, axis: usize, at: usize) -> Axis<S::f32s> {
        let half = S::f32s::splat(simd, 0.5);
        let of = |centre: &[f32], side: &[f32]| {
            let side = math::exp(simd, load(simd, side, at));
            let centre = load(simd, centre, at);
            (side, [centre - side * half, centre + side * half])
        };
        let (side, ends) = of(&self.own[axis], &self.own[axis + 2]);
        let (target_side, target_ends) = of(self.target.row(axis), self.target.row(axis + 2));
        let [low, high] = ends;
        let [target_low, target_high] = target_ends;
        let smaller = |a: S::f32s, b: S::f32s| -math::greater::<S>(-a, -b);
        Axis {
            side,
            target_side,
            ends,
            target_ends,
            overlap: smaller(high, target_high) - math::greater::<S>(low, target_low),
            hull: math::greater::<S>(high, target_high) - smaller(low, target_low),
        }
    }

    /// An area by its number, times `valid`.
    #[inline(always)]
    pub(crate) fn area<S: Simd>(
        &self,
        simd: S,
        part: u8,
        to: &mut [f32],
        valid: Option<&[f32; TILE]>,
    ) {
        let zero = S::f32s::splat(simd, 0.0);
        for at in (0..TILE).step_by(S::f32s::LEN) {
            let (x, y) = (self.axis(simd, 0, at), self.axis(simd, 1, at));
            let common = math::greater::<S>(zero, x.overlap) * math::greater::<S>(zero, y.overlap);
            let area = match part {
                0 => common,
                1 => x.side * y.side + x.target_side * y.target_side - common,
                _ => x.hull * y.hull,
            };
            let area = valid.map_or(area, |valid| area * load(simd, valid, at));
            store::<S>(area, to, at);
        }
    }

    /// The gradient with respect to each of the numbers, from what arrives at the areas.
    #[inline(always)]
    pub(crate) fn back<S: Simd>(
        &self,
        simd: S,
        arriving: [Rows<'_>; PARTS],
        valid: Option<&[f32; TILE]>,
        mut each: impl FnMut(usize, usize, S::f32s),
    ) {
        let zero = S::f32s::splat(simd, 0.0);
        let half = S::f32s::splat(simd, 0.5);
        for at in (0..TILE).step_by(S::f32s::LEN) {
            let [common, union, hull] = arriving.map(|rows| {
                let g = load(simd, rows.row(0), at);
                valid.map_or(g, |valid| g * load(simd, valid, at))
            });
            // The union is the sum of both less what they have in common.
            let common = common - union;
            let axes = [self.axis(simd, 0, at), self.axis(simd, 1, at)];
            for (number, [own, other]) in [(0, [0, 1]), (1, [1, 0])] {
                let (own, other) = (&axes[own], &axes[other]);
                let meets = own.overlap.simd_gt(zero);
                let by_overlap = common * math::greater::<S>(zero, other.overlap);
                let by_overlap = meets.select(by_overlap, zero);
                let by_hull = hull * other.hull;
                let ([low, high], [target_low, target_high]) = (own.ends, own.target_ends);
                // The nearer ends bound the overlap, the others the hull.
                let by_high = high.simd_lt(target_high).select(by_overlap, by_hull);
                let by_low = -low.simd_gt(target_low).select(by_overlap, by_hull);
                each(number, at, by_high + by_low);
                let by_side = (by_high - by_low).mul_add(half, union * other.side);
                each(number + 2, at, by_side * own.side);
            }
        }
    }
}
