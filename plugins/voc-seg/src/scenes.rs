//! Scenes by split and number, drawn once and kept.
//!
//! What is kept is bounded by memory, not by number, since a scene's size is the user's choice.
//! Nothing is ever dropped from the cache: all splits but the largest epochs fit, and where one does
//! not, the scenes beyond are drawn anew each time, with the same result.

use autoloss_plugin_api::{Result, Split};
use autoloss_vision::{LabelledImage, SceneConfig, SceneGenerator};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of pictures and labels kept in memory.
const CACHE_BYTES: usize = 96 << 20;

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
    kept: Mutex<HashMap<(Split, u64), Arc<LabelledImage>>>,
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
        Ok(Self {
            generator,
            seed,
            kept: Mutex::default(),
        })
    }

    /// Number of scenes of a split.
    pub(crate) fn len(split: Split) -> u64 {
        match split {
            Split::Train => 4096,
            Split::Reward | Split::Selection => 256,
            Split::Test => 512,
        }
    }

    /// One scene.
    ///
    /// # Errors
    /// A number beyond the split.
    pub(crate) fn get(&self, split: Split, index: u64) -> Result<Arc<LabelledImage>> {
        if index >= Self::len(split) {
            let len = Self::len(split);
            return Err(format!(
                "sample {index} of split '{split}' was asked for, which has {len}"
            )
            .into());
        }
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().get(&(split, index)) {
            return Ok(Arc::clone(known));
        }
        let scene = self.generator.scene(vision_split(split), index, self.seed);
        let bytes = scene.image.len() + scene.classes.len();
        let picture = LabelledImage::new(scene.height, scene.width, scene.image, scene.classes)?;
        let picture = Arc::new(picture);
        let mut kept = kept();
        if (kept.len() + 1) * bytes <= CACHE_BYTES {
            kept.insert((split, index), Arc::clone(&picture));
        }
        Ok(picture)
    }
}

fn vision_split(split: Split) -> autoloss_vision::Split {
    match split {
        Split::Train => autoloss_vision::Split::Train,
        Split::Reward => autoloss_vision::Split::Reward,
        Split::Selection => autoloss_vision::Split::Selection,
        Split::Test => autoloss_vision::Split::Test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_the_same_however_often_and_by_whomever_it_is_asked_for() {
        let (one, other) = (Scenes::new(64, 3).unwrap(), Scenes::new(64, 3).unwrap());
        let last = Scenes::len(Split::Test) - 1;
        let first = one.get(Split::Test, last).unwrap();
        assert_eq!(first, one.get(Split::Test, last).unwrap());
        other.get(Split::Test, 0).unwrap();
        assert_eq!(first, other.get(Split::Test, last).unwrap());
        assert_ne!(
            first,
            Scenes::new(64, 4).unwrap().get(Split::Test, last).unwrap()
        );
        assert_ne!(first, one.get(Split::Train, last).unwrap());
    }

    #[test]
    fn scenes_beyond_the_split_are_refused() {
        let scenes = Scenes::new(64, 0).unwrap();
        let error = scenes.get(Split::Reward, 256).unwrap_err().to_string();
        assert_eq!(
            error,
            "sample 256 of split 'reward' was asked for, which has 256"
        );
    }
}
