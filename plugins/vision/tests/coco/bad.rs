//! Files and entries that cannot be used: each error names the file and the entry.

use crate::shared::{assert_says, place};
use crate::support::Coco;
use autoloss_vision::coco::{CocoFolder, CocoOptions};
use autoloss_vision::data::DataFolder;
use autoloss_vision::{Split, VisionError};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn skipping() -> CocoOptions {
    CocoOptions {
        skip_bad: true,
        ..CocoOptions::default()
    }
}

#[test]
fn folders_of_another_kind_are_refused() {
    let missing = CocoFolder::open(Path::new("/nowhere/coco"), &CocoOptions::default());
    assert_says(
        &missing.unwrap_err().to_string(),
        &["there is no such folder"],
    );
    let coco = Coco::empty();
    assert_says(
        &coco.refusal(),
        &["no COCO data set", "instances_train2017.json"],
    );
    coco.part("val2017", "b", 2);
    assert_says(&coco.refusal(), &["which of the files", "val2017"]);
    let options = CocoOptions {
        reward_share: 2.0,
        ..CocoOptions::default()
    };
    assert!(matches!(
        coco.open_with(&options),
        Err(VisionError::Config { .. })
    ));
}

#[test]
fn files_that_are_no_annotations_are_named() {
    let coco = Coco::of(4, 2);
    for (text, words) in [
        ("", "EOF"),
        ("{\"images\": [", "EOF"),
        ("[]", "invalid type: sequence"),
        ("{\"images\": []}", "missing field"),
        ("\u{0}", "expected value"),
    ] {
        coco.write("annotations/instances_val2017.json", text.as_bytes());
        assert_says(
            &coco.refusal(),
            &["instances_val2017.json: this is no annotation file", words],
        );
        assert!(coco.open_with(&skipping()).is_err());
    }
    fs::remove_file(coco.root.join("annotations/instances_val2017.json")).unwrap();
    fs::create_dir(coco.root.join("annotations/instances_val2017.json")).unwrap();
    assert!(coco.open().is_err());
}

#[test]
fn entries_that_cannot_be_used_are_named_or_skipped() {
    let image = |field: &'static str, value: Value| ("images", field, value);
    let object = |field: &'static str, value: Value| ("annotations", field, value);
    for ((list, field, value), words) in [
        (
            image("id", json!(null)),
            "image 2 (id null): its id is missing",
        ),
        (
            image("id", json!("x")),
            "image 2 (id \"x\"): its id is \"x\", expected a whole number",
        ),
        (
            image("id", json!(0)),
            "image 2 (id 0): another image has this id",
        ),
        (
            image("file_name", json!(3)),
            "image 2 (id 1): its file_name is 3",
        ),
        (
            image("file_name", json!("../val2017/b1.jpg")),
            "not a path inside",
        ),
        (
            image("file_name", json!("/etc/hostname")),
            "not a path inside",
        ),
        (
            image("file_name", json!("z.jpg")),
            "there is no photograph z.jpg in val2017",
        ),
        (image("height", json!(0)), "its size is 0x16 pixels"),
        (image("height", json!(-3)), "its height is -3"),
        (
            image("width", json!(4_000_000_000u32)),
            "its size is 12x4000000000 pixels",
        ),
        (
            image("width", json!(5_000_000_000u64)),
            "its width is 5000000000 pixels",
        ),
        (
            object("image_id", json!(77)),
            "annotation 2 (id 101): there is no image with the id 77",
        ),
        (
            object("image_id", json!(null)),
            "annotation 2: its image_id is missing",
        ),
        (
            object("category_id", json!(3)),
            "annotation 2 (id 101): there is no category with the id 3",
        ),
        (
            object("bbox", json!([1, 2])),
            "annotation 2: its bbox is [1,2], expected four numbers",
        ),
        (
            object("bbox", json!("1 2 3 4")),
            "annotation 2: its bbox is",
        ),
        (
            object("iscrowd", json!([])),
            "annotation 2: its iscrowd is []",
        ),
    ] {
        let coco = Coco::of(4, 3);
        coco.edit("val2017", |content| content[list][1][field] = value.clone());
        assert_says(
            &coco.refusal(),
            &["instances_val2017.json: ", words, "read with skip_bad"],
        );
        let set = coco.open_with(&skipping()).unwrap();
        assert_says(&set.skipped().join("; "), &[words]);
        if list == "annotations" {
            assert_eq!(set.len(Split::Test), 3);
            assert!(set.objects(Split::Test, 1).unwrap().is_empty());
        } else {
            assert_eq!(set.len(Split::Test), 2);
        }
    }
}

#[test]
fn boxes_come_from_masks_where_they_are_missing() {
    for (mask, found) in [
        (
            json!([[2, 3, 6, 3, 6, 8, 2, 8]]),
            Ok(([2.0, 3.0, 4.0, 5.0], 20.0)),
        ),
        (
            json!({"size": [12, 16], "counts": [12, 24, 156]}),
            Ok(([1.0, 0.0, 2.0, 12.0], 24.0)),
        ),
        (
            json!(null),
            Err("annotation 1 (id 100): it has neither bbox nor segmentation"),
        ),
        (
            json!([]),
            Err("annotation 1 (id 100): it has no bbox and its mask has no pixel"),
        ),
        (
            json!({"size": [16, 12], "counts": [12, 24, 156]}),
            Err("16x12 pixels but its picture 12x16"),
        ),
        (
            json!({"size": [12, 16], "counts": "!"}),
            Err("its segmentation cannot be read"),
        ),
        (json!("x"), Err("its segmentation cannot be read")),
    ] {
        let coco = Coco::of(4, 1);
        coco.edit("val2017", |content| {
            let object = content["annotations"][0].as_object_mut().unwrap();
            object.remove("bbox");
            object.remove("area");
            object.insert("segmentation".to_owned(), mask);
        });
        match found {
            Ok((bbox, area)) => {
                let object = coco.open().unwrap().objects(Split::Test, 0).unwrap()[0];
                assert_eq!((object.bbox, object.area), (bbox, area));
            }
            Err(words) => assert_says(&coco.refusal(), &[words]),
        }
    }
}

#[test]
fn a_mask_that_is_not_needed_hinders_nothing() {
    let coco = Coco::of(4, 1);
    for mask in [
        json!("x"),
        json!({}),
        json!([1, 2, 3]),
        json!({"size": [1, 1], "counts": "~"}),
    ] {
        coco.edit("val2017", |content| {
            content["annotations"][0]["segmentation"] = mask;
        });
        assert_eq!(
            coco.open().unwrap().objects(Split::Test, 0).unwrap().len(),
            1
        );
    }
}

#[test]
fn many_faults_are_counted() {
    let coco = Coco::of(4, 5);
    coco.edit("val2017", |content| {
        for object in content["annotations"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .skip(2)
        {
            object["category_id"] = json!(9);
        }
    });
    assert_says(
        &coco.refusal(),
        &["annotation 3 (id 102)", "(3 entries like this)"],
    );
    assert_eq!(coco.open_with(&skipping()).unwrap().skipped().len(), 3);
}

#[test]
fn annotations_go_with_the_picture_that_is_skipped() {
    let coco = Coco::of(4, 3);
    fs::remove_file(coco.root.join("val2017/b1.jpg")).unwrap();
    let set = coco.open_with(&skipping()).unwrap();
    assert_eq!(set.skipped().len(), 1);
    assert_eq!(set.len(Split::Test), 2);
    // Nothing at all is left.
    for name in ["a0", "a1", "a2", "a3"] {
        fs::remove_file(coco.root.join(format!("train2017/{name}.jpg"))).unwrap();
    }
    for name in ["b0", "b2"] {
        fs::remove_file(coco.root.join(format!("val2017/{name}.jpg"))).unwrap();
    }
    let message = coco.open_with(&skipping()).unwrap_err().to_string();
    assert_says(&message, &["name no picture that can be used"]);
}

#[test]
fn categories_must_agree() {
    let coco = Coco::of(4, 2);
    coco.edit("val2017", |content| {
        content["categories"][0]["name"] = json!("dog");
    });
    assert_says(
        &coco.refusal(),
        &["instances_val2017.json: category 1: 5 is \"dog\" here but \"cat\""],
    );
    coco.edit("val2017", |content| content["categories"] = json!([]));
    assert_eq!(coco.open().unwrap().num_classes(), 3);
    coco.edit("train2017", |content| content["categories"] = json!([]));
    assert_says(
        &coco.refusal(),
        &["instances_train2017.json: it has 0 categories"],
    );
}

#[test]
fn photographs_of_another_size_and_damaged_ones_are_errors_when_read() {
    let coco = Coco::of(8, 2);
    coco.photograph("train2017/a3.jpg", 16, 12);
    let set = coco.open().unwrap();
    let (split, index) = place(&set, "a3");
    let message = set.sample(split, index).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "a3.jpg: it has 16x12 pixels, but ",
            "instances_train2017.json says 12x16 of its image 3",
        ],
    );
    coco.write("train2017/a3.jpg", b"no picture");
    assert_says(
        &set.sample(split, index).unwrap_err().to_string(),
        &["cannot decode", "a3.jpg"],
    );
    fs::remove_file(coco.root.join("train2017/a3.jpg")).unwrap();
    assert!(matches!(
        set.sample(split, index),
        Err(VisionError::File { .. })
    ));
}

/// Numbers, texts and nests that a field may hold by mistake.
fn strange() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u64..6).prop_map(Value::from),
        "[a-z0-9./\\\\]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("size|counts|id", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_value_in_any_field_is_read_or_refused(
        list in proptest::sample::select(vec!["images", "annotations", "categories"]),
        field in proptest::sample::select(vec![
            "id", "file_name", "height", "width", "image_id", "category_id", "bbox", "area", "iscrowd",
            "segmentation", "name",
        ]),
        value in strange(),
        whole in any::<bool>(),
    ) {
        let coco = Coco::of(3, 2);
        coco.edit("val2017", |content| {
            let entry = &mut content[list][0];
            if whole {
                *entry = value;
            } else {
                entry[field] = value;
                // What is missing is looked for in the mask.
                if field == "segmentation" {
                    entry["bbox"] = Value::Null;
                }
            }
        });
        for options in [CocoOptions::default(), skipping()] {
            if let Ok(set) = coco.open_with(&options) {
                for (split, index) in set.all() {
                    for object in set.objects(split, index).unwrap() {
                        let [x0, y0, x1, y1] = object.corners;
                        prop_assert!(0.0 <= x0 && x0 <= x1 && 0.0 <= y0 && y0 <= y1);
                        prop_assert!((1..set.num_classes()).contains(&object.class));
                    }
                }
            }
        }
    }
}
