//! A training that is scored on its way, and pruned where it falls short.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_graph::Limits;
use autoloss_plugin_api::Split;
use autoloss_search::{Evaluation, Evaluator, Fitness, Job, Outcome, PruningRule, TrainingBudget};
use autoloss_tests::host::voc_seg;
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, Workbench, runtime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn evaluate(workbench: &mut Workbench, pruning: Option<PruningRule>) -> Evaluation {
    let budget = TrainingBudget {
        steps: 4,
        warmup_steps: 1,
        eval_images: 6,
        ..TrainingBudget::default()
    };
    let job = Job {
        task: "voc_seg".into(),
        network: "unet_tiny".into(),
        run_spec: String::new(),
        losses: BTreeMap::from([("seg".into(), "neg(mul(y, log(yhat)))".into())]),
        budget,
        seed: 3,
        split: "reward".into(),
        stop_invalid: true,
        pruning,
        keep: None,
        checkpoints: None,
    };
    workbench.evaluate(&job).unwrap()
}

#[test]
fn a_training_is_scored_on_its_way_and_pruned_where_it_falls_short() {
    runtime::set_threads(1);
    let registry = Registry::load(&[voc_seg()]).unwrap();
    let device = runtime::device("cpu").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let choice = Choice {
        network: Some("unet_tiny".into()),
        ..Choice::default()
    };
    let limits = Limits::default();
    let mut workbench = Workbench::open(registry, &choice, device, limits, stop).unwrap();
    let rule = |least: Option<f64>| {
        Some(PruningRule {
            step: 2,
            images: 5,
            least: least.and_then(Fitness::new),
            constant: false,
            first: None,
        })
    };
    let plain = evaluate(&mut workbench, None);
    let scored = evaluate(&mut workbench, rule(None));
    // Scoring it changes nothing.
    assert_eq!(plain.outcome, scored.outcome);
    assert_eq!((plain.pruning_score, plain.steps), (None, 4));
    let score = scored.pruning_score.unwrap();
    assert!((0.0..=1.0).contains(&score), "{score}");

    let passes = evaluate(&mut workbench, rule(Some(score)));
    assert_eq!(passes.outcome, scored.outcome);
    let pruned = evaluate(&mut workbench, rule(Some(score + 1e-9)));
    let outcome = Outcome::StoppedEarly { step: 1 };
    assert_eq!((pruned.outcome, pruned.steps), (outcome, 2));
    assert_eq!(pruned.pruning_score, Some(score));

    let constant = rule(None).map(|rule| PruningRule {
        constant: true,
        first: None,
        ..rule
    });
    let ended = evaluate(&mut workbench, constant);
    let scores = workbench.constant_scores(Split::Reward, 5).unwrap();
    assert_eq!(scores.len(), 11);
    let best = scores.iter().copied().fold(0.0, f64::max);
    assert!(best > 0.03 && best < 0.1, "{scores:?}");
    let learned_nothing = score <= best;
    assert_eq!(
        ended.outcome == Outcome::StoppedEarly { step: 1 },
        learned_nothing
    );
}
