use std::collections::BTreeMap;
use std::path::Path;

use autoloss_graph::{BranchName, Signature};
use autoloss_search::{
    BestLoss, BranchSpec, CandidateId, CandidateRecord, Evaluation, EvaluationKey,
    EvaluationRecord, Fitness, GradientKey, Journal, JournalError, Origin, Outcome, OutcomeKind,
    PluginIdentity, Provenance, Purpose, RunHeader, SearchConfig, Settled, Stage, StageTimes,
    TaskSpec,
};
use rusqlite::{Connection, OpenFlags};

use crate::reader::immutable_uri;
use crate::*;

fn header() -> RunHeader {
    let mut config = SearchConfig::default();
    config.budget.max_proxies = Some(3);
    RunHeader {
        task: TaskSpec {
            task: "toy".into(),
            network: "net".into(),
            branches: vec![BranchSpec {
                name: BranchName::new("b0").unwrap(),
                signature: Signature::dense(),
                scaled: false,
            }],
            conventions: Default::default(),
        },
        config,
        provenance: Provenance {
            plugins: vec![PluginIdentity {
                name: "toy".into(),
                version: "1.2.3".into(),
                sha256: "ab".into(),
            }],
            versions: BTreeMap::from([("libtorch".into(), "2.11.0".into())]),
        },
        created: 1_790_000_000,
    }
}

fn begun(folder: &Path) -> Store {
    let mut store = Store::create(folder).unwrap();
    store.begin(&header()).unwrap();
    store
}

fn candidate(id: u64, outcome: Outcome) -> CandidateRecord {
    let mut times = StageTimes::default();
    times.add(Stage::Probe, 12_345);
    CandidateRecord {
        id: CandidateId(id),
        child: CandidateId(id),
        parent: id.checked_sub(1).map(CandidateId),
        origins: vec![Origin::Insertion],
        losses: BTreeMap::from([("b0".into(), "neg(mul(y, log(yhat)))".into())]),
        canonical: Some(u64::MAX - id),
        key: Some(GradientKey::from_text("1.2e-3-")),
        fitness: outcome.fitness(),
        outcome,
        branch: None,
        passed: 1,
        joined: true,
        ends_child: true,
        late: None,
        times,
        elapsed: 1.5,
    }
}

fn scored(score: f64) -> Outcome {
    let fitness = Fitness::new(score).unwrap();
    Outcome::Scored { fitness }
}

/// A candidate of which nothing but the record is stored.
fn settled(record: CandidateRecord) -> Settled {
    Settled {
        record,
        graphs: Vec::new(),
        screens: Vec::new(),
    }
}

fn evaluation(candidate: u64) -> EvaluationRecord {
    EvaluationRecord {
        key: EvaluationKey {
            candidate: CandidateId(candidate),
            purpose: Purpose::Search,
            seed: 1,
            split: "reward".into(),
        },
        losses: BTreeMap::from([("b0".into(), "yhat".into())]),
        evaluation: Evaluation {
            steps: 9,
            train_seconds: 0.1,
            eval_seconds: 0.2,
            pruning_score: Some(0.3),
            ..Evaluation::scored(0.1 + 0.2, BTreeMap::from([("miou".into(), 0.1 + 0.7)]))
        },
        elapsed: 3.25,
    }
}

fn store_error(error: JournalError) -> StoreError {
    *error.downcast::<StoreError>().unwrap()
}

#[test]
fn what_is_written_is_read_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let records = [
        candidate(0, scored(0.1 + 0.2)),
        candidate(1, Outcome::Rejected { gain: 1.0 / 3.0 }),
        candidate(2, Outcome::Duplicate { of: CandidateId(0) }),
    ];
    for record in &records {
        store.settled(settled(record.clone())).unwrap();
    }
    store.evaluated(&evaluation(0)).unwrap();
    drop(store);

    let reader = RunReader::open(folder.path()).unwrap();
    assert_eq!(reader.header().unwrap(), header());
    let mut read = Vec::new();
    reader
        .for_each_candidate(|record| read.push(record))
        .unwrap();
    assert_eq!(read, records);
    let evaluations = reader.evaluations(Purpose::Search).unwrap();
    assert_eq!(evaluations, [evaluation(0)]);
    assert_eq!(reader.counts().unwrap().explored(), 3);
}

#[test]
fn a_run_of_version_1_is_read_but_cannot_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    store.evaluated(&evaluation(0)).unwrap();
    store
        .reader()
        .connection()
        .execute_batch(
            "ALTER TABLE evaluations DROP COLUMN look; ALTER TABLE run DROP COLUMN spec; \
             PRAGMA user_version = 1",
        )
        .unwrap();
    drop(store);
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("an earlier version (schema 1, this one writes 5)"),
        "{error}"
    );
    let reader = RunReader::open(folder.path()).unwrap();
    let evaluations = reader.evaluations(Purpose::Search).unwrap();
    let look = evaluations[0].evaluation.pruning_score;
    assert_eq!((evaluations.len(), look), (1, None));
}

#[test]
fn the_spec_is_part_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let spec = RunSpec {
        task: "toy".into(),
        score: "mIoU".into(),
        ..RunSpec::default()
    };
    let mut store = Store::create(folder.path())
        .unwrap()
        .with_spec(spec.clone());
    store.begin(&header()).unwrap();
    assert_eq!(store.reader().spec().unwrap(), spec);
    let run = Run::open(folder.path()).unwrap();
    assert_eq!((run.summary.score, run.spec), ("mIoU".into(), spec));
    assert_eq!(
        (run.summary.state, run.summary.failed),
        (RunState::Running, 0)
    );
}

#[test]
fn candidates_are_buffered_and_an_evaluation_writes_all_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let reader = RunReader::open(folder.path()).unwrap();
    let stored = || reader.counts().unwrap().explored();
    store
        .settled(settled(candidate(0, Outcome::ZeroGradient)))
        .unwrap();
    assert_eq!(stored(), 0);
    store.evaluated(&evaluation(1)).unwrap();
    assert_eq!(stored(), 1);
    for id in 1..=FLUSH_ROWS as u64 {
        store
            .settled(settled(candidate(id, Outcome::ZeroGradient)))
            .unwrap();
    }
    assert_eq!(stored(), 1 + FLUSH_ROWS as u64);
}

#[test]
fn a_full_disk_is_named_and_what_was_buffered_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let pages: i64 = store
        .reader()
        .connection()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let limit = |store: &Store, pages: i64| {
        let query = format!("PRAGMA max_page_count = {pages}");
        let set: i64 = store
            .reader()
            .connection()
            .query_row(&query, [], |row| row.get(0))
            .unwrap();
        assert_eq!(set, pages);
    };
    limit(&store, pages);
    let error = (0..FLUSH_ROWS as u64)
        .find_map(|id| {
            store
                .settled(settled(candidate(id, Outcome::ZeroGradient)))
                .err()
        })
        .unwrap();
    let error = store_error(error);
    let message = error.to_string();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{message}");
    assert!(message.contains(&folder.path().display().to_string()));
    limit(&store, 10_000);
    store.flush().unwrap();
    assert_eq!(
        store.reader().counts().unwrap().explored(),
        FLUSH_ROWS as u64
    );
}

#[test]
fn a_database_that_may_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    store
        .reader()
        .connection()
        .execute_batch("PRAGMA query_only = 1")
        .unwrap();
    store
        .settled(settled(candidate(0, Outcome::ZeroGradient)))
        .unwrap();
    let error = store_error(store.flush().unwrap_err());
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
}

#[test]
fn best_files_follow_the_ranking_and_leave_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let best = |id| BestLoss {
        id: CandidateId(id),
        fitness: Fitness::new(0.5).unwrap(),
        losses: BTreeMap::from([("b0".into(), "yhat".into())]),
    };
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(folder.path().join("best"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    store.best(&[best(3), best(1)]).unwrap();
    assert_eq!(
        files(),
        ["candidate-00000001.json", "candidate-00000003.json"]
    );
    std::fs::write(folder.path().join("best/notes.txt"), "mine").unwrap();
    store.best(&[best(7), best(3)]).unwrap();
    assert_eq!(
        files(),
        [
            "candidate-00000003.json",
            "candidate-00000007.json",
            "notes.txt"
        ]
    );
}

#[test]
fn a_loss_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loss.json");
    std::fs::create_dir(&path).unwrap();
    let file = autoloss_graph::LossFile::new("toy", BTreeMap::new());
    assert!(matches!(
        write_loss_file(&path, &file),
        Err(StoreError::Io { .. })
    ));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the temporary file is gone");
}

#[test]
fn a_run_can_be_read_where_nothing_may_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a run? 100% #1");
    drop(begun(&odd));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let uri = immutable_uri(&odd.join("run.db"));
    let connection = Connection::open_with_flags(uri, flags).unwrap();
    let reader = RunReader::over(connection, &odd);
    assert_eq!(reader.header().unwrap(), header());
}

#[test]
fn what_a_killed_run_wrote_last_is_read_where_nothing_may_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let (alive, copied) = (folder.path().join("alive"), folder.path().join("copied"));
    let mut store = begun(&alive);
    for id in 0..40 {
        store
            .settled(settled(candidate(id, Outcome::ZeroGradient)))
            .unwrap();
    }
    store.flush().unwrap();
    // As a kill leaves it, copied without its index.
    std::fs::create_dir(&copied).unwrap();
    for name in ["run.db", "run.db-wal"] {
        std::fs::copy(alive.join(name), copied.join(name)).unwrap();
    }
    let log = copied.join("run.db-wal");
    assert!(log.metadata().unwrap().len() > 0);
    let reader = RunReader::of_copy(&copied, &log).unwrap();
    assert_eq!(reader.explored().unwrap(), 40);
    assert_eq!(reader.folder(), copied);
    assert!(!copied.join("run.db-shm").exists());
    let missing = RunReader::of_copy(&copied, &copied.join("gone")).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("gone holds what the run wrote last"),
        "{missing}"
    );
}

#[test]
fn a_tally_that_is_brought_up_to_date_equals_one_made_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let mut tally = Tally::default();
    store.reader().update(&mut tally).unwrap();
    assert_eq!(tally, Tally::default());
    let outcomes = [
        Outcome::NonFinite { step: None },
        Outcome::NonFinite { step: Some(3) },
        Outcome::ZeroGradient,
        scored(0.5),
    ];
    for (id, outcome) in outcomes.into_iter().cycle().take(10).enumerate() {
        store
            .settled(settled(candidate(id as u64, outcome)))
            .unwrap();
        store.flush().unwrap();
        store.reader().update(&mut tally).unwrap();
    }
    let mut whole = Tally::default();
    store.reader().update(&mut whole).unwrap();
    assert_eq!(tally, whole);
    assert_eq!(tally.counts, store.reader().counts().unwrap());
    assert_eq!(tally.counts.of(OutcomeKind::NonFinite), 6);
    assert_eq!(tally.non_finite_in_protocol, 3);
}

#[test]
fn the_pace_has_both_ends_and_outcomes_come_by_stretch() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    assert_eq!(store.reader().pace(5).unwrap(), []);
    assert_eq!(store.reader().explored().unwrap(), 0);
    for id in 0..100 {
        let mut record = candidate(id, Outcome::ZeroGradient);
        record.elapsed = id as f64;
        store.settled(settled(record)).unwrap();
    }
    store.flush().unwrap();
    let stretches = store.reader().outcomes(40).unwrap();
    let zero = OutcomeKind::ZeroGradient;
    assert_eq!(stretches, [(0, zero, 40), (1, zero, 40), (2, zero, 20)]);
    assert_eq!(store.reader().explored().unwrap(), 100);
    let pace = store.reader().pace(4).unwrap();
    assert_eq!(pace, [(1, 0.0), (34, 33.0), (67, 66.0), (100, 99.0)]);
    assert_eq!(store.reader().pace(1000).unwrap().len(), 100);
}

#[test]
fn trainings_are_added_up_and_a_run_in_use_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    for id in 0..3 {
        store.evaluated(&evaluation(id)).unwrap();
    }
    let reader = RunReader::open(folder.path()).unwrap();
    let effort = reader.effort(Purpose::Search).unwrap();
    assert_eq!((effort.trainings, effort.steps), (3, 27));
    assert!((effort.train_seconds - 0.3).abs() < 1e-12);
    assert_eq!(
        reader.effort(Purpose::Confirmation).unwrap(),
        Effort::default()
    );
    let found = reader.search_evaluation(CandidateId(2)).unwrap();
    assert_eq!(found, Some(evaluation(2)));
    assert_eq!(reader.search_evaluation(CandidateId(9)).unwrap(), None);
    assert!(reader.in_use());
    drop(store);
    assert!(!reader.in_use());
}

#[test]
fn the_median_of_random_losses_ends_where_pruning_begins() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    assert_eq!(store.reader().random_median().unwrap(), None);
    let losses = [
        (scored(0.3), None, Origin::Fresh),
        (scored(0.9), Some(CandidateId(0)), Origin::Insertion),
        (scored(0.1), None, Origin::Fresh),
        (Outcome::Rejected { gain: 0.5 }, None, Origin::Fresh),
        (scored(0.2), None, Origin::Fresh),
        (Outcome::StoppedEarly { step: 9 }, None, Origin::Fresh),
        (scored(0.0), None, Origin::Fresh),
    ];
    for (id, (outcome, parent, origin)) in losses.into_iter().enumerate() {
        let mut record = candidate(id as u64, outcome);
        (record.parent, record.origins) = (parent, vec![origin]);
        store.settled(settled(record)).unwrap();
    }
    store.flush().unwrap();
    let (fitness, _) = store.reader().random_median().unwrap().unwrap();
    assert_eq!(fitness.score(), 0.2);
    assert!(store.reader().has_children().unwrap());
}
