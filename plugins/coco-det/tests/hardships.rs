//! What a detector must live through: pictures without objects, with crowds alone, with boxes that are none,
//! pictures that cannot be read, and parameters that training has ruined.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_plugin_api::{
    Batch, BatchRequest, Metric, MetricOptions, Mode, NetworkOptions, ProxyNetwork, Split, Task,
    TaskOptions, Tensors, tch,
};
use coco_det::{Coco, CocoDet, FasterRcnnTiny};
use std::fs;
use tch::{Kind, Tensor};

/// States of objects in a batch.
const TRAINED: i64 = 0;
const NONE: i64 = 1;
const CROWD: i64 = 2;

/// Sides of the embedded scenes, pixels.
const SIDE: f32 = 96.0;

/// An object: corners, class, state.
type Object = ([f32; 4], i64, i64);

fn network() -> FasterRcnnTiny {
    tch::set_num_threads(1);
    FasterRcnnTiny::build(&NetworkOptions {
        task: CocoDet::info(),
        device: "cpu".to_owned(),
        seed: 0,
        weights: None,
        settings: [("score_threshold".to_owned(), 0.0.into())].into(),
    })
    .unwrap()
}

/// Embedded scenes with other objects.
fn scenes(task: &CocoDet, pictures: &[&[Object]]) -> Batch {
    let batch = task.batch(&BatchRequest::new(
        Split::Train,
        (0..pictures.len() as u64).collect(),
    ));
    let room = pictures.iter().map(|objects| objects.len()).max();
    let room = room.unwrap_or(0).max(1);
    let (mut boxes, mut labels, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for objects in pictures {
        let rest = std::iter::repeat(([0.0; 4], 0, NONE));
        for (corners, label, state) in objects.iter().copied().chain(rest).take(room) {
            boxes.extend(corners);
            labels.push(label);
            states.push(state);
        }
    }
    let rows = [pictures.len() as i64, room as i64];
    Batch {
        inputs: batch.unwrap().inputs,
        targets: Tensors::new()
            .with(
                "boxes",
                Tensor::from_slice(&boxes).view([rows[0], rows[1], 4]),
            )
            .with("labels", Tensor::from_slice(&labels).view(rows))
            .with("states", Tensor::from_slice(&states).view(rows)),
    }
}

fn finite(tensor: &Tensor) -> bool {
    tensor.isfinite().all().int64_value(&[]) == 1
}

/// A training step with every reference loss leaves finite losses and gradients, and an evaluation pass and
/// predictions work too. Returns how many are sampled and how many of them are positive: of anchors, of
/// regions.
fn survives(task: &CocoDet, network: &mut FasterRcnnTiny, batch: &Batch) -> [[i64; 2]; 2] {
    let mut counts = [[0; 2]; 2];
    for loss in CocoDet::info().reference_losses {
        let said = network.forward(batch, Mode::Train).unwrap();
        let mut all = Vec::new();
        for (branch, inputs) in &said {
            for (name, tensor) in inputs.iter() {
                assert!(
                    finite(tensor) && tensor.size()[0] > 0,
                    "{branch}, {name}: {tensor}"
                );
            }
            if loss.serves(branch) {
                all.push(task.reference_loss(&loss.name, branch, inputs).unwrap());
            }
        }
        let sum = Tensor::stack(&all, 0).sum(Kind::Float);
        assert!(finite(&sum), "{}: {all:?}", loss.name);
        sum.backward();
        for own in network.parameters() {
            let mut gradient = own.tensor.grad();
            assert!(finite(&gradient), "{}: {}", loss.name, own.name);
            let _ = gradient.zero_();
        }
        counts = [["rpn_cls", "rpn_reg"], ["rcnn_cls", "rcnn_reg"]].map(|[classify, regress]| {
            let y = said[classify].get("y").unwrap();
            let sampled = y.size()[0];
            let background = y.select(1, 0).sum(Kind::Int64).int64_value(&[]);
            let positive = sampled - background;
            // One box stands for none.
            let rows = said[regress].get("i").unwrap().size()[0];
            assert_eq!(rows, positive.max(1));
            [sampled, positive]
        });
    }
    tch::no_grad(|| network.forward(batch, Mode::Evaluate)).unwrap();
    predicted(network, &batch.inputs);
    counts
}

/// Predictions, and how many detections there are.
fn predicted(network: &mut FasterRcnnTiny, inputs: &Tensors) -> (Tensors, i64) {
    let predictions = tch::no_grad(|| network.predict(inputs)).unwrap();
    let labels = predictions.get("labels").unwrap();
    let size = labels.size();
    assert_eq!(predictions.get("scores").unwrap().size(), size);
    assert_eq!(
        predictions.get("boxes").unwrap().size(),
        [size[0], size[1], 4]
    );
    assert!(predictions.iter().all(|(_, tensor)| finite(tensor)));
    let count = labels.gt(0).sum(Kind::Int64).int64_value(&[]);
    (predictions, count)
}

fn task() -> CocoDet {
    CocoDet::open(&TaskOptions::default()).unwrap()
}

#[test]
fn pictures_without_objects_are_background() {
    let (task, mut network) = (task(), network());
    let nothing = scenes(&task, &[&[], &[]]);
    assert_eq!(survives(&task, &mut network, &nothing), [[128, 0], [96, 0]]);
    assert!(predicted(&mut network, &nothing.inputs).1 > 0);
    let one: &[Object] = &[([20.0, 20.0, 60.0, 60.0], 3, TRAINED)];
    let mixed = scenes(&task, &[&[], one]);
    let [anchors, regions] = survives(&task, &mut network, &mixed);
    assert!(anchors[1] >= 1 && regions[1] >= 1);
}

#[test]
fn crowds_alone_take_background_away() {
    let (task, mut network) = (task(), network());
    let left: &[Object] = &[([0.0, 0.0, 40.0, SIDE], 2, CROWD)];
    survives(&task, &mut network, &scenes(&task, &[left]));
    // No region can lie outside this one.
    let whole: &[Object] = &[([0.0, 0.0, SIDE, SIDE], 2, CROWD)];
    let [_, regions] = survives(&task, &mut network, &scenes(&task, &[whole, whole]));
    assert_eq!(regions, [1, 0]);
    let beyond: &[Object] = &[([-1e4, -1e4, 1e4, 1e4], 2, CROWD)];
    let counts = survives(&task, &mut network, &scenes(&task, &[beyond]));
    assert_eq!(counts, [[1, 0], [1, 0]]);
    survives(&task, &mut network, &scenes(&task, &[beyond, &[]]));
}

#[test]
fn boxes_that_are_none_do_no_harm() {
    let (task, mut network) = (task(), network());
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for corners in [
        [30.0, 30.0, 30.0, 30.0],
        [30.0, 30.0, 30.0, 60.0],
        [60.0, 60.0, 30.0, 30.0],
        [60.0, 30.0, 30.0, 60.0],
        [30.0, 30.0, 30.0001, 30.0001],
        [-50.0, -50.0, -20.0, -20.0],
        [500.0, 500.0, 600.0, 600.0],
        [-1e6, -1e6, 1e6, 1e6],
        [-1e30, 0.0, 1e30, 10.0],
        [nan, 0.0, 50.0, 50.0],
        [nan, nan, nan, nan],
        [0.0, 0.0, inf, 50.0],
        [-inf, -inf, inf, inf],
    ] {
        for state in [TRAINED, CROWD] {
            println!("{corners:?}, {state}");
            let odd: &[Object] = &[(corners, 4, state)];
            let good = ([10.0, 20.0, 60.0, 70.0], 1, TRAINED);
            let both: &[Object] = &[(corners, 4, state), good];
            survives(&task, &mut network, &scenes(&task, &[odd]));
            let [anchors, regions] = survives(&task, &mut network, &scenes(&task, &[both, odd]));
            assert!(anchors[1] >= 1 && regions[1] >= 1);
        }
    }
}

#[test]
fn ruined_parameters_find_nothing_and_do_not_end_the_pass() {
    let task = task();
    let one: &[Object] = &[([20.0, 20.0, 60.0, 60.0], 3, TRAINED)];
    let crowd: &[Object] = &[([0.0, 0.0, SIDE, SIDE], 2, CROWD)];
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for pictures in [&[one, &[]][..], &[&[], &[]], &[crowd, crowd]] {
            let mut network = network();
            for own in network.parameters() {
                let _ = tch::no_grad(|| own.tensor.shallow_clone().fill_(value));
            }
            let batch = scenes(&task, pictures);
            for mode in [Mode::Train, Mode::Evaluate] {
                let said = network.forward(&batch, mode).unwrap();
                assert_eq!(said.len(), 4);
            }
            assert_eq!(predicted(&mut network, &batch.inputs).1, 0, "{value}");
        }
    }
}

#[test]
fn pictures_that_cannot_be_read_are_passed_over() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    for name in ["annotations", "train2017", "val2017"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for part in ["train2017", "val2017"] {
        fs::write(folder.join(part).join("a.jpg"), b"no picture").unwrap();
        let annotations = r#"{"images": [{"id": 1, "file_name": "a.jpg", "height": 60, "width": 80}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 20],
                             "area": 600, "iscrowd": 0}],
            "categories": [{"id": 1, "name": "cat"}]}"#;
        let file = folder.join(format!("annotations/instances_{part}.json"));
        fs::write(file, annotations).unwrap();
    }
    let options = TaskOptions {
        data: Some(folder.to_owned()),
        skip_bad: true,
        ..TaskOptions::default()
    };
    let task = CocoDet::open(&options).unwrap();
    let mut network = network();
    for indices in [vec![0], vec![0, 0]] {
        let batch = task.batch(&BatchRequest {
            augment: Some(1),
            ..BatchRequest::new(Split::Test, indices)
        });
        let batch = batch.unwrap();
        // One stands for the none that there are to sample.
        assert_eq!(survives(&task, &mut network, &batch), [[1, 0], [1, 0]]);
        // It is not scored either.
        let mut metric = Coco::create(&MetricOptions {
            task: CocoDet::info(),
        })
        .unwrap();
        let (predictions, _) = predicted(&mut network, &batch.inputs);
        metric.update(&predictions, &batch.targets).unwrap();
    }
}
