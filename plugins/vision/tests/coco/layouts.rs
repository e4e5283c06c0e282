//! What is read from a good folder, and which picture is in which split.

use crate::shared::{assert_apart, assert_says, names_of, sevens};
use crate::support::{Coco, annotations};
use autoloss_vision::Split;
use autoloss_vision::coco::{CocoFolder, CocoObject, CocoOptions};
use autoloss_vision::codec::encode_jpeg;
use autoloss_vision::data::DataFolder;
use serde_json::json;

#[test]
fn coco_2017_is_read() {
    let coco = Coco::of(60, 5);
    let set = coco.open().unwrap();
    set.require_splits().unwrap();
    assert_apart(&set);
    assert_eq!(set.all().count(), 65);
    assert_eq!(set.class_names(), ["background", "bus", "cat"]);
    assert_eq!(
        [1, 2].map(|class| set.category_id(class)),
        [Some(2), Some(5)]
    );
    assert_eq!(names_of(&set, Split::Test), ["b0", "b1", "b2", "b3", "b4"]);
    let train = names_of(&set, Split::Train);
    assert!(train.is_sorted_by_key(|name| name[1..].parse::<usize>().unwrap()));
    assert!(set.notes().is_empty() && set.skipped().is_empty());
    let sample = set.sample(Split::Test, 3).unwrap();
    assert_eq!((sample.image, sample.height, sample.width), (3, 12, 16));
    assert_eq!(sample.rgb, vec![90; 3 * 12 * 16]);
    assert_eq!(set.size(Split::Test, 3), Some((12, 16)));
    let expected = CocoObject {
        annotation: Some(103),
        ..CocoObject::new(2, [1.0, 2.0, 6.5, 7.0], 30.5, 12, 16)
    };
    assert_eq!(sample.objects, [expected]);
    assert_eq!(expected.corners, [1.0, 2.0, 7.5, 9.0]);
    for beyond in [5, usize::MAX] {
        assert_eq!(set.name(Split::Test, beyond), None);
        let message = set.sample(Split::Test, beyond).unwrap_err().to_string();
        assert_says(&message, &["the test split has 5 samples"]);
        assert!(set.objects(Split::Test, beyond).is_err());
    }
}

#[test]
fn held_out_pictures_depend_on_names_alone() {
    let coco = Coco::of(60, 5);
    let before = coco.open().unwrap();
    // Others in front, in another order, with other ids.
    let mut names: Vec<String> = (0..60).rev().map(|index| format!("a{index}.jpg")).collect();
    names.splice(0..0, (0..40).map(|index| format!("c{index}.jpg")));
    for name in &names[..40] {
        coco.photograph(&format!("train2017/{name}"), 12, 16);
    }
    coco.annotations("train2017", &annotations(&names));
    let after = coco.open().unwrap();
    for split in [Split::Reward, Split::Selection] {
        let after = names_of(&after, split);
        assert!(
            names_of(&before, split)
                .iter()
                .all(|name| after.contains(name)),
            "{split}"
        );
    }
}

#[test]
fn the_side_file_names_what_is_held_out() {
    let coco = Coco::of(10, 2);
    let side =
        |content: serde_json::Value| coco.write("autoloss.json", content.to_string().as_bytes());
    side(
        json!({"schema": 1, "settings": {"size": 64}, "reward": ["a7.jpg", "a2.jpg"], "selection": ["a3.jpg"]}),
    );
    let set = coco.open().unwrap();
    assert_eq!(names_of(&set, Split::Reward), ["a7", "a2"]);
    assert_eq!(names_of(&set, Split::Selection), ["a3"]);
    assert_eq!(
        names_of(&set, Split::Train),
        ["a0", "a1", "a4", "a5", "a6", "a8", "a9"]
    );
    assert_eq!(set.settings()["size"], json!(64));
    side(json!({"schema": 1, "reward": []}));
    let set = coco.open().unwrap();
    assert!(set.is_empty(Split::Reward) && !set.is_empty(Split::Selection));
    assert_says(
        &set.require_splits().unwrap_err().to_string(),
        &["none is left for: reward"],
    );
    for (content, words) in [
        (
            json!({"schema": 1, "reward": ["b0.jpg"]}),
            "\"b0.jpg\", which is no training picture",
        ),
        (
            json!({"schema": 1, "reward": ["a1.jpg"], "selection": ["a1.jpg"]}),
            "\"a1.jpg\" twice",
        ),
        (json!({"schema": 7}), "its schema is 7"),
    ] {
        side(content);
        assert_says(&coco.refusal(), &["autoloss.json", words]);
    }
}

#[test]
fn test_pictures_are_never_trained_on() {
    let coco = Coco::empty();
    for name in ["a", "b", "c"] {
        coco.photograph(&format!("images/{name}.jpg"), 12, 16);
    }
    let names = ["a.jpg", "b.jpg", "c.jpg"].map(str::to_owned);
    coco.annotations("train", &annotations(&names));
    coco.annotations("val", &annotations(&names[1..2]));
    let set = coco.open().unwrap();
    assert_apart(&set);
    assert_eq!(names_of(&set, Split::Test), ["b"]);
    assert_says(
        &set.notes().join("; "),
        &["1 of the 3 training pictures are test pictures too"],
    );
}

#[test]
fn without_test_annotations_a_fifth_is_the_test_split() {
    let coco = Coco::empty();
    coco.part("train2017", "a", 100);
    let set = coco.open().unwrap();
    set.require_splits().unwrap();
    assert_apart(&set);
    assert!((8..35).contains(&set.len(Split::Test)));
    // The same with one undivided file.
    let coco = Coco::empty();
    let names: Vec<String> = (0..9).map(|index| format!("sub/{index}.jpg")).collect();
    for name in &names {
        coco.photograph(name, 12, 16);
    }
    coco.write(
        "annotations.json",
        annotations(&names).to_string().as_bytes(),
    );
    let set = coco.open().unwrap();
    set.require_splits().unwrap();
    assert_eq!(set.all().count(), 9);
}

#[test]
fn pictures_without_objects_are_skipped_in_train_alone() {
    let coco = Coco::of(60, 5);
    // Even pictures have nothing, a crowd, or a box without extent.
    let strip = |content: &mut serde_json::Value| {
        let objects = content["annotations"].as_array_mut().unwrap();
        objects.retain(|object| object["image_id"].as_u64().unwrap() % 6 != 0);
        for object in objects.iter_mut() {
            match object["image_id"].as_u64().unwrap() % 6 {
                2 => object["iscrowd"] = json!(1),
                4 => object["bbox"] = json!([3, 3, 0, 5]),
                _ => {}
            }
        }
    };
    coco.edit("train2017", strip);
    coco.edit("val2017", strip);
    let set = coco.open().unwrap();
    assert_eq!(set.len(Split::Test), 5);
    let even = |split| {
        let names = names_of(&set, split);
        let even = names
            .iter()
            .filter(|name| name[1..].parse::<usize>().unwrap().is_multiple_of(2));
        even.count()
    };
    assert_eq!((even(Split::Train), even(Split::Test)), (0, 3));
    assert!(even(Split::Reward) + even(Split::Selection) > 0);
    assert_says(
        &set.notes().join("; "),
        &["training pictures with fewer than 1 objects"],
    );
    // They are still there for scoring.
    assert!(set.objects(Split::Test, 0).unwrap().is_empty());
    let crowd = set.objects(Split::Test, 2).unwrap()[0];
    assert!(crowd.crowd && !crowd.is_trainable());
    let thin = set.objects(Split::Test, 4).unwrap()[0];
    assert_eq!(
        (thin.valid, thin.bbox, thin.area),
        (false, [3.0, 3.0, 0.0, 5.0], 30.5)
    );
    let all = CocoOptions {
        min_objects: 0,
        ..CocoOptions::default()
    };
    assert_eq!(coco.open_with(&all).unwrap().all().count(), 65);
}

#[test]
fn ids_of_annotations_may_start_at_zero_repeat_or_lack() {
    let coco = Coco::of(3, 2);
    let ids = |values: [serde_json::Value; 2]| {
        coco.edit("val2017", |content| {
            for (object, value) in content["annotations"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .zip(values)
            {
                object["id"] = value;
            }
        });
        let set = coco.open().unwrap();
        let ids = [0, 1].map(|index| set.objects(Split::Test, index).unwrap()[0].annotation);
        (ids, set.notes().join("; "))
    };
    let (found, notes) = ids([json!(0), json!(1)]);
    assert_eq!(found, [Some(0), Some(1)]);
    assert_says(
        &notes,
        &["instances_val2017.json: an annotation has the id 0"],
    );
    assert_eq!(
        ids([json!(9), json!(7)]),
        ([Some(9), Some(7)], String::new())
    );
    for values in [
        [json!(4), json!(4)],
        [json!(0), json!(0)],
        [json!(null), json!(1)],
        [json!("x"), json!(1)],
    ] {
        let (found, notes) = ids(values);
        assert_eq!(found, [None, None]);
        assert_says(&notes, &["ids of annotations are missing or occur twice"]);
    }
}

#[test]
fn lists_may_come_in_any_order_and_objects_keep_theirs() {
    let coco = Coco::of(3, 2);
    let text = r#"{"annotations": [
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 4, 4], "area": 16, "id": 3},
        {"image_id": 0, "category_id": 2, "bbox": [1, 0, 4, 4], "area": 16, "id": 2},
        {"image_id": 1, "category_id": 5, "bbox": [2, 0, 4, 4], "id": 1}],
        "images": [{"id": 1, "file_name": "b1.jpg", "height": 12.0, "width": 16}, {"id": 0, "file_name": "b0.jpg", "height": 12, "width": 16}],
        "unknown": [[[{}]]], "categories": [{"id": 2, "name": "bus"}]}"#;
    coco.write("annotations/instances_val2017.json", text.as_bytes());
    let set = coco.open().unwrap();
    assert_eq!(names_of(&set, Split::Test), ["b1", "b0"]);
    let objects = set.objects(Split::Test, 0).unwrap();
    let found: Vec<_> = objects
        .iter()
        .map(|object| (object.class, object.annotation, object.area))
        .collect();
    // The category 5 is known from the training file; the missing area is the box's.
    assert_eq!(found, [(1, Some(3), 16.0), (2, Some(1), 16.0)]);
    assert_eq!(
        set.objects(Split::Test, 1).unwrap()[0].corners,
        [1.0, 0.0, 5.0, 4.0]
    );
}

#[test]
fn grey_and_png_photographs_become_rgb() {
    let coco = Coco::of(3, 1);
    let bytes = sevens(png::ColorType::Grayscale, [12, 16]);
    // Its bytes tell what it is, not its name.
    coco.write("val2017/b0.jpg", &bytes);
    let sample = coco.open().unwrap().sample(Split::Test, 0).unwrap();
    assert_eq!(sample.rgb, vec![7; 3 * 12 * 16]);
}

#[test]
fn sizes_that_the_annotations_lack_are_the_photographs() {
    let coco = Coco::of(3, 2);
    let turned = {
        let jpeg = encode_jpeg(16, 12, &vec![90; 3 * 12 * 16]).unwrap();
        let mut tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        tiff.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        let head = [0xff, 0xe1, 0, tiff.len() as u8 + 2];
        [&jpeg[..2], &head, &tiff, &jpeg[2..]].concat()
    };
    coco.write("val2017/b1.jpg", &turned);
    let plain = coco.open().unwrap();
    let samples = |set: &CocoFolder| [0, 1].map(|index| set.sample(Split::Test, index).unwrap());
    let expected = samples(&plain);
    let lack = |content: &mut serde_json::Value| {
        for image in content["images"].as_array_mut().unwrap() {
            image.as_object_mut().unwrap().remove("height");
            image["width"] = json!(null);
        }
    };
    coco.edit("val2017", lack);
    let set = coco.open().unwrap();
    assert_eq!(samples(&set), expected);
    assert_eq!(set.size(Split::Test, 1), Some((12, 16)));
    coco.edit("val2017", |content| {
        content["images"][0]["height"] = json!(12);
    });
    assert_says(&coco.refusal(), &["image 1 (id 0): its width is missing"]);
    coco.edit("val2017", lack);
    coco.write("val2017/b0.jpg", b"RIFF\0\0\0\0WEBP");
    let message = coco.refusal();
    assert_says(
        &message,
        &[
            "instances_val2017.json: image 1 (id 0): it has no height and width, and ",
            "val2017/b0.jpg: it is a WebP file; save it as JPEG or PNG",
        ],
    );
}

#[test]
fn photographs_and_categories_are_found_however_they_are_spelt() {
    let coco = Coco::empty();
    let spelt = ["\u{e9}t\u{e9}", "e\u{301}te\u{301}"];
    let names = |letters: &str, prefix: &str| -> Vec<String> {
        let names = (0..3).map(|index| format!("{prefix} {letters}:{index}.jpg"));
        names.collect()
    };
    for (part, prefix) in [("train2017", "a"), ("val2017", "b")] {
        let mut content = annotations(&names(spelt[1], prefix));
        content["categories"][1]["name"] = json!(spelt[usize::from(prefix == "a")]);
        coco.annotations(part, &content);
        for (index, name) in names(spelt[0], prefix).iter().enumerate() {
            let name = if index == 0 {
                name.replace(".jpg", ".JPG")
            } else {
                name.clone()
            };
            coco.photograph(&format!("{part}/{name}"), 12, 16);
        }
    }
    coco.write(
        "autoloss.json",
        format!(
            "{{\"schema\":1,\"reward\":[\"{}\"]}}",
            names(spelt[0], "a")[1].replace(".jpg", ".JPG")
        )
        .as_bytes(),
    );
    let set = coco.open().unwrap();
    assert_eq!(set.class_names()[1], spelt[0]);
    assert_eq!(names_of(&set, Split::Reward), [format!("a {}:1", spelt[0])]);
    assert_eq!(names_of(&set, Split::Test).len(), 3);
    for (split, index) in set.all() {
        set.sample(split, index).unwrap();
    }
}
