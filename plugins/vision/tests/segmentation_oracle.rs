//! The segmentation metrics against an independent numpy implementation
//! (`python/oracles/segmentation_metrics.py`), on the label maps and scores it wrote.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::{SegmentationConfig, SegmentationMetrics, SegmentationScores};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    radius: usize,
    tolerance: usize,
    pictures: Vec<Picture>,
    scores: Expected,
}

#[derive(Deserialize)]
struct Picture {
    height: usize,
    width: usize,
    prediction: Vec<u32>,
    target: Vec<u32>,
}

#[derive(Deserialize)]
#[allow(non_snake_case)]
struct Expected {
    mIoU: f64,
    FWIoU: f64,
    gAcc: f64,
    mAcc: f64,
    BIoU: f64,
    BF1: f64,
    class: ExpectedOfClasses,
}

#[derive(Deserialize)]
struct ExpectedOfClasses {
    iou: Vec<Option<f64>>,
    accuracy: Vec<Option<f64>>,
    boundary_iou: Vec<Option<f64>>,
    boundary_f1: Vec<Option<f64>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/segmentation_metrics.json")).unwrap()
}

fn labels(run_lengths: &[u32]) -> Vec<u16> {
    let runs = run_lengths.chunks_exact(2);
    runs.flat_map(|run| std::iter::repeat_n(u16::try_from(run[0]).unwrap(), run[1] as usize))
        .collect()
}

fn accumulate(case: &Case, pictures: &[Picture]) -> SegmentationMetrics {
    let config = SegmentationConfig {
        boundary_radius: case.radius,
        boundary_tolerance: case.tolerance,
    };
    let mut metrics = SegmentationMetrics::new(case.classes, config).unwrap();
    for picture in pictures {
        let (prediction, target) = (labels(&picture.prediction), labels(&picture.target));
        metrics
            .update(&prediction, &target, picture.height, picture.width)
            .unwrap();
    }
    metrics
}

fn largest_difference(found: &SegmentationScores, expected: &Expected) -> f64 {
    let names = ["mIoU", "FWIoU", "gAcc", "mAcc", "BIoU", "BF1"];
    assert_eq!(found.named().map(|(name, _)| name), names);
    let values = [
        expected.mIoU,
        expected.FWIoU,
        expected.gAcc,
        expected.mAcc,
        expected.BIoU,
        expected.BF1,
    ];
    let mut worst = 0f64;
    for ((_, found), expected) in found.named().into_iter().zip(values) {
        worst = worst.max((found - expected).abs());
    }
    for (found, expected) in [
        (&found.class_iou, &expected.class.iou),
        (&found.class_accuracy, &expected.class.accuracy),
        (&found.class_boundary_iou, &expected.class.boundary_iou),
        (&found.class_boundary_f1, &expected.class.boundary_f1),
    ] {
        assert_eq!(found.len(), expected.len());
        for (class, pair) in found.iter().zip(expected).enumerate() {
            match pair {
                (Some(found), Some(expected)) => worst = worst.max((found - expected).abs()),
                (None, None) => {}
                _ => panic!("class {class}: {pair:?}"),
            }
        }
    }
    worst
}

#[test]
fn every_score_agrees_with_numpy() {
    let mut worst = (0.0, String::new());
    let fixture = fixture();
    assert!(fixture.cases.len() >= 20);
    for case in &fixture.cases {
        let scores = accumulate(case, &case.pictures).compute().unwrap();
        let difference = largest_difference(&scores, &case.scores);
        if difference >= worst.0 {
            worst = (difference, case.name.clone());
        }
    }
    println!(
        "{} cases, largest difference {:.3e} ({})",
        fixture.cases.len(),
        worst.0,
        worst.1
    );
    assert!(worst.0 < TOLERANCE, "{worst:?}");
}

#[test]
fn halves_counted_apart_and_merged_give_the_same_scores() {
    for case in &fixture().cases {
        let (first, rest) = case.pictures.split_at(case.pictures.len() / 2);
        let mut merged = accumulate(case, first);
        merged.merge(&accumulate(case, rest)).unwrap();
        let whole = accumulate(case, &case.pictures);
        assert_eq!(merged.compute(), whole.compute(), "{}", case.name);
        merged.clear();
        assert!(merged.compute().is_err());
    }
}

#[test]
fn bytes_and_words_are_counted_alike() {
    let fixture = fixture();
    let small = fixture.cases.iter().filter(|case| case.classes <= 255);
    for case in small {
        let mut metrics = accumulate(case, &[]);
        for picture in &case.pictures {
            let bytes = |runs| {
                labels(runs)
                    .iter()
                    .map(|&label| label as u8)
                    .collect::<Vec<_>>()
            };
            metrics
                .update(
                    &bytes(&picture.prediction),
                    &labels(&picture.target),
                    picture.height,
                    picture.width,
                )
                .unwrap();
        }
        assert_eq!(
            metrics.compute(),
            accumulate(case, &case.pictures).compute(),
            "{}",
            case.name
        );
    }
}
