//! Losses of regressing branches.

use super::EPSILON;
use autoloss_plugin_api::{Result, Tensors};
use tch::{Kind, Tensor};

/// 1 − i/u.
pub(super) const IOU: &str = "add(1, neg(mul(i, inv(u))))";
/// 1 − i/u + (e − u)/e (arXiv 1902.09630, algorithm 1).
pub(super) const GIOU: &str = "add(add(1, neg(mul(i, inv(u)))), mul(add(e, neg(u)), inv(e)))";
/// 1 − i/u + (e − i − 2)/e (CSE-AutoLoss, arXiv 2103.01003, recalled).
pub(super) const CSE_AUTO_A: &str =
    "add(add(1, neg(mul(i, inv(u)))), mul(add(e, neg(add(i, add(1, 1)))), inv(e)))";
/// Where the square of smooth L1 becomes linear: torchvision's.
const BETA: f64 = 1.0 / 9.0;

struct Areas {
    i: Tensor,
    u: Tensor,
    e: Tensor,
}

impl Areas {
    fn of(inputs: &Tensors) -> Result<Self> {
        let area = |name| -> Result<Tensor> { Ok(inputs.get(name)?.shallow_clone()) };
        Ok(Self {
            i: area("i")?,
            u: area("u")?,
            e: area("e")?,
        })
    }

    /// 1 − i/u.
    fn distance(&self) -> Result<Tensor> {
        Ok(quotient(&self.i, &self.u)?.f_neg()?.f_add_scalar(1.0)?)
    }
}

fn quotient(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_div(&b.f_add_scalar(EPSILON)?)?)
}

pub(super) fn iou(inputs: &Tensors) -> Result<Tensor> {
    Ok(Areas::of(inputs)?.distance()?.f_mean(Kind::Float)?)
}

pub(super) fn giou(inputs: &Tensors) -> Result<Tensor> {
    let areas = Areas::of(inputs)?;
    let empty = quotient(&areas.e.f_sub(&areas.u)?, &areas.e)?;
    Ok(areas.distance()?.f_add(&empty)?.f_mean(Kind::Float)?)
}

pub(super) fn cse_auto_a(inputs: &Tensors) -> Result<Tensor> {
    let areas = Areas::of(inputs)?;
    let rest = areas.e.f_sub(&areas.i)?.f_sub_scalar(2.0)?;
    let rest = quotient(&rest, &areas.e)?;
    Ok(areas.distance()?.f_add(&rest)?.f_mean(Kind::Float)?)
}

/// Σ |d − t| / the number of all sampled.
pub(super) fn l1(inputs: &Tensors) -> Result<Tensor> {
    let difference = inputs
        .get("offsets")?
        .f_sub(inputs.get("target_offsets")?)?;
    by_sampled(&difference.f_abs()?, inputs)
}

/// [`l1`] with a square near 0 (Fast R-CNN, arXiv 1504.08083, equation 3, with torchvision's β).
pub(super) fn smooth_l1(inputs: &Tensors) -> Result<Tensor> {
    let (own, target) = (inputs.get("offsets")?, inputs.get("target_offsets")?);
    let each = own.f_smooth_l1_loss(target, tch::Reduction::None, BETA)?;
    by_sampled(&each, inputs)
}

fn by_sampled(each: &Tensor, inputs: &Tensors) -> Result<Tensor> {
    let sampled = inputs.get("sampled")?.f_sum(Kind::Float)?;
    Ok(each.f_sum(Kind::Float)?.f_div(&sampled)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_vision::detection::Overlap;

    fn areas(first: [f32; 4], second: [f32; 4]) -> Tensors {
        let corners = |corners: [f32; 4]| Tensor::from_slice(&corners).view([1, 4]);
        let found = Overlap::of(&corners(first), &corners(second)).unwrap();
        let four = |tensor: Tensor| tensor.view([-1, 1, 1, 1]);
        Tensors::new()
            .with("i", four(found.intersection))
            .with("u", four(found.union))
            .with("e", four(found.enclosing))
    }

    #[test]
    fn losses_of_areas_are_those_of_drawn_boxes() {
        // i = 1, u = 7, e = 9.
        let inputs = areas([0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]);
        for (loss, exact) in [
            (iou as fn(&Tensors) -> Result<Tensor>, 1.0 - 1.0 / 7.0),
            (giou, 1.0 - 1.0 / 7.0 + 2.0 / 9.0),
            (cse_auto_a, 1.0 - 1.0 / 7.0 + 6.0 / 9.0),
        ] {
            let found = loss(&inputs).unwrap().double_value(&[]);
            assert!((found - exact).abs() < 1e-6, "{found} {exact}");
        }
    }

    #[test]
    fn losses_of_offsets_are_divided_by_all_that_was_sampled() {
        let offsets = Tensor::from_slice(&[0.5f32, 0.0, -1.0, 0.05]).view([1, 4, 1, 1]);
        let inputs = Tensors::new()
            .with("target_offsets", offsets.zeros_like())
            .with("offsets", offsets)
            .with("sampled", Tensor::from_slice(&[10f32]));
        let found = l1(&inputs).unwrap().double_value(&[]);
        assert!((found - 0.155).abs() < 1e-6, "{found}");
        let smooth = smooth_l1(&inputs).unwrap().double_value(&[]);
        let exact = ((0.5 - BETA / 2.0) + (1.0 - BETA / 2.0) + 0.5 * 0.0025 / BETA) / 10.0;
        assert!((smooth - exact).abs() < 1e-6, "{smooth} {exact}");
    }
}
