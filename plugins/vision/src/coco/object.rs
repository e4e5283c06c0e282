//! Objects: where they are for training, and what they count for in the scores.

use crate::Scene;

/// An object of a picture.
///
/// Training wants corners inside the picture and skips what has no extent there. Scoring wants the
/// box and the area exactly as the annotation file has them, because COCO's scores are defined by the file,
/// odd boxes included. Both are here.
///
/// ```
/// use autoloss_vision::coco::CocoObject;
///
/// let cut = CocoObject::new(3, [-4.0, 2.0, 10.0, 5.0], 50.0, 20, 30);
/// assert_eq!(cut.corners, [0.0, 2.0, 6.0, 7.0]);
/// assert!(cut.is_trainable());
/// let outside = CocoObject::new(3, [40.0, 2.0, 10.0, 5.0], 50.0, 20, 30);
/// assert!(!outside.is_trainable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CocoObject {
    /// From 1; 0 is the background.
    pub class: usize,
    /// Left, top, right, bottom, pixels, clipped to the picture.
    pub corners: [f32; 4],
    /// Whether the clipped box has at least one pixel a side. Other boxes are not trained on.
    pub valid: bool,
    /// Whether it is a crowd: a region of many objects, in which detections are neither right nor wrong.
    pub crowd: bool,
    /// Left, top, width, height, pixels, as annotated.
    pub bbox: [f64; 4],
    /// The mask's area as annotated, square pixels; it decides whether the object is small, medium or
    /// large.
    pub area: f64,
    /// The annotation's id in its file; None where the object comes from no file, or where the file's ids
    /// do not tell annotations apart.
    pub annotation: Option<u64>,
}

impl CocoObject {
    /// An object of a picture of `height` by `width` pixels that comes from no file. `bbox` is left, top,
    /// width, height; values that are not finite make a box that is not valid.
    #[must_use]
    pub fn new(class: usize, bbox: [f64; 4], area: f64, height: usize, width: usize) -> CocoObject {
        let [left, top, across, down] = bbox;
        let finite = bbox.iter().all(|value| value.is_finite());
        let side = |start: f64, length: f64, end: usize| {
            let end = end as f64;
            let low = start.clamp(0.0, end);
            (low, (start + length).clamp(low, end))
        };
        let ((x0, x1), (y0, y1)) = if finite {
            (side(left, across, width), side(top, down, height))
        } else {
            ((0.0, 0.0), (0.0, 0.0))
        };
        CocoObject {
            class,
            corners: [x0 as f32, y0 as f32, x1 as f32, y1 as f32],
            valid: x1 - x0 >= 1.0 && y1 - y0 >= 1.0,
            crowd: false,
            bbox,
            area,
            annotation: None,
        }
    }

    /// Whether the object is trained on: it is valid and not a crowd.
    #[must_use]
    pub fn is_trainable(&self) -> bool {
        self.valid && !self.crowd
    }
}

/// A picture with its objects.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoSample {
    /// The picture's id in its annotation file.
    pub image: u64,
    /// Rows, pixels.
    pub height: usize,
    /// Columns, pixels.
    pub width: usize,
    /// RGB bytes, row by row: `height * width * 3`.
    pub rgb: Vec<u8>,
    /// The objects, in the order of the file.
    pub objects: Vec<CocoObject>,
}

/// The visible part of an item of a scene: first and last column and row, and the number of pixels.
#[derive(Clone, Copy)]
pub(super) struct Visible {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    pub(super) pixels: usize,
}

impl Visible {
    pub(super) fn bbox(&self) -> [usize; 4] {
        let across = self.right + 1 - self.left;
        [self.left, self.top, across, self.bottom + 1 - self.top]
    }
}

/// The visible part of each of the scene's objects; None for one without a visible pixel.
pub(super) fn visible(scene: &Scene) -> Vec<Option<Visible>> {
    let width = scene.width.max(1);
    let mut seen: Vec<Option<Visible>> = vec![None; usize::from(u8::MAX) + 1];
    for (index, &instance) in scene.instances.iter().enumerate() {
        let (x, y) = (index % width, index / width);
        let known = seen[usize::from(instance)].get_or_insert(Visible {
            left: x,
            top: y,
            right: x,
            bottom: y,
            pixels: 0,
        });
        known.left = known.left.min(x);
        known.right = known.right.max(x);
        known.bottom = y;
        known.pixels += 1;
    }
    // Instance 0 is the background.
    seen[0] = None;
    let objects = scene.objects.iter();
    objects
        .map(|object| seen[usize::from(object.instance)])
        .collect()
}

/// The objects of a scene: boxes and areas of their visible pixels, as [`write_coco`](super::write_coco)
/// writes them.
///
/// ```
/// use autoloss_vision::coco::scene_objects;
/// use autoloss_vision::{SceneConfig, SceneGenerator, Split};
///
/// let scene = SceneGenerator::embedded(SceneConfig::default())?.scene(Split::Test, 0, 0);
/// let objects = scene_objects(&scene);
/// assert_eq!(objects.len(), scene.objects.len());
/// assert_eq!(objects[0].bbox[0], scene.objects[0].bounds.left as f64);
/// assert_eq!(objects[0].area, scene.objects[0].visible_pixels as f64);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[must_use]
pub fn scene_objects(scene: &Scene) -> Vec<CocoObject> {
    let shown = scene.objects.iter().zip(visible(scene));
    shown
        .filter_map(|(object, visible)| {
            let visible = visible?;
            Some(CocoObject::new(
                usize::from(object.class),
                visible.bbox().map(|value| value as f64),
                visible.pixels as f64,
                scene.height,
                scene.width,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SceneConfig, SceneGenerator, Split};
    use proptest::prelude::*;

    fn object(bbox: [f64; 4]) -> CocoObject {
        CocoObject::new(1, bbox, 1.0, 100, 200)
    }

    #[test]
    fn boxes_are_clipped_and_those_below_a_pixel_are_not_valid() {
        for (bbox, corners, valid) in [
            ([10.0, 20.0, 30.0, 40.0], [10.0, 20.0, 40.0, 60.0], true),
            ([190.0, 90.0, 30.0, 40.0], [190.0, 90.0, 200.0, 100.0], true),
            ([-5.0, -5.0, 6.0, 6.0], [0.0, 0.0, 1.0, 1.0], true),
            ([-5.0, -5.0, 5.5, 9.0], [0.0, 0.0, 0.5, 4.0], false),
            ([10.0, 10.0, 0.0, 5.0], [10.0, 10.0, 10.0, 15.0], false),
            ([10.0, 10.0, -3.0, 5.0], [10.0, 10.0, 10.0, 15.0], false),
            ([300.0, 10.0, 5.0, 5.0], [200.0, 10.0, 200.0, 15.0], false),
            ([-9.0, 10.0, 5.0, 5.0], [0.0, 10.0, 0.0, 15.0], false),
            ([10.0, 10.0, 0.999, 5.0], [10.0, 10.0, 10.999, 15.0], false),
            ([f64::NAN, 1.0, 5.0, 5.0], [0.0; 4], false),
            ([1.0, 1.0, f64::INFINITY, 5.0], [0.0; 4], false),
            ([1e308, 1.0, 1e308, 5.0], [200.0, 1.0, 200.0, 6.0], false),
        ] {
            let found = object(bbox);
            assert_eq!((found.corners, found.valid), (corners, valid), "{bbox:?}");
        }
    }

    #[test]
    fn crowds_are_not_learnt_from() {
        let mut crowd = object([1.0, 1.0, 9.0, 9.0]);
        assert!(crowd.is_trainable());
        crowd.crowd = true;
        assert!(crowd.valid && !crowd.is_trainable());
    }

    #[test]
    fn objects_of_scenes_are_what_the_scene_shows() {
        let generator = SceneGenerator::embedded(SceneConfig::default()).unwrap();
        for index in 0..20 {
            let scene = generator.scene(Split::Train, index, 3);
            let objects = scene_objects(&scene);
            assert_eq!(objects.len(), scene.objects.len());
            for (found, expected) in objects.iter().zip(&scene.objects) {
                let bounds = expected.bounds;
                let corners = [bounds.left, bounds.top, bounds.right, bounds.bottom];
                assert_eq!(found.corners, corners.map(|value| value as f32));
                assert_eq!(found.area, expected.visible_pixels as f64);
                assert_eq!(found.class, usize::from(expected.class));
                assert!(found.is_trainable() && found.annotation.is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn any_box_ends_inside_the_picture(
            bbox in proptest::array::uniform4(proptest::num::f64::ANY), height in 0usize..500, width in 0usize..500,
        ) {
            let [x0, y0, x1, y1] = CocoObject::new(1, bbox, 0.0, height, width).corners;
            prop_assert!(0.0 <= x0 && x0 <= x1 && x1 <= width as f32);
            prop_assert!(0.0 <= y0 && y0 <= y1 && y1 <= height as f32);
        }
    }
}
