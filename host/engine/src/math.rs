//! Elementary functions on vectors of f32, branch-free.
//!
//! Relative errors are within a few units in the last place, which the tests measure on all levels.
//! NaN and infinities go through as they do through the functions of the standard library.

use fearless_simd::prelude::*;

/// ε of the operators, in single precision.
pub(crate) const EPSILON: f32 = 1e-12;

/// Adding it rounds to an integer, which then lies in the low bits (1.5 · 2²³).
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first short enough that its multiples are exact.
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;

#[inline(always)]
fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
    S::f32s::splat(simd, value)
}

#[inline(always)]
fn bits<S: Simd>(simd: S, value: u32) -> S::u32s {
    S::u32s::splat(simd, value)
}

/// e^r − 1 for |r| ≤ ln 2 / 2, and the integer k (in the low bits of the second) of x = k·ln 2 + r.
#[inline(always)]
fn exp_parts<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::u32s) {
    let shifted = x.mul_add(splat(simd, std::f32::consts::LOG2_E), splat(simd, ROUND));
    let k = shifted - splat(simd, ROUND);
    let r = k.mul_add(splat(simd, -LN2_HIGH), x);
    let r = k.mul_add(splat(simd, -LN2_LOW), r);
    // Minimax on the interval; the first two coefficients are 1.
    let mut p = splat(simd, 1.378_059_4e-3);
    for coefficient in [
        8.373_124_5e-3,
        4.166_953_6e-2,
        1.666_647_2e-1,
        4.999_998_5e-1,
        1.0,
    ] {
        p = p.mul_add(r, splat(simd, coefficient));
    }
    let k: S::u32s = shifted.bitcast::<S::u32s>() - bits(simd, ROUND.to_bits());
    (p * r, k)
}

/// eˣ, subnormal and infinite results included.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (p, k) = exp_parts(simd, x);
    let p = p + splat(simd, 1.0);
    // 2ᵏ in two factors, since neither 2¹²⁸ nor 2⁻¹⁴⁹ is a normal number.
    let k: S::i32s = k.bitcast();
    let half = k >> 1;
    let bias = S::i32s::splat(simd, 127);
    let first: S::f32s = ((half + bias) << 23).bitcast();
    let second: S::f32s = ((k - half + bias) << 23).bitcast();
    let y = p * first * second;
    let over = x.simd_gt(splat(simd, 104.0));
    let under = x.simd_lt(splat(simd, -104.0));
    under.select(splat(simd, 0.0), over.select(splat(simd, f32::INFINITY), y))
}

/// eˣ for x ≤ 0; 0 where the result would be subnormal.
#[inline(always)]
pub(crate) fn exp_of_negative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (p, k) = exp_parts(simd, x);
    let scale: S::f32s = ((k + bits(simd, 127)) << 23).bitcast();
    x.simd_lt(splat(simd, -87.3))
        .select(splat(simd, 0.0), p.mul_add(scale, scale))
}

/// ln x for positive normal x, +∞ and NaN.
#[inline(always)]
pub(crate) fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // x = 2ᵉ · m with m in [√½, √2).
    let raw: S::i32s = x.bitcast();
    let e = (raw - S::i32s::splat(simd, 0x3f35_04f3)) >> 23;
    let m: S::f32s = (raw - (e << 23)).bitcast();
    let e: S::f32s = e.to_float();
    let f = m - splat(simd, 1.0);
    let mut p = splat(simd, 7.037_683_6e-2);
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(f, splat(simd, coefficient));
    }
    let square = f * f;
    let tail = e.mul_add(splat(simd, -2.121_944_4e-4), p * f * square);
    let y = square.mul_add(splat(simd, -0.5), tail) + f;
    let y = e.mul_add(splat(simd, 0.693_359_4), y);
    // What is not below infinity is passed on: infinity and NaN.
    x.simd_lt(splat(simd, f32::INFINITY)).select(y, x)
}

/// a / b for normal numbers: by an estimate of 1/b, and corrected by what remains, for less than a division.
#[inline(always)]
fn quotient<S: Simd>(a: S::f32s, b: S::f32s) -> S::f32s {
    let inverse = b.approximate_recip();
    let estimate = a * inverse;
    let rest = (-estimate).mul_add(b, a);
    rest.mul_add(inverse, estimate)
}

/// tanh x.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // m / (m + 2) with m = e^{2|x|} − 1, which does not cancel; beyond 10 it is 1 in single precision.
    let size = x.abs();
    let capped = size
        .simd_gt(splat(simd, 10.0))
        .select(splat(simd, 10.0), size);
    let (p, k) = exp_parts(simd, capped + capped);
    let scale: S::f32s = ((k + bits(simd, 127)) << 23).bitcast();
    let m = p.mul_add(scale, scale - splat(simd, 1.0));
    quotient::<S>(m, m + splat(simd, 2.0)).copysign(x)
}

#[inline(always)]
pub(crate) fn abs<S: Simd>(_: S, x: S::f32s) -> S::f32s {
    x.abs()
}

#[inline(always)]
pub(crate) fn square<S: Simd>(_: S, x: S::f32s) -> S::f32s {
    x * x
}

/// 1 / (x + ε).
#[inline(always)]
pub(crate) fn inv<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    splat(simd, 1.0) / (x + splat(simd, EPSILON))
}

/// sign(x) · y for y ≥ 0 or not: 0 where x is 0, of the sign of y changed where x is negative.
#[inline(always)]
fn signed<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    let sign = x.bitcast::<S::u32s>() & bits(simd, 0x8000_0000);
    let y: S::f32s = (y.bitcast::<S::u32s>() ^ sign).bitcast();
    let zero = splat(simd, 0.0);
    x.simd_eq(zero).select(zero, y)
}

/// sign(x) · ln(|x| + ε).
#[inline(always)]
pub(crate) fn signed_ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    signed(simd, x, ln(simd, x.abs() + splat(simd, EPSILON)))
}

/// sign(x) · √(|x| + ε).
#[inline(always)]
pub(crate) fn signed_sqrt<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    signed(simd, x, (x.abs() + splat(simd, EPSILON)).sqrt())
}

/// The gradient of |x|: g · sign(x).
#[inline(always)]
pub(crate) fn abs_back<S: Simd>(simd: S, g: S::f32s, x: S::f32s) -> S::f32s {
    let sign = x.bitcast::<S::u32s>() & bits(simd, 0x8000_0000);
    let y: S::f32s = (g.bitcast::<S::u32s>() ^ sign).bitcast();
    let zero = splat(simd, 0.0);
    // 0 · g, and not 0: it is not finite where g is not.
    x.simd_eq(zero).select(g * zero, y)
}

/// The gradient of [`signed_ln`]: g / (|x| + ε), 0 at 0.
#[inline(always)]
pub(crate) fn ln_back<S: Simd>(simd: S, g: S::f32s, x: S::f32s) -> S::f32s {
    let zero = splat(simd, 0.0);
    let y = g / (x.abs() + splat(simd, EPSILON));
    x.simd_eq(zero).select(g * zero, y)
}

/// The gradient of [`signed_sqrt`] with result y: g / (2 |y|), 0 at 0.
#[inline(always)]
pub(crate) fn sqrt_back<S: Simd>(simd: S, g: S::f32s, y: S::f32s) -> S::f32s {
    let zero = splat(simd, 0.0);
    y.simd_eq(zero)
        .select(g * zero, g * splat(simd, 0.5) / y.abs())
}

/// The gradient of [`inv`] with result y: −g · y².
#[inline(always)]
pub(crate) fn inv_back<S: Simd>(_: S, g: S::f32s, y: S::f32s) -> S::f32s {
    -g * y * y
}

/// The gradient of tanh with result y: g · (1 − y²).
#[inline(always)]
pub(crate) fn tanh_back<S: Simd>(simd: S, g: S::f32s, y: S::f32s) -> S::f32s {
    g * (-y).mul_add(y, splat(simd, 1.0))
}

/// The greater of two values; NaN where either is.
#[inline(always)]
pub(crate) fn greater<S: Simd>(a: S::f32s, b: S::f32s) -> S::f32s {
    let larger = b.simd_gt(a).select(b, a);
    b.simd_eq(b).select(larger, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::levels;
    use fearless_simd::dispatch;

    /// `f` of each of the values, on one level.
    macro_rules! apply {
        ($level:expr, $values:expr, $function:ident) => {{
            let values: Vec<f32> = $values.collect();
            let mut out = vec![0.0f32; values.len()];
            dispatch!($level, simd => map(simd, &values, &mut out, #[inline(always)] |s, x| $function(s, x)));
            values.into_iter().zip(out)
        }};
    }

    #[inline(always)]
    fn map<S: Simd>(simd: S, values: &[f32], out: &mut [f32], f: impl Fn(S, S::f32s) -> S::f32s) {
        for (from, to) in values
            .chunks(S::f32s::LEN)
            .zip(out.chunks_mut(S::f32s::LEN))
        {
            let mut lanes = [0.5f32; 16];
            lanes[..from.len()].copy_from_slice(from);
            let y = f(simd, S::f32s::from_slice(simd, &lanes[..S::f32s::LEN]));
            to.copy_from_slice(&y.as_slice()[..to.len()]);
        }
    }

    fn spread(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..200_000).map(move |i| from + (to - from) * i as f32 / 200_000.0)
    }

    /// Powers of ten and numbers near them.
    fn powers_of_ten(from: i32, to: i32) -> impl Iterator<Item = f32> {
        (from..to).flat_map(|d| (0..500).map(move |i| (1.0 + i as f32 / 55.0) * 10f32.powi(d)))
    }

    #[track_caller]
    fn close(pairs: impl Iterator<Item = (f32, f32)>, exact: impl Fn(f64) -> f64, within: f64) {
        for (x, y) in pairs {
            let e = exact(f64::from(x));
            let error = (f64::from(y) - e).abs();
            assert!(
                error <= within * e.abs() + 1e-45,
                "at {x:e}: {y:e}, exactly {e:e}"
            );
        }
    }

    #[test]
    fn functions_are_accurate_on_every_level() {
        for level in levels() {
            close(apply!(level, spread(-87.0, 88.0), exp), f64::exp, 2e-7);
            close(apply!(level, spread(-103.0, -87.0), exp), f64::exp, 2e-2);
            close(
                apply!(level, spread(-87.0, 0.0), exp_of_negative),
                f64::exp,
                2e-7,
            );
            close(apply!(level, powers_of_ten(-12, 38), ln), f64::ln, 2e-7);
            close(apply!(level, spread(0.5, 2.0), ln), f64::ln, 3e-7);
            close(apply!(level, spread(-12.0, 12.0), tanh), f64::tanh, 3e-7);
            close(apply!(level, powers_of_ten(-30, 1), tanh), f64::tanh, 3e-7);
        }
    }

    #[test]
    fn special_values_are_those_of_the_formulas() {
        let specials = [
            0.0,
            -0.0,
            1e30,
            -1e30,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        let sign = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
        for level in levels() {
            let check = |pairs: Vec<(f32, f32)>, exact: &dyn Fn(f32) -> f32| {
                for (x, y) in pairs {
                    let e = exact(x);
                    let same =
                        y == e || (y.is_nan() && e.is_nan()) || (y - e).abs() < e.abs() * 3e-7;
                    assert!(same, "at {x}: {y}, exactly {e}");
                }
            };
            let all = || specials.into_iter();
            check(apply!(level, all(), exp).collect(), &f32::exp);
            check(apply!(level, all(), tanh).collect(), &f32::tanh);
            check(apply!(level, all(), inv).collect(), &|x| {
                1.0 / (x + EPSILON)
            });
            check(apply!(level, all(), signed_ln).collect(), &|x| {
                sign(x) * (x.abs() + EPSILON).ln()
            });
            check(apply!(level, all(), signed_sqrt).collect(), &|x| {
                sign(x) * (x.abs() + EPSILON).sqrt()
            });
        }
    }
}
