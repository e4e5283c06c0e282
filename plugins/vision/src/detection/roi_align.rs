//! Features of regions of any size, at one size.
//!
//! Every bin of a region is a weighted sum of positions of the map, with weights that are worked out on the
//! CPU, boxes being constants here.

use super::bags::Bags;
use super::boxes;
use super::maps::{Map, table};
use super::sample_points::{AxisBins, MOST_SAMPLES, Span};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Largest side of the output.
const LARGEST_OUTPUT: i64 = 1024;

/// Region-of-interest alignment (arXiv 1703.06870, section 3): a region is divided into bins, each the mean
/// of bilinear samples at points evenly spread in it.
///
/// As in torchvision, points more than a pixel outside the map count as zero. A region is at least one pixel of
/// the map wide and high, unless it is aligned by half a pixel: then one without area gives zero with an
/// adaptive number of points. A box with a coordinate that is not finite gives zero.
///
/// ```
/// use autoloss_vision::detection::RoiAlign;
/// use tch::{Device, Kind, Tensor};
///
/// let features = Tensor::ones([1, 8, 16, 16], (Kind::Float, Device::Cpu));
/// let boxes = Tensor::from_slice(&[8_f32, 8., 40., 24.]).view([1, 4]);
/// let pooled = RoiAlign::new([7, 7], 2)?.pool(&features, &[boxes], 0.25)?;
/// assert_eq!(pooled.size(), [1, 8, 7, 7]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoiAlign {
    output: [usize; 2],
    samples: Option<usize>,
    half_pixel: bool,
}

/// A box of an image with the map, one of several, that it is pooled from.
#[derive(Debug, Clone, Copy)]
pub(super) struct PooledBox {
    pub(super) map: usize,
    pub(super) image: usize,
    pub(super) corners: [f32; 4],
}

impl RoiAlign {
    /// Pooling to `output` height and width, from `sampling_ratio`² points a bin; with 0 or less, from as many
    /// as make them at most a pixel of the map apart.
    ///
    /// # Errors
    /// An output side outside 1 to 1024, or a ratio above 64.
    pub fn new(output: [i64; 2], sampling_ratio: i64) -> Result<Self> {
        if output
            .iter()
            .any(|side| !(1..=LARGEST_OUTPUT).contains(side))
        {
            return Err(format!(
                "regions are pooled to {output:?}, expected 1 to {LARGEST_OUTPUT}"
            )
            .into());
        }
        if sampling_ratio > MOST_SAMPLES as i64 {
            return Err(format!(
                "a sampling ratio is {sampling_ratio}, expected at most {MOST_SAMPLES}"
            )
            .into());
        }
        Ok(Self {
            output: output.map(|side| side as usize),
            samples: usize::try_from(sampling_ratio)
                .ok()
                .filter(|samples| *samples > 0),
            half_pixel: false,
        })
    }

    /// Moves all regions by half a pixel of the map, so that a box covers the middles of its pixels
    /// (torchvision's `aligned`).
    #[must_use]
    pub const fn aligned(self) -> Self {
        Self {
            half_pixel: true,
            ..self
        }
    }

    /// Features of the boxes of each image, (K, C, height, width) in the order of the images and their boxes,
    /// channels last in memory. `features` are (N, C, H, W), `boxes` has (K_i, 4) for each of the N images,
    /// and `scale` is H over the image's height.
    ///
    /// Differentiable with respect to the features, not to the boxes. Half precision is summed in single
    /// precision. Without any box the result is empty, and still depends on the features.
    ///
    /// # Errors
    /// Shapes that do not fit, a map without positions, a scale that is not a positive number, or libtorch's.
    pub fn pool(&self, features: &Tensor, boxes: &[Tensor], scale: f64) -> Result<Tensor> {
        let map = Map::new(features, scale)?;
        let regions = regions(boxes, |_| 0)?;
        self.pool_from(&[map], boxes.len(), &regions)
    }

    /// [`RoiAlign::pool`] from several maps of as many channels, of a batch of `images`.
    pub(super) fn pool_from(
        &self,
        maps: &[Map],
        images: usize,
        regions: &[PooledBox],
    ) -> Result<Tensor> {
        let [_, channels, ..] = maps.first().ok_or("regions need a feature map")?.size;
        for Map { size, .. } in maps {
            if size[0] != images || size[1] != channels {
                return Err(format!(
                    "features have shape {size:?} for boxes of {images} images, expected ({images}, \
                     {channels}, H, W)"
                )
                .into());
            }
        }
        let table = table(maps)?;
        let [height, width] = self.output.map(|side| side as i64);
        let channels = channels as i64;
        let kind = maps[0].features.kind();
        if regions.is_empty() {
            let none = table
                .f_narrow(0, 0, 0)?
                .f_reshape([0, channels, height, width])?;
            return Ok(none.f_to_kind(kind)?);
        }
        let sums = self.bags(maps, regions)?.sums(&table)?;
        let pooled = sums.f_view([regions.len() as i64, height, width, channels])?;
        Ok(pooled.f_permute([0, 3, 1, 2])?.f_to_kind(kind)?)
    }

    fn bags(&self, maps: &[Map], regions: &[PooledBox]) -> Result<Bags> {
        let mut firsts = Vec::with_capacity(maps.len());
        let mut rows = 0;
        for map in maps {
            firsts.push(rows);
            rows += map.positions();
        }
        let mut bags = Bags::new(regions.len() * self.output[0] * self.output[1], rows)?;
        let (mut down, mut right) = (AxisBins::default(), AxisBins::default());
        for PooledBox {
            map,
            image,
            corners,
        } in regions
        {
            let Map { size, scale, .. } = maps[*map];
            let [_, _, height, width] = size;
            let [x1, y1, x2, y2] = *corners;
            let (vertical, horizontal) = (self.span(y1, y2, scale), self.span(x1, x2, scale));
            down.divide(vertical, self.output[0], self.samples, height);
            right.divide(horizontal, self.output[1], self.samples, width);
            bags.add(&down, &right, firsts[*map] + image * height * width, width)?;
        }
        Ok(bags)
    }

    fn span(&self, low: f32, high: f32, scale: f32) -> Span {
        let shift = if self.half_pixel { 0.5 } else { 0.0 };
        let start = low * scale - shift;
        let length = high * scale - shift - start;
        // A plain maximum would turn NaN into a length.
        let short = !self.half_pixel && length.is_finite() && length < 1.0;
        Span {
            start,
            length: if short { 1.0 } else { length },
        }
    }
}

/// The boxes of all images, each with the map that `chosen` gives it.
pub(super) fn regions(
    boxes: &[Tensor],
    chosen: impl Fn([f32; 4]) -> usize,
) -> Result<Vec<PooledBox>> {
    let mut regions = Vec::new();
    for (image, boxes) in boxes.iter().enumerate() {
        for corners in boxes::read(boxes, "regions")? {
            let map = chosen(corners);
            regions.push(PooledBox {
                map,
                image,
                corners,
            });
        }
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::{tensor, values};
    use super::*;
    use proptest::prelude::*;
    use tch::{Device, Kind};

    fn ramp(size: [i64; 4]) -> Tensor {
        let count: i64 = size.iter().product();
        Tensor::arange(count, (Kind::Float, Device::Cpu)).view(size) / 64.0
    }

    proptest! {
        #[test]
        fn a_constant_map_gives_its_constant_inside(
            corners in prop::array::uniform4(0.0_f32..15.0),
            samples in -1_i64..4,
            half_pixel: bool,
        ) {
            let [a, b, c, d] = corners;
            let inside = [a.min(c), b.min(d), a.max(c), b.max(d)];
            let align = RoiAlign::new([2, 3], samples).unwrap();
            let align = if half_pixel { align.aligned() } else { align };
            let features = Tensor::full([1, 2, 16, 16], 2.5, (Kind::Float, Device::Cpu));
            let pooled = align.pool(&features, &[tensor(&[inside])], 1.0).unwrap();
            prop_assert_eq!(pooled.size(), [1, 2, 2, 3]);
            let empty = half_pixel && samples < 1 && (a == c || b == d);
            for value in values(&pooled) {
                prop_assert!((value - 2.5).abs() < 1e-5 || empty, "{value}");
            }
        }

        #[test]
        fn the_gradient_of_the_sum_is_the_weight_of_every_position(
            corners in prop::array::uniform4(-8.0_f32..24.0),
            samples in 0_i64..3,
        ) {
            // The sum is linear in the features, so it is their product with its gradient.
            let features = ramp([1, 2, 9, 7]).set_requires_grad(true);
            let align = RoiAlign::new([3, 2], samples).unwrap();
            let pooled = align.pool(&features, &[tensor(&[corners])], 0.5).unwrap();
            let sum = pooled.sum(Kind::Float);
            sum.backward();
            let product = (features.grad() * &features).sum(Kind::Double).double_value(&[]);
            let sum = sum.double_value(&[]);
            prop_assert!((product - sum).abs() < 1e-4 * sum.abs().max(1.0), "{product}, {sum}");
        }
    }

    #[test]
    fn boxes_keep_their_image_and_order() {
        let features = ramp([3, 1, 4, 4]);
        let one = [1.0, 1.0, 2.0, 2.0];
        let boxes = [
            tensor(&[one, [2.0, 2.0, 3.0, 3.0]]),
            tensor(&[]),
            tensor(&[one]),
        ];
        let pooled = RoiAlign::new([1, 1], 1)
            .unwrap()
            .pool(&features, &boxes, 1.0)
            .unwrap();
        // The middle of four pixels, 16 pixels to an image.
        assert_eq!(values(&(pooled * 64.0)), [7.5, 12.5, 39.5]);
    }

    #[test]
    fn without_boxes_the_result_is_empty_and_attached() {
        let align = RoiAlign::new([7, 5], 2).unwrap();
        let features = ramp([2, 3, 4, 4]).set_requires_grad(true);
        let pooled = align
            .pool(&features, &[tensor(&[]), tensor(&[])], 0.5)
            .unwrap();
        assert_eq!(pooled.size(), [0, 3, 7, 5]);
        pooled.sum(Kind::Float).backward();
        assert!(values(&features.grad()).iter().all(|slope| *slope == 0.0));
        let none = Tensor::zeros([0, 3, 4, 4], (Kind::Float, Device::Cpu));
        assert_eq!(align.pool(&none, &[], 0.5).unwrap().size(), [0, 3, 7, 5]);
    }

    #[test]
    fn odd_boxes_give_numbers() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let odd = tensor(&[
            [nan, 0.0, 4.0, 4.0],
            [0.0, 0.0, inf, 4.0],
            [2.0, 2.0, 4.0, -inf],
            [-inf, -inf, inf, inf],
            [500.0, 500.0, 900.0, 900.0],
            [4.0, 4.0, 1.0, 1.0],
            [2.0, 2.0, 2.0, 2.0],
            [-1e30, -1e30, 1e30, 1e30],
        ]);
        for samples in [0, 2] {
            let align = RoiAlign::new([2, 2], samples).unwrap();
            for align in [align, align.aligned()] {
                let features = (ramp([1, 2, 6, 6]) + 1.0).set_requires_grad(true);
                let pooled = align.pool(&features, &[odd.shallow_clone()], 1.0).unwrap();
                pooled.sum(Kind::Float).backward();
                let all = [values(&pooled), values(&features.grad())].concat();
                assert!(all.iter().all(|value| value.is_finite()), "{all:?}");
                assert!(all[..5 * 8].iter().all(|value| *value == 0.0), "{all:?}");
                // All outside: not one sample point in the whole call.
                let outside = [odd.narrow(0, 0, 5)];
                let pooled = align.pool(&features, &outside, 1.0).unwrap();
                pooled.sum(Kind::Float).backward();
                assert!(values(&pooled).iter().all(|value| *value == 0.0));
            }
        }
    }

    #[test]
    fn half_precision_is_summed_in_single_precision() {
        let features = ramp([1, 4, 8, 8]);
        let boxes = [tensor(&[[0.0, 0.0, 7.0, 7.0]])];
        let align = RoiAlign::new([2, 2], 0).unwrap();
        let exact = align.pool(&features, &boxes, 1.0).unwrap();
        let half = align
            .pool(&features.to_kind(Kind::BFloat16), &boxes, 1.0)
            .unwrap();
        assert_eq!(half.kind(), Kind::BFloat16);
        // Ramps up to 4 in steps of 1/64 are rounded to 1/64 or finer, the mean once more.
        let largest = (half.to_kind(Kind::Float) - exact)
            .abs()
            .max()
            .double_value(&[]);
        assert!(largest <= 0.0157, "{largest}");
    }

    #[test]
    fn channels_last_in_memory_changes_nothing() {
        let features = ramp([2, 3, 5, 6]);
        let last = features
            .permute([0, 2, 3, 1])
            .contiguous()
            .permute([0, 3, 1, 2]);
        let boxes = [
            tensor(&[[0.0, 1.0, 4.0, 4.5]]),
            tensor(&[[2.0, 0.0, 5.0, 3.0]]),
        ];
        let align = RoiAlign::new([2, 2], 2).unwrap();
        let [a, b] = [&features, &last].map(|features| align.pool(features, &boxes, 1.0).unwrap());
        assert_eq!(values(&a), values(&b));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (output, samples) in [([0, 7], 2), ([7, -1], 2), ([7, 2000], 2), ([7, 7], 65)] {
            assert!(RoiAlign::new(output, samples).is_err());
        }
        let align = RoiAlign::new([2, 2], 2).unwrap();
        let features = ramp([2, 3, 4, 4]);
        let one = || tensor(&[[0.0, 0.0, 1.0, 1.0]]);
        let error = align
            .pool(&features, &[one()], 1.0)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[2, 3, 4, 4]") && error.contains("1 images"),
            "{error}"
        );
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(align.pool(&features, &[one(), one()], scale).is_err());
        }
        assert!(
            align
                .pool(&features.narrow(2, 0, 0), &[one(), one()], 1.0)
                .is_err()
        );
        assert!(
            align
                .pool(&features.view([6, 4, 4]), &[one(), one()], 1.0)
                .is_err()
        );
        assert!(
            align
                .pool(&features, &[one(), features.view([-1])], 1.0)
                .is_err()
        );
    }
}
