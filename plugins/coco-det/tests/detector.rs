//! `faster_rcnn_r50` against torchvision's Faster R-CNN.
//!
//! `python/oracles/detector.py` wrote the fixture and says what is compared and how both sides compute the
//! same weights.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../vision/tests/shared/filled.rs"]
mod filled;

use autoloss_plugin_api::serde_json::{self, Value, json};
use autoloss_plugin_api::{
    Batch, Mode, NetworkOptions, ProxyNetwork, Task, TaskOptions, Tensors, tch,
};
use autoloss_vision::networks::normalisation::{DEVIATION, MEAN};
use autoloss_vision::{Pack, Split};
use coco_det::{Choice, CocoDet, Design, FasterRcnn, FasterRcnnR50, FasterRcnnR101, Resnet50};
use filled::{State, drawn, fill, inventory, sums_differ};
use std::sync::LazyLock;
use tch::{Kind, Tensor};

/// Largest differences of a detection, in pixels and of its score.
const BOXES: f64 = 1e-2;
const SCORES: f64 = 1e-4;
/// The same of losses, relative.
const LOSSES: f64 = 1e-4;
/// The same of squared sums of gradients. Rounding moves values across the corner of a rectifier, which
/// single precision shows on torchvision's side too: 1e-3.
const GRADIENTS: f64 = 5e-3;
/// What holds both photographs.
const CANVAS: [i64; 2] = [160, 224];

static FIXTURE: LazyLock<Value> = LazyLock::new(|| {
    // Tests run side by side; threads that wait for each other would only spin.
    tch::set_num_threads(1);
    serde_json::from_str(include_str!("fixtures/detector.json")).unwrap()
});

/// Trains on all anchors and regions, so that nothing is random.
struct Everything;

impl Choice for Everything {
    const DESIGN: Design = Design {
        sampled: [20_000, 20_000],
        ..Resnet50::DESIGN
    };
}

fn built<C: Choice>(settings: &[(&str, Value)]) -> FasterRcnn<C> {
    let task = CocoDet::info();
    assert_eq!(
        json!(task.whole("num_classes").unwrap()),
        FIXTURE["classes"]
    );
    let named = settings.iter();
    FasterRcnn::build(&NetworkOptions {
        task,
        device: "cpu".to_owned(),
        seed: 0,
        weights: None,
        settings: named
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    })
    .unwrap()
}

/// Every tensor of a network by name.
fn state<C: Choice>(network: &FasterRcnn<C>) -> State {
    let trained = network.parameters().into_iter();
    let trained = trained.map(|own| (own.name, own.tensor));
    trained.chain(network.buffers()).collect()
}

/// The same network with the oracle's weights.
fn with_weights<C: Choice>(network: FasterRcnn<C>) -> FasterRcnn<C> {
    let state = state(&network);
    fill(&state);
    let put = |name: &str, values: &[f64]| {
        let tensor = &state[name];
        let values = Tensor::from_slice(values).view(tensor.size().as_slice());
        tch::no_grad(|| tensor.shallow_clone().copy_(&values));
    };
    for (name, factor) in FIXTURE["factors"].as_object().unwrap() {
        let factor = factor.as_f64().unwrap();
        let drawn = drawn(name, state[name].numel()).into_iter();
        put(name, &drawn.map(|u| u * factor).collect::<Vec<_>>());
    }
    for (name, values) in FIXTURE["biases"].as_object().unwrap() {
        put(name, &read::<Vec<f64>>(values));
    }
    network
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn photographs() -> &'static Vec<Value> {
    FIXTURE["photographs"].as_array().unwrap()
}

/// The photographs as the task gives pictures, side by side.
fn inputs() -> Tensors {
    let pack = Pack::embedded().unwrap();
    let count = photographs().len() as i64;
    let canvas = Tensor::zeros([count, 3, CANVAS[0], CANVAS[1]], tch::kind::FLOAT_CPU);
    let mut sizes = Vec::new();
    for (index, of) in photographs().iter().enumerate() {
        let split = Split::ALL[of["place"].as_u64().unwrap() as usize];
        let mut regions = pack.regions().iter();
        let region = regions
            .find(|region| region.photograph() == of["name"] && region.split() == split)
            .unwrap();
        let size = [region.height() as i64, region.width() as i64];
        assert_eq!(json!(size), json!([of["height"], of["width"]]));
        let sum: u64 = region.pixels().iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(json!(sum), of["sum"], "{}: other pixels", of["name"]);
        let pixels = Tensor::from_slice(region.pixels()).view([size[0], size[1], 3]);
        let pixels = (pixels.permute([2, 0, 1]) - f64::from(MEAN)) / f64::from(DEVIATION);
        let own = canvas.get(index as i64);
        own.narrow(1, 0, size[0])
            .narrow(2, 0, size[1])
            .copy_(&pixels);
        sizes.extend(size);
    }
    Tensors::new()
        .with("image", canvas)
        .with("size", Tensor::from_slice(&sizes).view([count, 2]))
}

/// The objects of the photographs; where one has fewer than another, class 0 and state 1.
fn targets() -> Tensors {
    let most = photographs()
        .iter()
        .map(|of| read::<Vec<i64>>(&of["labels"]).len());
    let most = most.max().unwrap();
    let (mut boxes, mut labels, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for of in photographs() {
        let (corners, classes): (Vec<[f32; 4]>, Vec<i64>) =
            (read(&of["boxes"]), read(&of["labels"]));
        for index in 0..most {
            boxes.extend(corners.get(index).copied().unwrap_or_default());
            labels.push(classes.get(index).copied().unwrap_or_default());
            states.push(i64::from(index >= classes.len()));
        }
    }
    let rows = [photographs().len() as i64, most as i64];
    Tensors::new()
        .with(
            "boxes",
            Tensor::from_slice(&boxes).view([rows[0], rows[1], 4]),
        )
        .with("labels", Tensor::from_slice(&labels).view(rows))
        .with("states", Tensor::from_slice(&states).view(rows))
}

#[derive(Debug)]
struct Detection {
    label: i64,
    score: f64,
    corners: [f64; 4],
}

impl Detection {
    fn apart(&self, other: &Self) -> f64 {
        let pairs = self.corners.iter().zip(&other.corners);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
}

/// Of one photograph, best first.
fn detections(boxes: &Value, scores: &Value, labels: &Value) -> Vec<Detection> {
    let corners: Vec<[f64; 4]> = read(boxes);
    let rest = read::<Vec<f64>>(scores)
        .into_iter()
        .zip(read::<Vec<i64>>(labels));
    let all = corners.into_iter().zip(rest);
    all.map(|(corners, (score, label))| Detection {
        label,
        score,
        corners,
    })
    .collect()
}

/// What a network found on each photograph.
fn found(predictions: &Tensors, picture: i64) -> Vec<Detection> {
    let of = |name: &str| predictions.get(name).unwrap().get(picture);
    let labels = Vec::<i64>::try_from(of("labels")).unwrap();
    let there = labels.iter().filter(|label| **label > 0).count();
    let corners = Vec::<Vec<f64>>::try_from(of("boxes").to_kind(Kind::Double)).unwrap();
    let scores = Vec::<f64>::try_from(of("scores").to_kind(Kind::Double)).unwrap();
    let first = |values: Value| json!(values.as_array().unwrap()[..there]);
    let all = detections(
        &first(json!(corners)),
        &first(json!(scores)),
        &first(json!(labels)),
    );
    assert!(all.is_sorted_by(|a, b| a.score >= b.score));
    all
}

/// The largest differences of boxes and scores of a photograph's detections, pair by pair.
fn detections_differ(mut found: Vec<Detection>, expected: &[Detection]) -> [f64; 2] {
    assert_eq!(found.len(), expected.len());
    let mut most = [0.0_f64; 2];
    for due in expected {
        // The nearest one: two scores that are nearly equal may come in another order.
        let of_class = found
            .iter()
            .enumerate()
            .filter(|(_, own)| own.label == due.label);
        let nearest = of_class.min_by(|(_, a), (_, b)| a.apart(due).total_cmp(&b.apart(due)));
        let (place, _) = nearest.unwrap_or_else(|| panic!("{due:?} is not found"));
        let own = found.swap_remove(place);
        most[0] = most[0].max(own.apart(due));
        most[1] = most[1].max((own.score - due.score).abs());
    }
    most
}

#[test]
fn names_kinds_and_shapes_are_torchvisions() {
    let held = |parameters: Vec<autoloss_plugin_api::Parameter>, state: &State| {
        let count: usize = parameters.iter().map(|own| own.tensor.numel()).sum();
        json!({"parameters": count, "inventory": inventory(state)})
    };
    let fixture = &FIXTURE["networks"];
    let network: FasterRcnnR50 = built(&[]);
    let own = held(network.parameters(), &state(&network));
    assert_eq!(own, fixture["faster_rcnn_r50"]);
    let network: FasterRcnnR101 = built(&[]);
    let own = held(network.parameters(), &state(&network));
    assert_eq!(own, fixture["faster_rcnn_r101"]);
    let network: FasterRcnnR50 = built(&[("frozen_norms", json!(false))]);
    let own = held(network.parameters(), &state(&network));
    assert_eq!(own, fixture["faster_rcnn_r50 with trained normalisation"]);
}

#[test]
fn numbers_of_regions_are_torchvisions() {
    let Design {
        proposals, sampled, ..
    } = Resnet50::DESIGN;
    // As many before suppression as after it.
    let own = json!({"proposals": proposals.map(|kept| [kept, kept]), "sampled": sampled});
    assert_eq!(own, FIXTURE["limits"]);
}

#[test]
fn detections_on_photographs_agree() {
    let settings = [
        ("score_threshold", FIXTURE["score_threshold"].clone()),
        ("detections", FIXTURE["detections"].clone()),
    ];
    let mut network: FasterRcnnR50 = with_weights(built(&settings));
    let predictions = tch::no_grad(|| network.predict(&inputs())).unwrap();
    for (picture, expected) in FIXTURE["found"].as_array().unwrap().iter().enumerate() {
        let expected = detections(&expected["boxes"], &expected["scores"], &expected["labels"]);
        let found = found(&predictions, picture as i64);
        let name = &photographs()[picture]["name"];
        let count = expected.len();
        let [boxes, scores] = detections_differ(found, &expected);
        println!(
            "{name}, {count} detections: largest differences: boxes {boxes:.2e} pixels, scores {scores:.2e}"
        );
        assert!(boxes <= BOXES && scores <= SCORES);
    }
}

#[test]
fn a_training_step_agrees() {
    let fixture = &FIXTURE["trained"];
    let mut network: FasterRcnn<Everything> = with_weights(built(&[]));
    let batch = Batch {
        inputs: inputs(),
        targets: targets(),
    };
    let said = network.forward(&batch, Mode::Train).unwrap();
    let task = CocoDet::open(&TaskOptions::default()).unwrap();
    let mut all = Vec::new();
    for (branch, theirs) in [
        ("rpn_cls", "loss_objectness"),
        ("rpn_reg", "loss_rpn_box_reg"),
        ("rcnn_cls", "loss_classifier"),
        ("rcnn_reg", "loss_box_reg"),
    ] {
        let loss = task
            .reference_loss("smooth_l1", branch, &said[branch])
            .unwrap();
        let expected = fixture["losses"][theirs].as_f64().unwrap();
        let relative = (loss.double_value(&[]) / expected - 1.0).abs();
        println!("{branch} is {expected:.4}, relative difference {relative:.2e}");
        assert!(relative <= LOSSES);
        all.push(loss);
    }
    let rows = |branch: &str, name: &str| said[branch].get(name).unwrap().size()[0];
    let sampled = |classify, regress| {
        let positive = rows(regress, "offsets");
        [positive, rows(classify, "yhat") - positive]
    };
    let anchors = sampled("rpn_cls", "rpn_reg");
    let regions = sampled("rcnn_cls", "rcnn_reg");
    assert_eq!(
        json!({"anchors": anchors, "regions": regions}),
        fixture["sampled"]
    );
    Tensor::stack(&all, 0).sum(Kind::Float).backward();
    let state = state(&network);
    let gradients = sums_differ(&fixture["gradients"], |name| {
        let gradient = state[name].grad();
        assert_eq!(gradient.isfinite().all().int64_value(&[]), 1, "{name}");
        gradient
    });
    println!(
        "anchors {anchors:?}, regions {regions:?}; squared sums of gradients: {gradients:.2e}, relative"
    );
    assert!(gradients <= GRADIENTS);
}
