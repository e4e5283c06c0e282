//! From a detector's predictions to the inputs of its branches' losses.
//!
//! The branches are set-valued: their inputs, (N, C, 1, 1), are the sampled anchors or regions of all
//! pictures of a batch, for regressing branches the positives alone. Without a positive, one box that fits
//! exactly stands in, so that a loss has a value and its gradient is zero. Without any sample, as from
//! pictures that are one crowd, one certain background stands in, in the same way.

use crate::branches::Branch;
use autoloss_plugin_api::{Result, Tensors};
use autoloss_vision::detection::{BoxCoder, Overlap};
use tch::{Kind, Tensor};

/// The unit of boxes: an anchor or region of side 1.
const UNIT: [f32; 4] = [-0.5, -0.5, 0.5, 0.5];

/// Predictions for sampled anchors or regions, and their targets.
pub(crate) struct Samples {
    /// Predicted probabilities ŷ (N, C).
    pub(crate) probabilities: Tensor,
    /// Classes (N), from 0.
    pub(crate) labels: Tensor,
    /// Which of the N samples are positive, (P).
    pub(crate) positive: Tensor,
    /// Predicted and target offsets of the positives; (P, 4) each.
    pub(crate) offsets: [Tensor; 2],
    /// How offsets encode boxes.
    pub(crate) coder: BoxCoder,
}

impl Samples {
    /// The inputs of a classifying and of a regressing branch.
    pub(crate) fn inputs(&self) -> Result<[Tensors; 2]> {
        let classes = self.probabilities.size()[1];
        let (probabilities, labels) = self.classes()?;
        let y = labels.f_one_hot(classes)?.f_to_kind(Kind::Float)?;
        let [predicted, target] = self.offsets()?;
        let overlap = Overlap::of(&self.decoded(&predicted)?, &self.decoded(&target)?)?;
        let fits = overlap.iou()?.f_detach()?;
        let sampled = probabilities.size()[0];
        // IoU where there is an object, 1 elsewhere.
        let z = Tensor::f_ones([sampled], (Kind::Float, self.probabilities.device()))?;
        let z = match self.positive.size()[0] {
            0 => z,
            _ => z.f_index_copy(0, &self.positive, &fits)?,
        };
        let count =
            Tensor::f_from_slice(&[sampled as f32])?.f_to_device(self.probabilities.device())?;
        let shown = |offsets: &Tensor| offsets.f_view([-1, 4, 1, 1]);
        let classify = Tensors::new()
            .with("yhat", probabilities.f_view([-1, classes, 1, 1])?)
            .with("y", y.f_view([-1, classes, 1, 1])?)
            .with("z", z.f_view([-1, 1, 1, 1])?);
        let area = |area: Tensor| area.f_view([-1, 1, 1, 1]);
        let regress = Tensors::new()
            .with("i", area(overlap.intersection)?)
            .with("u", area(overlap.union)?)
            .with("e", area(overlap.enclosing)?)
            .with("offsets", shown(&predicted)?)
            .with("target_offsets", shown(&target)?)
            .with("sampled", count);
        Ok([classify, regress])
    }

    /// ŷ (N, C) and classes (N) of at least one.
    fn classes(&self) -> Result<(Tensor, Tensor)> {
        let size = self.probabilities.size();
        if size[0] > 0 {
            return Ok((
                self.probabilities.shallow_clone(),
                self.labels.shallow_clone(),
            ));
        }
        let background = Tensor::f_zeros([1], (Kind::Int64, self.probabilities.device()))?;
        let certain = background.f_one_hot(size[1])?.f_to_kind(Kind::Float)?;
        // Attached to the parameters, if without effect.
        let attached = certain.f_add(&self.probabilities.f_sum(Kind::Float)?)?;
        Ok((attached, background))
    }

    /// Predicted and target offsets of at least one box.
    fn offsets(&self) -> Result<[Tensor; 2]> {
        let [predicted, target] = &self.offsets;
        if predicted.size()[0] > 0 {
            return Ok([predicted.shallow_clone(), target.shallow_clone()]);
        }
        let nothing = Tensor::f_zeros([1, 4], (Kind::Float, self.probabilities.device()))?;
        // Attached to the parameters, if without effect.
        let attached = nothing.f_add(&predicted.f_sum(Kind::Float)?)?;
        Ok([attached, nothing])
    }

    /// Their boxes, in units of the anchor or region.
    fn decoded(&self, offsets: &Tensor) -> Result<Tensor> {
        let unit = Tensor::f_from_slice(&UNIT)?.f_to_device(offsets.device())?;
        let units = unit.f_expand([offsets.size()[0], 4], false)?;
        self.coder.decode(offsets, &units)
    }
}

/// The branches' inputs by name.
pub(crate) fn named(
    anchors: &Samples,
    regions: &Samples,
) -> Result<std::collections::BTreeMap<String, Tensors>> {
    let [rpn_cls, rpn_reg] = anchors.inputs()?;
    let [rcnn_cls, rcnn_reg] = regions.inputs()?;
    let pairs = [
        (Branch::RpnCls, rpn_cls),
        (Branch::RpnReg, rpn_reg),
        (Branch::RcnnCls, rcnn_cls),
        (Branch::RcnnReg, rcnn_reg),
    ];
    Ok(pairs
        .into_iter()
        .map(|(branch, inputs)| (branch.name().to_owned(), inputs))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn samples(positives: &[i64], predicted: &Tensor, target: &Tensor) -> Samples {
        let logits = Tensor::from_slice(&[0.2f32, -1.0, 0.3, 2.0, 0.0, 0.5]).view([3, 2]);
        Samples {
            probabilities: logits.softmax(-1, None),
            labels: Tensor::from_slice(&[0i64, 1, 0]),
            positive: Tensor::from_slice(positives),
            offsets: [predicted.shallow_clone(), target.shallow_clone()],
            coder: BoxCoder::of_head(),
        }
    }

    #[test]
    fn areas_are_in_units_of_the_reference() {
        // Half a side to the right of where it should be, and as large as its reference.
        let predicted = Tensor::from_slice(&[5f32, 0.0, 0.0, 0.0]).view([1, 4]);
        let found = samples(&[1], &predicted, &predicted.zeros_like())
            .inputs()
            .unwrap();
        let value = |name: &str| found[1].get(name).unwrap().double_value(&[0, 0, 0, 0]);
        for (name, exact) in [("i", 0.5), ("u", 1.5), ("e", 1.5)] {
            assert!((value(name) - exact).abs() < 1e-6, "{name}");
        }
        let z: Vec<f32> = Vec::try_from(&found[0].get("z").unwrap().view([-1])).unwrap();
        assert!(
            (z[1] - 1.0 / 3.0).abs() < 1e-5 && z[0] == 1.0 && z[2] == 1.0,
            "{z:?}"
        );
        assert_eq!(
            *found[1].get("offsets").unwrap(),
            predicted.view([1, 4, 1, 1])
        );
    }

    #[test]
    fn without_any_sample_a_certain_background_stands_for_it() {
        let probabilities =
            Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let none = Tensor::zeros([0], (Kind::Int64, Device::Cpu));
        let offsets = Tensor::zeros([0, 4], (Kind::Float, Device::Cpu));
        let found = Samples {
            probabilities: &probabilities * 1.0,
            labels: none.shallow_clone(),
            positive: none,
            offsets: [offsets.shallow_clone(), offsets],
            coder: BoxCoder::of_proposals(),
        };
        let [classify, regress] = found.inputs().unwrap();
        let yhat = classify.get("yhat").unwrap();
        let background = Tensor::from_slice(&[1f32, 0.0, 0.0]).view([1, 3, 1, 1]);
        assert_eq!(
            (yhat, classify.get("y").unwrap()),
            (&background, &background)
        );
        assert_eq!(classify.get("z").unwrap().size(), [1, 1, 1, 1]);
        assert_eq!(regress.get("sampled").unwrap().double_value(&[0]), 1.0);
        yhat.sum(Kind::Float).backward();
        assert_eq!(probabilities.grad().size(), [0, 3]);
    }

    #[test]
    fn without_positives_there_is_a_value_and_no_gradient() {
        let predicted = Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let found = samples(&[], &(&predicted * 1.0), &predicted.detach())
            .inputs()
            .unwrap();
        for name in ["i", "u", "e"] {
            let area = found[1].get(name).unwrap();
            assert_eq!(
                (area.size(), area.double_value(&[0, 0, 0, 0])),
                (vec![1, 1, 1, 1], 1.0)
            );
            assert!(area.requires_grad());
        }
        found[1].get("u").unwrap().sum(Kind::Float).backward();
        assert_eq!(predicted.grad().numel(), 0);
    }
}
