use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use autoloss_run::Store;
use autoloss_search::{
    EvaluationRecord, Fitness, Optimizer, OutcomeKind, Purpose, Search, SearchConfig, Summary,
};

use super::support::*;

fn with(change: impl FnOnce(&mut SearchConfig)) -> (Summary, FakeEngine, FakeTrainer) {
    let mut settings = config(400);
    change(&mut settings);
    let folder = tempfile::tempdir().unwrap();
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    let stop = AtomicBool::new(false);
    let summary = begin(folder.path(), 1, &settings)
        .run(&mut engine, &mut trainer, &mut (), &stop)
        .unwrap();
    // Whatever is switched off, a resumed run must not notice.
    let cut = tempfile::tempdir().unwrap();
    run_until(&mut begin(cut.path(), 1, &settings), 123);
    finish(&mut resume(cut.path(), 1));
    assert_eq!(trace(cut.path()), trace(folder.path()));
    (summary, engine, trainer)
}

#[test]
fn everything_on_uses_every_technique() {
    let (summary, ..) = with(|settings| settings.budget.max_explored = Some(6000));
    // The stand-ins have gradients without directions.
    let met = |kind: &&OutcomeKind| **kind != OutcomeKind::Near;
    for &kind in OutcomeKind::ALL.iter().filter(met) {
        assert!(summary.counts.of(kind) > 0, "no {}", kind.code());
    }
}

#[test]
fn everything_off_is_naive_evolution() {
    let (summary, engine, trainer) = with(|settings| {
        settings.screening.static_checks = false;
        settings.screening.duplicates = false;
        settings.screening.probe = false;
        settings.screening.lrp = false;
        settings.equivalence.enabled = false;
        settings.proxy.stop_invalid = false;
    });
    assert_eq!(summary.counts.proxies(), 400);
    assert_eq!((engine.probes, engine.rejections), (0, 0));
    assert!(trainer.jobs.iter().all(|job| !job.stop_invalid));
}

#[test]
fn without_structure_tests_nothing_is_static() {
    let (summary, ..) = with(|settings| settings.screening.static_checks = false);
    assert_eq!(summary.counts.of(OutcomeKind::Static), 0);
}

#[test]
fn without_the_form_look_up_nothing_is_a_duplicate() {
    let (summary, ..) = with(|settings| settings.screening.duplicates = false);
    assert_eq!(summary.counts.of(OutcomeKind::Duplicate), 0);
    assert!(summary.counts.of(OutcomeKind::Equivalent) > 0);
}

#[test]
fn without_the_probe_zero_gradients_go_on() {
    let (summary, engine, _) = with(|settings| {
        settings.screening.probe = false;
        settings.equivalence.enabled = false;
    });
    assert_eq!(summary.counts.of(OutcomeKind::ZeroGradient), 0);
    assert_eq!(engine.probes, 0);
}

#[test]
fn without_loss_rejection_nothing_is_rejected() {
    let (summary, engine, _) = with(|settings| settings.screening.lrp = false);
    assert_eq!(summary.counts.of(OutcomeKind::Rejected), 0);
    assert_eq!(engine.rejections, 0);
}

#[test]
fn without_equivalence_nothing_is_equivalent() {
    let (summary, ..) = with(|settings| settings.equivalence.enabled = false);
    assert_eq!(summary.counts.of(OutcomeKind::Equivalent), 0);
    assert!(summary.counts.of(OutcomeKind::Duplicate) > 0);
}

#[test]
fn the_stop_switch_reaches_the_evaluator() {
    let (.., trainer) = with(|_| {});
    assert!(!trainer.jobs.is_empty());
    assert!(trainer.jobs.iter().all(|job| job.stop_invalid));
}

#[test]
fn trainings_are_scored_on_their_way_and_after_some_the_worse_are_pruned() {
    let (summary, _, trainer) = with(|settings| settings.proxy.pruning.history = 5);
    let looks: Vec<_> = trainer.jobs.iter().map(|r| r.pruning.unwrap()).collect();
    assert!(
        looks
            .iter()
            .all(|look| (look.step, look.images) == (40, 50))
    );
    let first = looks.iter().position(|look| look.least.is_some()).unwrap();
    assert!(first >= 5, "{first}");
    assert!(looks[first..].iter().all(|look| look.least.is_some()));
    assert!(summary.counts.of(OutcomeKind::StoppedEarly) > 0);

    let (summary, _, trainer) = with(|settings| settings.proxy.pruning.enabled = false);
    assert!(trainer.jobs.iter().all(|job| job.pruning.is_none()));
    assert_eq!(summary.counts.of(OutcomeKind::StoppedEarly), 0);
}

#[test]
fn every_form_is_probed_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = FakeEngine::default();
    let stop = AtomicBool::new(false);
    begin(folder.path(), 1, &config(1500))
        .run(&mut engine, &mut FakeTrainer::default(), &mut (), &stop)
        .unwrap();
    let forms: std::collections::BTreeSet<u64> = records(folder.path())
        .iter()
        .filter_map(|record| record.canonical)
        .collect();
    assert_eq!(engine.probes, forms.len());
}

#[test]
fn losses_that_are_one_to_the_proxy_share_a_score_and_a_resumed_run_does_not_notice() {
    let stop = AtomicBool::new(false);
    let go_on = |search: &mut Search<Store>| {
        let mut engine = FakeEngine {
            sketched: true,
            ..FakeEngine::default()
        };
        let mut trainer = FakeTrainer::default();
        search
            .run(&mut engine, &mut trainer, &mut (), &stop)
            .unwrap()
    };
    let adam = |explored| {
        let mut settings = config(explored);
        settings.proxy.budget.optimizer = Optimizer::Adam;
        settings
    };
    let settings = adam(2500);
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let summary = go_on(&mut begin(whole.path(), 1, &settings));
    assert!(
        summary.counts.of(OutcomeKind::Near) > 5,
        "{:?}",
        summary.counts
    );
    go_on(&mut begin(cut.path(), 1, &adam(700)));
    let store = Store::open(cut.path()).unwrap();
    go_on(&mut Search::resume(&task(1), Some(settings), store).unwrap());
    assert_eq!(trace(cut.path()), trace(whole.path()));
    let records = records(whole.path());
    for record in records
        .iter()
        .filter(|record| record.outcome.kind() == OutcomeKind::Near)
    {
        let of = record.outcome.of().unwrap();
        assert!(records[of.0 as usize].outcome.kind().evaluated());
        assert_eq!(record.fitness, records[of.0 as usize].fitness);
    }
}

#[test]
fn the_best_so_far_is_scored_twice_and_its_score_is_the_mean() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
    let mut settings = config(2000);
    settings.proxy.repeat_best = true;
    let mut search = begin(folder.path(), 1, &settings);
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    search
        .run(&mut engine, &mut trainer, &mut (), &stop)
        .unwrap();
    let reader = search.journal().reader();
    let [first, again] = [Purpose::Search, Purpose::Repeat].map(|purpose| {
        let records = reader.evaluations(purpose).unwrap().into_iter();
        let score = |record: EvaluationRecord| (record.key.candidate, record.evaluation.fitness());
        records.map(score).collect::<BTreeMap<_, _>>()
    });
    assert!(again.len() > 2, "{again:?}");
    let mut best = None;
    for record in records(folder.path()) {
        if !record.outcome.kind().evaluated() {
            continue;
        }
        let (alone, second) = (first[&record.id], again.get(&record.id));
        assert_eq!(
            second.is_some(),
            alone.is_some() && alone > best,
            "{}",
            record.id
        );
        match second {
            Some(Some(second)) => {
                let mean = 0.5 * (alone.unwrap().score() + second.score());
                assert_eq!(record.fitness, Fitness::new(mean));
            }
            Some(None) => {}
            None => assert_eq!(record.fitness, alone),
        }
        best = best.max(record.fitness);
    }

    let cut = tempfile::tempdir().unwrap();
    run_until(&mut begin(cut.path(), 1, &settings), 300);
    finish(&mut resume(cut.path(), 1));
    assert_eq!(trace(cut.path()), trace(folder.path()));
}
