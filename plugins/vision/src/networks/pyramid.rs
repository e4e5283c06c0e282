//! Feature pyramids for detectors (Lin et al. 2017, *Feature Pyramid Networks for Object Detection*),
//! with the names of torchvision's `FeaturePyramidNetwork`.
//!
//! Every map of an encoder is brought to one number of channels; from coarse to fine, the sum so far is
//! added to the next map, and a 3×3 convolution of each sum is a level. One more level, every second
//! position of the coarsest, is for the largest objects: torchvision's `LastLevelMaxPool`, which begins
//! the search for boxes with it and takes their contents from the others.

use super::layers::{Conv, Plan};
use super::weights::{Start, Weights};
use autoloss_plugin_api::Result;
use tch::Tensor;

/// The pyramid.
///
/// ```
/// use autoloss_vision::networks::pyramid::FeaturePyramid;
/// use autoloss_vision::networks::weights::Weights;
/// use tch::{Device, Kind, Tensor};
///
/// let mut weights = Weights::new(Device::Cpu);
/// let pyramid = FeaturePyramid::new(&mut weights, "backbone.fpn.", &[16, 32], 8)?;
/// let map = |channels, side| Tensor::zeros([1, channels, side, side], (Kind::Float, Device::Cpu));
/// let levels = pyramid.forward(&[map(16, 9), map(32, 5)])?;
/// let sizes: Vec<_> = levels.iter().map(Tensor::size).collect();
/// assert_eq!(sizes, [[1, 8, 9, 9], [1, 8, 5, 5], [1, 8, 3, 3]]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct FeaturePyramid {
    /// For each map, the convolution to the common channels and the one from the sum to the level.
    steps: Vec<[Conv; 2]>,
}

impl FeaturePyramid {
    /// A pyramid over maps of these numbers of channels, finest first, with levels of `width` channels. Its
    /// tensors are `{name}inner_blocks.{i}.0.…` and `{name}layer_blocks.{i}.0.…`.
    ///
    /// # Errors
    /// No map, or numbers of channels below 1.
    pub fn new(weights: &mut Weights, name: &str, inputs: &[i64], width: i64) -> Result<Self> {
        if inputs.is_empty() {
            return Err(format!("a feature pyramid '{name}' over no map").into());
        }
        let steps = inputs.iter().enumerate().map(|(index, channels)| {
            let mut conv = |part: &str, inputs: i64, kernel: i64| {
                let plan = Plan::new([inputs, width], kernel, Start::PlainUniform).bias();
                Conv::new(weights, &format!("{name}{part}_blocks.{index}.0"), plan)
            };
            Ok([conv("inner", *channels, 1)?, conv("layer", width, 3)?])
        });
        Ok(Self {
            steps: steps.collect::<Result<_>>()?,
        })
    }

    /// An encoder's maps (N, channels, hᵢ, wᵢ), finest first, to levels (N, width, hᵢ, wᵢ) and one
    /// more of half the last one's size, (N, width, ⌈h/2⌉, ⌈w/2⌉). Sizes need not be multiples of
    /// each other: a coarser map is enlarged to the finer one's size, each value to its nearest
    /// positions.
    ///
    /// # Errors
    /// Another number of maps, or maps of other channels or batch sizes.
    pub fn forward(&self, maps: &[Tensor]) -> Result<Vec<Tensor>> {
        let (given, expected) = (maps.len(), self.steps.len());
        if given != expected {
            return Err(format!("the feature pyramid is over {expected} maps, not {given}").into());
        }
        let mut levels = Vec::with_capacity(expected + 1);
        let mut above: Option<Tensor> = None;
        for (map, [lateral, level]) in maps.iter().zip(&self.steps).rev() {
            let mut sum = lateral.forward(map)?;
            if let Some(coarser) = above {
                let (size, coarser_size) = (sum.size(), coarser.size());
                if size[0] != coarser_size[0] {
                    return Err(
                        format!("maps {size:?} and {coarser_size:?} are of other images").into(),
                    );
                }
                let enlarged = coarser.f_upsample_nearest2d(&size[2..], None, None)?;
                sum = sum.f_add_(&enlarged)?;
            }
            let level = level.forward(&sum)?;
            if levels.is_empty() {
                levels.push(level.f_max_pool2d([1, 1], [2, 2], [0, 0], [1, 1], false)?);
            }
            levels.push(level);
            above = Some(sum);
        }
        levels.reverse();
        Ok(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn pyramid(inputs: &[i64], width: i64) -> (Weights, FeaturePyramid) {
        let mut weights = Weights::new(Device::Cpu);
        let pyramid = FeaturePyramid::new(&mut weights, "fpn.", inputs, width).unwrap();
        (weights, pyramid)
    }

    fn map(shape: [i64; 4]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn names_and_shapes_are_torchvisions() {
        let (weights, _) = pyramid(&[24, 40], 64);
        let held: Vec<_> = weights
            .iter()
            .map(|(name, tensor)| (name, tensor.size()))
            .collect();
        assert_eq!(
            held,
            [
                ("fpn.inner_blocks.0.0.weight", vec![64, 24, 1, 1]),
                ("fpn.inner_blocks.0.0.bias", vec![64]),
                ("fpn.layer_blocks.0.0.weight", vec![64, 64, 3, 3]),
                ("fpn.layer_blocks.0.0.bias", vec![64]),
                ("fpn.inner_blocks.1.0.weight", vec![64, 40, 1, 1]),
                ("fpn.inner_blocks.1.0.bias", vec![64]),
                ("fpn.layer_blocks.1.0.weight", vec![64, 64, 3, 3]),
                ("fpn.layer_blocks.1.0.bias", vec![64]),
            ]
        );
    }

    #[test]
    fn levels_have_the_sizes_of_their_maps_whatever_these_are() {
        let (_, pyramid) = pyramid(&[3, 4, 5], 6);
        for sizes in [
            [[16, 24], [8, 12], [4, 6]],
            [[19, 26], [10, 13], [5, 7]],
            [[1, 2], [1, 1], [1, 1]],
        ] {
            let maps: Vec<_> = sizes
                .iter()
                .zip([3, 4, 5])
                .map(|([height, width], channels)| map([2, channels, *height, *width]))
                .collect();
            let levels = pyramid.forward(&maps).unwrap();
            let [height, width] = sizes[2].map(|side: i64| (side + 1) / 2);
            let expected = [sizes.as_slice(), &[[height, width]]].concat();
            let found: Vec<_> = levels
                .iter()
                .map(|level| [level.size()[2], level.size()[3]])
                .collect();
            assert_eq!(found, expected);
            assert!(levels.iter().all(|level| level.size()[..2] == [2, 6]));
        }
    }

    #[test]
    fn the_last_level_is_every_second_position_and_coarse_maps_reach_the_finest() {
        let (weights, pyramid) = pyramid(&[2, 2], 3);
        let maps = [map([1, 2, 6, 6]), map([1, 2, 3, 3])];
        let levels = pyramid.forward(&maps).unwrap();
        let picked = levels[1].slice(2, 0, None, 2).slice(3, 0, None, 2);
        assert_eq!(levels[2], picked);
        levels[0].sum(Kind::Float).backward();
        let lateral = &weights.parameters()[4];
        assert_eq!(lateral.name, "fpn.inner_blocks.1.0.weight");
        assert!(lateral.tensor.grad().abs().min().double_value(&[]) > 0.0);
        let other = pyramid.forward(&[maps[0].shallow_clone(), &maps[1] + 1.0]);
        assert_ne!(other.unwrap()[0], levels[0]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut weights = Weights::new(Device::Cpu);
        let mut built = |inputs: &[i64], width| {
            FeaturePyramid::new(&mut weights, "fpn.", inputs, width).is_ok()
        };
        assert!(!built(&[], 8) && !built(&[3, 0], 8) && !built(&[3], 0));
        let (_, pyramid) = pyramid(&[2, 2], 3);
        for maps in [
            vec![],
            vec![map([1, 2, 4, 4])],
            vec![map([1, 2, 4, 4]), map([1, 3, 2, 2])],
            vec![map([1, 2, 4, 4]), map([2, 2, 2, 2])],
            vec![map([2, 2, 4, 4]), map([1, 2, 2, 2])],
            vec![map([1, 2, 4, 4]), map([1, 2, 2, 2]).squeeze()],
        ] {
            assert!(pyramid.forward(&maps).is_err());
        }
    }
}
