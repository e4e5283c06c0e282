//! COCO's scores and the extents of masks against pycocotools (`python/oracles/coco.py`), through the reader:
//! on real annotations (Debian's `labelme-examples`, PyPI's `sahi`) and on drawn ones.

#![allow(clippy::unwrap_used, reason = "a failed step fails its test")]

use autoloss_vision::Split;
use autoloss_vision::coco::{
    CocoFolder, CocoObject, CocoOptions, Detection, DetectionScorer, DetectionScores,
};
use autoloss_vision::data::DataFolder;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Deserialize)]
struct Fixture {
    real: Vec<Set>,
    drawn: Vec<Set>,
    masks: Masks,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    /// The annotation file; none where it is not ours to store.
    truth: Option<Value>,
    /// Image, category, left, top, width, height, score.
    detections: Vec<(u64, u64, f32, f32, f32, f32, f32)>,
    /// None where pycocotools says −1.
    scores: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct Masks {
    truth: Value,
    /// Area, left, top, width, height.
    extents: Vec<[f64; 5]>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/coco.json")).unwrap()
}

fn sample(name: &str) -> PathBuf {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.samples");
    assert!(
        samples.join(name).join("installed.txt").is_file(),
        "the real annotations are not there: run `cargo xtask samples`"
    );
    samples.join(name)
}

fn real(name: &str) -> PathBuf {
    match name {
        "labelme" => sample(name).join("examples/instance_segmentation/data_dataset_coco"),
        _ => sample(name),
    }
}

/// All pictures, those without objects included.
fn open(folder: &Path) -> CocoFolder {
    let options = CocoOptions {
        min_objects: 0,
        ..CocoOptions::default()
    };
    CocoFolder::open(folder, &options).unwrap()
}

/// A folder with the annotations and empty photographs.
fn folder(truth: &Value) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for image in truth["images"].as_array().unwrap() {
        let file = place.path().join(image["file_name"].as_str().unwrap());
        fs::write(file, "").unwrap();
    }
    fs::write(place.path().join("annotations.json"), truth.to_string()).unwrap();
    place
}

impl Set {
    fn of_image(&self, set: &CocoFolder, image: u64) -> Vec<Detection> {
        let class = |category| {
            let mut classes = 1..set.num_classes();
            classes.find(|&class| set.category_id(class) == Some(category))
        };
        let detections = self.detections.iter().filter(|found| found.0 == image);
        detections
            .map(
                |&(_, category, left, top, width, height, score)| Detection {
                    class: class(category).unwrap(),
                    corners: [left, top, left + width, top + height],
                    score,
                },
            )
            .collect()
    }

    fn score(&self, set: &CocoFolder, change: impl Fn(&mut CocoObject)) -> DetectionScores {
        let mut scorer = DetectionScorer::new(set.num_classes()).unwrap();
        for (split, index) in set.all() {
            let image = set.image_id(split, index).unwrap();
            let mut objects = set.objects(split, index).unwrap();
            objects.iter_mut().for_each(&change);
            scorer
                .add_image(image, &objects, &self.of_image(set, image))
                .unwrap();
        }
        scorer.compute().unwrap()
    }

    /// The largest difference from pycocotools.
    fn compare(&self, set: &CocoFolder) -> f64 {
        let found = self.score(set, |_| ());
        assert_eq!(self.scores.len(), DetectionScores::NAMES.len());
        let differences = DetectionScores::NAMES.into_iter().map(|name| {
            match (found.get(name), self.scores[name]) {
                (Some(found), Some(expected)) => (found - expected).abs(),
                (None, None) => 0.0,
                other => panic!("{}: {name}: {other:?}", self.name),
            }
        });
        let worst = differences.fold(0.0, f64::max);
        assert!(worst <= 1e-6, "{}: {worst:e}", self.name);
        worst
    }
}

#[test]
fn scores_of_real_annotations_are_those_of_pycocotools() {
    let sets = fixture().real;
    assert_eq!(sets.len(), 2);
    for set in sets {
        let worst = set.compare(&open(&real(&set.name)));
        println!("{}: largest difference {worst:.1e}", set.name);
    }
}

#[test]
fn scores_of_drawn_annotations_are_those_of_pycocotools() {
    let mut worst = 0f64;
    for set in fixture().drawn {
        let place = folder(set.truth.as_ref().unwrap());
        worst = worst.max(set.compare(&open(place.path())));
    }
    println!("largest difference {worst:.1e}");
}

/// The annotation id 0 is what the drawn sets are about: without the ids most scores are others.
#[test]
fn the_id_zero_matters_and_only_in_files() {
    let mut changed = 0;
    let sets = fixture().drawn;
    let small: Vec<_> = sets
        .iter()
        .filter(|set| set.name.starts_with("small"))
        .collect();
    for set in &small {
        let place = folder(set.truth.as_ref().unwrap());
        let folder = open(place.path());
        let with = set.score(&folder, |_| ());
        let without = set.score(&folder, |object| object.annotation = None);
        let renumbered = set.score(&folder, |object| {
            object.annotation = object.annotation.map(|id| id + 1);
        });
        assert_eq!(without, renumbered);
        changed += usize::from(with != without);
        // An object that cannot be found can only cost.
        assert!(with.get("AR100") <= without.get("AR100"));
    }
    assert!(changed > 25, "{changed} of {}", small.len());
}

#[test]
fn masks_measure_what_pycocotools_measures() {
    let masks = fixture().masks;
    let place = folder(&masks.truth);
    let set = open(place.path());
    let (split, index) = set.all().next().unwrap();
    let objects = set.objects(split, index).unwrap();
    assert_eq!(objects.len(), masks.extents.len());
    for (number, (object, expected)) in objects.iter().zip(masks.extents).enumerate() {
        let [left, top, width, height] = object.bbox;
        let found = [object.area, left, top, width, height];
        assert_eq!(found, expected, "annotation {}", number + 1);
        assert_eq!(object.crowd, number % 2 == 1);
    }
}

#[test]
fn real_photographs_lie_under_their_boxes() {
    for (name, pictures, classes, objects) in [("labelme", 3, 22, 12), ("sahi", 1, 2, 5)] {
        let set = open(&real(name));
        assert_eq!(
            (set.all().count(), set.num_classes()),
            (pictures, classes),
            "{name}"
        );
        let mut count = 0;
        for (split, index) in set.all() {
            let sample = set.sample(split, index).unwrap();
            assert_eq!(sample.rgb.len(), 3 * sample.height * sample.width);
            assert!(sample.objects.iter().all(CocoObject::is_trainable));
            count += sample.objects.len();
        }
        assert_eq!(count, objects, "{name}");
    }
    let labelme = open(&real("labelme"));
    assert_eq!(
        labelme.class_names()[..3],
        ["background", "_background_", "aeroplane"]
    );
    assert_eq!(labelme.category_id(1), Some(0));
    assert!(
        labelme
            .notes()
            .iter()
            .any(|note| note.contains("has the id 0"))
    );
    let whole: usize = Split::ALL.map(|split| labelme.len(split)).iter().sum();
    assert_eq!(whole, 3);
}
