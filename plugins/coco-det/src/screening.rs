//! The samples that candidate losses of each branch are screened on.
//!
//! Labels and boxes are those of training pictures: how often the classes occur decides what a loss that
//! favours common ones does, and how far boxes are from anchors and regions what a regression meets. The
//! branches are set-valued, so samples fill (B, C, S, S) in any order.

use crate::branches::Branch;
use crate::source::{self, Source};
use autoloss_plugin_api::{
    Result, ScreeningRequest, ScreeningSamples, Split, TARGET_BOXES, Tensors,
};
use autoloss_vision::networks::check_screening;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Kind, Tensor};

/// The number of pictures whose objects are used.
const PICTURES: u64 = 256;
/// Share of objects among sampled regions (arXiv 1506.01497, of an image's sampled anchors at most half;
/// Fast R-CNN, arXiv 1504.08083, section 2.3: a quarter of the regions).
const OBJECTS: [f64; 2] = [0.5, 0.25];
/// The ratio of sides between anchors, whose nearest differs by at most half of it.
const ANCHOR_STEP: f64 = 2.0;
/// How far a region is from its object, as shares of its sides and as logarithms.
const JITTER: f64 = 0.15;

/// Draws the samples from the train split.
///
/// # Errors
/// An unknown branch, sizes or numbers of samples outside 1 to 1024, or pictures without objects.
pub(crate) fn draw_samples(
    source: &Source,
    request: &ScreeningRequest,
) -> Result<ScreeningSamples> {
    let branch = Branch::find(&request.branch)?;
    check_screening(request)?;
    let (samples, size) = (request.samples, request.size);
    let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
    let objects = objects(source, &mut rng)?;
    let grid = [samples as i64, size as i64];
    let count = samples * size * size;
    if branch.classifies() {
        let classes = match branch {
            Branch::RpnCls => 2,
            _ => source.class_names().len() as i64,
        };
        let share = OBJECTS[usize::from(branch == Branch::RcnnCls)];
        let label = |_| match rng.random_bool(share) {
            false => 0,
            true if branch == Branch::RpnCls => 1,
            true => objects[rng.random_range(0..objects.len())].class,
        };
        let mut labels: Vec<i64> = (0..count).map(label).collect();
        // Each sample has background and an object, however few its places.
        for sample in labels.chunks_exact_mut(size * size) {
            if sample.iter().all(|label| *label == 0) {
                sample[0] = 1;
            } else if sample.iter().all(|label| *label > 0) {
                sample[0] = 0;
            }
        }
        return labelled(&labels, classes, grid);
    }
    let offsets = |_| {
        let object = &objects[rng.random_range(0..objects.len())];
        match branch {
            Branch::RpnReg => from_anchor(object, &mut rng),
            _ => from_region(&mut rng),
        }
    };
    let offsets: Vec<[f32; 4]> = (0..count).map(offsets).collect();
    boxes(&offsets, grid)
}

struct Object {
    class: i64,
    sides: [f64; 2],
}

/// The objects of some training pictures.
fn objects(source: &Source, rng: &mut ChaCha8Rng) -> Result<Vec<Object>> {
    let len = source.len(Split::Train);
    let mut found = Vec::new();
    for _ in 0..PICTURES.min(len) {
        let index = rng.random_range(0..len);
        for object in source::objects(source, Split::Train, index)? {
            let [left, top, right, bottom] = object.corners.map(f64::from);
            if object.is_trainable() {
                found.push(Object {
                    class: object.class as i64,
                    sides: [right - left, bottom - top],
                });
            }
        }
    }
    if found.is_empty() {
        return Err("no training picture has an object to screen losses on".into());
    }
    Ok(found)
}

/// One-hot labels, and the labels themselves.
fn labelled(labels: &[i64], classes: i64, [samples, size]: [i64; 2]) -> Result<ScreeningSamples> {
    let labels = Tensor::f_from_slice(labels)?.f_view([samples, size, size])?;
    let y = labels.f_one_hot(classes)?.f_permute([0, 3, 1, 2])?;
    let y = y.f_to_kind(Kind::Float)?.f_contiguous()?;
    Ok(ScreeningSamples {
        shape: [samples, classes, size, size],
        fixed: Tensors::new().with("y", y),
        valid: None,
        targets: Tensors::new().with("labels", labels),
    })
}

/// Boxes as offsets; their metric needs nothing else than the areas that the loss is given.
fn boxes(offsets: &[[f32; 4]], [samples, size]: [i64; 2]) -> Result<ScreeningSamples> {
    let flat = Tensor::f_from_slice(offsets.as_flattened())?;
    let boxes = flat.f_view([samples, size, size, 4])?;
    let boxes = boxes.f_permute([0, 3, 1, 2])?.f_contiguous()?;
    Ok(ScreeningSamples {
        shape: [samples, 4, size, size],
        fixed: Tensors::new().with(TARGET_BOXES, boxes.shallow_clone()),
        valid: None,
        targets: Tensors::new().with(TARGET_BOXES, boxes),
    })
}

/// Offsets of an object from an anchor that is near: sides within half a step, the centre within a
/// quarter of its side.
fn from_anchor(object: &Object, rng: &mut ChaCha8Rng) -> [f32; 4] {
    let [width, height] = object.sides;
    // Anchors have ratios of one half, one and two.
    let step = ANCHOR_STEP.ln();
    let ratio = (width / height).ln();
    let rest = (ratio - (ratio / step).round().clamp(-1.0, 1.0) * step) / 2.0;
    let scale = rng.random_range(-0.5..0.5) * step;
    let mut centre = || rng.random_range(-0.25..0.25) as f32;
    let [dx, dy] = [centre(), centre()];
    [dx, dy, (scale + rest) as f32, (scale - rest) as f32]
}

/// Offsets of an object from a proposed region.
fn from_region(rng: &mut ChaCha8Rng) -> [f32; 4] {
    std::array::from_fn(|_| (rng.random_range(-1.0..1.0) * JITTER) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_plugin_api::TaskOptions;

    fn draw(branch: Branch, samples: usize, size: usize, seed: u64) -> Result<ScreeningSamples> {
        let (source, _) = source::open(&TaskOptions::default()).unwrap();
        let request = ScreeningRequest {
            branch: branch.name().to_owned(),
            samples,
            size,
            seed,
        };
        draw_samples(&source, &request)
    }

    #[test]
    fn labels_are_one_hot_and_of_all_classes() {
        for (branch, classes) in [(Branch::RpnCls, 2), (Branch::RcnnCls, 11)] {
            let drawn = draw(branch, 5, 16, 1).unwrap();
            assert_eq!(drawn.shape, [5, classes, 16, 16]);
            let labels = drawn.targets.get("labels").unwrap();
            assert_eq!(drawn.fixed.get("y").unwrap().argmax(1, false), *labels);
            let counts = labels.view([-1]).bincount(None::<&Tensor>, classes);
            assert!(counts.min().int64_value(&[]) > 0, "{counts:?}");
        }
    }

    #[test]
    fn boxes_are_near_their_reference() {
        for branch in [Branch::RpnReg, Branch::RcnnReg] {
            let drawn = draw(branch, 3, 8, 1).unwrap();
            let boxes = drawn.fixed.get(TARGET_BOXES).unwrap();
            assert_eq!(
                (drawn.shape, boxes.size()),
                ([3, 4, 8, 8], vec![3, 4, 8, 8])
            );
            assert!(boxes.abs().max().double_value(&[]) < 1.0);
            assert!(boxes.std(true).double_value(&[]) > 0.05);
        }
    }

    #[test]
    fn the_seed_decides_which() {
        let y = |seed| {
            draw(Branch::RcnnCls, 2, 8, seed)
                .unwrap()
                .fixed
                .get("y")
                .unwrap()
                .copy()
        };
        assert_eq!(y(1), y(1));
        assert_ne!(y(1), y(2));
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        for (samples, size) in [(0, 16), (5, 0), (5, 5000), (usize::MAX, 16)] {
            assert!(draw(Branch::RpnCls, samples, size, 0).is_err());
        }
    }
}
