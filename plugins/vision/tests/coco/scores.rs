//! Scores of strange input: nothing panics, and what has no meaning is refused or skipped.

use autoloss_vision::VisionError;
use autoloss_vision::coco::{CocoObject, Detection, DetectionScorer, DetectionScores};
use proptest::prelude::*;

fn object(class: usize, bbox: [f64; 4]) -> CocoObject {
    CocoObject::new(class, bbox, bbox[2] * bbox[3], 200, 200)
}

fn hit(object: &CocoObject, score: f32) -> Detection {
    Detection {
        class: object.class,
        corners: object.corners,
        score,
    }
}

fn compute(pictures: &[(&[CocoObject], &[Detection])]) -> DetectionScores {
    let mut scorer = DetectionScorer::new(4).unwrap();
    for (image, (objects, detections)) in (0..).zip(pictures) {
        scorer.add_image(image, objects, detections).unwrap();
    }
    scorer.compute().unwrap()
}

#[test]
fn perfect_detections_score_one_and_other_sizes_are_absent() {
    let objects = [
        object(1, [10.0, 10.0, 20.0, 20.0]),
        object(3, [50.0, 50.0, 40.0, 40.0]),
    ];
    let scores = compute(&[(&objects, &[hit(&objects[0], 0.5), hit(&objects[1], 0.9)])]);
    for name in [
        "mAP", "AP50", "AP75", "APs", "APm", "AR1", "AR10", "AR100", "ARs", "ARm",
    ] {
        // The rule of 101 points divides by a sum that is a little over 1.
        assert!((scores.get(name).unwrap() - 1.0).abs() < 1e-12, "{name}");
    }
    assert_eq!(
        (scores.get("APl"), scores.get("ARl"), scores.get("AP")),
        (None, None, None)
    );
    let names: Vec<_> = scores.named().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 10);
    assert!(
        names
            .iter()
            .all(|name| DetectionScores::NAMES.contains(name))
    );
}

#[test]
fn nothing_has_no_scores_and_nothing_found_scores_zero() {
    assert_eq!(compute(&[]).named().count(), 0);
    assert_eq!(compute(&[(&[], &[])]).named().count(), 0);
    let objects = [object(1, [10.0, 10.0, 20.0, 20.0])];
    assert_eq!(
        compute(&[(&[], &[hit(&objects[0], 0.5)])]).named().count(),
        0
    );
    let scores = compute(&[(&objects, &[])]);
    assert_eq!(scores.get("mAP"), Some(0.0));
    assert_eq!(scores.get("AR100"), Some(0.0));
    assert_eq!(scores.get("APm"), None);
}

#[test]
fn detections_that_are_not_finite_are_dropped() {
    let objects = [object(1, [10.0, 10.0, 20.0, 20.0])];
    let good = hit(&objects[0], 0.5);
    let mut detections = vec![good];
    for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        detections.push(Detection { score, ..good });
        let mut corners = good.corners;
        corners[2] = score;
        detections.push(Detection {
            corners,
            score: 0.9,
            ..good
        });
    }
    assert_eq!(
        compute(&[(&objects, &detections)]),
        compute(&[(&objects, &[good])])
    );
    assert_eq!(
        compute(&[(&objects, &detections[1..])]),
        compute(&[(&objects, &[])])
    );
}

#[test]
fn crowds_excuse_detections_and_need_none() {
    let mut crowd = object(1, [0.0, 0.0, 100.0, 100.0]);
    crowd.crowd = true;
    let single = object(1, [150.0, 150.0, 20.0, 20.0]);
    let found = hit(&single, 0.5);
    // Two detections inside the crowd, surer than the right one.
    let inside = [10.0, 40.0].map(|left| Detection {
        class: 1,
        corners: [left, 10.0, left + 20.0, 30.0],
        score: 0.9,
    });
    let with = compute(&[(&[crowd, single], &[inside[0], inside[1], found])]);
    assert_eq!(
        with.get("mAP"),
        compute(&[(&[single], &[found])]).get("mAP")
    );
    let without = compute(&[(&[single], &[inside[0], inside[1], found])]);
    assert!(without.get("mAP") < with.get("mAP"));
    assert_eq!(compute(&[(&[crowd], &inside)]).named().count(), 0);
}

#[test]
fn the_order_of_pictures_does_not_matter_and_more_may_follow() {
    let objects = [
        object(1, [10.0, 10.0, 20.0, 20.0]),
        object(2, [40.0, 40.0, 50.0, 50.0]),
    ];
    let wrong = Detection {
        class: 1,
        corners: [100.0, 100.0, 120.0, 120.0],
        score: 0.5,
    };
    let mut forward = DetectionScorer::new(3).unwrap();
    let mut backward = DetectionScorer::new(3).unwrap();
    // All scores are equal, so that the picture's id decides.
    let pictures = [(7, 0, hit(&objects[0], 0.5)), (3, 1, wrong), (5, 0, wrong)];
    for (image, index, detection) in pictures {
        forward
            .add_image(image, &objects[index..=index], &[detection])
            .unwrap();
        let _ = forward.compute().unwrap();
    }
    for (image, index, detection) in pictures.into_iter().rev() {
        backward
            .add_image(image, &objects[index..=index], &[detection])
            .unwrap();
    }
    assert_eq!(forward.compute().unwrap(), backward.compute().unwrap());
    assert_eq!((forward.len(), forward.num_classes()), (3, 3));
    // Precision is 1/3 up to a recall of one half, of one of the two classes.
    let expected = 51.0 / 101.0 / 3.0 / 2.0;
    assert!((forward.compute().unwrap().get("AP50").unwrap() - expected).abs() < 1e-9);
}

#[test]
fn what_cannot_be_counted_is_refused_and_counts_nothing() {
    for classes in [0, 1, 65_536] {
        assert!(matches!(
            DetectionScorer::new(classes),
            Err(VisionError::Config { .. })
        ));
    }
    assert!(DetectionScorer::new(65_535).is_ok());
    let mut scorer = DetectionScorer::new(3).unwrap();
    let good = object(1, [10.0, 10.0, 20.0, 20.0]);
    let zero = CocoObject {
        annotation: Some(0),
        ..good
    };
    scorer.add_image(1, &[zero], &[hit(&good, 0.5)]).unwrap();
    let before = scorer.compute().unwrap();
    for (image, objects, detections, words) in [
        (
            1,
            vec![good],
            vec![],
            "image is 1, expected one that was not counted before",
        ),
        (2, vec![object(0, good.bbox)], vec![], "class is 0"),
        (2, vec![object(3, good.bbox)], vec![], "class is 3"),
        (
            2,
            vec![],
            vec![hit(&object(0, good.bbox), 0.1)],
            "class is 0",
        ),
        (
            2,
            vec![good],
            vec![hit(&object(usize::MAX, good.bbox), 0.1)],
            "class is 18446744073709551615",
        ),
        (2, vec![zero], vec![], "annotation is 0 twice"),
    ] {
        let message = scorer
            .add_image(image, &objects, &detections)
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(scorer.compute().unwrap(), before);
    scorer.add_image(2, &[good], &[hit(&good, 0.5)]).unwrap();
    let mut scorer = DetectionScorer::new(3).unwrap();
    assert!(scorer.add_image(1, &[zero, zero], &[]).is_err());
}

#[test]
fn the_annotation_zero_is_never_found() {
    let zero = CocoObject {
        annotation: Some(0),
        ..object(1, [10.0, 10.0, 20.0, 20.0])
    };
    let scores = compute(&[(&[zero], &[hit(&zero, 0.9)])]);
    assert_eq!(
        (scores.get("mAP"), scores.get("AR100")),
        (Some(0.0), Some(0.0))
    );
    // The one after it is found, behind a wrong detection.
    let other = CocoObject {
        annotation: Some(1),
        ..object(1, [100.0, 10.0, 20.0, 20.0])
    };
    let scores = compute(&[(&[zero, other], &[hit(&zero, 0.9), hit(&other, 0.8)])]);
    let expected = 51.0 / 101.0 / 2.0;
    assert!((scores.get("AP50").unwrap() - expected).abs() < 1e-9);
    assert_eq!(scores.get("AR100"), Some(0.5));
}

fn detections() -> impl Strategy<Value = Vec<Detection>> {
    let any = (
        1usize..4,
        proptest::array::uniform4(proptest::num::f32::ANY),
        proptest::num::f32::ANY,
    );
    let near = (
        1usize..4,
        proptest::array::uniform4(-20f32..220.0),
        0f32..1.0,
    );
    let detection = |(class, corners, score)| Detection {
        class,
        corners,
        score,
    };
    proptest::collection::vec(
        prop_oneof![any.prop_map(detection), near.prop_map(detection)],
        0..12,
    )
}

fn objects() -> impl Strategy<Value = Vec<CocoObject>> {
    let bbox = prop_oneof![
        proptest::array::uniform4(proptest::num::f64::ANY),
        proptest::array::uniform4(-20f64..220.0),
    ];
    let any = (1usize..4, bbox, proptest::num::f64::ANY, any::<bool>());
    proptest::collection::vec(any, 0..8).prop_map(|list| {
        let object = |(id, (class, bbox, area, crowd))| CocoObject {
            crowd,
            annotation: Some(id),
            ..CocoObject::new(class, bbox, area, 200, 200)
        };
        (0..).zip(list).map(object).collect()
    })
}

proptest! {
    #[test]
    fn any_boxes_give_scores_between_0_and_1(objects in objects(), found in detections(), more in detections()) {
        let mut scorer = DetectionScorer::new(4).unwrap();
        scorer.add_image(3, &objects, &found).unwrap();
        scorer.add_image(1, &[], &more).unwrap();
        for (name, score) in scorer.compute().unwrap().named() {
            prop_assert!((0.0..=1.0 + 1e-9).contains(&score), "{name}: {score}");
        }
    }
}
