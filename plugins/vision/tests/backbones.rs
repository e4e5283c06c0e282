//! The backbones of detectors against torchvision.
//!
//! `python/oracles/backbones.py` wrote the fixture and says what is compared and how both sides
//! compute the same weights.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[path = "shared/filled.rs"]
mod filled;

use autoloss_plugin_api::serde_json::{self, Value, json};
use autoloss_vision::networks::pyramid::FeaturePyramid;
use autoloss_vision::networks::resnet::{BLOCKS_50, CHANNELS, ResNet};
use autoloss_vision::networks::weights::Weights;
use filled::{State, differ, fill, inventory, picture, probed, sums_differ, widen};
use tch::{Device, Kind, Tensor};

/// Largest absolute difference of a value in double precision; relative, for squared sums.
const EXACT: f64 = 1e-8;
/// Largest absolute difference that single precision makes of one.
const SINGLE: f64 = 1e-4;

fn fixture() -> Value {
    // Tests run side by side; threads that wait for each other would only spin.
    tch::set_num_threads(1);
    serde_json::from_str(include_str!("fixtures/backbones.json")).unwrap()
}

fn state(weights: &Weights) -> State {
    weights
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
        .collect()
}

/// The largest difference of any.
fn all_differ(tensors: &[Tensor], summaries: &Value) -> f64 {
    let summaries = summaries.as_array().unwrap();
    assert_eq!(tensors.len(), summaries.len());
    let pairs = tensors.iter().zip(summaries);
    pairs
        .map(|(tensor, summary)| differ(tensor, summary))
        .fold(0.0, f64::max)
}

/// The largest relative difference of gradients, which begin at 0, of all levels probed.
fn gradients_differ(weights: &Weights, levels: &[Tensor], sums: &Value) -> f64 {
    for own in weights.parameters() {
        own.tensor.shallow_clone().zero_grad();
    }
    let probes = levels.iter().enumerate();
    let probes = probes.map(|(index, level)| probed(level, &format!("probe{index}")));
    let probes: Vec<_> = probes.collect();
    Tensor::stack(&probes, 0).sum(Kind::Double).backward();
    let state = state(weights);
    sums_differ(sums, |name| state[name].grad())
}

/// ResNet-50 with frozen normalisation and its pyramid, filled.
fn backbone(epsilon: f64) -> (Weights, ResNet, FeaturePyramid) {
    let mut weights = Weights::new(Device::Cpu);
    weights.freeze_norms(true);
    let name = "backbone.body.";
    let encoder = ResNet::with_epsilon(&mut weights, name, BLOCKS_50, 32, epsilon).unwrap();
    let pyramid = FeaturePyramid::new(&mut weights, "backbone.fpn.", &CHANNELS, 256).unwrap();
    weights.finish().unwrap();
    fill(&state(&weights));
    (weights, encoder, pyramid)
}

#[test]
fn resnet_50_with_frozen_normalisation_and_its_pyramid_agree() {
    let fixture = &fixture()["resnet_50"];
    let (weights, encoder, pyramid) = backbone(1e-5);
    let held = state(&weights);
    let parameters = weights.parameters();
    let count: usize = parameters.iter().map(|own| own.tensor.numel()).sum();
    assert_eq!(json!(count), fixture["parameters"]);
    assert_eq!(json!(inventory(&held)), fixture["inventory"]);
    let statistics = |state: &State| state["backbone.body.bn1.running_mean"].copy();
    let single = {
        let measured = &fixture["measured"][0];
        let image = picture(&measured["image"], "image").to_kind(Kind::Float);
        let maps = tch::no_grad(|| encoder.forward(&image, false)).unwrap();
        all_differ(&maps, &measured["maps"])
    };
    widen(&held);
    let before = statistics(&held);
    for measured in fixture["measured"].as_array().unwrap() {
        let image = picture(&measured["image"], "image");
        let maps = encoder.forward(&image, true).unwrap();
        let levels = pyramid.forward(&maps).unwrap();
        let maps = all_differ(&maps, &measured["maps"]);
        let values = all_differ(&levels, &measured["levels"]);
        let gradients = gradients_differ(&weights, &levels, &measured["gradients"]);
        println!(
            "{}: largest differences: maps {maps:.2e}, levels {values:.2e}; relative: gradients \
             {gradients:.2e}",
            measured["image"]
        );
        assert!(maps <= EXACT && values <= EXACT && gradients <= EXACT);
    }
    assert_eq!(statistics(&held), before);
    println!("maps in single precision: {single:.2e}");
    assert!(single <= SINGLE);
}

#[test]
fn another_epsilon_agrees_too_and_makes_a_difference() {
    let fixture = &fixture()["resnet_50"];
    let (image, other) = (&fixture["measured"][0]["image"], &fixture["other_epsilon"]);
    let differs = |epsilon: f64| {
        let (weights, encoder, _) = backbone(epsilon);
        widen(&state(&weights));
        let maps = tch::no_grad(|| encoder.forward(&picture(image, "image"), true)).unwrap();
        all_differ(&maps, &other["maps"])
    };
    let (same, default) = (differs(other["epsilon"].as_f64().unwrap()), differs(1e-5));
    println!("largest differences: {same:.2e}, with the default {default:.2e}");
    assert!(same <= EXACT && default > 100.0 * EXACT);
}

#[test]
fn a_narrow_pyramid_over_maps_of_any_size_agrees() {
    let fixture = &fixture()["narrow_pyramid"];
    let shapes = fixture["maps"].as_array().unwrap();
    let channels: Vec<_> = shapes
        .iter()
        .map(|shape| shape[1].as_i64().unwrap())
        .collect();
    let width = fixture["width"].as_i64().unwrap();
    let mut weights = Weights::new(Device::Cpu);
    let pyramid = FeaturePyramid::new(&mut weights, "fpn.", &channels, width).unwrap();
    let held = state(&weights);
    assert_eq!(json!(inventory(&held)), fixture["inventory"]);
    fill(&held);
    widen(&held);
    let maps = shapes.iter().enumerate();
    let maps = maps.map(|(index, shape)| picture(shape, &format!("map{index}")));
    let levels = pyramid.forward(&maps.collect::<Vec<_>>()).unwrap();
    let values = all_differ(&levels, &fixture["levels"]);
    let gradients = gradients_differ(&weights, &levels, &fixture["gradients"]);
    println!("largest differences: levels {values:.2e}; relative: gradients {gradients:.2e}");
    assert!(values <= EXACT && gradients <= EXACT);
}
