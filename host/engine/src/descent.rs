//! From raw predictions to ŷ, from ∂L/∂ŷ back to them, and the step of the optimiser.

use crate::boxes::{Boxes, PARTS};
use crate::kernels::{Rows, load, rows_of, store};
use crate::math;
use crate::tile::TILE;
use autoloss_spec::Activation;
use fearless_simd::prelude::*;

/// Softmax over the rows, times `valid`.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(simd: S, x: &[f32], to: &mut [f32], valid: Option<&[f32; TILE]>) {
    let x = x.as_chunks::<TILE>().0;
    let to = rows_of(to);
    for at in (0..TILE).step_by(S::f32s::LEN) {
        let mut most = S::f32s::splat(simd, f32::MIN);
        for row in x {
            most = load(simd, row, at).max(most);
        }
        let mut sum = S::f32s::splat(simd, 0.0);
        for (row, to) in x.iter().zip(to.iter_mut()) {
            let e = math::exp_of_negative(simd, load(simd, row, at) - most);
            sum += e;
            store::<S>(e, to, at);
        }
        let mut scale = S::f32s::splat(simd, 1.0) / sum;
        if let Some(valid) = valid {
            scale *= load(simd, valid, at);
        }
        for to in to.iter_mut() {
            store::<S>(load(simd, to, at) * scale, to, at);
        }
    }
}

/// The logistic function, times `valid`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: &[f32], to: &mut [f32], valid: Option<&[f32; TILE]>) {
    let one = S::f32s::splat(simd, 1.0);
    for (x, to) in x.as_chunks::<TILE>().0.iter().zip(rows_of(to)) {
        for at in (0..TILE).step_by(S::f32s::LEN) {
            let y = one / (math::exp(simd, -load(simd, x, at)) + one);
            store::<S>(masked(simd, y, valid, at), to, at);
        }
    }
}

/// x times `valid`.
#[inline(always)]
pub(crate) fn copy<S: Simd>(simd: S, x: &[f32], to: &mut [f32], valid: Option<&[f32; TILE]>) {
    for (x, to) in x.as_chunks::<TILE>().0.iter().zip(rows_of(to)) {
        for at in (0..TILE).step_by(S::f32s::LEN) {
            store::<S>(masked(simd, load(simd, x, at), valid, at), to, at);
        }
    }
}

#[inline(always)]
fn masked<S: Simd>(simd: S, x: S::f32s, valid: Option<&[f32; TILE]>, at: usize) -> S::f32s {
    match valid {
        Some(valid) => x * load(simd, valid, at),
        None => x,
    }
}

/// ŷ of a tile and what arrives there.
pub(crate) struct Arrived<'a> {
    pub(crate) activation: Activation,
    /// Channels of ŷ.
    pub(crate) rows: usize,
    /// ŷ and ∂L/∂ŷ, part by part; zeros for parts beyond the last.
    pub(crate) parts: [(Rows<'a>, Rows<'a>); PARTS],
    pub(crate) valid: Option<&'a [f32; TILE]>,
    /// The raw predictions, where they are boxes.
    pub(crate) boxes: Option<Boxes<'a>>,
}

/// ∂L/∂x from ∂L/∂ŷ, given to `each` with channel and position in the tile.
///
/// ŷ is already 0 where there is no label, so softmax and sigmoid need no mask.
#[inline(always)]
pub(crate) fn through_activation<S: Simd>(
    simd: S,
    arrived: &Arrived<'_>,
    mut each: impl FnMut(usize, usize, S::f32s),
) {
    let (rows, valid) = (arrived.rows, arrived.valid);
    let (p, g) = arrived.parts[0];
    let steps = (0..TILE).step_by(S::f32s::LEN);
    match arrived.activation {
        Activation::Softmax => {
            for at in steps {
                let mut dot = S::f32s::splat(simd, 0.0);
                for c in 0..rows {
                    dot = load(simd, p.row(c), at).mul_add(load(simd, g.row(c), at), dot);
                }
                for c in 0..rows {
                    each(
                        c,
                        at,
                        load(simd, p.row(c), at) * (load(simd, g.row(c), at) - dot),
                    );
                }
            }
        }
        Activation::Sigmoid => {
            let one = S::f32s::splat(simd, 1.0);
            for at in steps {
                for c in 0..rows {
                    let p = load(simd, p.row(c), at);
                    each(c, at, load(simd, g.row(c), at) * p * (one - p));
                }
            }
        }
        Activation::Identity => {
            for at in steps {
                for c in 0..rows {
                    each(c, at, masked(simd, load(simd, g.row(c), at), valid, at));
                }
            }
        }
        Activation::Boxes => {
            if let Some(boxes) = &arrived.boxes {
                boxes.back(simd, arrived.parts.map(|(_, g)| g), valid, each);
            }
        }
    }
}

/// A step of Adam on one vector.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Adam {
    /// Learning rate over both bias corrections.
    pub(crate) rate: f32,
    /// The ε of the quotient, under the second correction.
    pub(crate) epsilon: f32,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

impl Adam {
    /// The step of number `step`, from 1.
    pub(crate) fn at(learning_rate: f64, step: usize) -> Self {
        let power = |beta: f64| 1.0 - beta.powf(step as f64);
        let correction = power(BETA2).sqrt();
        Self {
            rate: (learning_rate / power(BETA1) * correction) as f32,
            epsilon: (1e-8 * correction) as f32,
        }
    }
}

/// The predictions of a tile with their averages.
pub(crate) struct State<'a> {
    pub(crate) x: &'a mut [f32],
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
}

/// Moves the predictions of a tile. Whether the gradient was finite.
#[inline(always)]
pub(crate) fn descend<S: Simd>(
    simd: S,
    state: &mut State<'_>,
    arrived: &Arrived<'_>,
    adam: Adam,
) -> bool {
    let x = rows_of(state.x);
    let first = rows_of(state.first);
    let second = rows_of(state.second);
    let splat = |value: f32| S::f32s::splat(simd, value);
    let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
    // 0 · g is 0 unless g is not finite.
    let mut trace = splat(0.0);
    through_activation(
        simd,
        arrived,
        #[inline(always)]
        |c, at, g| {
            trace = g.mul_add(splat(0.0), trace);
            let m = load(simd, &first[c], at);
            let m = (g - m).mul_add(splat(1.0 - beta1), m);
            store::<S>(m, &mut first[c], at);
            let v = load(simd, &second[c], at);
            let v = v.mul_add(splat(beta2), g * splat(1.0 - beta2) * g);
            store::<S>(v, &mut second[c], at);
            let step = m / (v.sqrt() + splat(adam.epsilon));
            let value = step.mul_add(splat(-adam.rate), load(simd, &x[c], at));
            store::<S>(value, &mut x[c], at);
        },
    );
    !trace.is_nan().any_true()
}
