//! Real PASCAL VOC photographs and masks (Debian's `labelme-examples`) against what Pillow, numpy and
//! torchmetrics see in them (`python/oracles/voc_folder.py`), and pictures that Pillow wrote.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::codec::decode_photograph;
use autoloss_vision::data::DataFolder;
use autoloss_vision::resize::reduced;
use autoloss_vision::{
    FolderOptions, LabelledImage, SegmentationFolder, SegmentationMetrics, Split, VOID,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Fixture {
    shift: (usize, usize),
    longest: usize,
    folders: Vec<Folder>,
    jpegs: Vec<Jpeg>,
    reductions: Vec<Reduction>,
}

/// A JPEG of Pillow and what Pillow reads in it; bytes as hexadecimal digits.
#[derive(Deserialize)]
struct Jpeg {
    kind: String,
    jpeg: String,
    height: usize,
    width: usize,
    rgb: String,
}

#[derive(Deserialize)]
struct Reduction {
    height: usize,
    width: usize,
    longest: usize,
    rgb: String,
    small: String,
    labels: String,
}

#[derive(Deserialize)]
struct Folder {
    name: String,
    classes: Vec<String>,
    samples: Vec<Sample>,
    scores: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    #[serde(flatten)]
    whole: Facts,
    reduced: Facts,
}

#[derive(Deserialize)]
struct Facts {
    height: usize,
    width: usize,
    mean_colour: [f64; 3],
    /// Pixels of every label; JSON's keys are texts.
    labels: BTreeMap<String, usize>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/voc_folder.json")).unwrap()
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn largest_difference(left: &[u8], right: &[u8]) -> u8 {
    assert_eq!(left.len(), right.len());
    let differences = left.iter().zip(right).map(|(a, b)| a.abs_diff(*b));
    differences.max().unwrap()
}

fn folder(name: &str) -> PathBuf {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.samples/labelme");
    assert!(
        samples.join("installed.txt").is_file(),
        "the real photographs are not there: run `cargo xtask samples`"
    );
    samples.join("examples").join(name).join("data_dataset_voc")
}

fn open(name: &str, longest: Option<usize>) -> SegmentationFolder {
    let options = FolderOptions {
        longest,
        ..FolderOptions::default()
    };
    SegmentationFolder::open(&folder(name), &options).unwrap()
}

/// Every sample by its name.
fn read(set: &SegmentationFolder) -> BTreeMap<String, LabelledImage> {
    set.all()
        .map(|(split, index)| {
            let name = set.name(split, index).unwrap().to_owned();
            (name, set.sample(split, index).unwrap())
        })
        .collect()
}

/// Equal sizes and labels; returns the largest difference of the mean colours.
fn compare(found: &LabelledImage, expected: &Facts) -> f64 {
    assert_eq!(
        (found.height(), found.width()),
        (expected.height, expected.width)
    );
    let mut labels = BTreeMap::new();
    for &label in found.labels() {
        *labels.entry(label.to_string()).or_insert(0) += 1;
    }
    assert_eq!(labels, expected.labels);
    let differences = (0..3).map(|channel| {
        let bytes = found.image()[channel..].iter().step_by(3);
        let sum: f64 = bytes.map(|&byte| f64::from(byte)).sum();
        (sum / found.labels().len() as f64 - expected.mean_colour[channel]).abs()
    });
    differences.fold(0.0, f64::max)
}

#[test]
fn pictures_and_masks_are_what_pillow_reads() {
    let fixture = fixture();
    let mut worst = [0f64; 2];
    for expected in &fixture.folders {
        for (longest, worst) in [None, Some(fixture.longest)].into_iter().zip(&mut worst) {
            let set = open(&expected.name, longest);
            assert_eq!(set.class_names(), expected.classes);
            let samples = read(&set);
            assert_eq!(samples.len(), expected.samples.len());
            for sample in &expected.samples {
                let facts = match longest {
                    None => &sample.whole,
                    Some(_) => &sample.reduced,
                };
                *worst = worst.max(compare(&samples[&sample.name], facts));
            }
        }
    }
    println!(
        "largest difference of a mean colour: {:.4} whole, {:.4} reduced",
        worst[0], worst[1]
    );
    assert!(worst[0] < 0.5 && worst[1] < 0.5, "{worst:?}");
}

#[test]
fn scores_of_a_shifted_mask_are_those_of_numpy() {
    let fixture = fixture();
    let mut worst = 0f64;
    for expected in &fixture.folders {
        let set = open(&expected.name, None);
        let mut metrics = SegmentationMetrics::new(set.num_classes(), Default::default()).unwrap();
        for sample in read(&set).values() {
            let (height, width) = (sample.height(), sample.width());
            let prediction = shifted(sample, fixture.shift);
            metrics
                .update(&prediction, sample.labels(), height, width)
                .unwrap();
        }
        let scores = metrics.compute().unwrap().named();
        assert_eq!(scores.len(), expected.scores.len());
        for (name, found) in scores {
            worst = worst.max((found - expected.scores[name]).abs());
        }
    }
    println!("largest difference of a score: {worst:.3e}");
    assert!(worst < 1e-12, "{worst:e}");
}

/// The labels moved down and to the right round the edges, background where void.
fn shifted(sample: &LabelledImage, (down, right): (usize, usize)) -> Vec<u8> {
    let (height, width) = (sample.height(), sample.width());
    let pixel = |index: usize| {
        let row = (index / width + height - down) % height;
        let column = (index % width + width - right) % width;
        sample.labels()[row * width + column]
    };
    (0..height * width)
        .map(|index| match pixel(index) {
            VOID => 0,
            label => label,
        })
        .collect()
}

#[test]
fn three_pictures_without_lists_open_but_do_not_make_a_search() {
    let set = open("semantic_segmentation", None);
    let filled = Split::ALL.map(|split| set.len(split));
    assert_eq!(filled.iter().sum::<usize>(), 3);
    assert!(filled.iter().all(|&count| count <= 1), "{filled:?}");
    assert_eq!(set.all().count(), 3);
    let message = set.require_splits().unwrap_err().to_string();
    assert!(
        message.contains("of its 3 samples none is left for"),
        "{message}"
    );
    let sizes = Split::ALL.map(|split| set.sizes(split).unwrap());
    assert!(sizes.concat().contains(&Some((375, 500))));
    // The video's five pictures are enough.
    open("video_annotation", None).require_splits().unwrap();
}

#[test]
fn jpegs_of_every_kind_are_decoded_like_pillow_does() {
    for expected in fixture().jpegs {
        let kind = &expected.kind;
        let jpeg = bytes(&expected.jpeg);
        let found = decode_photograph(&jpeg, Path::new(kind)).unwrap();
        assert_eq!(
            (found.height, found.width),
            (expected.height, expected.width),
            "{kind}"
        );
        let difference = largest_difference(&found.rgb, &bytes(&expected.rgb));
        println!("{kind}: largest difference {difference}");
        assert!(difference <= 5, "{kind}: {difference}");
        for end in 0..jpeg.len() {
            let cut = decode_photograph(&jpeg[..end], Path::new(kind));
            assert!(cut.is_err(), "{kind}: {end} of {} bytes", jpeg.len());
        }
    }
}

#[test]
fn pictures_are_reduced_like_pillow_does() {
    for expected in fixture().reductions {
        let rgb = bytes(&expected.rgb);
        let labels = rgb.iter().step_by(3).copied().collect();
        let sample = LabelledImage::new(expected.height, expected.width, rgb, labels).unwrap();
        let small = reduced(sample, expected.longest).unwrap();
        assert_eq!(small.labels(), bytes(&expected.labels));
        let difference = largest_difference(small.image(), &bytes(&expected.small));
        println!("{}: largest difference {difference}", expected.longest);
        assert!(difference <= 1, "{}: {difference}", expected.longest);
    }
}
