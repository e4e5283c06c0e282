//! What the fingerprint of a direction takes for the same and that of norms does not is the same.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_graph::{GenerateConfig, Limits, LossGraph, random_graph, static_check};
use autoloss_search::{
    EquivalenceConfig, EquivalenceMode, GradientKey, Screener, ScreeningConfig, ScreeningEngine,
};
use autoloss_tests::host::voc_seg;
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, KnownLosses, TaskScreener, Workbench, runtime};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Pairs that only the new fingerprint merges.
const PAIRS: usize = 200;
/// Losses drawn at most.
const MOST: usize = 300_000;

fn workbench() -> Workbench {
    runtime::set_threads(1);
    let choice = Choice {
        network: Some("unet_tiny".into()),
        ..Choice::default()
    };
    let registry = Registry::load(&[voc_seg()]).unwrap();
    let device = runtime::device("cpu").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    Workbench::open(registry, &choice, device, Limits::default(), stop).unwrap()
}

fn screener(workbench: &Workbench, engine: ScreeningEngine) -> TaskScreener {
    let config = ScreeningConfig {
        engine,
        ..ScreeningConfig::default()
    };
    let sketched = EquivalenceConfig::default().sketched();
    workbench.screener(&config, sketched, 0).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn what_only_the_direction_merges_points_the_same_way() {
    let workbench = workbench();
    let signature = workbench.spec().unwrap().branches[0].signature.clone();
    let mut screener = screener(&workbench, ScreeningEngine::Fused);
    let direction = EquivalenceConfig::default();
    let norms = EquivalenceConfig {
        mode: EquivalenceMode::Paper,
        ..EquivalenceConfig::default()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (generate, limits) = (GenerateConfig::default(), Limits::default());
    let mut forms = HashSet::new();
    let mut known: HashMap<GradientKey, (LossGraph, GradientKey)> = HashMap::new();
    let mut cosines = Vec::new();
    for _ in 0..MOST {
        let graph = random_graph(&mut rng, &signature, &generate, &limits);
        let sound = static_check(&graph, &signature).is_ok();
        if !sound || !forms.insert(graph.training_form(&signature).structural_hash()) {
            continue;
        }
        let probe = screener.probe(0, &graph).unwrap();
        if !probe.is_finite() || probe.is_zero() {
            continue;
        }
        let own = GradientKey::new(&probe, &norms, true).unwrap();
        let key = GradientKey::new(&probe, &direction, true).unwrap();
        match known.get(&key) {
            Some((first, theirs)) if *theirs != own => {
                let first = screener.gradient(0, first).unwrap();
                let second = screener.gradient(0, &graph).unwrap();
                cosines.push(cosine(&first, &second));
            }
            Some(_) => {}
            None => {
                known.insert(key, (graph, own));
            }
        }
        if cosines.len() == PAIRS {
            break;
        }
    }
    assert_eq!(cosines.len(), PAIRS, "too few pairs");
    cosines.sort_by(f64::total_cmp);
    println!("least cosines: {:?}", &cosines[..5]);
    let same = cosines.iter().filter(|cosine| **cosine >= 0.999).count();
    assert!(same >= PAIRS * 99 / 100, "{same} of {PAIRS}: {cosines:?}");
}

#[test]
fn factors_and_what_a_softmax_cancels_make_no_other_loss() {
    let workbench = workbench();
    let signature = workbench.spec().unwrap().branches[0].signature.clone();
    let parse = |text: &str| LossGraph::parse(text, &signature, &Limits::default()).unwrap();
    for engine in [ScreeningEngine::Fused, ScreeningEngine::Libtorch] {
        let mut screener = screener(&workbench, engine);
        let mut key = |text: &str| {
            let probe = screener.probe(0, &parse(text)).unwrap();
            GradientKey::new(&probe, &EquivalenceConfig::default(), true).unwrap()
        };
        let ce = key("neg(mul(y, log(yhat)))");
        for same in [
            "neg(mul(mul(y, log(yhat)), exp(1)))",
            "neg(mul(log(yhat), tanh(tanh(y))))",
            "neg(log(add(mul(y, yhat), add(1, neg(y)))))",
            // Predictions sum to 1, so this adds a constant.
            "add(neg(mul(y, log(yhat))), yhat)",
        ] {
            assert_eq!(key(same), ce, "{same}, {engine:?}");
        }
        for other in [
            "mul(y, log(yhat))",
            "neg(mul(y, yhat))",
            "neg(mul(y, tanh(log(yhat))))",
        ] {
            assert_ne!(key(other), ce, "{other}, {engine:?}");
        }
    }
}

#[test]
fn losses_that_people_know_are_called_by_their_name() {
    let workbench = workbench();
    let mut screener = screener(&workbench, ScreeningEngine::Fused);
    let known = KnownLosses::new(&workbench, &mut screener).unwrap();
    let mut name = |text: &str| {
        let losses = BTreeMap::from([("seg".to_owned(), text.to_owned())]);
        let names = known.of(&mut screener, &losses).unwrap();
        names.get("seg").map(ToString::to_string)
    };
    for (text, expected) in [
        ("neg(mul(y, log(yhat)))", Some("cross entropy")),
        (
            "neg(mul(mul(y, log(yhat)), exp(1)))",
            Some("2.72 × cross entropy"),
        ),
        (
            "neg(mul(y, mul(log(yhat), square(add(1, neg(yhat))))))",
            Some("focal loss, γ = 2"),
        ),
        ("square(add(y, neg(yhat)))", Some("squared error")),
        ("mul(y, log(yhat))", None),
        ("neg(sqrt(tanh(mean_nhw(mul(y, sqrt(yhat))))))", None),
    ] {
        assert_eq!(name(text).as_deref(), expected, "{text}");
    }
}
