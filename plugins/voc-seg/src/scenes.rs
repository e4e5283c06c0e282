//! The embedded scenes by split and number.
//!
//! Each goes once through JPEG, as a photograph of a data set does: what is trained on is then, bit for
//! bit, what a reader of the written scenes sees.

use autoloss_plugin_api::{Result, Split};
use autoloss_vision::{LabelledImage, SceneConfig, SceneGenerator, codec};

/// Fewest and most items of a scene. More than the generator's own default: background alone teaches
/// nothing of the classes, and proxy trainings are short.
const ITEMS: [usize; 2] = [2, 5];
/// Shortest and longest side of an item, pixels on a canvas of 128.
const SIDES: [usize; 2] = [48, 80];

/// The embedded scenes of one seed and size.
#[derive(Debug)]
pub(crate) struct Scenes {
    generator: SceneGenerator,
    seed: u64,
}

impl Scenes {
    /// Square scenes of `size` pixels a side.
    ///
    /// # Errors
    /// A size that scenes cannot have, or a damaged pack.
    pub(crate) fn new(size: usize, seed: u64) -> Result<Self> {
        let config = SceneConfig {
            size,
            min_items: ITEMS[0],
            max_items: ITEMS[1],
            min_side: SIDES[0],
            max_side: SIDES[1],
            ..SceneConfig::default()
        };
        let generator = SceneGenerator::embedded(config)?;
        if generator.num_classes() as i64 != crate::CLASSES {
            let found = generator.num_classes();
            return Err(format!(
                "the embedded pack has {found} classes, expected {}",
                crate::CLASSES
            )
            .into());
        }
        Ok(Self { generator, seed })
    }

    /// Number of scenes of a split.
    pub(crate) fn len(split: Split) -> u64 {
        match split {
            Split::Train => 4096,
            Split::Reward | Split::Selection => 256,
            Split::Test => 512,
        }
    }

    /// Rows and columns of each, pixels.
    pub(crate) fn size(&self) -> usize {
        self.generator.config().size
    }

    /// One scene. Numbers have no end, whatever a split's length.
    ///
    /// # Errors
    /// A picture that cannot be coded.
    pub(crate) fn draw(&self, split: Split, index: u64) -> Result<LabelledImage> {
        Ok(codec::jpeg_round_trip(&self.original(split, index)?)?)
    }

    /// A scene before it went through JPEG.
    ///
    /// # Errors
    /// None but a damaged generator's.
    pub(crate) fn original(&self, split: Split, index: u64) -> Result<LabelledImage> {
        let scene = self.generator.scene(split.into(), index, self.seed);
        Ok(LabelledImage::new(
            scene.height,
            scene.width,
            scene.image,
            scene.classes,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_the_same_however_often_and_by_whomever_it_is_asked_for() {
        let (one, other) = (Scenes::new(64, 3).unwrap(), Scenes::new(64, 3).unwrap());
        let last = Scenes::len(Split::Test) - 1;
        let first = one.draw(Split::Test, last).unwrap();
        other.draw(Split::Test, 0).unwrap();
        assert_eq!(first, other.draw(Split::Test, last).unwrap());
        let otherwise = Scenes::new(64, 4).unwrap();
        assert_ne!(first, otherwise.draw(Split::Test, last).unwrap());
        assert_ne!(first, one.draw(Split::Train, last).unwrap());
    }

    #[test]
    fn sizes_that_scenes_cannot_have_are_refused() {
        for size in [16, 2048] {
            assert!(Scenes::new(size, 0).is_err(), "{size}");
        }
    }
}
