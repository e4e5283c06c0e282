//! Files for a detector, whose own names begin as wrappers do, and which has two heads.

use super::*;

const DETECTOR: Names = Names {
    network: "detector",
    encoder: "backbone.body.",
    head: &["roi_heads.box_predictor."],
    bare: &["backbone.fpn.", "rpn.head.conv."],
};

/// Of each part of torchvision's `fasterrcnn_resnet50_fpn` a tensor or two, with a length of its own.
const PARTS: [(&str, i64); 9] = [
    ("backbone.body.conv1.weight", 3),
    ("backbone.body.layer1.0.bn1.running_mean", 4),
    ("backbone.fpn.inner_blocks.0.0.weight", 5),
    ("backbone.fpn.layer_blocks.3.0.bias", 6),
    ("rpn.head.conv.0.0.weight", 7),
    ("rpn.head.cls_logits.weight", 8),
    ("roi_heads.box_head.fc6.weight", 9),
    ("roi_heads.box_predictor.cls_score.weight", 91),
    ("roi_heads.box_predictor.bbox_pred.weight", 364),
];

fn attempt(stored: Stored) -> (Weights, Result<Loaded>) {
    attempt_on(of_vectors(&PARTS), stored, &DETECTOR)
}

/// The parts with every name changed.
fn renamed(change: impl Fn(&str) -> String) -> Vec<(String, i64)> {
    PARTS
        .iter()
        .map(|(name, length)| (change(name), *length))
        .collect()
}

fn borrowed(stored: &[(String, i64)]) -> Vec<(&str, i64)> {
    stored
        .iter()
        .map(|(name, length)| (name.as_str(), *length))
        .collect()
}

#[test]
fn a_checkpoint_fits_although_its_names_begin_as_wrappers_do() {
    for wrapper in ["", "module.", "model."] {
        let stored = renamed(|name| format!("{wrapper}{name}"));
        let (weights, outcome) = attempt(&borrowed(&stored));
        let report = outcome.unwrap();
        assert_eq!(report.loaded, PARTS.len(), "{wrapper}");
        assert!(report.fresh.is_empty() && report.ignored.is_empty());
        assert_eq!(overwritten(&weights), PARTS.map(|(name, _)| name));
    }
}

#[test]
fn a_classifier_gives_its_encoder_and_the_rest_stays_fresh() {
    for prefix in ["", "module.", "backbone.", "model.backbone."] {
        let conv = format!("{prefix}conv1.weight");
        let mean = format!("{prefix}layer1.0.bn1.running_mean");
        let count = format!("{prefix}layer1.0.bn1.num_batches_tracked");
        let stored = [
            (conv.as_str(), 3),
            (mean.as_str(), 4),
            (count.as_str(), 1),
            ("fc.weight", 1000),
        ];
        let (weights, outcome) = attempt(&stored);
        let report = outcome.unwrap();
        assert_eq!((report.loaded, report.fresh.len()), (2, 7), "{prefix}");
        assert_eq!(report.ignored.len(), 2, "{:?}", report.ignored);
        for ignored in [&count, "fc.weight"] {
            assert!(report.ignored.iter().any(|name| name == ignored));
        }
        assert_eq!(
            overwritten(&weights),
            [PARTS[0], PARTS[1]].map(|(name, _)| name)
        );
    }
}

#[test]
fn older_files_hold_convolutions_bare() {
    for wrapper in ["", "module."] {
        let stored = renamed(|name| {
            let name = name.replace("conv.0.0.", "conv.");
            let name = match name.split_once("_blocks.") {
                Some((start, end)) => format!("{start}_blocks.{}", end.replace(".0.", ".")),
                None => name,
            };
            format!("{wrapper}{name}")
        });
        let names: Vec<_> = borrowed(&stored)[2..5].iter().map(|own| own.0).collect();
        let bare = [
            "backbone.fpn.inner_blocks.0.weight",
            "backbone.fpn.layer_blocks.3.bias",
            "rpn.head.conv.weight",
        ];
        assert_eq!(names, bare.map(|name| format!("{wrapper}{name}")));
        let (weights, outcome) = attempt(&borrowed(&stored));
        assert_eq!(outcome.unwrap().loaded, PARTS.len());
        assert_eq!(overwritten(&weights).len(), PARTS.len());
    }
    // Only where the network declares it.
    let (_, outcome) = attempt_on(
        of_vectors(&[("head.conv.0.0.weight", 3), ("other", 1)]),
        &[("head.conv.weight", 3), ("other", 1)],
        &DETECTOR,
    );
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("'head.conv.0.0.weight'"), "{message}");
}

#[test]
fn both_heads_of_other_classes_stay_fresh() {
    let mut stored = PARTS;
    (stored[7].1, stored[8].1) = (21, 84);
    let (weights, outcome) = attempt(&stored);
    let report = outcome.unwrap();
    assert_eq!(report.loaded, PARTS.len() - 2);
    assert_eq!(
        report.fresh,
        [
            "roi_heads.box_predictor.bbox_pred.weight",
            "roi_heads.box_predictor.cls_score.weight"
        ]
    );
    assert_eq!(overwritten(&weights).len(), PARTS.len() - 2);
    // What is no head must fit.
    (stored[7].1, stored[5].1) = (91, 2);
    let (_, outcome) = attempt(&stored);
    let message = outcome.unwrap_err().to_string();
    assert!(
        message.contains("'rpn.head.cls_logits.weight'"),
        "{message}"
    );
}

#[test]
fn an_incomplete_checkpoint_is_refused() {
    for missing in 0..PARTS.len() {
        let mut stored = PARTS.to_vec();
        let (name, _) = stored.remove(missing);
        let (weights, outcome) = attempt(&stored);
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("not complete"));
        assert!(overwritten(&weights).is_empty());
    }
}
