//! Putting a patch into a scene: colour, opacity, labels, and what it hides.

use super::patch::{MARGIN, Patch};
use super::{Scene, SceneConfig};
use crate::VOID;
use crate::draw::Draws;

/// The colours an item's grey values run between, and its opacity.
pub(super) struct Paint {
    dark: [f32; 3],
    light: [f32; 3],
    opacity: f32,
}

impl Paint {
    pub(super) fn draw(config: &SceneConfig, draws: &mut Draws) -> Paint {
        Paint {
            dark: std::array::from_fn(|_| 50.0 * config.tint * draws.unit()),
            light: std::array::from_fn(|_| 255.0 * (1.0 - config.tint * draws.unit())),
            opacity: draws.range(config.min_opacity, 1.0),
        }
    }
}

/// Calls `visit(scene pixel, patch pixel)` for every pixel of the patch that lies in the scene, the
/// patch's margin included.
fn overlap(
    scene: (usize, usize),
    patch: &Patch,
    left: usize,
    top: usize,
    mut visit: impl FnMut(usize, usize),
) {
    let (height, width) = scene;
    for row in 0..patch.height {
        let y = top + row;
        if y < MARGIN || y - MARGIN >= height {
            continue;
        }
        for column in 0..patch.width {
            let x = left + column;
            if x >= MARGIN && x - MARGIN < width {
                visit(
                    (y - MARGIN) * width + x - MARGIN,
                    row * patch.width + column,
                );
            }
        }
    }
}

/// Whether pasting the patch leaves the wanted share of every earlier item visible. The rim counts as
/// hiding: its pixels lose their label.
pub(super) fn leaves_enough(
    scene: &Scene,
    patch: &Patch,
    left: usize,
    top: usize,
    share: f32,
) -> bool {
    let mut left_over: Vec<usize> = scene
        .objects
        .iter()
        .map(|object| object.visible_pixels)
        .collect();
    overlap(
        (scene.height, scene.width),
        patch,
        left,
        top,
        |pixel, source| {
            let instance = usize::from(scene.instances[pixel]);
            if instance != 0 && (patch.solid[source] || patch.rim[source]) {
                left_over[instance - 1] -= 1;
            }
        },
    );
    let enough = |(object, left_over): (&super::SceneObject, usize)| {
        left_over > 0 && left_over as f32 >= share * object.full_pixels as f32
    };
    scene.objects.iter().zip(left_over).all(enough)
}

/// Blends the patch into the picture and writes its labels, the rim as void.
pub(super) fn paste(
    scene: &mut Scene,
    patch: &Patch,
    left: usize,
    top: usize,
    class: u8,
    instance: u8,
    paint: &Paint,
) {
    let Scene {
        height,
        width,
        image,
        classes,
        instances,
        objects,
    } = scene;
    overlap((*height, *width), patch, left, top, |pixel, source| {
        let coverage = patch.coverage[source] * paint.opacity;
        if coverage > 0.0 {
            let tone = patch.grey[source] / 255.0;
            for (channel, value) in image[3 * pixel..3 * pixel + 3].iter_mut().enumerate() {
                let colour =
                    paint.dark[channel] + (paint.light[channel] - paint.dark[channel]) * tone;
                let below = f32::from(*value);
                *value = (below + (colour - below) * coverage + 0.5) as u8;
            }
        }
        if !(patch.solid[source] || patch.rim[source]) {
            return;
        }
        if let Some(hidden) = usize::from(instances[pixel]).checked_sub(1) {
            objects[hidden].visible_pixels -= 1;
        }
        let solid = patch.solid[source];
        classes[pixel] = if solid { class } else { VOID };
        instances[pixel] = if solid { instance } else { 0 };
    });
}
