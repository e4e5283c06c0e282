//! Boxes as such: areas, overlaps of all pairs, clipping.
//!
//! A side that is not positive counts as zero here. A product of two negative sides would be a positive
//! area, and an IoU of such boxes could be anything.

use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// The number of boxes.
///
/// # Errors
/// Names the shape unless it is (N, 4).
pub(super) fn count(boxes: &Tensor, what: &str) -> Result<i64> {
    match boxes.size()[..] {
        [count, 4] => Ok(count),
        ref size => {
            Err(format!("{what} have shape {size:?}, expected (N, 4): x1, y1, x2, y2").into())
        }
    }
}

/// Boxes on the CPU, one after the other.
pub(super) fn read(boxes: &Tensor, what: &str) -> Result<Vec<[f32; 4]>> {
    count(boxes, what)?;
    let flat = numbers(&boxes.f_reshape([-1])?)?;
    let boxes = flat.chunks_exact(4);
    Ok(boxes
        .map(|sides| std::array::from_fn(|at| sides[at]))
        .collect())
}

/// A vector on the CPU.
pub(super) fn numbers(vector: &Tensor) -> Result<Vec<f32>> {
    let vector = vector.f_detach()?.f_to_device(Device::Cpu)?;
    Ok(Vec::try_from(
        &vector.f_to_kind(Kind::Float)?.f_contiguous()?,
    )?)
}

/// The lengths of one side, from zero; `low` and `high` are its columns.
fn side(boxes: &Tensor, low: i64, high: i64) -> Result<Tensor> {
    let length = boxes.f_select(-1, high)?.f_sub(&boxes.f_select(-1, low)?)?;
    Ok(length.f_clamp_min(0.0)?)
}

/// Areas in square pixels, (N); zero for a box with a side that is not positive, NaN for one with a NaN
/// coordinate. Differentiable.
///
/// # Errors
/// A shape other than (N, 4), or libtorch's.
pub fn box_areas(boxes: &Tensor) -> Result<Tensor> {
    count(boxes, "boxes")?;
    areas(boxes)
}

/// [`box_areas`] of boxes along the last axis of any shape.
pub(super) fn areas(boxes: &Tensor) -> Result<Tensor> {
    Ok(side(boxes, 0, 2)?.f_mul(&side(boxes, 1, 3)?)?)
}

/// Area of the intersection of each of M boxes with each of N, square pixels, (M, N); zero for a box
/// with a side that is not positive, NaN for one with a NaN coordinate. Without a gradient.
///
/// # Errors
/// Shapes other than (M, 4) and (N, 4), or libtorch's.
pub fn pairwise_intersection(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    count(first, "the first boxes")?;
    count(second, "the second boxes")?;
    let (first, second) = (first.f_detach()?, second.f_detach()?);
    // In place: with all anchors of an image these are the largest tensors of a training step.
    let shared = |low: i64, high: i64| -> Result<Tensor> {
        let column = |axis| first.f_select(1, axis)?.f_unsqueeze(1);
        let start = column(low)?.f_maximum(&second.f_select(1, low)?)?;
        let mut length = column(high)?.f_minimum(&second.f_select(1, high)?)?;
        let _ = length.f_sub_(&start)?;
        Ok(length.f_clamp_min_(0.0)?)
    };
    let mut shared_area = shared(0, 2)?;
    let _ = shared_area.f_mul_(&shared(1, 3)?)?;
    Ok(shared_area)
}

/// IoU of each of M boxes with each of N, from 0 to 1, (M, N); zero where it has no value: for two boxes
/// without area, and for boxes whose coordinates are not finite. Without a gradient.
///
/// # Errors
/// Shapes other than (M, 4) and (N, 4), or libtorch's.
pub fn pairwise_iou(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    let shared = pairwise_intersection(first, second)?;
    let mut union = areas(&first.f_detach()?)?
        .f_unsqueeze(1)?
        .f_add(&areas(&second.f_detach()?)?)?;
    let _ = union.f_sub_(&shared)?;
    ratio(shared, &union)
}

/// Intersection of each of M boxes with each of N over the area of the second, from 0 to 1, (M, N); zero
/// where it has no value, as [`pairwise_iou`].
pub(super) fn pairwise_coverage(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    let shared = pairwise_intersection(first, second)?;
    ratio(shared, &areas(&second.f_detach()?)?)
}

fn ratio(mut share: Tensor, whole: &Tensor) -> Result<Tensor> {
    let _ = share.f_div_(whole)?;
    Ok(share.f_nan_to_num_(0.0, 0.0, 0.0)?)
}

/// Boxes cut to an image of `[height, width]` pixels, of the shape they have: (…, 4). NaN stays NaN,
/// infinity becomes the border. Differentiable, with a gradient of zero for what was cut off.
///
/// # Errors
/// A last axis other than 4, or libtorch's.
pub fn clip_boxes(boxes: &Tensor, [height, width]: [i64; 2]) -> Result<Tensor> {
    let size = boxes.size();
    if size.last() != Some(&4) {
        return Err(format!("boxes have shape {size:?}, expected (…, 4)").into());
    }
    let within = |first: i64, largest: i64| -> Result<Tensor> {
        let both = boxes.f_slice(-1, first, None, 2)?;
        Ok(both.f_clamp(0.0, largest.max(0) as f64)?)
    };
    let cut = Tensor::f_stack(&[within(0, width)?, within(1, height)?], -1)?;
    Ok(cut.f_reshape(size)?)
}

/// Whether each box has both sides at least `smallest` pixels long: booleans, (N); false for a box with a
/// NaN coordinate.
///
/// # Errors
/// A shape other than (N, 4), or libtorch's.
pub fn large_boxes(boxes: &Tensor, smallest: f64) -> Result<Tensor> {
    count(boxes, "boxes")?;
    let long = |low, high| -> Result<Tensor> {
        let length = boxes.f_select(1, high)?.f_sub(&boxes.f_select(1, low)?)?;
        Ok(length.f_ge(smallest)?)
    };
    Ok(long(0, 2)?.f_logical_and(&long(1, 3)?)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// (N, 4) on the CPU.
    pub(in super::super) fn tensor(boxes: &[[f32; 4]]) -> Tensor {
        Tensor::from_slice(boxes.as_flattened()).view([-1, 4])
    }

    pub(in super::super) fn values(tensor: &Tensor) -> Vec<f64> {
        let flat = tensor.detach().to_kind(Kind::Double).reshape([-1]);
        Vec::try_from(&flat).unwrap()
    }

    const ODD: [[f32; 4]; 6] = [
        [0.0, 0.0, 4.0, 2.0],
        [1.0, 1.0, 1.0, 5.0],
        [4.0, 4.0, 2.0, 2.0],
        [f32::NAN, 0.0, 1.0, 1.0],
        [0.0, 0.0, f32::INFINITY, 2.0],
        [f32::NEG_INFINITY, 0.0, f32::INFINITY, f32::INFINITY],
    ];

    #[test]
    fn areas_are_never_negative() {
        let areas = values(&box_areas(&tensor(&ODD)).unwrap());
        assert_eq!(areas[..3], [8.0, 0.0, 0.0]);
        assert!(areas[3].is_nan() && areas[4].is_infinite());
        assert_eq!(box_areas(&tensor(&[])).unwrap().size(), [0]);
    }

    #[test]
    fn iou_is_a_number_between_0_and_1_for_any_boxes() {
        let boxes = tensor(&ODD);
        let iou = pairwise_iou(&boxes, &boxes).unwrap();
        assert_eq!(iou.size(), [6, 6]);
        let iou = values(&iou);
        assert!(iou.iter().all(|iou| (0.0..=1.0).contains(iou)), "{iou:?}");
        assert_eq!((iou[0], iou[7]), (1.0, 0.0));
        for (m, n) in [(0, 3), (3, 0), (0, 0)] {
            let iou = pairwise_iou(&boxes.narrow(0, 0, m), &boxes.narrow(0, 0, n)).unwrap();
            assert_eq!(iou.size(), [m, n]);
        }
    }

    #[test]
    fn the_share_of_a_box_that_others_cover() {
        let regions = tensor(&[[0.0, 0.0, 10.0, 10.0]]);
        let boxes = tensor(&[
            [8.0, 8.0, 12.0, 12.0],
            [2.0, 2.0, 4.0, 4.0],
            [5.0, 5.0, 5.0, 9.0],
        ]);
        let coverage = pairwise_coverage(&regions, &boxes).unwrap();
        assert_eq!(values(&coverage), [0.25, 1.0, 0.0]);
    }

    #[test]
    fn clipping_keeps_shape_and_cuts_gradients() {
        let boxes = tensor(&[[-3.0, 1.0, 30.0, f32::INFINITY], [1.0, 2.0, 3.0, 4.0]]);
        let boxes = boxes.view([1, 2, 4]).set_requires_grad(true);
        let cut = clip_boxes(&boxes, [10, 20]).unwrap();
        assert_eq!(cut.size(), [1, 2, 4]);
        assert_eq!(values(&cut), [0.0, 1.0, 20.0, 10.0, 1.0, 2.0, 3.0, 4.0]);
        cut.sum(Kind::Float).backward();
        let expected = [0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(values(&boxes.grad()), expected);
        assert_eq!(clip_boxes(&tensor(&[]), [10, 20]).unwrap().size(), [0, 4]);
        let error = clip_boxes(&Tensor::from_slice(&[1_f32; 3]), [1, 1]).unwrap_err();
        assert!(error.to_string().contains("[3]"), "{error}");
    }

    #[test]
    fn small_and_unreadable_boxes_are_not_large() {
        let large = large_boxes(&tensor(&ODD), 2.0).unwrap();
        assert_eq!(values(&large), [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(large_boxes(&tensor(&[]), 2.0).unwrap().size(), [0]);
    }

    #[test]
    fn other_shapes_are_refused_by_name() {
        let wrong = Tensor::from_slice(&[1_f32; 6]).view([2, 3]);
        for message in [
            box_areas(&wrong).unwrap_err().to_string(),
            large_boxes(&wrong, 1.0).unwrap_err().to_string(),
            pairwise_iou(&tensor(&ODD), &wrong).unwrap_err().to_string(),
            read(&wrong, "boxes").unwrap_err().to_string(),
        ] {
            assert!(message.contains("[2, 3]"), "{message}");
        }
    }
}
