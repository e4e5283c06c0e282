//! Folders that were written: read back they are what was given.

use crate::shared::{self, assert_says};
use autoloss_vision::codec::jpeg_round_trip;
use autoloss_vision::data::{DataFolder, WrittenCounts};
use autoloss_vision::folder::{FolderOptions, SegmentationFolder, write_voc};
use autoloss_vision::{LabelledImage, Pack, Split, VisionError};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Samples = Vec<(Split, String, LabelledImage)>;

fn scenes(count: usize) -> (Samples, Vec<String>) {
    let picture = |(split, name, scene)| (split, name, LabelledImage::of_scene(scene).unwrap());
    let samples = shared::scenes(64, count).into_iter().map(picture);
    let classes = Pack::embedded().unwrap().class_names();
    (samples.collect(), classes.to_vec())
}

fn settings() -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("size".to_owned(), json!(64)),
        ("share".to_owned(), json!(0.1)),
    ])
}

fn open(folder: &Path) -> Result<SegmentationFolder, VisionError> {
    SegmentationFolder::open(folder, &FolderOptions::default())
}

fn grey(label: u8) -> LabelledImage {
    LabelledImage::new(2, 2, vec![9; 12], vec![label; 4]).unwrap()
}

fn classes() -> Vec<String> {
    ["background", "thing"].map(str::to_owned).to_vec()
}

/// [`write_voc`] of samples none of which fails.
fn written(
    folder: &Path,
    samples: Samples,
    classes: &[String],
    settings: &BTreeMap<String, Value>,
) -> Result<WrittenCounts, VisionError> {
    write_voc(folder, samples.into_iter().map(Ok), classes, settings)
}

fn full_set() -> Samples {
    let sample = |split: Split| (split, format!("a_{split}"), grey(1));
    Split::ALL.map(sample).to_vec()
}

#[test]
fn a_folder_read_back_is_what_was_written_in_the_same_order() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new/VOC2012");
    let (samples, classes) = scenes(5);
    let counts = written(&folder, samples.clone(), &classes, &settings()).unwrap();
    assert_eq!(Split::ALL.map(|split| counts.of(split)), [5; 4]);
    assert_eq!(counts.total(), 20);
    let set = open(&folder).unwrap();
    assert_eq!(
        (set.class_names(), set.settings()),
        (classes.as_slice(), &settings())
    );
    set.require_splits().unwrap();
    for split in Split::ALL {
        let written = samples.iter().filter(|(of, ..)| *of == split);
        assert_eq!(set.len(split), 5);
        for (index, (_, name, sample)) in written.enumerate() {
            assert_eq!(set.name(split, index), Some(name.as_str()));
            let expected = jpeg_round_trip(sample).unwrap();
            assert!(
                set.sample(split, index).unwrap() == expected,
                "{split} {index}"
            );
        }
    }
}

#[test]
fn the_lists_are_those_of_a_genuine_voc_folder() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    written(&folder, full_set(), &classes(), &BTreeMap::new()).unwrap();
    let list = |name: &str| {
        let file = folder.join(format!("ImageSets/Segmentation/{name}.txt"));
        fs::read_to_string(file).unwrap()
    };
    assert_eq!(list("train"), "a_train\na_reward\na_selection\n");
    assert_eq!(list("val"), "a_test\n");
    assert_eq!(list("trainval"), "a_train\na_reward\na_selection\na_test\n");
    assert_eq!(list("reward"), "a_reward\n");
    assert_eq!(list("selection"), "a_selection\n");
    let names = fs::read_dir(folder.join("ImageSets/Segmentation")).unwrap();
    assert_eq!(names.count(), 5, "no partial list is left");
    let mask = fs::read(folder.join("SegmentationClass/a_test.png")).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(mask))
        .read_info()
        .unwrap();
    let info = reader.info();
    assert_eq!(info.color_type, png::ColorType::Indexed);
    assert_eq!(info.palette.as_ref().unwrap()[3..6], [128, 0, 0]);
    // Two runs write the same bytes.
    let again = place.path().join("again");
    written(&again, full_set(), &classes(), &BTreeMap::new()).unwrap();
    for file in [
        "JPEGImages/a_train.jpg",
        "SegmentationClass/a_train.png",
        "autoloss.json",
    ] {
        assert_eq!(
            fs::read(folder.join(file)).unwrap(),
            fs::read(again.join(file)).unwrap()
        );
    }
}

#[test]
fn a_folder_with_files_is_never_touched() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    fs::create_dir(&folder).unwrap();
    written(&folder, full_set(), &classes(), &BTreeMap::new()).unwrap();
    let before = fs::read(folder.join("JPEGImages/a_train.jpg")).unwrap();
    let message = written(&folder, full_set(), &classes(), &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert_says(&message, &["the folder holds files already"]);
    assert_eq!(
        fs::read(folder.join("JPEGImages/a_train.jpg")).unwrap(),
        before
    );
}

#[test]
fn an_interrupted_write_is_not_taken_for_a_whole_one() {
    let place = tempfile::tempdir().unwrap();
    // The source fails after three samples: a label that is no class.
    let mut samples = full_set();
    samples[3].2 = grey(2);
    let folder = place.path().join("cut");
    let message = written(&folder, samples, &classes(), &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert_says(&message, &["a_test has label 2 in 4 pixels"]);
    assert!(folder.join("JPEGImages/a_train.jpg").exists());
    assert_says(
        &open(&folder).unwrap_err().to_string(),
        &["train.txt: there is no such list"],
    );
    // Killed between the lists: `train.txt` is the last.
    let folder = place.path().join("lists");
    written(&folder, full_set(), &classes(), &BTreeMap::new()).unwrap();
    fs::remove_file(folder.join("ImageSets/Segmentation/train.txt")).unwrap();
    assert!(open(&folder).is_err());
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut refusal = |samples: Samples, classes: &[String]| {
        number += 1;
        let folder = place.path().join(number.to_string());
        let result = written(&folder, samples, classes, &BTreeMap::new());
        result.unwrap_err().to_string()
    };
    let renamed = |name: &str| {
        let mut samples = full_set();
        samples[1].1 = name.to_owned();
        samples
    };
    assert_says(
        &refusal(renamed("a_train"), &classes()),
        &["two samples are called \"a_train\""],
    );
    for name in ["../a", ".a", "a b", "", "a/b", "a\n"] {
        assert_says(&refusal(renamed(name), &classes()), &[&format!("{name:?}")]);
    }
    assert_says(&refusal(full_set(), &[]), &["0 classes"]);
    assert_says(
        &refusal(full_set()[..3].to_vec(), &classes()),
        &["no sample of the test split"],
    );
    assert_says(
        &refusal(Vec::new(), &classes()),
        &["no sample of the train split"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_order_of_splits_and_sizes_is_kept(
        samples in proptest::collection::vec((0usize..4, 1usize..24, 1usize..24, 0u8..2), 0..12),
    ) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("set");
        let mut given = full_set();
        for (index, (split, height, width, label)) in samples.into_iter().enumerate() {
            let rgb = (0..3 * height * width).map(|byte| (byte * 7) as u8).collect();
            let picture = LabelledImage::new(height, width, rgb, vec![label; height * width]).unwrap();
            given.push((Split::ALL[split], format!("n{index}"), picture));
        }
        written(&folder, given.clone(), &classes(), &BTreeMap::new()).unwrap();
        let set = open(&folder).unwrap();
        for split in Split::ALL {
            let of_split: Vec<_> = given.iter().filter(|(of, ..)| *of == split).collect();
            prop_assert_eq!(set.len(split), of_split.len());
            for (index, (_, name, picture)) in of_split.into_iter().enumerate() {
                prop_assert_eq!(set.name(split, index), Some(name.as_str()));
                prop_assert_eq!(set.sample(split, index).unwrap(), jpeg_round_trip(picture).unwrap());
            }
        }
    }
}

#[test]
fn a_sample_that_fails_ends_the_writing_and_the_folder_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new");
    let failure = || VisionError::NothingLabelled;
    let samples = full_set().into_iter().map(Ok).chain([Err(failure())]);
    let outcome = write_voc(&folder, samples, &classes(), &BTreeMap::new());
    assert_eq!(outcome.unwrap_err(), failure());
    assert!(open(&folder).is_err());
}
