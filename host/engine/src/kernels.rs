//! The inner loops: one instruction on one tile.

use crate::boxes::{Boxes, PARTS};
use crate::expr::{Back, Map};
use crate::math;
use crate::occupied::RowSet;
use crate::tile::TILE;
use autoloss_spec::Activation;
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
    /// ŷ and ∂L/∂ŷ, part by part; zeros for parts that there are not.
    pub(crate) parts: [(Rows<'a>, Rows<'a>); PARTS],
    pub(crate) valid: Option<&'a [f32; TILE]>,
    /// The raw predictions, where they tell boxes.
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
