//! The boxes that proposals are offsets from.

use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// Anchors at every position of feature maps (arXiv 1506.01497, section 3.1.1): on each level a box of each
/// of its sizes in each of its aspect ratios.
///
/// Size s and ratio r (height over width) give a box of s/√r by s·√r pixels around zero, with corners rounded
/// to whole pixels, halves to even. A position (row, column) moves it by as many strides, without the half
/// stride to the position's centre, as torchvision does. A stride is the image's side divided by the map's,
/// rounded down.
///
/// ```
/// use autoloss_vision::detection::AnchorGenerator;
/// use tch::{Device, Tensor};
///
/// let generator = AnchorGenerator::new(&[vec![8.0]], &[vec![1.0]])?;
/// let levels = generator.anchors(&[[1, 2]], [16, 32], Device::Cpu)?;
/// let expected = [-4_f32, -4., 4., 4., 12., -4., 20., 4.];
/// assert_eq!(Vec::<f32>::try_from(levels[0].view([-1]))?, expected);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AnchorGenerator {
    /// The anchors of each level around zero, ratio by ratio and in each size by size.
    around_zero: Vec<Vec<[f32; 4]>>,
}

impl AnchorGenerator {
    /// A generator with `sizes[level]` in pixels and `ratios[level]`, height over width.
    ///
    /// # Errors
    /// Different numbers of levels, or a size or ratio that is not a positive number.
    pub fn new(sizes: &[Vec<f64>], ratios: &[Vec<f64>]) -> Result<Self> {
        if sizes.len() != ratios.len() {
            let (sizes, ratios) = (sizes.len(), ratios.len());
            return Err(
                format!("anchors have sizes of {sizes} levels and ratios of {ratios}").into(),
            );
        }
        let usable = |value: &&f64| value.is_finite() && **value > 0.0;
        for (what, values) in [("size", sizes), ("ratio", ratios)] {
            if let Some(odd) = values.iter().flatten().find(|value| !usable(value)) {
                return Err(
                    format!("an anchor has {what} {odd}, expected a positive number").into(),
                );
            }
        }
        let levels = sizes.iter().zip(ratios);
        let around_zero = levels.map(|(sizes, ratios)| around_zero(sizes, ratios));
        Ok(Self {
            around_zero: around_zero.collect(),
        })
    }

    /// The number of anchors at each position of each level.
    #[must_use]
    pub fn per_position(&self) -> Vec<usize> {
        self.around_zero.iter().map(Vec::len).collect()
    }

    /// The anchors of every level, (H·W·A, 4) in single precision: row by row, in a row column by column, in a
    /// position ratio by ratio, in a ratio size by size. `maps` has [H, W] of each level, and `image` is the
    /// height and width of the padded batch in pixels.
    ///
    /// # Errors
    /// Another number of maps than levels, a negative side, or libtorch's.
    pub fn anchors(
        &self,
        maps: &[[i64; 2]],
        image: [i64; 2],
        device: Device,
    ) -> Result<Vec<Tensor>> {
        if maps.len() != self.around_zero.len() {
            let (maps, levels) = (maps.len(), self.around_zero.len());
            return Err(format!("{maps} feature maps for anchors of {levels} levels").into());
        }
        if let Some(odd) = maps
            .iter()
            .chain([&image])
            .find(|sides| sides.iter().any(|side| *side < 0))
        {
            return Err(format!("a map or image has sides {odd:?}").into());
        }
        let levels = self.around_zero.iter().zip(maps);
        levels
            .map(|(around, map)| on_grid(around, *map, image, device))
            .collect()
    }
}

/// The anchors of one level around zero, in single precision throughout, where rounding decides.
fn around_zero(sizes: &[f64], ratios: &[f64]) -> Vec<[f32; 4]> {
    let one = |size: f64, ratio: f64| {
        let high = (ratio as f32).sqrt();
        let wide = 1.0 / high;
        let half = |factor: f32| factor * size as f32 / 2.0;
        let [x, y] = [half(wide), half(high)].map(f32::round_ties_even);
        [-x, -y, x, y]
    };
    let ratios = ratios.iter();
    ratios
        .flat_map(|ratio| sizes.iter().map(|size| one(*size, *ratio)))
        .collect()
}

fn on_grid(
    around: &[[f32; 4]],
    [rows, columns]: [i64; 2],
    image: [i64; 2],
    device: Device,
) -> Result<Tensor> {
    let steps = |count: i64, side: i64, shape: [i64; 2]| -> Result<Tensor> {
        let stride = side / count.max(1);
        let steps = Tensor::f_arange(count, (Kind::Int64, device))?;
        let steps = steps.f_mul_scalar(stride)?.f_to_kind(Kind::Float)?;
        Ok(steps.f_view(shape)?.f_expand([rows, columns], false)?)
    };
    let down = steps(rows, image[0], [rows, 1])?;
    let right = steps(columns, image[1], [1, columns])?;
    let shifts = Tensor::f_stack(&[&right, &down, &right, &down], 2)?.f_unsqueeze(2)?;
    let around = Tensor::f_from_slice(around.as_flattened())?;
    let around = around.f_view([-1, 4])?.f_to_device(device)?;
    Ok(shifts.f_add(&around)?.f_reshape([-1, 4])?)
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::values;
    use super::*;

    fn generator() -> AnchorGenerator {
        let ratios = vec![0.5, 1.0, 2.0];
        AnchorGenerator::new(&[vec![32.0, 64.0], vec![100.0]], &[ratios.clone(), ratios]).unwrap()
    }

    #[test]
    fn ratios_are_height_over_width_and_keep_the_area() {
        let generator = generator();
        assert_eq!(generator.per_position(), [6, 3]);
        let maps = [[2, 3], [1, 1]];
        let levels = generator.anchors(&maps, [64, 96], Device::Cpu).unwrap();
        assert_eq!(levels[0].size(), [36, 4]);
        // 100/√½ by 100·√½ is 141.4 by 70.7; halves are rounded.
        let last = values(&levels[1]);
        assert_eq!(last[..4], [-71.0, -35.0, 71.0, 35.0]);
        assert_eq!(last[4..8], [-50.0, -50.0, 50.0, 50.0]);
        assert_eq!(last[8..], [-35.0, -71.0, 35.0, 71.0]);
    }

    #[test]
    fn anchors_go_row_by_row_a_stride_apart() {
        let levels = generator().anchors(&[[2, 3], [1, 1]], [65, 98], Device::Cpu);
        let first = values(&levels.unwrap()[0]);
        for (place, anchor) in first.chunks_exact(24).enumerate() {
            let moved = [(place % 3) as f64 * 32.0, (place / 3) as f64 * 32.0];
            for (at, coordinate) in anchor.iter().enumerate() {
                assert_eq!(coordinate - moved[at % 2], first[at], "{place}, {at}");
            }
        }
    }

    #[test]
    fn maps_without_positions_and_levels_without_anchors_are_empty() {
        let levels = generator()
            .anchors(&[[0, 3], [0, 0]], [64, 96], Device::Cpu)
            .unwrap();
        assert!(levels.iter().all(|level| level.size() == [0, 4]));
        let none = AnchorGenerator::new(&[vec![]], &[vec![1.0]]).unwrap();
        let levels = none.anchors(&[[2, 2]], [8, 8], Device::Cpu).unwrap();
        assert_eq!(levels[0].size(), [0, 4]);
    }

    #[test]
    fn what_makes_no_anchors_is_refused() {
        for (sizes, ratios) in [(vec![0.0], vec![1.0]), (vec![8.0], vec![f64::NAN])] {
            assert!(AnchorGenerator::new(&[sizes], &[ratios]).is_err());
        }
        assert!(AnchorGenerator::new(&[vec![1.0]], &[]).is_err());
        let generator = generator();
        assert!(generator.anchors(&[[1, 1]], [8, 8], Device::Cpu).is_err());
        assert!(
            generator
                .anchors(&[[1, 1], [1, -1]], [8, 8], Device::Cpu)
                .is_err()
        );
        assert!(
            generator
                .anchors(&[[1, 1], [1, 1]], [-8, 8], Device::Cpu)
                .is_err()
        );
    }
}
