use std::sync::atomic::AtomicBool;

use autoloss_search::store::{Purpose, RunReader};
use autoloss_search::{BackendError, EndReason, Event, Search, SearchError, Store, VerdictKind};

use super::support::*;

const EXPLORED: u64 = 1500;

#[test]
fn a_stopped_run_goes_on_as_if_it_had_not_been() {
    for branches in [1, 2] {
        let settings = config(EXPLORED);
        let (whole, expected) = whole_run(branches, &settings);
        for cut in [1, 2, 17, 400, 1111] {
            let folder = tempfile::tempdir().unwrap();
            let mut search = begin(folder.path(), branches, &settings);
            let summary = run_until(&mut search, cut);
            assert_eq!(summary.end, EndReason::Stopped);
            assert_eq!(summary.counts.explored(), cut as u64);
            drop(search);
            let resumed = finish(&mut resume(folder.path(), branches));
            assert_eq!(trace(folder.path()), expected, "cut at {cut}");
            for kind in VerdictKind::ALL {
                assert_eq!(resumed.counts.of(kind), whole.counts.of(kind));
            }
            assert_eq!(resumed.best, whole.best);
        }
    }
}

#[test]
fn many_cuts_change_nothing() {
    let settings = config(600);
    let (_, expected) = whole_run(2, &settings);
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 2, &settings));
    for step in [3, 50, 1, 120, 7, 200] {
        run_until(&mut resume(folder.path(), 2), step);
    }
    finish(&mut resume(folder.path(), 2));
    assert_eq!(trace(folder.path()), expected);
}

#[test]
fn one_search_value_can_be_stopped_and_run_again() {
    let settings = config(600);
    let (_, expected) = whole_run(1, &settings);
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &settings);
    run_until(&mut search, 100);
    finish(&mut search);
    assert_eq!(trace(folder.path()), expected);
}

/// A killed process leaves what was flushed and nothing else: no evaluation that had finished is
/// run again, and the run still ends the same.
#[test]
fn a_killed_run_loses_no_evaluation_and_goes_on_the_same() {
    let settings = config(EXPLORED);
    let (whole, expected) = whole_run(1, &settings);
    for cut in [1usize, 2, 5, 11] {
        let folder = tempfile::tempdir().unwrap();
        let killed = folder.path().join("killed");
        let source = folder.path().join("run");
        let mut search = begin(&source, 1, &settings);
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
        let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
        search
            .run(&mut engine, &mut trainer, &mut watch, &stop)
            .unwrap();

        let left = RunReader::open(&killed).unwrap();
        assert_eq!(left.evaluations(Purpose::Search).unwrap().len(), cut);
        drop(left);
        let mut trainer = FakeTrainer::default();
        resume(&killed, 1)
            .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
            .unwrap();
        assert_eq!(trace(&killed), expected, "killed at evaluation {cut}");
        let repeated = trainer.requests.len() as u64 + cut as u64;
        assert_eq!(repeated, whole.counts.proxies());
    }
}

#[test]
fn a_run_killed_between_evaluations_goes_on_the_same() {
    let settings = config(EXPLORED);
    let (_, expected) = whole_run(2, &settings);
    let folder = tempfile::tempdir().unwrap();
    let (source, killed) = (folder.path().join("run"), folder.path().join("killed"));
    let mut search = begin(&source, 2, &settings);
    let mut watch = Watch(|event: &Event<'_>| {
        if let Event::Explored { record, .. } = event
            && record.id.0 == 733
        {
            copy_run(&source, &killed);
        }
    });
    let stop = AtomicBool::new(false);
    search
        .run(
            &mut FakeEngine::default(),
            &mut FakeTrainer::default(),
            &mut watch,
            &stop,
        )
        .unwrap();
    assert!(records(&killed).len() < 733);
    finish(&mut resume(&killed, 2));
    assert_eq!(trace(&killed), expected);
}

#[test]
fn an_interrupted_evaluation_is_run_again() {
    let settings = config(EXPLORED);
    let (_, expected) = whole_run(1, &settings);
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &settings);
    let mut trainer = FakeTrainer {
        interrupt_at: Some(4),
        ..FakeTrainer::default()
    };
    let stop = AtomicBool::new(false);
    let summary = search
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap();
    assert_eq!(summary.end, EndReason::Stopped);
    assert_eq!(summary.counts.proxies(), 3);
    finish(&mut search);
    assert_eq!(trace(folder.path()), expected);
}

#[test]
fn a_backend_that_breaks_down_leaves_a_resumable_run() {
    let settings = config(EXPLORED);
    let (_, expected) = whole_run(1, &settings);
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &settings);
    let stop = AtomicBool::new(false);
    let mut engine = FakeEngine {
        fail_at: Some(30),
        ..FakeEngine::default()
    };
    let error = search
        .run(&mut engine, &mut FakeTrainer::default(), &mut (), &stop)
        .unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("screening candidate "), "{message}");
    assert!(message.ends_with("failed: the engine is on fire"));
    drop(search);

    let mut search = resume(folder.path(), 1);
    let mut trainer = FakeTrainer {
        fail_at: Some(2),
        ..FakeTrainer::default()
    };
    let error = search
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap_err();
    assert!(error.to_string().starts_with("evaluating candidate "));
    finish(&mut search);
    assert_eq!(trace(folder.path()), expected);
}

#[test]
fn the_budget_may_grow_on_resume_and_nothing_else_may_change() {
    let (_, expected) = whole_run(1, &config(900));
    let folder = tempfile::tempdir().unwrap();
    let summary = finish(&mut begin(folder.path(), 1, &config(300)));
    assert_eq!(summary.end, EndReason::Explored);
    assert_eq!(summary.counts.explored(), 300);

    let mut other = config(900);
    other.screening.threshold = 0.7;
    let open = || Store::open(folder.path()).unwrap();
    let error = Search::resume(&task(1), Some(other), open()).unwrap_err();
    assert!(matches!(&error, SearchError::ConfigDiffers { key } if key == "screening.threshold"));

    let mut search = Search::resume(&task(1), Some(config(900)), open()).unwrap();
    finish(&mut search);
    assert_eq!(trace(folder.path()), expected);
    let stored = search.store().reader().header().unwrap();
    assert_eq!(stored.config, config(900));
}

#[test]
fn another_task_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 1, &config(10)));
    let refuse = |task| {
        let store = Store::open(folder.path()).unwrap();
        Search::resume(&task, None, store).unwrap_err().to_string()
    };
    assert!(refuse(task(2)).contains("it had 1 branches and has now 2"));
    let mut other = task(1);
    other.network = "big".into();
    assert!(refuse(other).contains("its network was \"net\" and is now \"big\""));
    let mut other = task(1);
    other.branches[0].signature = signature(1);
    assert!(refuse(other).contains("branch \"b0\" or its inputs changed"));
}

#[test]
fn a_wall_clock_budget_counts_the_time_of_earlier_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(50);
    finish(&mut begin(folder.path(), 1, &settings));
    let database = rusqlite::Connection::open(folder.path().join("run.db")).unwrap();
    database
        .execute("UPDATE sessions SET seconds = 5000", [])
        .unwrap();
    drop(database);
    settings.budget.max_explored = None;
    settings.budget.max_seconds = Some(4000.0);
    let store = Store::open(folder.path()).unwrap();
    let mut search = Search::resume(&task(1), Some(settings), store).unwrap();
    let summary = finish(&mut search);
    assert_eq!(summary.end, EndReason::Seconds);
    assert_eq!(summary.counts.explored(), 50);
    assert!(summary.elapsed_seconds >= 5000.0);
}

#[test]
fn an_interruption_is_told_from_a_failure() {
    assert!(BackendError::interrupted().interrupted);
    assert!(!BackendError::new("x").interrupted);
}
