//! Losses of classifying branches: means over the sampled anchors or regions.

use super::EPSILON;
use autoloss_plugin_api::{Result, Tensors};
use tch::{Kind, Tensor};

/// −y·log ŷ.
pub(super) const CE: &str = "neg(mul(y, log(yhat)))";
/// −y·(1 − ŷ)²·log ŷ (arXiv 1708.02002, equation 4, γ = 2; without the weight α).
pub(super) const FOCAL: &str = "neg(mul(mul(y, square(add(1, neg(yhat)))), log(yhat)))";

struct Sampled {
    y: Tensor,
    yhat: Tensor,
}

impl Sampled {
    fn of(inputs: &Tensors) -> Result<Self> {
        Ok(Self {
            y: inputs.get("y")?.shallow_clone(),
            yhat: inputs.get("yhat")?.shallow_clone(),
        })
    }

    fn log(&self) -> Result<Tensor> {
        Ok(self.yhat.f_add_scalar(EPSILON)?.f_log()?)
    }
}

/// −(1/N) Σ of values (N, C, 1, 1).
fn negative_mean(values: &Tensor) -> Result<Tensor> {
    let count = values.size().first().copied().unwrap_or(1).max(1);
    Ok(values.f_sum(Kind::Float)?.f_neg()?.f_div_scalar(count)?)
}

pub(super) fn cross_entropy(inputs: &Tensors) -> Result<Tensor> {
    let sampled = Sampled::of(inputs)?;
    negative_mean(&sampled.y.f_mul(&sampled.log()?)?)
}

pub(super) fn focal(inputs: &Tensors) -> Result<Tensor> {
    let sampled = Sampled::of(inputs)?;
    let missing = sampled.yhat.f_neg()?.f_add_scalar(1.0)?.f_square()?;
    negative_mean(&sampled.y.f_mul(&missing)?.f_mul(&sampled.log()?)?)
}

/// −y·(1 + sin z)·log ŷ, where z is the IoU of a positive's predicted box with its object's, and 1 of
/// others (CSE-AutoLoss, arXiv 2103.01003, recalled).
pub(super) fn cse_auto_a(inputs: &Tensors) -> Result<Tensor> {
    let sampled = Sampled::of(inputs)?;
    let weight = inputs.get("z")?.f_sin()?.f_add_scalar(1.0)?;
    negative_mean(&sampled.y.f_mul(&weight)?.f_mul(&sampled.log()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn inputs() -> (Tensors, Tensor, Tensor) {
        tch::manual_seed(2);
        let logits = Tensor::randn([6, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let labels = Tensor::from_slice(&[0i64, 3, 1, 0, 2, 0]);
        let four = |tensor: Tensor| tensor.view([6, -1, 1, 1]);
        let z = Tensor::from_slice(&[1f32, 0.7, 0.2, 1.0, 0.9, 1.0]);
        let tensors = Tensors::new()
            .with("yhat", four(logits.softmax(1, None)))
            .with("y", four(labels.one_hot(4).to_kind(Kind::Float)))
            .with("z", four(z));
        (tensors, logits, labels)
    }

    #[test]
    fn cross_entropy_is_libtorchs_own() {
        let (tensors, logits, labels) = inputs();
        let ours = cross_entropy(&tensors).unwrap().double_value(&[]);
        let theirs = logits.cross_entropy_for_logits(&labels).double_value(&[]);
        assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
    }

    #[test]
    fn weights_are_what_they_should_be() {
        let (tensors, logits, labels) = inputs();
        let own = logits
            .softmax(1, None)
            .gather(1, &labels.unsqueeze(1), false)
            .squeeze();
        let mean = |weight: Tensor| (-weight * own.log()).mean(Kind::Float).double_value(&[]);
        let focal = focal(&tensors).unwrap().double_value(&[]);
        assert!((focal - mean((own.neg() + 1.0).square())).abs() < 1e-6);
        let z = tensors.get("z").unwrap().view([-1]);
        let cse = cse_auto_a(&tensors).unwrap().double_value(&[]);
        assert!((cse - mean(z.sin() + 1.0)).abs() < 1e-6);
    }
}
