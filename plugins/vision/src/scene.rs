//! Scenes: clothing items pasted with occlusion onto photographs, with exact labels.
//!
//! Pasting gives what hand-made labels cannot: masks without labelling errors, as many scenes as wanted
//! and a known answer for every pixel, while the pixels themselves are photographs. Scene `index` of a
//! split under a `seed` is a pure function of these three and the configuration. It does not depend on
//! how many scenes were made before, nor on the thread or the platform: every scene has its own random
//! stream, keyed by its name, and the arithmetic is limited to what IEEE 754 defines exactly.
//!
//! Labels follow PASCAL VOC: 0 is the background, 1 and up the classes, and a rim of one pixel round
//! every item is 255 (void), since there the picture mixes item and background.

mod background;
mod config;
mod frequency;
mod object;
mod paint;
mod patch;

pub use config::SceneConfig;
pub use frequency::Frequencies;
pub use object::{Keypoint, Keypoints, PixelBox, SceneObject};

use crate::draw::Draws;
use crate::{Pack, Split, VisionError};
use patch::Patch;

/// Most positions tried for an item; where each hides too much of the others, the item is skipped.
const PLACEMENTS: usize = 8;

/// One scene: a picture and everything known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Rows, pixels.
    pub height: usize,
    /// Columns, pixels.
    pub width: usize,
    /// RGB bytes, row by row: `height * width * 3`.
    pub image: Vec<u8>,
    /// A class label for every pixel, row by row: 0 background, 1 and up a class, 255 void.
    pub classes: Vec<u8>,
    /// The visible instance at every pixel, row by row: 0 none or void, 1 and up as in
    /// [`SceneObject::instance`].
    pub instances: Vec<u8>,
    /// The items, from the one at the back to the one in front.
    pub objects: Vec<SceneObject>,
}

/// Makes scenes from the pack.
///
/// ```
/// use autoloss_vision::{SceneConfig, SceneGenerator, Split, VOID};
///
/// let generator = SceneGenerator::embedded(SceneConfig { size: 64, ..SceneConfig::default() })?;
/// let scene = generator.scene(Split::Reward, 12, 0);
/// assert_eq!(scene.image.len(), 64 * 64 * 3);
/// assert!(scene.classes.iter().all(|&label| label <= 10 || label == VOID));
/// assert_eq!(scene, generator.scene(Split::Reward, 12, 0));
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SceneGenerator {
    pack: &'static Pack,
    config: SceneConfig,
    /// How often each class is drawn, where not all are equally often.
    weights: Option<Vec<usize>>,
}

impl SceneGenerator {
    /// A generator of scenes from the embedded pack.
    ///
    /// # Errors
    /// [`VisionError::Config`] where a value is out of range, or the errors of [`Pack::embedded`].
    pub fn embedded(config: SceneConfig) -> Result<SceneGenerator, VisionError> {
        config.validate()?;
        let pack = Pack::embedded()?;
        Ok(SceneGenerator {
            pack,
            weights: config.frequencies.weights(pack),
            config,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &SceneConfig {
        &self.config
    }

    /// The number of labels a pixel can have, the background included and void not: 11.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.pack.class_names().len()
    }

    /// Scene `index` of the split. Indices have no end: items and backgrounds repeat, scenes do not.
    #[must_use]
    pub fn scene(&self, split: Split, index: u64, seed: u64) -> Scene {
        let mut purpose = *b"autoloss scene 0";
        purpose[15] += split as u8;
        let mut draws = Draws::new(purpose, seed, index);
        let mut canvas = self.empty_scene(split, &mut draws);
        let wanted = draws.between(self.config.min_items, self.config.max_items);
        for _ in 0..wanted {
            self.add_item(&mut canvas, split, &mut draws);
        }
        object::observe(&mut canvas);
        canvas
    }

    fn empty_scene(&self, split: Split, draws: &mut Draws) -> Scene {
        let regions = &self.pack.members(split).regions;
        let region = &self.pack.regions()[regions[draws.below(regions.len())]];
        let size = self.config.size;
        Scene {
            height: size,
            width: size,
            image: background::render(region, size, self.config.tint, draws),
            classes: vec![0; size * size],
            instances: vec![0; size * size],
            objects: Vec::with_capacity(self.config.max_items),
        }
    }

    /// Draws an item and a place for it. Where no place leaves enough of the earlier items visible the
    /// scene stays as it is; the first item always finds one.
    fn add_item(&self, scene: &mut Scene, split: Split, draws: &mut Draws) {
        let classes = &self.pack.members(split).items_of_class;
        let class = match &self.weights {
            None => draws.below(classes.len()),
            Some(weights) => draws.weighted(weights),
        };
        let candidates = &classes[class];
        let number = candidates[draws.below(candidates.len())];
        let item = &self.pack.items()[number];
        let label = self.label(split, item.class(), draws);
        let (smallest, largest) = self.config.sides();
        let side = draws.between(smallest, largest);
        let tangent = draws.range(-self.config.tilt, self.config.tilt);
        let patch = Patch::render(item, side, tangent, draws.coin());
        if !patch.solid.contains(&true) {
            // A hair too thin for this canvas.
            return;
        }
        let paint = paint::Paint::draw(&self.config, draws);
        let size = self.config.size;
        for _ in 0..PLACEMENTS {
            let left = draws.between(0, size.saturating_sub(patch.inner_width()));
            let top = draws.between(0, size.saturating_sub(patch.inner_height()));
            if paint::leaves_enough(scene, &patch, left, top, self.config.min_visible) {
                let instance = scene.objects.len() as u8 + 1;
                paint::paste(scene, &patch, left, top, label, instance, &paint);
                scene
                    .objects
                    .push(object::placed(&patch, left, top, number, label, instance));
                return;
            }
        }
    }

    /// The class that an item is labelled as: now and then, in training, another than its own.
    fn label(&self, split: Split, class: u8, draws: &mut Draws) -> u8 {
        let share = self.config.label_noise;
        if split != Split::Train || share == 0.0 || draws.unit() >= share {
            return class;
        }
        let others = self.num_classes() - 2;
        let other = draws.below(others) as u8 + 1;
        other + u8::from(other >= class)
    }
}
