//! A training that is looked at on its way, and given up where it is hopeless.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_graph::Limits;
use autoloss_search::{
    EvaluationOutcome, EvaluationRequest, EvaluationVerdict, Evaluator, Look, TrainingBudget,
};
use autoloss_tests::host::voc_seg;
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, Workbench, runtime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn evaluate(workbench: &mut Workbench, look: Option<Look>) -> EvaluationOutcome {
    let budget = TrainingBudget {
        steps: 4,
        warmup_steps: 1,
        eval_images: 6,
        ..TrainingBudget::default()
    };
    let request = EvaluationRequest {
        task: "voc_seg".into(),
        network: "unet_tiny".into(),
        losses: BTreeMap::from([("seg".into(), "neg(mul(y, log(yhat)))".into())]),
        budget,
        seed: 3,
        split: "reward".into(),
        stop_invalid: true,
        look,
    };
    workbench.evaluate(&request).unwrap()
}

#[test]
fn a_look_scores_the_network_and_ends_its_training_where_it_falls_short() {
    runtime::set_threads(1);
    let registry = Registry::load(&[voc_seg()]).unwrap();
    let device = runtime::device("cpu").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (choice, limits) = (Choice::default(), Limits::default());
    let mut workbench = Workbench::open(registry, &choice, device, limits, stop).unwrap();
    let look = |least| {
        Some(Look {
            step: 2,
            images: 5,
            least,
        })
    };
    let unseen = evaluate(&mut workbench, None);
    let seen = evaluate(&mut workbench, look(None));
    // Looking changes nothing.
    assert_eq!(unseen.verdict, seen.verdict);
    assert_eq!((unseen.look, unseen.steps), (None, 4));
    let score = seen.look.unwrap();
    assert!((0.0..=1.0).contains(&score), "{score}");

    let passes = evaluate(&mut workbench, look(Some(score)));
    assert_eq!(passes.verdict, seen.verdict);
    let given_up = evaluate(&mut workbench, look(Some(score + 1e-9)));
    let verdict = EvaluationVerdict::StoppedEarly { step: 1 };
    assert_eq!((given_up.verdict, given_up.steps), (verdict, 2));
    assert_eq!(given_up.look, Some(score));
}
