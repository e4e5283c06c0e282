//! Prediction and target as every loss here needs them: checked once, with void worked out.

use autoloss_plugin_api::Result;
use tch::{Kind, Tensor};

/// ε of the operators of loss graphs.
const EPSILON: f64 = 1e-12;

const BATCH: [i64; 3] = [0, 2, 3];

/// ŷ and y of one batch.
pub(super) struct Maps {
    /// (N, C, h, w), zero at void.
    pub(super) yhat: Tensor,
    /// One-hot (N, C, h, w) of ŷ's kind, zero at void.
    pub(super) y: Tensor,
    /// 1 where y has a class and 0 at void, (N, 1, h, w).
    pub(super) valid: Tensor,
}

impl Maps {
    /// # Errors
    /// Names both shapes unless they are one and the same (N, C, h, w).
    pub(super) fn new(yhat: &Tensor, y: &Tensor) -> Result<Self> {
        let (size, target) = (yhat.size(), y.size());
        if size.len() != 4 || size != target {
            return Err(format!(
                "yhat has shape {size:?} and y {target:?}, expected one shape (N, C, h, w) for both"
            )
            .into());
        }
        let y = y.f_to_device(yhat.device())?.f_to_kind(yhat.kind())?;
        let valid = y.f_sum_dim_intlist(&[1i64][..], true, y.kind())?;
        // Predictions at void must not count, even of a network that does not zero them.
        let yhat = yhat.f_mul(&valid)?;
        Ok(Self { yhat, y, valid })
    }

    /// (N, C, h, w).
    pub(super) fn size(&self) -> [i64; 4] {
        let size = self.y.size();
        std::array::from_fn(|axis| size[axis])
    }

    /// N·h·w, void included: what the scalar of a loss graph is divided by.
    pub(super) fn positions(&self) -> i64 {
        let [n, _, h, w] = self.size();
        (n * h * w).max(1)
    }
}

/// Sums over N, h and w, (C).
pub(super) fn class_sums(maps: &Tensor) -> Result<Tensor> {
    Ok(maps.f_sum_dim_intlist(&BATCH[..], false, maps.kind())?)
}

/// 1 for each class with a count above zero, else 0; (C).
pub(super) fn present(counts: &Tensor) -> Result<Tensor> {
    Ok(counts.f_gt(0.0)?.f_to_kind(counts.kind())?)
}

/// Σ weights·values / Σ weights over the classes, zero where no weight is above zero; weights are
/// whole numbers.
pub(super) fn weighted_mean(values: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let kind = values.kind();
    let total = weights.f_sum(kind)?.f_clamp_min(1.0)?;
    Ok(values.f_mul(weights)?.f_sum(kind)?.f_div(&total)?)
}

/// `1 − x`.
pub(super) fn complement(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_neg()?.f_add_scalar(1.0)?)
}

/// log x, of ε where x is less. Loss graphs have sign(x)·log(|x| + ε): a prediction of exactly zero
/// costs nothing there and the most here; everywhere else they agree.
pub(super) fn log(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_clamp_min(EPSILON)?.f_log()?)
}

/// Labels on the CPU, one picture after the other: the class of each position, none at void.
pub(super) fn labels(maps: &Maps) -> Result<Vec<Option<u32>>> {
    let class = maps.y.f_argmax(1, true)?;
    let coded = class
        .f_add_scalar(1)?
        .f_mul(&maps.valid.f_to_kind(Kind::Int64)?)?
        .f_view([-1])?;
    let coded: Vec<i64> = Vec::try_from(&coded.f_to_device(tch::Device::Cpu)?)?;
    let label = |code: i64| u32::try_from(code - 1).ok();
    Ok(coded.into_iter().map(label).collect())
}
