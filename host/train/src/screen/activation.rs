//! From raw predictions to what a loss is given, on tensors.

use super::Branch;
use crate::Result;
use autoloss_spec::{Activation, TARGET_BOXES};
use tch::Tensor;

impl Branch {
    /// The parts of the prediction ŷ of raw values x.
    pub(super) fn activate(&self, raw: &Tensor) -> Result<Vec<Tensor>> {
        let active = match self.info.activation {
            Activation::Softmax => vec![raw.f_softmax(1, None)?],
            Activation::Sigmoid => vec![raw.f_sigmoid()?],
            Activation::Boxes => areas(raw, self.fixed(TARGET_BOXES)?)?.into(),
            Activation::Identity => vec![raw.shallow_clone()],
        };
        let Some(valid) = &self.samples.valid else {
            return Ok(active);
        };
        let masked = active.iter().map(|part| Ok(part.f_mul(valid)?));
        masked.collect()
    }

    /// How far a prediction is from what it should become: ŷ − y, or x − y of boxes; ones where that is
    /// not known. It says on which side of the target a gradient pushes.
    pub(super) fn away(&self, raw: &Tensor, prediction: &[Tensor]) -> Result<Tensor> {
        if self.info.activation == Activation::Boxes {
            return Ok(raw.f_sub(self.fixed(TARGET_BOXES)?)?);
        }
        Ok(match self.target() {
            Some(input) => prediction[0].f_sub(self.fixed(&self.info.inputs[input].name)?)?,
            None => prediction[0].f_ones_like()?,
        })
    }
}

/// Intersection, union and enclosing box of boxes with their targets, (B, 1, H, W) each.
fn areas(boxes: &Tensor, targets: &Tensor) -> Result<[Tensor; 3]> {
    let own = [axis(boxes, 0)?, axis(boxes, 1)?];
    let others = [axis(targets, 0)?, axis(targets, 1)?];
    let both = |length: fn(&Axis, &Axis) -> Result<Tensor>| -> Result<Tensor> {
        Ok(length(&own[0], &others[0])?.f_mul(&length(&own[1], &others[1])?)?)
    };
    let common = both(|a, b| {
        let overlap = a
            .high
            .f_minimum(&b.high)?
            .f_sub(&a.low.f_maximum(&b.low)?)?;
        Ok(overlap.f_relu()?)
    })?;
    let hull = both(|a, b| {
        Ok(a.high
            .f_maximum(&b.high)?
            .f_sub(&a.low.f_minimum(&b.low)?)?)
    })?;
    let area = |axes: &[Axis; 2]| axes[0].side.f_mul(&axes[1].side);
    let union = area(&own)?.f_add(&area(&others)?)?.f_sub(&common)?;
    Ok([common, union, hull])
}

/// The extent of boxes along an axis.
struct Axis {
    side: Tensor,
    low: Tensor,
    high: Tensor,
}

fn axis(boxes: &Tensor, axis: i64) -> Result<Axis> {
    let centre = boxes.f_narrow(1, axis, 1)?;
    let side = boxes.f_narrow(1, axis + 2, 1)?.f_exp()?;
    let half = side.f_mul_scalar(0.5)?;
    Ok(Axis {
        low: centre.f_sub(&half)?,
        high: centre.f_add(&half)?,
        side,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(values: [f32; 8]) -> Tensor {
        // Two boxes side by side: (1, 4, 1, 2).
        Tensor::from_slice(&values).view([1, 4, 1, 2])
    }

    #[test]
    fn areas_are_those_of_drawn_boxes() {
        let four = 4f32.ln();
        let targets = boxes([0.0; 8]);
        // The first lies half beside its target, the second is 4 by 1 and two units away.
        let own = boxes([0.5, 4.5, 0.0, 0.0, 0.0, four, 0.0, 0.0]);
        let [common, union, hull] = areas(&own, &targets).unwrap();
        for (found, exact) in [
            (common, [0.5, 0.0]),
            (union, [1.5, 5.0]),
            (hull, [1.5, 7.0]),
        ] {
            let found = Vec::<f32>::try_from(found.view(-1)).unwrap();
            for (found, exact) in found.into_iter().zip(exact) {
                assert!((found - exact).abs() < 1e-6, "{found} {exact}");
            }
        }
    }
}
