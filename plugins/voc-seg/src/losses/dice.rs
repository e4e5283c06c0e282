//! Soft Dice, the overlap of prediction and target class by class.

use super::maps::{Maps, class_sums, complement, present, weighted_mean};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Least |ŷ_c| + |y_c| that is divided by; only classes without weight have less.
const LEAST: f64 = 1e-7;

/// The graph of [`dice`]. The factors before the last spread each class's term evenly over its
/// own pixels and divide by the number of classes present, as in the weighted cross entropy.
pub(super) const FORMULA: &str = "mul(mul(mul(y, inv(mean_nhw(y))), mul(mean_c(y), \
     inv(mean_c(mul(mean_nhw(y), inv(mean_nhw(y))))))), \
     add(1, neg(mul(mean_nhw(mul(add(y, y), yhat)), inv(mean_nhw(add(y, yhat)))))))";

/// 1 − the mean over the classes present of 2·Σ ŷ·y / (Σ ŷ + Σ y), sums over N, h and w.
///
/// Dice as a loss is Milletari et al. 2016 (V-Net, equation 3), whose denominator has squares;
/// this is the form without them, which today's libraries have and which is the F1 score of hard
/// predictions. Void is in no sum. Classes that the batch lacks are skipped;
/// segmentation-models-pytorch gives them the loss 0 and divides by all C instead, so its value
/// is ours times K/C for K classes present.
pub(super) fn dice(maps: &Maps) -> Result<Tensor> {
    let counts = class_sums(&maps.y)?;
    let both = class_sums(&maps.yhat.f_mul(&maps.y)?)?;
    let total = class_sums(&maps.yhat)?.f_add(&counts)?.f_clamp_min(LEAST)?;
    let overlap = both.f_mul_scalar(2.0)?.f_div(&total)?;
    weighted_mean(&complement(&overlap)?, &present(&counts)?)
}
