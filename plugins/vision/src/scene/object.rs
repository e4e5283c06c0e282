//! An item of a scene: its boxes, size and keypoints.

use serde::{Deserialize, Serialize};

use super::Scene;
use super::patch::{MARGIN, Patch};

/// A box of whole pixels: `left..right` by `top..bottom`, right and bottom excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PixelBox {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// One past the last column.
    pub right: usize,
    /// One past the last row.
    pub bottom: usize,
}

impl PixelBox {
    /// Columns, pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.right - self.left
    }

    /// Rows, pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// Pixels inside.
    #[must_use]
    pub fn area(&self) -> usize {
        self.width() * self.height()
    }

    fn cover(self, x: usize, y: usize) -> PixelBox {
        PixelBox {
            left: self.left.min(x),
            top: self.top.min(y),
            right: self.right.max(x + 1),
            bottom: self.bottom.max(y + 1),
        }
    }

    fn around(x: usize, y: usize) -> PixelBox {
        PixelBox {
            left: x,
            top: y,
            right: x + 1,
            bottom: y + 1,
        }
    }
}

/// A pixel with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keypoint {
    /// Column.
    pub x: usize,
    /// Row.
    pub y: usize,
    /// Whether the scene shows this item at that pixel. False where another item or its rim covers it,
    /// and for a centroid that lies outside a bent item.
    pub visible: bool,
}

/// Five points given by an item's whole mask, the part hidden by other items included. Of several
/// outermost pixels the one in the middle of their list counts, so each point but the centroid lies on
/// the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keypoints {
    /// In the topmost row.
    pub top: Keypoint,
    /// In the bottommost row.
    pub bottom: Keypoint,
    /// In the leftmost column.
    pub left: Keypoint,
    /// In the rightmost column.
    pub right: Keypoint,
    /// The mean of the mask's pixels, rounded.
    pub centroid: Keypoint,
}

impl Keypoints {
    /// The names, in the order of [`Keypoints::to_array`].
    pub const NAMES: [&'static str; 5] = ["top", "bottom", "left", "right", "centroid"];

    /// The points in the order of [`Keypoints::NAMES`].
    #[must_use]
    pub fn to_array(&self) -> [Keypoint; 5] {
        [self.top, self.bottom, self.left, self.right, self.centroid]
    }
}

/// An item in a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneObject {
    /// Its value in [`Scene::instances`], from 1.
    pub instance: u8,
    /// Its class label, from 1.
    pub class: u8,
    /// Its index in [`Pack::items`](crate::Pack::items).
    pub item: usize,
    /// The box of its visible pixels.
    pub bounds: PixelBox,
    /// The box of its whole mask.
    pub full_bounds: PixelBox,
    /// Its visible pixels.
    pub visible_pixels: usize,
    /// The pixels of its whole mask.
    pub full_pixels: usize,
    /// Points of its whole mask.
    pub keypoints: Keypoints,
}

/// The object a freshly pasted patch makes: all of it visible.
pub(super) fn placed(
    patch: &Patch,
    left: usize,
    top: usize,
    item: usize,
    class: u8,
    instance: u8,
) -> SceneObject {
    let inside = patch.solid.iter().enumerate().filter(|(_, solid)| **solid);
    let pixels: Vec<(usize, usize)> = inside
        .map(|(index, _)| {
            (
                left + index % patch.width - MARGIN,
                top + index / patch.width - MARGIN,
            )
        })
        .collect();
    let start = PixelBox::around(left, top);
    let bounds = pixels
        .iter()
        .map(|&(x, y)| PixelBox::around(x, y))
        .reduce(|all, one| all.cover(one.left, one.top))
        .unwrap_or(start);
    SceneObject {
        instance,
        class,
        item,
        bounds,
        full_bounds: bounds,
        visible_pixels: pixels.len(),
        full_pixels: pixels.len(),
        keypoints: keypoints(&pixels, &bounds),
    }
}

fn keypoints(pixels: &[(usize, usize)], bounds: &PixelBox) -> Keypoints {
    let middle_of = |wanted: &dyn Fn(usize, usize) -> bool| {
        let outermost: Vec<_> = pixels.iter().filter(|(x, y)| wanted(*x, *y)).collect();
        let (x, y) = outermost
            .get(outermost.len() / 2)
            .map_or((bounds.left, bounds.top), |point| **point);
        Keypoint {
            x,
            y,
            visible: true,
        }
    };
    let count = pixels.len().max(1);
    let mean = |sum: usize| (sum + count / 2) / count;
    Keypoints {
        top: middle_of(&|_, y| y == bounds.top),
        bottom: middle_of(&|_, y| y + 1 == bounds.bottom),
        left: middle_of(&|x, _| x == bounds.left),
        right: middle_of(&|x, _| x + 1 == bounds.right),
        centroid: Keypoint {
            x: mean(pixels.iter().map(|(x, _)| x).sum()),
            y: mean(pixels.iter().map(|(_, y)| y).sum()),
            visible: true,
        },
    }
}

/// Reads visible boxes and the visibility of keypoints off the instance map, once every item is in it.
pub(super) fn observe(scene: &mut Scene) {
    let Scene {
        height,
        width,
        instances,
        objects,
        ..
    } = scene;
    let mut seen: Vec<Option<PixelBox>> = vec![None; objects.len()];
    for y in 0..*height {
        for (x, &instance) in instances[y * *width..(y + 1) * *width].iter().enumerate() {
            if let Some(index) = usize::from(instance).checked_sub(1) {
                let found = seen[index].map_or(PixelBox::around(x, y), |bounds| bounds.cover(x, y));
                seen[index] = Some(found);
            }
        }
    }
    for (object, bounds) in objects.iter_mut().zip(seen) {
        object.bounds = bounds.unwrap_or(object.bounds);
        let points = &mut object.keypoints;
        for point in [
            &mut points.top,
            &mut points.bottom,
            &mut points.left,
            &mut points.right,
            &mut points.centroid,
        ] {
            point.visible = instances[point.y * *width + point.x] == object.instance;
        }
    }
}
