//! The metrics with curves in place of logic.
//!
//! Each metric is a score for every class and a weight for every class; the loss is the weighted
//! mean of 1 − score, which a batch without any class has as 0.

use super::{Asl, AslMetric};
use crate::losses::maps::{Maps, class_sums, complement, present, weighted_mean};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Least number that is divided by; sums of a class that is there are 1 or more in the target.
const LEAST: f64 = 1e-8;

pub(super) fn loss(asl: &Asl, maps: &Maps) -> Result<Tensor> {
    let (scores, weights) = match asl.metric {
        AslMetric::MeanIou | AslMetric::FrequencyWeightedIou => iou(asl, maps, &maps.valid)?,
        AslMetric::GlobalAccuracy | AslMetric::MeanAccuracy => accuracy(asl, maps)?,
        AslMetric::BoundaryIou => iou(asl, maps, &band(asl, maps)?)?,
        AslMetric::BoundaryF1 => boundary_f1(asl, maps)?,
    };
    let by_pixels = matches!(
        asl.metric,
        AslMetric::FrequencyWeightedIou | AslMetric::GlobalAccuracy
    );
    let weights = if by_pixels {
        weights
    } else {
        present(&weights)?
    };
    weighted_mean(&complement(&scores)?, &weights)
}

/// Σ AND / Σ OR of each class where `counted` (N, 1, h, w) is 1, and the pixels of each class.
fn iou(asl: &Asl, maps: &Maps, counted: &Tensor) -> Result<(Tensor, Tensor)> {
    let y = maps.y.f_mul(counted)?;
    let and = asl.and.apply(&maps.yhat)?.f_mul(&y)?;
    let or = or(&asl.or.apply(&maps.yhat)?, &maps.y)?.f_mul(counted)?;
    Ok((ratio(&and, &or)?, class_sums(&y)?))
}

/// Σ AND / pixels of each class, and the pixels of each class.
fn accuracy(asl: &Asl, maps: &Maps) -> Result<(Tensor, Tensor)> {
    let and = asl.and.apply(&maps.yhat)?.f_mul(&maps.y)?;
    Ok((ratio(&and, &maps.y)?, class_sums(&maps.y)?))
}

/// 1 within the tolerance of the border of a class from 1 on and not void, (N, 1, h, w).
fn band(asl: &Asl, maps: &Maps) -> Result<Tensor> {
    let edges = maps.y.f_sub(&eroded(&maps.y)?)?.f_mul(&foreground(maps)?)?;
    let near = dilated(&edges, asl.tolerance)?.f_amax(&[1i64][..], true)?;
    Ok(near.f_mul(&maps.valid)?)
}

/// F1 of the border of each class, and the border pixels of each in the target, none for class 0.
fn boundary_f1(asl: &Asl, maps: &Maps) -> Result<(Tensor, Tensor)> {
    let target = maps.y.f_sub(&eroded(&maps.y)?)?;
    let small = eroded(&maps.yhat)?;
    let both = asl
        .and
        .apply(&maps.yhat)?
        .f_mul(&asl.and_eroded.apply(&small)?)?;
    let either = or(&asl.or.apply(&maps.yhat)?, &asl.or_eroded.apply(&small)?)?;
    let edges = either.f_sub(&both)?;
    let precision = ratio(&edges.f_mul(&dilated(&target, asl.tolerance)?)?, &edges)?;
    let recall = ratio(&dilated(&edges, asl.tolerance)?.f_mul(&target)?, &target)?;
    let f1 = precision
        .f_mul(&recall)?
        .f_mul_scalar(2.0)?
        .f_div(&precision.f_add(&recall)?.f_clamp_min(LEAST)?)?;
    let counted = class_sums(&target)?.f_mul(&foreground(maps)?.f_view([-1])?)?;
    Ok((f1, counted))
}

/// a + b − a·b.
fn or(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_add(b)?.f_sub(&a.f_mul(b)?)?)
}

/// The sums of each class divided, (C).
fn ratio(above: &Tensor, below: &Tensor) -> Result<Tensor> {
    Ok(class_sums(above)?.f_div(&class_sums(below)?.f_clamp_min(LEAST)?)?)
}

/// 0 for class 0 and 1 for the others, (1, C, 1, 1).
fn foreground(maps: &Maps) -> Result<Tensor> {
    let [_, classes, _, _] = maps.size();
    let options = (maps.y.kind(), maps.y.device());
    let classes = Tensor::f_arange(classes, options)?;
    Ok(present(&classes)?.f_view([1, -1, 1, 1])?)
}

/// The least of every 3x3 neighbourhood; beyond the border of the map there is nothing.
fn eroded(x: &Tensor) -> Result<Tensor> {
    Ok(dilated(&x.f_neg()?, 1)?.f_neg()?)
}

/// The greatest within `radius` rows and columns.
fn dilated(x: &Tensor, radius: u8) -> Result<Tensor> {
    let radius = i64::from(radius);
    let side = 2 * radius + 1;
    Ok(x.f_max_pool2d([side; 2], [1, 1], [radius; 2], [1, 1], false)?)
}
