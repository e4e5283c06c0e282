//! The embedded scenes by split and number, as pictures with boxes.
//!
//! Each goes once through JPEG, as a photograph of a data set does: what is trained on is then what a
//! reader of the written scenes sees. Boxes are those of what an item shows beside those in front of it.

use autoloss_plugin_api::{Result, Split};
use autoloss_vision::coco::{CocoSample, scene_objects};
use autoloss_vision::{LabelledImage, Pack, Scene, SceneConfig, SceneGenerator, codec};

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
            ..SceneConfig::default()
        };
        let generator = SceneGenerator::embedded(config)?;
        Ok(Self { generator, seed })
    }

    /// Number of scenes of a split.
    pub(crate) fn len(split: Split) -> u64 {
        match split {
            Split::Train => 4096,
            Split::Reward | Split::Selection => 128,
            Split::Test => 200,
        }
    }

    /// Names of background and items.
    pub(crate) fn class_names() -> Vec<String> {
        // A damaged pack is reported when the scenes are opened.
        Pack::embedded().map_or_else(|_| Vec::new(), |pack| pack.class_names().to_vec())
    }

    /// A scene before it went through JPEG. Numbers have no end, whatever a split's length.
    pub(crate) fn original(&self, split: Split, index: u64) -> Scene {
        self.generator.scene(split.into(), index, self.seed)
    }

    /// One scene with its boxes.
    ///
    /// # Errors
    /// A picture that cannot be coded.
    pub(crate) fn draw(&self, split: Split, index: u64) -> Result<CocoSample> {
        let scene = self.original(split, index);
        let objects = scene_objects(&scene);
        let (height, width) = (scene.height, scene.width);
        let labelled = LabelledImage::new(height, width, scene.image, scene.classes)?;
        let picture = codec::jpeg_round_trip(&labelled)?;
        Ok(CocoSample {
            image: index,
            height,
            width,
            rgb: picture.image().to_vec(),
            objects,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_the_same_however_often_and_by_whomever_it_is_asked_for() {
        let (one, other) = (Scenes::new(96, 3).unwrap(), Scenes::new(96, 3).unwrap());
        let first = one.draw(Split::Test, 199).unwrap();
        other.draw(Split::Test, 0).unwrap();
        assert_eq!(first, other.draw(Split::Test, 199).unwrap());
        assert_ne!(
            first,
            Scenes::new(96, 4).unwrap().draw(Split::Test, 199).unwrap()
        );
        assert!(!first.objects.is_empty() && first.objects.iter().all(|o| o.is_trainable()));
    }

    #[test]
    fn sizes_that_scenes_cannot_have_are_refused() {
        assert!(Scenes::new(16, 0).is_err());
    }
}
