//! Photographs and masks that hold no sample: each error names the file.

use crate::shared::{assert_says, sevens};
use crate::support::{Voc, sample};
use autoloss_vision::codec::{encode_jpeg, encode_labels};
use autoloss_vision::data::DataFolder;
use autoloss_vision::{FolderOptions, Split, VisionError};
use std::fs;

#[test]
fn a_missing_photograph_or_mask_is_found_when_the_folder_is_opened() {
    for (file, words) in [
        (
            "JPEGImages/a1.jpg",
            "JPEGImages has no photograph of that name",
        ),
        ("SegmentationClass/a1.png", "has a mask a1.png"),
    ] {
        let voc = Voc::of(4, 2);
        voc.remove(file);
        let error = voc.open().unwrap_err();
        assert!(
            matches!(error, VisionError::List { line: 2, .. }),
            "{error:?}"
        );
        assert_says(
            &error.to_string(),
            &[
                "train.txt, line 2: \"a1\"",
                words,
                "names that lack a file: 1",
            ],
        );
    }
}

#[test]
fn missing_files_are_skipped_and_named_if_asked_for() {
    let voc = Voc::of(8, 3);
    voc.remove("JPEGImages/a1.jpg");
    voc.remove("SegmentationClass/b2.png");
    let options = FolderOptions {
        skip_bad: true,
        ..FolderOptions::default()
    };
    let set = voc.open_with(&options).unwrap();
    assert_eq!(set.all().count(), 9);
    assert_eq!(set.len(Split::Test), 2);
    assert_eq!(set.skipped().len(), 2);
    let skipped = set.skipped().join("; ");
    assert_says(
        &skipped,
        &["a1: JPEGImages has no photograph", "b2: none of "],
    );
    assert_says(&voc.refusal(), &["names that lack a file: 2"]);
}

#[test]
fn a_damaged_photograph_is_an_error_when_it_is_read() {
    let voc = Voc::of(4, 2);
    let whole = fs::read(voc.root.join("JPEGImages/a0.jpg")).unwrap();
    for (bytes, words) in [
        (&whole[..whole.len() - 20], "cut short"),
        (&whole[..40], "cut short"),
        (&b""[..], "the file is empty"),
        (&b"<html>not found</html>"[..], "neither a JPEG nor a PNG"),
    ] {
        voc.write("JPEGImages/a0.jpg", bytes);
        let message = sample(&voc.open().unwrap(), "a0").unwrap_err().to_string();
        assert_says(&message, &["cannot decode ", "JPEGImages/a0.jpg: ", words]);
    }
}

#[test]
fn a_damaged_mask_is_an_error_when_it_is_read() {
    let voc = Voc::of(4, 2);
    let whole = fs::read(voc.root.join("SegmentationClass/a0.png")).unwrap();
    for bytes in [&whole[..whole.len() / 2], &whole[..10], b""] {
        voc.write("SegmentationClass/a0.png", bytes);
        let set = voc.open().unwrap();
        let message = sample(&set, "a0").unwrap_err().to_string();
        assert_says(&message, &["cannot decode ", "SegmentationClass/a0.png: "]);
    }
    let set = voc.open().unwrap();
    let sizes = Split::ALL.map(|split| set.sizes(split));
    assert_eq!(sizes.iter().filter(|size| size.is_err()).count(), 1);
}

#[test]
fn a_mask_of_another_size_is_refused_with_both_sizes() {
    let voc = Voc::of(4, 2);
    voc.mask("SegmentationClass", "a0", 8, 6, 1);
    let message = sample(&voc.open().unwrap(), "a0").unwrap_err().to_string();
    assert_says(&message, &["a0.png has 8x6 pixels", "a0.jpg has 6x8"]);
}

#[test]
fn a_label_that_is_no_class_is_named_with_its_place() {
    let voc = Voc::of(4, 2);
    let mut labels = [20u8; 48];
    labels[9] = 21;
    labels[47] = 21;
    labels[3] = 255;
    voc.write(
        "SegmentationClass/a0.png",
        &encode_labels(6, 8, &labels).unwrap(),
    );
    let message = sample(&voc.open().unwrap(), "a0").unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "a0.png has label 21 in 2 pixels, first at row 1, column 1",
            "expected 0 to 20 or 255",
        ],
    );
    // With 22 classes it is one.
    let names: Vec<String> = (0..22).map(|index| format!("\"c{index}\"")).collect();
    let side = format!("{{\"schema\":1,\"classes\":[{}]}}", names.join(","));
    voc.write("autoloss.json", side.as_bytes());
    assert_eq!(sample(&voc.open().unwrap(), "a0").unwrap().labels(), labels);
}

#[test]
fn a_file_that_vanishes_after_opening_is_named() {
    let voc = Voc::of(4, 2);
    let set = voc.open().unwrap();
    voc.remove("SegmentationClass/a0.png");
    let message = sample(&set, "a0").unwrap_err().to_string();
    assert_says(&message, &["cannot read ", "SegmentationClass/a0.png"]);
}

#[test]
fn a_png_photograph_under_a_jpegs_name_is_read() {
    let voc = Voc::of(4, 2);
    let bytes = sevens(png::ColorType::Rgb, [6, 8]);
    voc.write("JPEGImages/a0.jpg", &bytes);
    assert_eq!(
        sample(&voc.open().unwrap(), "a0").unwrap().image(),
        [7; 144]
    );
}

#[test]
fn large_pictures_are_reduced_and_sizes_are_known_from_headers() {
    let voc = Voc::of(4, 2);
    voc.write(
        "JPEGImages/b0.jpg",
        &encode_jpeg(90, 40, &[9; 3 * 3600]).unwrap(),
    );
    voc.mask("SegmentationClass", "b0", 90, 40, 2);
    voc.write(
        "JPEGImages/b1.jpg",
        &encode_jpeg(30, 60, &[9; 3 * 1800]).unwrap(),
    );
    voc.mask("SegmentationClass", "b1", 30, 60, 3);
    let options = FolderOptions {
        longest: Some(45),
        ..FolderOptions::default()
    };
    let whole = voc.open().unwrap();
    let sizes = whole.sizes(Split::Test).unwrap();
    assert_eq!(sizes, [Some((90, 40)), Some((30, 60))]);
    let set = voc.open_with(&options).unwrap();
    let sizes = set.sizes(Split::Test).unwrap();
    assert_eq!(sizes, [Some((45, 20)), Some((23, 45))]);
    let sizes = ["b0", "b1", "a0"].map(|name| {
        let sample = sample(&set, name).unwrap();
        (sample.height(), sample.width(), sample.labels()[0])
    });
    assert_eq!(sizes, [(45, 20, 2), (23, 45, 3), (6, 8, 1)]);
}
