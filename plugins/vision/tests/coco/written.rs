//! Folders that were written: read back they are what was given.

use crate::shared::{self, assert_says};
use crate::support::files;
use autoloss_vision::coco::{
    CocoFolder, CocoObject, CocoOptions, Detection, DetectionScorer, scene_objects, write_coco,
};
use autoloss_vision::codec::{decode_photograph, encode_jpeg};
use autoloss_vision::data::{DataFolder, WrittenCounts};
use autoloss_vision::{Pack, Scene, Split, VisionError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Samples = Vec<(Split, String, Scene)>;

fn scenes(count: usize) -> Samples {
    shared::scenes(72, count)
}

fn classes() -> Vec<String> {
    Pack::embedded().unwrap().class_names().to_vec()
}

fn settings() -> BTreeMap<String, Value> {
    BTreeMap::from([("size".to_owned(), json!(72))])
}

fn write(
    folder: &Path,
    samples: Samples,
    classes: &[String],
) -> Result<WrittenCounts, VisionError> {
    write_coco(folder, samples.into_iter().map(Ok), classes, &settings())
}

fn open(folder: &Path) -> Result<CocoFolder, VisionError> {
    CocoFolder::open(folder, &CocoOptions::default())
}

fn through_jpeg(scene: &Scene) -> Vec<u8> {
    let bytes = encode_jpeg(scene.height, scene.width, &scene.image).unwrap();
    decode_photograph(&bytes, Path::new("scene")).unwrap().rgb
}

fn unnumbered(object: &CocoObject) -> CocoObject {
    CocoObject {
        annotation: None,
        ..*object
    }
}

#[test]
fn a_folder_read_back_is_what_was_written_in_the_same_order() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new/coco");
    let samples = scenes(6);
    let counts = write(&folder, samples.clone(), &classes()).unwrap();
    assert_eq!(Split::ALL.map(|split| counts.of(split)), [6; 4]);
    assert_eq!(counts.total(), 24);
    let set = open(&folder).unwrap();
    assert_eq!(
        (set.class_names(), set.settings()),
        (classes().as_slice(), &settings())
    );
    set.require_splits().unwrap();
    assert!(set.notes().is_empty(), "{:?}", set.notes());
    let mut ids = Vec::new();
    for split in Split::ALL {
        let written = samples.iter().filter(|(of, ..)| *of == split);
        assert_eq!(set.len(split), 6);
        for (index, (_, name, scene)) in written.enumerate() {
            assert_eq!(set.name(split, index), Some(name.as_str()));
            let sample = set.sample(split, index).unwrap();
            assert!(sample.rgb == through_jpeg(scene), "{split} {index}");
            let objects: Vec<_> = sample.objects.iter().map(unnumbered).collect();
            assert_eq!(objects, scene_objects(scene));
            ids.extend(
                sample
                    .objects
                    .iter()
                    .map(|object| object.annotation.unwrap()),
            );
        }
    }
    ids.sort_unstable();
    let count = ids.len() as u64;
    assert_eq!(ids, (1..=count).collect::<Vec<_>>());
}

#[test]
fn the_files_are_those_of_coco_2017() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    write(&folder, scenes(2), &classes()).unwrap();
    let read = |name: &str| -> Value {
        let file = folder.join(format!("annotations/instances_{name}.json"));
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    let (train, val) = (read("train2017"), read("val2017"));
    let names = |content: &Value| -> Vec<String> {
        let images = content["images"].as_array().unwrap().iter();
        images
            .map(|image| image["file_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&val), ["test_1000.jpg", "test_999.jpg"]);
    assert_eq!(names(&train).len(), 6);
    assert!(
        names(&train)
            .iter()
            .all(|name| folder.join("train2017").join(name).is_file())
    );
    assert_eq!(
        train["categories"].as_array().unwrap().len(),
        classes().len() - 1
    );
    assert_eq!(
        train["categories"][0],
        json!({"id": 1, "name": classes()[1], "supercategory": "item"})
    );
    let names: Vec<_> = fs::read_dir(folder.join("annotations")).unwrap().collect();
    assert_eq!(names.len(), 2, "no partial file is left");
    // Two runs write the same bytes.
    let again = place.path().join("again");
    write(&again, scenes(2), &classes()).unwrap();
    for (left, right) in files(&folder).iter().zip(files(&again)) {
        assert_eq!(
            fs::read(left).unwrap(),
            fs::read(&right).unwrap(),
            "{}",
            right.display()
        );
    }
}

/// Boxes and areas taken away, the reader must find the same in the masks.
#[test]
fn the_masks_are_those_of_the_visible_pixels() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    let samples = scenes(3);
    write(&folder, samples.clone(), &classes()).unwrap();
    let file = folder.join("annotations/instances_val2017.json");
    let mut content: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for object in content["annotations"].as_array_mut().unwrap() {
        let object = object.as_object_mut().unwrap();
        object.remove("bbox").unwrap();
        object.remove("area").unwrap();
    }
    fs::write(&file, content.to_string()).unwrap();
    let set = open(&folder).unwrap();
    let tested = samples.iter().filter(|(split, ..)| *split == Split::Test);
    for (index, (.., scene)) in tested.enumerate() {
        let objects = set.objects(Split::Test, index).unwrap();
        let objects: Vec<_> = objects.iter().map(unnumbered).collect();
        assert_eq!(objects, scene_objects(scene));
    }
}

#[test]
fn scores_are_the_same_in_memory_and_from_the_folder() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    let samples = scenes(4);
    write(&folder, samples.clone(), &classes()).unwrap();
    let set = open(&folder).unwrap();
    let mut scorers = [(); 2].map(|()| DetectionScorer::new(classes().len()).unwrap());
    let tested = samples.iter().filter(|(split, ..)| *split == Split::Test);
    for (index, (.., scene)) in tested.enumerate() {
        let truth = scene_objects(scene);
        let moved = |(number, object): (usize, &CocoObject)| Detection {
            class: object.class,
            corners: object.corners.map(|corner| corner + number as f32),
            score: 1.0 / (1 + number) as f32,
        };
        let found: Vec<_> = truth.iter().enumerate().map(moved).collect();
        let read = set.objects(Split::Test, index).unwrap();
        for (scorer, objects) in scorers.iter_mut().zip([&truth, &read]) {
            scorer.add_image(index as u64, objects, &found).unwrap();
        }
    }
    let scores = scorers.map(|scorer| scorer.compute().unwrap());
    assert_eq!(scores[0], scores[1]);
    let map = scores[0].get("mAP").unwrap();
    assert!(map > 0.2 && map < 1.0, "{map}");
}

#[test]
fn a_folder_with_files_is_never_touched() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    write(&folder, scenes(1), &classes()).unwrap();
    let before = files(&folder);
    let message = write(&folder, scenes(2), &classes())
        .unwrap_err()
        .to_string();
    assert_says(&message, &["the folder holds files already"]);
    assert_eq!(files(&folder), before);
}

#[test]
fn an_interrupted_write_is_not_taken_for_a_whole_one() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cut");
    let samples = scenes(2)
        .into_iter()
        .map(Ok)
        .chain([Err(VisionError::NothingLabelled)]);
    let outcome = write_coco(&folder, samples, &classes(), &settings());
    assert_eq!(outcome.unwrap_err(), VisionError::NothingLabelled);
    assert!(folder.join("train2017/train_1000.jpg").exists());
    assert_says(
        &open(&folder).unwrap_err().to_string(),
        &["no COCO data set"],
    );
    // Killed before the last file: that of `train2017`.
    let folder = place.path().join("last");
    write(&folder, scenes(1), &classes()).unwrap();
    let last = folder.join("annotations/instances_train2017.json");
    fs::rename(&last, last.with_extension("json.partial")).unwrap();
    assert_says(
        &open(&folder).unwrap_err().to_string(),
        &["which of the files", "val2017"],
    );
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut refusal = |samples: Samples, classes: &[String]| {
        number += 1;
        let folder = place.path().join(number.to_string());
        let message = write(&folder, samples, classes).unwrap_err().to_string();
        assert!(open(&folder).is_err());
        message
    };
    let changed = |change: &dyn Fn(&mut (Split, String, Scene))| {
        let mut samples = scenes(1);
        change(&mut samples[1]);
        samples
    };
    for name in ["../a", ".a", "a b", "", "a/b", "a\n"] {
        let samples = changed(&|sample| sample.1 = name.to_owned());
        assert_says(&refusal(samples, &classes()), &[&format!("{name:?}")]);
    }
    let twice = changed(&|sample| sample.1 = "selection_1000".to_owned());
    assert_says(&refusal(twice, &classes()), &["two samples are called"]);
    assert_says(
        &refusal(scenes(1), &classes()[..1]),
        &["1 classes, expected the background"],
    );
    let strange = changed(&|sample| sample.2.objects[0].class = 11);
    assert_says(
        &refusal(strange, &classes()),
        &["test_1000 has an item of class 11, expected 1 to 10"],
    );
    let short = changed(&|sample| sample.2.instances.truncate(9));
    assert_says(
        &refusal(short, &classes()),
        &["the map of instances has 9 values"],
    );
    let cut = changed(&|sample| sample.2.image.truncate(9));
    assert_says(&refusal(cut, &classes()), &["cannot encode"]);
    let no_test: Samples = scenes(1)
        .into_iter()
        .filter(|(split, ..)| *split != Split::Test)
        .collect();
    assert_says(
        &refusal(no_test, &classes()),
        &["no scene of the test split"],
    );
    assert_says(
        &refusal(Vec::new(), &classes()),
        &["no scene of the train split"],
    );
}

#[test]
fn items_without_a_visible_pixel_are_skipped() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    let mut samples = scenes(1);
    let (.., scene) = &mut samples[1];
    let hidden = scene.objects[0].instance;
    for instance in &mut scene.instances {
        *instance = if *instance == hidden { 0 } else { *instance };
    }
    let expected = scene.objects.len() - 1;
    write(&folder, samples, &classes()).unwrap();
    let set = open(&folder).unwrap();
    assert_eq!(set.objects(Split::Test, 0).unwrap().len(), expected);
}
