use std::sync::atomic::AtomicBool;

use autoloss_graph::LossGraph;
use autoloss_search::{Event, Fault, Gain, Probe, Screener, SearchConfig, Timed, Work};

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

/// A stand-in that takes several losses at a time.
#[derive(Default)]
struct Wide {
    engine: FakeEngine,
    /// Losses of the largest call.
    most: usize,
}

impl Screener for Wide {
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        self.engine.probe(branch, graph)
    }

    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Gain, Fault> {
        self.engine.reject(branch, graph)
    }

    fn width(&self) -> usize {
        4
    }

    fn reject_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Gain>>, Fault> {
        self.most = self.most.max(work.len());
        let mut reject =
            |work: &Work| Timed::of(|| self.reject(work.branch, &work.graph)).transposed();
        work.iter().map(&mut reject).collect()
    }
}

/// With one branch, with several of which some are kept between attempts, and with several workers.
#[test]
fn screening_ahead_decides_nothing() {
    for (branches, settings) in [(1, config(3000)), (3, config(3000)), (1, three_workers())] {
        let (_, expected) = whole_run(branches, &settings);
        let folder = tempfile::tempdir().unwrap();
        let (mut wide, mut trainer) = (Wide::default(), FakeTrainer::default());
        let stop = AtomicBool::new(false);
        begin(folder.path(), branches, &settings)
            .run(&mut wide, &mut trainer, &mut (), &stop)
            .unwrap();
        assert_eq!(trace(folder.path()), expected);
        assert!(wide.most > 1, "never more than {} at a time", wide.most);
    }
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
        goes_on_the_same(&killed, cut, &whole, &expected);
    }
}

#[test]
fn proxy_budgets_are_exact_with_several_workers() {
    let mut settings = three_workers();
    settings.budget.max_proxies = Some(7);
    let (summary, _) = whole_run(1, &settings);
    assert_eq!(summary.counts.proxies(), 7);
}

#[test]
fn more_workers_than_the_executor_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SearchConfig {
        workers: 4,
        ..config(1500)
    };
    let stop = AtomicBool::new(false);
    let error = begin(folder.path(), 1, &settings)
        .run(
            &mut FakeEngine::default(),
            &mut FakeTrainer::default(),
            &mut (),
            &stop,
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "workers is 4, but 3 evaluations run at a time here: set workers to 3"
    );
}
