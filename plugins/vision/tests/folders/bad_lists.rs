//! Lists that cannot be used, and folders that are no data set.

use crate::shared::assert_says;
use crate::support::Voc;
use autoloss_vision::data::DataFolder;
use autoloss_vision::{FolderOptions, SegmentationFolder, VisionError};
use std::fs;

#[test]
fn a_missing_list_is_named_with_those_that_exist() {
    let voc = Voc::of(4, 2);
    fs::rename(
        voc.root.join("ImageSets/Segmentation/train.txt"),
        voc.root.join("ImageSets/Segmentation/training.txt"),
    )
    .unwrap();
    assert_says(
        &voc.refusal(),
        &["train.txt: there is no such list", "training.txt, val.txt"],
    );
    let options = FolderOptions {
        train_list: "training".to_owned(),
        ..FolderOptions::default()
    };
    assert_eq!(voc.open_with(&options).unwrap().all().count(), 6);
    voc.remove("ImageSets/Segmentation/val.txt");
    let message = voc.open_with(&options).unwrap_err().to_string();
    assert_says(&message, &["val.txt: there is no such list"]);
}

#[test]
fn an_empty_list_is_refused() {
    for name in ["train", "val"] {
        let voc = Voc::of(4, 2);
        voc.list(name, "\n  \n");
        assert_says(
            &voc.refusal(),
            &[&format!("{name}.txt: the list names no picture")],
        );
    }
}

#[test]
fn lines_that_cannot_be_used_are_named() {
    for (text, words) in [
        (
            "a0\na1\na0\n",
            "train.txt, line 3: \"a0\" is on line 1 already",
        ),
        (
            "a0\n\n../a1\n",
            "train.txt, line 3: \"../a1\" is not a plain name",
        ),
        (
            "/etc/passwd\n",
            "train.txt, line 1: \"/etc/passwd\" is not a plain name",
        ),
        ("/../x.jpg /SegmentationClass/a0.png\n", "not a path inside"),
        (
            "a0\nz 7\n",
            "train.txt, line 2: \"z 7\": JPEGImages has no photograph of that name",
        ),
        (
            "a0\n/JPEGImages/a 1.jpg /SegmentationClass/a 1.png\n",
            "there is no photograph JPEGImages/a 1.jpg",
        ),
        (
            "a0\nzz\n",
            "train.txt, line 2: \"zz\": JPEGImages has no photograph",
        ),
        (
            "/JPEGImages/a0.jpg /Nowhere/a0.png\n",
            "there is no mask Nowhere/a0.png",
        ),
    ] {
        let voc = Voc::of(4, 2);
        voc.list("train", text);
        assert_says(&voc.refusal(), &[words]);
    }
}

#[test]
fn bad_options_are_named() {
    let voc = Voc::of(4, 2);
    let good = FolderOptions::default();
    for (field, options) in [
        (
            "reward_share",
            FolderOptions {
                reward_share: 0.6,
                ..good.clone()
            },
        ),
        (
            "reward_share",
            FolderOptions {
                reward_share: f64::NAN,
                ..good.clone()
            },
        ),
        (
            "selection_share",
            FolderOptions {
                selection_share: -0.1,
                ..good.clone()
            },
        ),
        (
            "selection_share",
            FolderOptions {
                reward_share: 0.5,
                selection_share: 0.5,
                ..good.clone()
            },
        ),
        (
            "train_list",
            FolderOptions {
                train_list: "../train".to_owned(),
                ..good.clone()
            },
        ),
        (
            "train_list",
            FolderOptions {
                train_list: "trainval".to_owned(),
                ..good.clone()
            },
        ),
        (
            "longest",
            FolderOptions {
                longest: Some(0),
                ..good
            },
        ),
    ] {
        match voc.open_with(&options) {
            Err(VisionError::Config { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn folders_of_no_known_layout_are_refused_with_what_was_expected() {
    let place = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = place.path().join(name);
        let error = SegmentationFolder::open(&path, &FolderOptions::default()).unwrap_err();
        error.to_string()
    };
    assert_says(&open("none"), &["none: there is no such folder"]);
    fs::create_dir(place.path().join("other")).unwrap();
    assert_says(
        &open("other"),
        &["no data set that can be read", "JPEGImages", "leftImg8bit"],
    );
    fs::create_dir_all(place.path().join("other/JPEGImages")).unwrap();
    assert_says(&open("other"), &["no data set that can be read"]);
    fs::create_dir_all(place.path().join("other/SegmentationClassPNG")).unwrap();
    assert_says(&open("other"), &["no photograph has a mask"]);
}
