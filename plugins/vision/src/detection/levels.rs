//! Regions pooled from that level of a feature pyramid which fits their size.

use super::boxes;
use super::maps::Map;
use super::roi_align::{RoiAlign, regions};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Added to a level before it is rounded down, so that a side of just a power of two is not below it.
const EPSILON: f32 = 1e-6;

/// [`RoiAlign`] on a feature pyramid (arXiv 1612.03144, equation 1): a box of w by h pixels is pooled from
/// level ⌊k₀ + log₂(√(w·h)/224)⌋ with k₀ = 4, or the nearest level that there is. Level k has stride 2ᵏ.
///
/// A box without area, or with a coordinate that is NaN, is pooled from the finest level.
///
/// ```
/// use autoloss_vision::detection::{MultiScaleRoiAlign, RoiAlign};
/// use tch::{Device, Kind, Tensor};
///
/// let pyramid = [16, 8].map(|side| Tensor::ones([1, 8, side, side], (Kind::Float, Device::Cpu)));
/// let boxes = Tensor::from_slice(&[0_f32, 0., 30., 30., 0., 0., 60., 60.]).view([2, 4]);
/// let pooling = MultiScaleRoiAlign::new(RoiAlign::new([7, 7], 2)?, &[4, 8])?.canonical(50.0, 3)?;
/// assert_eq!(pooling.levels(&boxes)?, [0, 1]);
/// assert_eq!(pooling.pool(&pyramid, &[boxes])?.size(), [2, 8, 7, 7]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiScaleRoiAlign {
    align: RoiAlign,
    strides: Vec<i64>,
    canonical_side: f32,
    canonical_level: i64,
}

impl MultiScaleRoiAlign {
    /// Pooling from levels of these strides, finest first.
    ///
    /// # Errors
    /// Unless the strides are powers of two, each twice the one before.
    pub fn new(align: RoiAlign, strides: &[i64]) -> Result<Self> {
        let double = |pair: &[i64]| pair[0].checked_mul(2) == Some(pair[1]);
        let first = strides.first().copied().unwrap_or_default();
        if first < 1 || first.count_ones() != 1 || !strides.windows(2).all(double) {
            return Err(format!(
                "levels have strides {strides:?}, expected powers of two, each twice the one before"
            )
            .into());
        }
        Ok(Self {
            align,
            strides: strides.to_vec(),
            canonical_side: 224.0,
            canonical_level: 4,
        })
    }

    /// With boxes of `side` × `side` pixels pooled from the level of stride 2^`level`, for images of other
    /// sizes than those that the paper's 224 and 4 are for.
    ///
    /// # Errors
    /// A side that is not a positive number, or a level outside 0 to 62.
    pub fn canonical(self, side: f64, level: i64) -> Result<Self> {
        let single = side as f32;
        if !(single.is_finite() && single > 0.0 && (0..63).contains(&level)) {
            return Err(format!(
                "boxes of side {side} belong to level {level}, expected a positive number and 0 to 62"
            )
            .into());
        }
        Ok(Self {
            canonical_side: single,
            canonical_level: level,
            ..self
        })
    }

    /// The level of each box (N, 4), an index into the strides.
    ///
    /// # Errors
    /// Another shape, or libtorch's.
    pub fn levels(&self, boxes: &Tensor) -> Result<Vec<usize>> {
        let boxes = boxes::read(boxes, "regions")?;
        Ok(boxes
            .into_iter()
            .map(|corners| self.level(corners))
            .collect())
    }

    fn level(&self, [x1, y1, x2, y2]: [f32; 4]) -> usize {
        let side = ((x2 - x1).max(0.0) * (y2 - y1).max(0.0)).sqrt();
        let steps = (side / self.canonical_side).log2();
        let level = (self.canonical_level as f32 + steps + EPSILON).floor();
        let above_finest = level - self.strides[0].trailing_zeros() as f32;
        // Saturates: below the finest, and NaN, become zero.
        (above_finest as usize).min(self.strides.len() - 1)
    }

    /// Features of the boxes of each image, (K, C, height, width) in the order of the images and their boxes,
    /// as [`RoiAlign::pool`]. `pyramid` has (N, C, H, W) of each level, `boxes` (K_i, 4) of each of the N images.
    ///
    /// Differentiable with respect to all levels, not to the boxes. Without any box the result is empty, and
    /// still depends on the levels.
    ///
    /// # Errors
    /// Another number of levels than strides, shapes that do not fit, or libtorch's.
    pub fn pool(&self, pyramid: &[Tensor], boxes: &[Tensor]) -> Result<Tensor> {
        if pyramid.len() != self.strides.len() {
            let (maps, levels) = (pyramid.len(), self.strides.len());
            return Err(format!("{maps} feature maps for regions of {levels} levels").into());
        }
        let maps = pyramid.iter().zip(&self.strides);
        let maps = maps.map(|(features, stride)| Map::new(features, 1.0 / *stride as f64));
        let maps = maps.collect::<Result<Vec<_>>>()?;
        let regions = regions(boxes, |corners| self.level(corners))?;
        self.align.pool_from(&maps, boxes.len(), &regions)
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::{tensor, values};
    use super::*;
    use tch::{Device, Kind};

    fn pooling() -> MultiScaleRoiAlign {
        let align = RoiAlign::new([2, 2], 2).unwrap();
        MultiScaleRoiAlign::new(align, &[4, 8, 16, 32]).unwrap()
    }

    fn square(side: f32) -> [f32; 4] {
        [3.0, 5.0, 3.0 + side, 5.0 + side]
    }

    #[test]
    fn sides_that_double_go_a_level_up() {
        let sides = [
            1.0, 111.0, 112.0, 223.0, 224.0, 447.0, 448.0, 895.0, 896.0, 1e6,
        ];
        let boxes = tensor(&sides.map(square));
        assert_eq!(
            pooling().levels(&boxes).unwrap(),
            [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
        );
        let just_below = tensor(&[223.9999, 223.999].map(square));
        assert_eq!(pooling().levels(&just_below).unwrap(), [2, 1]);
        let finer = pooling().canonical(56.0, 4).unwrap();
        assert_eq!(finer.levels(&boxes).unwrap()[..5], [0, 2, 3, 3, 3]);
    }

    #[test]
    fn odd_boxes_belong_to_some_level() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let odd = tensor(&[
            [nan; 4],
            [0.0; 4],
            [9.0, 9.0, 1.0, 1.0],
            [0.0, 0.0, inf, inf],
            [-inf, 0.0, inf, 0.0],
        ]);
        assert_eq!(pooling().levels(&odd).unwrap(), [0, 0, 0, 3, 0]);
    }

    #[test]
    fn every_level_is_pooled_at_its_scale_and_boxes_keep_their_order() {
        // The value of a position is its level and its column in pixels of the image.
        let pyramid = [4, 8, 16, 32].map(|stride: i64| {
            let columns = Tensor::arange(512 / stride, (Kind::Float, Device::Cpu)) * stride;
            let map = columns.expand([2, 1, 512 / stride, 512 / stride], false);
            Tensor::cat(&[&map, &map.full_like(stride)], 1).set_requires_grad(true)
        });
        let boxes = [
            tensor(&[square(300.0), square(50.0)]),
            tensor(&[square(120.0), square(460.0), square(240.0)]),
        ];
        let pooled = pooling().pool(&pyramid, &boxes).unwrap();
        assert_eq!(pooled.size(), [5, 2, 2, 2]);
        let strides = pooled
            .select(1, 1)
            .mean_dim([1_i64, 2].as_slice(), false, Kind::Float);
        assert_eq!(values(&strides), [16.0, 4.0, 8.0, 32.0, 16.0]);
        let middles = pooled
            .select(1, 0)
            .mean_dim([1_i64, 2].as_slice(), false, Kind::Float);
        for (middle, side) in values(&middles)
            .iter()
            .zip([300.0, 50.0, 120.0, 460.0, 240.0])
        {
            assert!(
                (middle - (3.0 + side / 2.0)).abs() < 1e-2,
                "{middle}, {side}"
            );
        }
        pooled.sum(Kind::Float).backward();
        assert!(
            pyramid
                .iter()
                .all(|map| map.grad().sum(Kind::Double).double_value(&[]) > 0.0)
        );
    }

    #[test]
    fn without_boxes_the_result_is_empty_and_attached() {
        let pyramid = [16, 8, 4, 2].map(|side| {
            Tensor::ones([1, 3, side, side], (Kind::Float, Device::Cpu)).set_requires_grad(true)
        });
        let pooled = pooling().pool(&pyramid, &[tensor(&[])]).unwrap();
        assert_eq!(pooled.size(), [0, 3, 2, 2]);
        pooled.sum(Kind::Float).backward();
        for map in &pyramid {
            assert!(values(&map.grad()).iter().all(|slope| *slope == 0.0));
        }
    }

    #[test]
    fn what_is_no_pyramid_is_refused() {
        let align = RoiAlign::new([2, 2], 2).unwrap();
        for strides in [
            &[][..],
            &[0],
            &[-4],
            &[3, 6],
            &[4, 16],
            &[8, 4],
            &[i64::MIN],
        ] {
            assert!(
                MultiScaleRoiAlign::new(align, strides).is_err(),
                "{strides:?}"
            );
        }
        for (side, level) in [
            (0.0, 4),
            (f64::NAN, 4),
            (f64::INFINITY, 4),
            (224.0, -1),
            (224.0, 63),
        ] {
            assert!(pooling().canonical(side, level).is_err());
        }
        let map = |channels: i64| Tensor::zeros([1, channels, 4, 4], (Kind::Float, Device::Cpu));
        let boxes = [tensor(&[])];
        assert!(pooling().pool(&[map(1)], &boxes).is_err());
        let error = pooling()
            .pool(&[map(1), map(1), map(2), map(1)], &boxes)
            .unwrap_err();
        assert!(error.to_string().contains("[1, 2, 4, 4]"), "{error}");
    }
}
