use std::path::Path;
use std::sync::atomic::AtomicBool;

use autoloss_run::{Run, RunReader, Store};
use autoloss_search::{EndReason, Event, OutcomeKind, Purpose, Search, SearchError};

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
            for kind in OutcomeKind::ALL.iter().copied() {
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
        run_killed_at(cut, &source, &killed, &settings);
        let left = RunReader::open(&killed).unwrap();
        assert_eq!(left.evaluations(Purpose::Search).unwrap().len(), cut);
        drop(left);
        goes_on_the_same(&killed, cut, &whole, &expected);
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
    let error = Search::resume(&task(1), Some(other), open()).err().unwrap();
    assert!(matches!(&error, SearchError::ConfigDiffers { key } if key == "screening.threshold"));

    let mut search = Search::resume(&task(1), Some(config(900)), open()).unwrap();
    finish(&mut search);
    assert_eq!(trace(folder.path()), expected);
    let stored = search.journal().reader().header().unwrap();
    assert_eq!(stored.config, config(900));
}

#[test]
fn another_task_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 1, &config(10)));
    let refuse = |task| {
        let store = Store::open(folder.path()).unwrap();
        let error = Search::resume(&task, None, store).err().unwrap();
        error.to_string()
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
fn a_failed_evaluation_is_an_outcome_and_the_search_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = FakeTrainer {
        failing: 3..5,
        ..FakeTrainer::default()
    };
    let stop = AtomicBool::new(false);
    let summary = begin(folder.path(), 1, &config(EXPLORED))
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap();
    assert_eq!(summary.end, EndReason::Explored);
    let failed: Vec<_> = records(folder.path())
        .into_iter()
        .filter(|record| record.outcome.to_string().contains("worker"))
        .collect();
    let reasons: Vec<String> = failed
        .iter()
        .map(|record| record.outcome.to_string())
        .collect();
    let expected = [3, 4].map(|n| format!("the evaluation failed: worker {n} ended"));
    assert_eq!(reasons, expected);
    // Nothing is known of such a loss: it has no fitness and no other candidate repeats it.
    let all = records(folder.path());
    for record in &failed {
        assert!(record.fitness.is_none() && !record.joined && record.ends_child);
        assert!(
            all.iter()
                .all(|other| other.outcome.of() != Some(record.id))
        );
    }
    assert!(trainer.jobs.len() > 10);
}

/// A run killed right after a failed evaluation was written finds it again and does not ask for it once
/// more.
#[test]
fn a_stored_failure_is_not_tried_again() {
    let (source, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stop = AtomicBool::new(false);
    let mut trainer = FakeTrainer {
        failing: 2..3,
        ..FakeTrainer::default()
    };
    let mut finished = 0;
    let mut watch = Watch(|event: &Event<'_>| {
        if let Event::EvaluationFinished { .. } = event {
            finished += 1;
            if finished == 2 {
                copy_run(source.path(), killed.path());
            }
        }
    });
    begin(source.path(), 1, &config(EXPLORED))
        .run(&mut FakeEngine::default(), &mut trainer, &mut watch, &stop)
        .unwrap();
    let mut trainer = FakeTrainer::default();
    resume(killed.path(), 1)
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap();
    assert_eq!(trace(killed.path()), trace(source.path()));
}

#[test]
fn so_many_failures_in_a_row_end_the_run_which_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(EXPLORED);
    settings.budget.max_failures = 4;
    let mut trainer = FakeTrainer {
        failing: 2..100,
        ..FakeTrainer::default()
    };
    let stop = AtomicBool::new(false);
    let error = begin(folder.path(), 1, &settings)
        .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the last 4 candidates could not be evaluated, the last one because: worker 5 ended"
    );
    assert_eq!(trainer.jobs.len(), 5);
    let summary = finish(&mut resume(folder.path(), 1));
    assert_eq!(summary.end, EndReason::Explored);
    assert!(summary.counts.of(OutcomeKind::Failed) >= 4);
}

#[test]
fn a_screen_that_fails_belongs_to_its_candidate() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = FakeEngine {
        failing: 30..31,
        ..FakeEngine::default()
    };
    let stop = AtomicBool::new(false);
    let summary = begin(folder.path(), 1, &config(EXPLORED))
        .run(&mut engine, &mut FakeTrainer::default(), &mut (), &stop)
        .unwrap();
    assert_eq!(summary.counts.explored(), EXPLORED);
    let records = records(folder.path());
    let failed = records
        .iter()
        .filter(|record| record.outcome.to_string().contains("the metric panicked"));
    assert_eq!(
        failed.map(|record| record.branch).collect::<Vec<_>>(),
        [Some(0)]
    );
}

/// A run as the release before wrote it (version 2), cut after 250 candidates of the golden trace's seed.
fn run_of_version_2(folder: &Path) {
    let database = rusqlite::Connection::open(folder.join("run.db")).unwrap();
    database
        .execute_batch(include_str!("../fixtures/version-2.sql"))
        .unwrap();
    let spec = r#"{"plugins": ["/p/libtoy.so"], "task": "toy", "network": "net", "score": "mIoU",
        "data": null, "weights": null, "settings": {"size": 64}}"#;
    std::fs::write(folder.join("session.json"), spec).unwrap();
}

#[test]
fn a_run_of_the_release_before_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    run_of_version_2(folder.path());
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(
        (run.summary.explored, run.summary.score.as_str()),
        (250, "mIoU")
    );
    assert_eq!(run.spec.settings["size"], 64);
    let golden = include_str!("golden-trace.txt");
    assert_eq!(trace(folder.path()), lines(golden, 250));
    assert_eq!(version(folder.path()), 2);
}

#[test]
fn a_run_of_the_release_before_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    run_of_version_2(folder.path());
    finish(&mut resume(folder.path(), 1));
    assert_eq!(trace(folder.path()), include_str!("golden-trace.txt"));
    assert_eq!(version(folder.path()), 5);
    // The spec has become part of the database.
    std::fs::remove_file(folder.path().join("session.json")).unwrap();
    let spec = RunReader::open(folder.path()).unwrap().spec().unwrap();
    assert_eq!(
        (spec.score.as_str(), &spec.settings["size"]),
        ("mIoU", &64.into())
    );
}

fn lines(text: &str, count: usize) -> String {
    text.lines()
        .take(count)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn version(folder: &Path) -> i64 {
    let database = rusqlite::Connection::open(folder.join("run.db")).unwrap();
    database
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap()
}

/// What a run of version 4 and one of version 3 lack.
const AS_4: &str = "ALTER TABLE evaluations DROP COLUMN waited_seconds; PRAGMA user_version = 4;";
const AS_3: &str = "ALTER TABLE candidates DROP COLUMN settled_before;
    ALTER TABLE candidates DROP COLUMN settled_order;
    ALTER TABLE evaluations DROP COLUMN worker;
    DROP INDEX candidates_failed; DROP TABLE open; PRAGMA user_version = 3;";

#[test]
fn a_run_of_an_earlier_version_is_read_and_goes_on_exactly() {
    let settings = config(EXPLORED);
    let (_, expected) = whole_run(1, &settings);
    for earlier in [AS_4.to_owned(), format!("{AS_4}{AS_3}")] {
        let folder = tempfile::tempdir().unwrap();
        run_until(&mut begin(folder.path(), 1, &settings), 700);
        let database = rusqlite::Connection::open(folder.path().join("run.db")).unwrap();
        database.execute_batch(&earlier).unwrap();
        drop(database);
        let reader = RunReader::open(folder.path()).unwrap();
        assert_eq!(
            (reader.worked().unwrap(), reader.busy().unwrap()),
            (vec![], None)
        );
        assert_eq!(trace(folder.path()), lines(&expected, 700));
        finish(&mut resume(folder.path(), 1));
        assert_eq!(trace(folder.path()), expected);
        assert_eq!(version(folder.path()), 5);
    }
}
