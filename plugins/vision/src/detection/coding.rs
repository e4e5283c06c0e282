//! Boxes as offsets from other boxes.

use super::boxes;
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Largest dw and dh, before the exponential: ln(1000/16), torchvision's. A box grows to at most 62.5 times
/// the side of its anchor, and the exponential never overflows.
const LARGEST_GROWTH: f64 = 4.135_166_556_742_356;
/// Shortest side that is encoded, pixels; torchvision divides by zero and takes its logarithm.
const SHORTEST: f64 = 1e-3;

/// Box coding of Faster R-CNN (arXiv 1506.01497, equation 2): for a box with centre (x, y) and sides (w, h)
/// and an anchor (x_a, y_a, w_a, h_a) the offsets are dx = (x − x_a)/w_a, dy = (y − y_a)/h_a,
/// dw = ln(w/w_a), dh = ln(h/h_a), each times a weight.
///
/// ```
/// use autoloss_vision::detection::BoxCoder;
/// use tch::Tensor;
///
/// let anchors = Tensor::from_slice(&[10_f32, 10., 20., 30.]).view([1, 4]);
/// let deltas = Tensor::from_slice(&[1_f32, 0., 0., 0.]).view([1, 4]);
/// let boxes = BoxCoder::new([2.0, 1.0, 1.0, 1.0])?.decode(&deltas, &anchors)?;
/// assert_eq!(Vec::<f32>::try_from(boxes.view([4]))?, [15.0, 10.0, 25.0, 30.0]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoder {
    weights: [f64; 4],
}

/// Centres and sides, (N, 1) each: x, y, w, h.
struct Centred([Tensor; 4]);

impl Centred {
    fn of(boxes: &Tensor) -> Result<Self> {
        let column = |axis: i64| boxes.f_narrow(1, axis, 1);
        let along = |axis: i64| -> Result<[Tensor; 2]> {
            let low = column(axis)?;
            let side = column(axis + 2)?.f_sub(&low)?;
            let centre = low.f_add(&side.f_mul_scalar(0.5)?)?;
            Ok([centre, side])
        };
        let ([x, w], [y, h]) = (along(0)?, along(1)?);
        Ok(Self([x, y, w, h]))
    }
}

impl BoxCoder {
    /// A coder with these weights of dx, dy, dw, dh.
    ///
    /// # Errors
    /// A weight that is not a positive number.
    pub fn new(weights: [f64; 4]) -> Result<Self> {
        if weights
            .iter()
            .any(|weight| !(weight.is_finite() && *weight > 0.0))
        {
            return Err(
                format!("weights of offsets are {weights:?}, expected positive numbers").into(),
            );
        }
        Ok(Self { weights })
    }

    /// The coder of a region proposal network: weights (1, 1, 1, 1).
    #[must_use]
    pub const fn of_proposals() -> Self {
        Self { weights: [1.0; 4] }
    }

    /// The coder of a box head, whose offsets are small: weights (10, 10, 5, 5).
    #[must_use]
    pub const fn of_head() -> Self {
        Self {
            weights: [10.0, 10.0, 5.0, 5.0],
        }
    }

    /// Offsets of `targets` (N, 4) from `anchors` (N, 4), one from one; (N, 4).
    ///
    /// Sides count as at least 1e-3 pixels, so that a box without area gives large numbers and no infinity.
    /// Coordinates that are not finite give offsets that are not.
    ///
    /// # Errors
    /// Shapes that differ, or libtorch's.
    pub fn encode(&self, targets: &Tensor, anchors: &Tensor) -> Result<Tensor> {
        let [n, m] = [
            boxes::count(targets, "targets")?,
            boxes::count(anchors, "anchors")?,
        ];
        if n != m {
            return Err(format!("{n} targets for {m} anchors, expected one for one").into());
        }
        let Centred(target) = Centred::of(targets)?;
        let Centred(anchor) = Centred::of(anchors)?;
        let mut offsets = Vec::with_capacity(4);
        for axis in 0..2 {
            let side = anchor[axis + 2].f_clamp_min(SHORTEST)?;
            let shift = target[axis].f_sub(&anchor[axis])?;
            offsets.push(shift.f_mul_scalar(self.weights[axis])?.f_div(&side)?);
        }
        for axis in 2..4 {
            let sides = [&target[axis], &anchor[axis]].map(|side| side.f_clamp_min(SHORTEST));
            let [side, from] = sides;
            let growth = side?.f_div(&from?)?.f_log()?;
            offsets.push(growth.f_mul_scalar(self.weights[axis])?);
        }
        Ok(Tensor::f_cat(&offsets, 1)?)
    }

    /// Boxes at offsets `deltas` (N, 4·C), C groups of dx, dy, dw, dh, from `anchors` (N, 4); of the shape
    /// of `deltas` and the kind of `anchors`. Differentiable; dw and dh beyond ln(1000/16) (after division
    /// by their weight) count as that and get no gradient.
    ///
    /// Offsets or anchors that are not finite give boxes that are not; [`super::large_boxes`] and
    /// [`super::nms`] drop those.
    ///
    /// # Errors
    /// Shapes that do not fit, or libtorch's.
    pub fn decode(&self, deltas: &Tensor, anchors: &Tensor) -> Result<Tensor> {
        let count = boxes::count(anchors, "anchors")?;
        let size = deltas.size();
        let groups = match size[..] {
            [n, width] if n == count && width % 4 == 0 => width / 4,
            _ => {
                return Err(format!("offsets have shape {size:?}, expected ({count}, 4·C)").into());
            }
        };
        let Centred([x, y, w, h]) = Centred::of(anchors)?;
        let parts = deltas
            .f_to_kind(anchors.kind())?
            .f_reshape([count, groups, 4])?
            .f_unbind(2)?;
        let part = |axis: usize| parts[axis].f_div_scalar(self.weights[axis]);
        let halves = |axis: usize, side: &Tensor| -> Result<Tensor> {
            let growth = part(axis)?.f_clamp_max(LARGEST_GROWTH)?.f_exp()?;
            Ok(growth.f_mul(side)?.f_mul_scalar(0.5)?)
        };
        let x = part(0)?.f_mul(&w)?.f_add(&x)?;
        let y = part(1)?.f_mul(&h)?.f_add(&y)?;
        let (w, h) = (halves(2, &w)?, halves(3, &h)?);
        let corners = [x.f_sub(&w)?, y.f_sub(&h)?, x.f_add(&w)?, y.f_add(&h)?];
        Ok(Tensor::f_stack(&corners, 2)?.f_reshape(size)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::{tensor, values};
    use super::*;
    use proptest::prelude::*;
    use tch::Kind;

    fn a_box() -> impl Strategy<Value = [f32; 4]> {
        let from = -50.0_f32..300.0;
        let side = 1.0_f32..200.0;
        (from.clone(), from, side.clone(), side).prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            pairs in prop::collection::vec((a_box(), a_box()), 0..8),
            weights in prop::array::uniform4(0.5_f64..12.0),
        ) {
            let (targets, anchors): (Vec<_>, Vec<_>) = pairs
                .into_iter()
                // Beyond it growth is cut.
                .filter(|(target, anchor)| (0..2).all(|axis| {
                    target[axis + 2] - target[axis] < 60.0 * (anchor[axis + 2] - anchor[axis])
                }))
                .unzip();
            let coder = BoxCoder::new(weights).unwrap();
            let deltas = coder.encode(&tensor(&targets), &tensor(&anchors)).unwrap();
            let decoded = coder.decode(&deltas, &tensor(&anchors)).unwrap();
            for (found, expected) in values(&decoded).iter().zip(values(&tensor(&targets))) {
                prop_assert!((found - expected).abs() < 1e-3, "{found}, {expected}");
            }
        }
    }

    #[test]
    fn every_group_of_offsets_has_the_same_anchor() {
        let anchors = tensor(&[[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 9.0, 9.0]]);
        let deltas = Tensor::from_slice(&[
            0.1_f32, 0.2, 0.3, 0.4, -1.0, 1.0, 0.0, 9.0, //
            0.0, 0.0, 0.0, 0.0, 0.5, 0.5, -0.5, -0.5,
        ]);
        let deltas = deltas.view([2, 8]);
        let coder = BoxCoder::of_head();
        let both = coder.decode(&deltas, &anchors).unwrap();
        assert_eq!(both.size(), [2, 8]);
        for group in [0, 4] {
            let one = coder.decode(&deltas.narrow(1, group, 4), &anchors).unwrap();
            assert_eq!(values(&one), values(&both.narrow(1, group, 4)));
        }
        assert_eq!(values(&both.narrow(1, 0, 4))[4..], [5.0, 5.0, 9.0, 9.0]);
    }

    #[test]
    fn growth_is_cut_and_then_has_no_gradient() {
        let anchors = tensor(&[[0.0, 0.0, 16.0, 16.0]]);
        let deltas = Tensor::from_slice(&[0_f32, 0.0, 80.0, 0.0]).view([1, 4]);
        let deltas = deltas.set_requires_grad(true);
        let decoded = BoxCoder::of_proposals().decode(&deltas, &anchors).unwrap();
        let sides = values(&decoded);
        assert!((sides[2] - sides[0] - 1000.0).abs() < 1e-2, "{sides:?}");
        decoded.square().sum(Kind::Float).backward();
        let gradient = values(&deltas.grad());
        assert_eq!(gradient[2], 0.0);
        assert!(gradient[3] != 0.0, "{gradient:?}");
    }

    #[test]
    fn no_boxes_and_boxes_without_area_are_coded() {
        let none = tensor(&[]);
        for coder in [BoxCoder::of_proposals(), BoxCoder::of_head()] {
            assert_eq!(coder.encode(&none, &none).unwrap().size(), [0, 4]);
            let deltas = Tensor::zeros([0, 12], (Kind::Float, tch::Device::Cpu));
            assert_eq!(coder.decode(&deltas, &none).unwrap().size(), [0, 12]);
            let odd = tensor(&[
                [1.0, 1.0, 1.0, 1.0],
                [5.0, 5.0, 2.0, 9.0],
                [0.0, 0.0, 4.0, 4.0],
            ]);
            let turned = odd.flip([0]);
            let deltas = values(&coder.encode(&odd, &turned).unwrap());
            assert!(deltas.iter().all(|delta| delta.is_finite()), "{deltas:?}");
        }
        let unreadable = tensor(&[[f32::NAN, 0.0, f32::INFINITY, 1.0]]);
        let coder = BoxCoder::of_proposals();
        let deltas = coder.encode(&unreadable, &unreadable).unwrap();
        let boxes = coder.decode(&deltas, &unreadable).unwrap();
        assert_eq!(
            values(&super::super::large_boxes(&boxes, 0.0).unwrap()),
            [0.0]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(BoxCoder::new([1.0, 0.0, 1.0, 1.0]).is_err());
        assert!(BoxCoder::new([1.0, f64::NAN, 1.0, 1.0]).is_err());
        let coder = BoxCoder::of_proposals();
        let [one, two] = [1, 2].map(|count| tensor(&vec![[0.0, 0.0, 1.0, 1.0]; count]));
        let error = coder.encode(&one, &two).unwrap_err().to_string();
        assert_eq!(error, "1 targets for 2 anchors, expected one for one");
        let six = Tensor::zeros([2, 6], (Kind::Float, tch::Device::Cpu));
        let error = coder.decode(&six, &two).unwrap_err().to_string();
        assert!(
            error.contains("[2, 6]") && error.contains("(2, 4·C)"),
            "{error}"
        );
    }
}
