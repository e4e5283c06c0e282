use std::sync::atomic::AtomicBool;

use autoloss_search::{Event, SearchConfig};

use super::support::*;

fn three_workers() -> SearchConfig {
    SearchConfig {
        workers: 3,
        ..config(1500)
    }
}

#[test]
fn the_order_in_which_workers_finish_decides_nothing() {
    let (_, expected) = whole_run(1, &three_workers());
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = FakeTrainer {
        backwards: true,
        ..FakeTrainer::default()
    };
    let stop = AtomicBool::new(false);
    begin(folder.path(), 1, &three_workers())
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap();
    assert_eq!(trace(folder.path()), expected);
}

#[test]
fn rounds_hand_out_as_many_evaluations_as_there_are_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut open, mut most) = (0usize, 0usize);
    let mut watch = Watch(|event: &Event<'_>| match event {
        Event::EvaluationStarted { .. } => {
            open += 1;
            most = most.max(open);
        }
        Event::EvaluationFinished { .. } => open -= 1,
        _ => {}
    });
    let stop = AtomicBool::new(false);
    begin(folder.path(), 1, &three_workers())
        .run(
            &mut FakeEngine::default(),
            &mut FakeTrainer::default(),
            &mut watch,
            &stop,
        )
        .unwrap();
    assert_eq!((open, most), (0, 3));
}

/// Killed in the middle of a round: the evaluations of the round that had ended are found again.
#[test]
fn a_round_that_was_killed_halfway_keeps_its_finished_evaluations() {
    let settings = three_workers();
    let (whole, expected) = whole_run(1, &settings);
    for cut in [2usize, 4, 8] {
        let folder = tempfile::tempdir().unwrap();
        let (source, killed) = (folder.path().join("run"), folder.path().join("killed"));
        let mut finished = 0;
        let mut watch = Watch(|event: &Event<'_>| {
            if let Event::EvaluationFinished { .. } = event {
                finished += 1;
                if finished == cut {
                    copy_run(&source, &killed);
                }
            }
        });
        let stop = AtomicBool::new(false);
        begin(&source, 1, &settings)
            .run(
                &mut FakeEngine::default(),
                &mut FakeTrainer::default(),
                &mut watch,
                &stop,
            )
            .unwrap();
        let mut trainer = FakeTrainer::default();
        resume(&killed, 1)
            .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
            .unwrap();
        assert_eq!(trace(&killed), expected, "killed at evaluation {cut}");
        let run = trainer.requests.len() as u64 + cut as u64;
        assert_eq!(run, whole.counts.proxies());
    }
}

#[test]
fn proxy_budgets_are_exact_with_several_workers() {
    let mut settings = three_workers();
    settings.budget.max_proxies = Some(7);
    let (summary, _) = whole_run(1, &settings);
    assert_eq!(summary.counts.proxies(), 7);
}
