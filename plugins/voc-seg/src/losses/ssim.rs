//! One minus the structural similarity of prediction and target maps.
//!
//! Every position has a window of its own, with the map reflected at its borders. Skipping the
//! windows that stick out is the other convention; on the maps of a small network, 16 or 32 to a
//! side, it would skip most of the picture.

use super::maps::{Maps, complement};
use autoloss_plugin_api::Result;
use tch::{Kind, Tensor};

/// Half a window; windows are 2·5 + 1 = 11 to a side.
const RADIUS: i64 = 5;
const SIGMA: f64 = 1.5;
/// (0.01·L)² and (0.03·L)² for values from 0 to L = 1.
const C1: f64 = 1e-4;
const C2: f64 = 9e-4;

/// 1 − SSIM (Wang et al. 2004, equation 13; as a segmentation loss Qin et al. 2019, BASNet)
/// between ŷ_c and y_c, averaged over the classes c of each picture and its positions that are not
/// void, every such position of every such map alike. The values go from 0 to 2.
///
/// Windows are Gaussian, 11 to a side, σ = 1.5; C1 = 0.01², C2 = 0.03². Void is zero on both sides
/// inside the windows of its neighbours, and has no window of its own. BASNet has one object map;
/// skipping the classes that a picture lacks is ours. Their flat maps are most of all maps, and
/// with them trainings on the embedded data ended at background everywhere.
pub(super) fn dissimilarity(maps: &Maps) -> Result<Tensor> {
    let [_, _, height, width] = maps.size();
    if height.min(width) <= RADIUS {
        return Err(format!(
            "reference loss 'ssim' needs maps of at least {least}x{least} positions, not \
             {height}x{width}: use larger pictures or a network with finer outputs",
            least = RADIUS + 1
        )
        .into());
    }
    let map = similarity(&maps.yhat, &maps.y)?;
    // Pairs of picture and class that the target has, at the positions that count, (N, C, h, w).
    let there = maps.y.f_amax(&[2i64, 3][..], true)?.f_mul(&maps.valid)?;
    let lost = complement(&map)?.f_mul(&there)?;
    let counted = there.f_sum(map.kind())?.f_clamp_min(1.0)?;
    Ok(lost.f_sum(map.kind())?.f_div(&counted)?)
}

/// SSIM of every window, (N, C, h, w).
fn similarity(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let moments = Tensor::f_cat(&[x, y, &x.f_square()?, &y.f_square()?, &x.f_mul(y)?], 0)?;
    let [mx, my, mxx, myy, mxy] = blurred(&moments)?
        .f_chunk(5, 0)?
        .try_into()
        .map_err(|parts: Vec<Tensor>| format!("{} parts of five moments", parts.len()))?;
    let (mx2, my2, both) = (mx.f_square()?, my.f_square()?, mx.f_mul(&my)?);
    // Rounding can leave a flat window with a variance just below zero.
    let spread = mxx
        .f_sub(&mx2)?
        .f_clamp_min(0.0)?
        .f_add(&myy.f_sub(&my2)?.f_clamp_min(0.0)?)?;
    let luminance = plus(&both.f_mul_scalar(2.0)?, C1)?.f_div(&plus(&mx2.f_add(&my2)?, C1)?)?;
    let structure = plus(&mxy.f_sub(&both)?.f_mul_scalar(2.0)?, C2)?.f_div(&plus(&spread, C2)?)?;
    Ok(luminance.f_mul(&structure)?)
}

fn plus(x: &Tensor, constant: f64) -> Result<Tensor> {
    Ok(x.f_add_scalar(constant)?)
}

/// Gaussian means around every position; rows and columns one after the other.
fn blurred(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let side = 2 * RADIUS + 1;
    let offsets = Tensor::f_arange_start(-RADIUS, RADIUS + 1, (Kind::Double, x.device()))?;
    let weights = offsets
        .f_square()?
        .f_div_scalar(-2.0 * SIGMA * SIGMA)?
        .f_exp()?;
    let weights = weights
        .f_div(&weights.f_sum(Kind::Double)?)?
        .f_to_kind(x.kind())?;
    let along = |x: &Tensor, kernel: [i64; 4]| {
        let kernel = weights.f_view(kernel)?;
        x.f_conv2d(&kernel, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)
    };
    let planes = x
        .f_reshape([-1, 1, size[2], size[3]])?
        .f_reflection_pad2d([RADIUS; 4])?;
    let rows = along(&planes, [1, 1, 1, side])?;
    Ok(along(&rows, [1, 1, side, 1])?.f_reshape(size)?)
}
