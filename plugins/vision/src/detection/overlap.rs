//! Intersection, union and smallest enclosing area of pairs of boxes, with gradients.

use super::boxes::areas;
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Added to the denominators of IoU and GIoU, as torchvision's losses do.
const EPSILON: f64 = 1e-7;

/// The overlap of pairs of boxes, in square pixels: losses for boxes are functions of it.
///
/// For finite coordinates 0 ≤ intersection ≤ union ≤ enclosing up to rounding, and all gradients are
/// finite. Sides that are not positive count as zero. The intersection of boxes that do not overlap, or
/// only touch, has a gradient of zero. Coordinates that are not finite give NaN or infinity.
///
/// ```
/// use autoloss_vision::detection::Overlap;
/// use tch::Tensor;
///
/// let first = Tensor::from_slice(&[0_f32, 0., 4., 4.]).view([1, 4]);
/// let second = Tensor::from_slice(&[2_f32, 2., 6., 4.]).view([1, 4]);
/// let overlap = Overlap::of(&first, &second)?;
/// let parts = [&overlap.intersection, &overlap.union, &overlap.enclosing];
/// assert_eq!(parts.map(|part| part.double_value(&[0])), [4.0, 20.0, 24.0]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct Overlap {
    /// Area in both boxes, (…).
    pub intersection: Tensor,
    /// Area in at least one of them, (…).
    pub union: Tensor,
    /// Area of the smallest box around both, (…).
    pub enclosing: Tensor,
}

impl Overlap {
    /// The overlap of each box of `first` with the one at the same place of `second`, both (…, 4).
    ///
    /// # Errors
    /// Shapes that differ or do not end in 4, or libtorch's.
    pub fn of(first: &Tensor, second: &Tensor) -> Result<Self> {
        let (size, other) = (first.size(), second.size());
        if size != other || size.last() != Some(&4) {
            return Err(format!(
                "boxes have shapes {size:?} and {other:?}, expected one shape (…, 4) for both"
            )
            .into());
        }
        let (first, second) = (first.f_unbind(-1)?, second.f_unbind(-1)?);
        let shared = |low: usize| -> Result<Tensor> {
            let start = first[low].f_maximum(&second[low])?;
            // Unlike a clamp, relu has no gradient at zero either, where boxes touch.
            Ok(first[low + 2]
                .f_minimum(&second[low + 2])?
                .f_sub(&start)?
                .f_relu()?)
        };
        let around = |low: usize| -> Result<Tensor> {
            let start = first[low].f_minimum(&second[low])?;
            let length = first[low + 2].f_maximum(&second[low + 2])?.f_sub(&start)?;
            Ok(length.f_clamp_min(0.0)?)
        };
        let area = |sides: &[Tensor]| areas(&Tensor::f_stack(sides, -1)?);
        let intersection = shared(0)?.f_mul(&shared(1)?)?;
        Ok(Self {
            union: area(&first)?.f_add(&area(&second)?)?.f_sub(&intersection)?,
            enclosing: around(0)?.f_mul(&around(1)?)?,
            intersection,
        })
    }

    /// Intersection over union, from 0 to 1, (…); 1e-7 is added to the denominator.
    ///
    /// # Errors
    /// libtorch's.
    pub fn iou(&self) -> Result<Tensor> {
        Ok(self
            .intersection
            .f_div(&self.union.f_add_scalar(EPSILON)?)?)
    }

    /// Generalised IoU (arXiv 1902.09630, algorithm 1): IoU less the share of the enclosing box that is
    /// in neither box, from −1 to 1, (…). The loss of the paper is 1 less this.
    ///
    /// # Errors
    /// libtorch's.
    pub fn giou(&self) -> Result<Tensor> {
        let empty = self.enclosing.f_sub(&self.union)?;
        let empty = empty.f_div(&self.enclosing.f_add_scalar(EPSILON)?)?;
        Ok(self.iou()?.f_sub(&empty)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::{tensor, values};
    use super::*;
    use proptest::prelude::*;
    use tch::{Device, Kind};

    fn any_box() -> impl Strategy<Value = [f32; 4]> {
        // Whole numbers, so that boxes touch, coincide and have no area or turned sides often.
        prop::array::uniform4((0_i16..8).prop_map(f32::from))
    }

    proptest! {
        #[test]
        fn areas_are_ordered_and_gradients_finite(
            pairs in prop::collection::vec((any_box(), any_box()), 1..20)
        ) {
            let (first, second): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let first = tensor(&first).set_requires_grad(true);
            let overlap = Overlap::of(&first, &tensor(&second)).unwrap();
            let [i, u, e] = [&overlap.intersection, &overlap.union, &overlap.enclosing].map(values);
            for at in 0..i.len() {
                prop_assert!(0.0 <= i[at] && i[at] <= u[at] && u[at] <= e[at], "{at}");
            }
            let giou = overlap.giou().unwrap();
            prop_assert!(values(&giou).iter().all(|giou| (-1.0..=1.0).contains(giou)));
            giou.sum(Kind::Float).backward();
            prop_assert!(values(&first.grad()).iter().all(|slope| slope.is_finite()));
        }
    }

    #[test]
    fn the_intersection_of_disjoint_and_touching_boxes_has_no_gradient() {
        let first = tensor(&[
            [0.0, 0.0, 4.0, 4.0],
            [0.0, 0.0, 4.0, 4.0],
            [0.0, 0.0, 4.0, 4.0],
            [0.0, 0.0, 4.0, 4.0],
        ]);
        let first = first.set_requires_grad(true);
        let second = tensor(&[
            [6.0, 0.0, 9.0, 4.0],
            [4.0, 0.0, 9.0, 4.0],
            [6.0, 6.0, 9.0, 9.0],
            [3.0, 2.0, 9.0, 9.0],
        ]);
        let overlap = Overlap::of(&first, &second).unwrap();
        assert_eq!(values(&overlap.intersection), [0.0, 0.0, 0.0, 2.0]);
        overlap.intersection.sum(Kind::Float).backward();
        let gradient = values(&first.grad());
        assert!(
            gradient[..12].iter().all(|slope| *slope == 0.0),
            "{gradient:?}"
        );
        assert_eq!(gradient[12..], [0.0, 0.0, 2.0, 1.0]);
    }

    #[test]
    fn any_shape_with_boxes_last_and_no_other() {
        let boxes = Tensor::zeros([2, 3, 4], (Kind::Float, Device::Cpu));
        assert_eq!(Overlap::of(&boxes, &boxes).unwrap().union.size(), [2, 3]);
        let none = tensor(&[]);
        assert_eq!(
            Overlap::of(&none, &none).unwrap().giou().unwrap().size(),
            [0]
        );
        let error = Overlap::of(&boxes, &none).unwrap_err().to_string();
        assert!(
            error.contains("[2, 3, 4]") && error.contains("[0, 4]"),
            "{error}"
        );
    }
}
