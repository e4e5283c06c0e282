//! The pretrainable networks against segmentation-models-pytorch.
//!
//! `python/oracles/networks.py` wrote the fixture and says what is compared and how both sides
//! compute the same weights.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[path = "../../vision/tests/shared/filled.rs"]
mod filled;

use autoloss_plugin_api::{Batch, Mode, NetworkOptions, ProxyNetwork, Task, Tensors, serde_json};
use filled::{State, differ, fill, inventory, picture, probed, sums_differ, widen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use voc_seg::{
    Choice, DeepLabV3PlusR50, DeepLabV3PlusR101, FpnLite0, FpnLite0Frozen, PspNetR50, Segmenter,
    VocSeg,
};

/// Largest absolute difference of a logit, in single precision.
const LOGITS: f64 = 1e-4;
/// The same of what is computed in double precision; relative, for squared sums.
const TRAINED: f64 = 1e-8;

fn options(settings: &[(&str, Value)]) -> NetworkOptions {
    let named = settings.iter();
    NetworkOptions {
        task: VocSeg::info(),
        device: "cpu".to_owned(),
        seed: 0,
        weights: None,
        settings: named
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

/// Every tensor of a network by name.
fn state<C: Choice>(network: &Segmenter<C>) -> State {
    let parameters = network.parameters().into_iter();
    let parameters = parameters.map(|own| (own.name, own.tensor));
    parameters.chain(network.buffers()).collect()
}

fn agrees<C: Choice>() {
    // Tests run side by side; threads that wait for each other would only spin.
    tch::set_num_threads(1);
    let text = include_str!("fixtures/networks.json");
    let fixture: Value = serde_json::from_str(text).unwrap();
    let name = Segmenter::<C>::info().name;
    let oracle = &fixture["networks"][&name];
    let network = Segmenter::<C>::build(&options(&[("dropout", json!(0))])).unwrap();
    let parameters: usize = network
        .parameters()
        .iter()
        .map(|own| own.tensor.numel())
        .sum();
    assert_eq!(json!(parameters), oracle["parameters"], "{name}");
    let state = state(&network);
    assert_eq!(json!(inventory(&state)), oracle["inventory"], "{name}");

    fill(&state);
    let evaluated = {
        let _no_gradients = tch::no_grad_guard();
        let image = picture(&fixture["evaluated"], "image").to_kind(Kind::Float);
        let logits = network.logits_of_normalised(&image, Mode::Evaluate);
        logits.unwrap()
    };
    let evaluated = differ(&evaluated, &oracle["evaluated"]);
    widen(&state);
    let image = picture(&fixture["trained"], "image");
    let logits = network.logits_of_normalised(&image, Mode::Train).unwrap();
    let trained = differ(&logits, &oracle["trained"]);
    probed(&logits, "probe").backward();
    let gradients = sums_differ(&oracle["gradients"], |name| state[name].grad());
    let statistics = sums_differ(&oracle["statistics"], |name| state[name].detach());
    println!(
        "{name}: largest differences: logits in evaluation {evaluated:.2e}, in training \
         {trained:.2e}; relative: gradients {gradients:.2e}, statistics {statistics:.2e}"
    );
    assert!(evaluated <= LOGITS && trained <= TRAINED, "{name}");
    assert!(gradients <= TRAINED && statistics <= TRAINED, "{name}");
    let counted = |name: &String| name.ends_with("num_batches_tracked");
    for (name, count) in state.iter().filter(|(name, _)| counted(name)) {
        assert_eq!(count.int64_value(&[]), 1, "{name}");
    }
}

#[test]
fn deeplab_over_resnet_50_agrees() {
    agrees::<voc_seg::DeepLabR50>();
}

#[test]
fn deeplab_over_resnet_101_agrees() {
    agrees::<voc_seg::DeepLabR101>();
}

#[test]
fn pspnet_agrees() {
    agrees::<voc_seg::PspR50>();
}

#[test]
fn the_feature_pyramid_agrees() {
    agrees::<voc_seg::FpnOverLite0>();
}

#[test]
fn a_decoder_on_frozen_features_is_the_whole_pyramid_in_evaluation() {
    tch::set_num_threads(1);
    let mut whole = FpnLite0::build(&options(&[])).unwrap();
    let state = state(&whole);
    fill(&state);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoder.safetensors");
    let encoder: Vec<(&str, &Tensor)> = state
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("encoder.model.")?, tensor)))
        .collect();
    Tensor::write_safetensors(&encoder, &file).unwrap();
    let mut frozen = FpnLite0Frozen::build(&NetworkOptions {
        weights: Some(file),
        ..options(&[])
    })
    .unwrap();

    let _no_gradients = tch::no_grad_guard();
    for own in frozen.parameters() {
        own.tensor.shallow_clone().copy_(&state[&own.name]);
    }
    let batch = batch(2, 64);
    let features = frozen.frozen_features(&batch.inputs).unwrap();
    let sizes: Vec<Vec<i64>> = features.iter().map(|(_, map)| map.size()).collect();
    assert_eq!(
        sizes,
        [
            [2, 24, 16, 16],
            [2, 40, 8, 8],
            [2, 112, 4, 4],
            [2, 320, 2, 2]
        ]
    );
    let on_features = Batch {
        inputs: features,
        targets: batch.targets.shallow_clone(),
    };
    let own = frozen.forward(&on_features, Mode::Evaluate).unwrap();
    let theirs = whole.forward(&batch, Mode::Evaluate).unwrap();
    for (name, tensor) in own["seg"].iter() {
        let difference = (tensor - theirs["seg"].get(name).unwrap()).abs().max();
        assert!(
            difference.double_value(&[]) < 1e-5,
            "{name}: {difference:?}"
        );
    }
    let labels = frozen.predict(&on_features.inputs).unwrap();
    let expected = whole.predict(&batch.inputs).unwrap();
    let same = labels
        .get("labels")
        .unwrap()
        .eq_tensor(expected.get("labels").unwrap());
    assert!(
        same.to_kind(Kind::Float)
            .mean(Kind::Float)
            .double_value(&[])
            > 0.999
    );
}

#[test]
fn a_decoder_on_frozen_features_needs_weights() {
    let error = FpnLite0Frozen::build(&options(&[]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("efficientnet_lite0.safetensors"), "{error}");
}

fn batch(count: i64, side: i64) -> Batch {
    let image = Tensor::randn([count, 3, side, side], (Kind::Float, Device::Cpu));
    let labels = Tensor::randint(11, [count, side, side], (Kind::Uint8, Device::Cpu));
    Batch {
        inputs: Tensors::new().with("image", image),
        targets: Tensors::new().with("labels", labels),
    }
}

#[test]
fn the_loss_is_taken_at_the_stride_asked_for() {
    for (stride, side) in [(1, 64), (4, 16)] {
        let chosen = options(&[("loss_stride", json!(stride))]);
        let mut network = FpnLite0::build(&chosen).unwrap();
        let inputs = network.forward(&batch(2, 64), Mode::Train).unwrap();
        for (name, tensor) in inputs["seg"].iter() {
            assert_eq!(tensor.size(), [2, 11, side, side], "{name}");
            let sums = tensor.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
            assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5, "{name}");
        }
        let predicted = network.predict(&batch(1, 64).inputs).unwrap();
        let labels = predicted.get("labels").unwrap();
        assert_eq!(
            (labels.size(), labels.kind()),
            (vec![1, 64, 64], Kind::Uint8)
        );
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_why() {
    let refused = |settings: &[(&str, Value)]| {
        let outcome = DeepLabV3PlusR50::build(&options(settings));
        outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (settings, words) in [
        (
            ("depth", json!(3)),
            "no setting 'depth' (there are: dropout, loss_stride)",
        ),
        (("dropout", json!(1)), "setting 'dropout' is 1"),
        (("loss_stride", json!(8)), "expected 1 (every pixel) or 4"),
    ] {
        let message = refused(&[settings]);
        assert!(message.contains(words), "{message}");
    }
    let message = |outcome: Result<Tensors, autoloss_plugin_api::Error>| {
        outcome.map(|_| ()).unwrap_err().to_string()
    };
    let mut fpn = FpnLite0::build(&options(&[])).unwrap();
    let found = message(fpn.predict(&batch(1, 48).inputs));
    assert!(
        found.contains("[1, 3, 48, 48]") && found.contains("multiples of 32"),
        "{found}"
    );
    let mut psp = PspNetR50::build(&options(&[])).unwrap();
    let found = message(psp.predict(&batch(1, 20).inputs));
    assert!(found.contains("multiples of 8"), "{found}");
    // One image is too few for a normalisation over the batch of one value a channel.
    psp.forward(&batch(1, 32), Mode::Train).unwrap();
    let mut deeplab = DeepLabV3PlusR50::build(&options(&[])).unwrap();
    let outcome = deeplab.forward(&batch(1, 32), Mode::Train);
    let found = outcome.map(|_| ()).unwrap_err().to_string();
    assert!(
        found.contains("decoder.aspp.0.convs.4.2") && found.contains("batches"),
        "{found}"
    );
}

#[test]
fn a_checkpoint_is_read_back_and_dropout_is_off_in_evaluation() {
    let network = FpnLite0::build(&options(&[])).unwrap();
    let image = batch(2, 64).inputs.get("image").unwrap().shallow_clone();
    let _ = network.logits(&image, Mode::Train).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fpn.safetensors");
    let state = state(&network);
    let named: Vec<_> = state.iter().collect();
    Tensor::write_safetensors(&named, &file).unwrap();
    let chosen = NetworkOptions {
        weights: Some(file),
        ..options(&[])
    };
    let loaded = FpnLite0::build(&chosen).unwrap();
    for (name, tensor) in self::state(&loaded) {
        assert_eq!(tensor, state[&name], "{name}");
    }
    let logits = |network: &FpnLite0, mode| network.logits(&image, mode).unwrap();
    let evaluated = logits(&network, Mode::Evaluate);
    assert_eq!(evaluated, logits(&loaded, Mode::Evaluate));
    assert_ne!(
        logits(&network, Mode::Train),
        logits(&loaded, Mode::Train),
        "no dropout"
    );
}

#[test]
fn the_memory_format_changes_nothing() {
    let network = FpnLite0::build(&options(&[("dropout", json!(0))])).unwrap();
    let plain = batch(2, 64)
        .inputs
        .get("image")
        .unwrap()
        .to_kind(Kind::Double);
    widen(&state(&network));
    let last = |tensor: &Tensor| {
        let positions = tensor.detach().permute([0, 2, 3, 1]).contiguous();
        positions.permute([0, 3, 1, 2])
    };
    let logits = |image: &Tensor| network.logits(image, Mode::Train).unwrap();
    let before = logits(&plain).detach();
    for own in network.parameters() {
        if own.tensor.dim() == 4 {
            own.tensor.shallow_clone().set_data(&last(&own.tensor));
        }
    }
    let after = logits(&last(&plain));
    let difference = (before - &after).abs().max().double_value(&[]);
    println!("largest difference of the logits: {difference:.2e}");
    assert!(difference < 1e-9, "{difference}");
    after.square().mean(Kind::Double).backward();
    for own in network.parameters() {
        let largest = own.tensor.grad().abs().max().double_value(&[]);
        assert!(largest > 0.0 && largest.is_finite(), "{}", own.name);
        assert_eq!(own.decay, own.tensor.dim() > 1, "{}", own.name);
    }
}

#[test]
fn the_published_encoder_is_taken_and_the_decoder_stays_fresh() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.weights/efficientnet_lite0.safetensors");
    let shown = file.display();
    assert!(
        file.exists(),
        "{shown} is not there: run `cargo xtask weights`"
    );
    let stored = Tensor::read_safetensors(&file).unwrap().into_iter();
    let stored: BTreeMap<String, Tensor> = stored.collect();
    let chosen = NetworkOptions {
        weights: Some(file),
        ..options(&[])
    };
    let mut encoder = 0;
    for (name, tensor) in state(&FpnLite0::build(&chosen).unwrap()) {
        if let Some(published) = name.strip_prefix("encoder.model.") {
            assert_eq!(tensor, stored[published], "{name}");
            encoder += 1;
        }
    }
    // All but six tensors of the last convolution and its normalisation, and two of the classifier.
    assert_eq!(encoder, stored.len() - 8);
    let refused = PspNetR50::build(&chosen)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    for part in ["efficientnet_lite0.safetensors", "pspnet_r50"] {
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn every_network_is_of_this_task_and_has_its_own_name() {
    let infos = [
        DeepLabV3PlusR50::info(),
        DeepLabV3PlusR101::info(),
        PspNetR50::info(),
        FpnLite0::info(),
    ];
    let names: Vec<_> = infos.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "deeplabv3plus_r50",
            "deeplabv3plus_r101",
            "pspnet_r50",
            "fpn_lite0"
        ]
    );
    assert!(infos.iter().all(|info| info.tasks == ["voc_seg"]));
}
