//! Lovász-softmax: the convex extension of the Jaccard loss.
//!
//! All classes are sorted in one call. Void is not cut out, which would need the number of pixels
//! on the CPU in every step: its errors are zero, so it comes last or among ties of zero, where
//! neither value nor gradient depends on the order.

use super::maps::{Maps, class_sums, present, weighted_mean};
use autoloss_plugin_api::Result;
use tch::{Kind, Tensor};

/// Lovász-softmax (Berman, Rannen Triki and Blaschko 2018, equations 8 and 9; 'present' classes,
/// the whole batch as one picture): the mean over the classes present of Σ_i m_(i)·g_i, with the
/// errors m = |y − ŷ| in falling order and g_i by how much pixel i, wrong as well, raises the
/// Jaccard loss. Void is in no set.
pub(super) fn lovasz_softmax(maps: &Maps) -> Result<Tensor> {
    let by_class = |x: &Tensor| -> Result<Tensor> { Ok(x.f_transpose(0, 1)?.f_flatten(1, -1)?) };
    let y = by_class(&maps.y)?;
    let errors = y.f_sub(&by_class(&maps.yhat)?)?.f_abs()?;
    let (sorted, order) = errors.f_sort(1, true)?;
    let steps = jaccard_steps(&y.f_gather(1, &order, false)?)?;
    let losses = sorted
        .f_mul(&steps)?
        .f_sum_dim_intlist(&[1i64][..], false, sorted.kind())?;
    weighted_mean(&losses, &present(&class_sums(&maps.y)?)?)
}

/// How much each pixel raises the Jaccard loss 1 − I/U when it joins the wrong ones before it;
/// (C, P) from the sorted targets (C, P).
///
/// A missed pixel takes one from I, a false one adds one to U: the differences 1/U and I/(U·(U−1))
/// are written out, since subtracting neighbours in single precision would leave few digits.
fn jaccard_steps(target: &Tensor) -> Result<Tensor> {
    // Counts in whole numbers: single precision stops counting at 2²⁴.
    let hits = target.f_to_kind(Kind::Int64)?;
    let misses = hits.f_neg()?.f_add_scalar(1)?;
    let total = hits.f_sum_dim_intlist(&[1i64][..], true, Kind::Int64)?;
    let intersection = total
        .f_sub(&hits.f_cumsum(1, Kind::Int64)?)?
        .f_to_kind(target.kind())?;
    let union = total
        .f_add(&misses.f_cumsum(1, Kind::Int64)?)?
        .f_clamp_min(1)?
        .f_to_kind(target.kind())?;
    let before = union.f_sub_scalar(1.0)?.f_clamp_min(1.0)?;
    let missed = target.f_div(&union)?;
    let falsely = misses
        .f_to_kind(target.kind())?
        .f_mul(&intersection)?
        .f_div(&union)?
        .f_div(&before)?;
    Ok(missed.f_add(&falsely)?)
}
