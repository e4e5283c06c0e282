//! Cross entropy and its two weighted forms.
//!
//! All are −Σ w·y·log ŷ; they differ in the weight w alone: 1, one number for each class, or one
//! for each position.

use super::distance::nearness;
use super::maps::{Maps, class_sums, labels, log, present, weighted_mean};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// The graph of [`cross_entropy`].
pub(super) const CE_FORMULA: &str = "neg(mul(y, log(yhat)))";

/// The graph of [`weighted_cross_entropy`].
///
/// No constant but 1 can be written, so 1/K is built: `mean_c(y)` is 1/C at every position that
/// counts, the mean over the channels of `mul(f, inv(f))`, f = `mean_nhw(y)`, is K/C.
pub(super) const WCE_FORMULA: &str = "neg(mul(mul(mul(y, inv(mean_nhw(y))), mul(mean_c(y), \
     inv(mean_c(mul(mean_nhw(y), inv(mean_nhw(y))))))), log(yhat)))";

/// Cross entropy: −(1/(N·h·w)) Σ y·log ŷ.
///
/// Void adds nothing but counts in N·h·w, as in every loss graph, so its share lowers the loss.
pub(super) fn cross_entropy(maps: &Maps) -> Result<Tensor> {
    per_position(maps, &surprise(maps)?)
}

/// Cross entropy with every class of the batch weighing the same: the mean over the K classes
/// present of the mean of −log ŷ over the class's pixels.
///
/// That is cross entropy with the weights w_c = n/(K·n_c), n_c pixels of class c and n in all,
/// divided by n: inverse class frequencies, the balancing of U-Net's weight map (Ronneberger et
/// al. 2015, equation 2, w_c without the border term). Frequencies are the batch's own, which is
/// ours: a loss sees nothing else. Their mean over the pixels is 1, so the scale is cross
/// entropy's, and equal frequencies without void give exactly it. Void does not count at all.
pub(super) fn weighted_cross_entropy(maps: &Maps) -> Result<Tensor> {
    let counts = class_sums(&maps.y)?;
    let means = class_sums(&surprise(maps)?)?.f_div(&counts.f_clamp_min(1.0)?)?;
    weighted_mean(&means, &present(&counts)?)
}

/// Distance-penalised cross entropy: −(1/(N·h·w)) Σ (1 + Φ)·y·log ŷ (Calivá et al. 2019,
/// 'Distance Map Loss Penalty Term for Semantic Segmentation').
///
/// Φ is the paper's reversed distance map: the largest distance less the distance, so that
/// pixels near the border of their class weigh most. The paper has one object; ours are the
/// distance, from a pixel's centre to the nearest one of *another* class, the maximum, taken over
/// one picture, and the division by it, which keeps 1 + Φ between 1 and 2 at every size. Φ is 0
/// in pictures of one class. Void is no class: it makes no border, has no weight and counts in
/// N·h·w as in [`cross_entropy`].
pub(super) fn distance_penalised_cross_entropy(maps: &Maps) -> Result<Tensor> {
    let [n, _, height, width] = maps.size();
    let area = usize::try_from(height * width)?.max(1);
    let phi: Vec<f64> = labels(maps)?
        .chunks_exact(area)
        .flat_map(|picture| nearness(picture, width as usize))
        .collect();
    let weight = Tensor::f_from_slice(&phi)?
        .f_view([n, 1, height, width])?
        .f_add_scalar(1.0)?
        .f_to_kind(maps.yhat.kind())?
        .f_to_device(maps.yhat.device())?;
    per_position(maps, &surprise(maps)?.f_mul(&weight)?)
}

/// −y·log ŷ, (N, C, h, w).
fn surprise(maps: &Maps) -> Result<Tensor> {
    Ok(maps.y.f_mul(&log(&maps.yhat)?)?.f_neg()?)
}

fn per_position(maps: &Maps, terms: &Tensor) -> Result<Tensor> {
    Ok(terms.f_sum(terms.kind())?.f_div_scalar(maps.positions())?)
}
