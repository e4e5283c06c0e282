use std::collections::BTreeMap;

use autoloss_graph::{BranchName, Signature};

use super::*;
use crate::config::SearchConfig;
use crate::equivalence::GradientKey;
use crate::evaluation::{EvaluationOutcome, EvaluationVerdict};
use crate::propose::Origin;
use crate::task::{BranchSpec, TaskSpec};
use crate::timing::{Stage, StageTimes};
use crate::verdict::{CandidateId, Verdict};

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

pub(super) fn begun(folder: &Path) -> Store {
    let mut store = Store::create(folder).unwrap();
    store.begin(&header()).unwrap();
    store
}

pub(super) fn candidate(id: u64, verdict: Verdict) -> CandidateRecord {
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
        score: match verdict {
            Verdict::Scored { score } => Some(score),
            _ => None,
        },
        verdict,
        branch: None,
        passed: 1,
        joined: true,
        ends_child: true,
        times,
        elapsed: 1.5,
    }
}

pub(super) fn evaluation(candidate: u64) -> EvaluationRecord {
    EvaluationRecord {
        candidate: CandidateId(candidate),
        purpose: Purpose::Search,
        seed: 1,
        split: "reward".into(),
        losses: BTreeMap::from([("b0".into(), "yhat".into())]),
        outcome: EvaluationOutcome {
            verdict: EvaluationVerdict::Scored {
                score: 0.1 + 0.2,
                metrics: BTreeMap::from([("miou".into(), 0.1 + 0.7)]),
            },
            steps: 9,
            train_seconds: 0.1,
            eval_seconds: 0.2,
            look: Some(0.3),
            final_loss: None,
        },
        elapsed: 3.25,
    }
}

#[test]
fn what_is_written_is_read_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let records = [
        candidate(0, Verdict::Scored { score: 0.1 + 0.2 }),
        candidate(1, Verdict::Rejected { gain: 1.0 / 3.0 }),
        candidate(2, Verdict::Duplicate { of: CandidateId(0) }),
    ];
    for record in &records {
        store.push(record.clone(), Vec::new()).unwrap();
    }
    store.record_evaluation(&evaluation(0)).unwrap();
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
fn a_run_of_an_earlier_version_is_read_but_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    store.record_evaluation(&evaluation(0)).unwrap();
    store
        .reader()
        .connection()
        .execute_batch("ALTER TABLE evaluations DROP COLUMN look; PRAGMA user_version = 1")
        .unwrap();
    drop(store);
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("an earlier version (schema 1, this one writes 2)"),
        "{error}"
    );
    let reader = RunReader::open(folder.path()).unwrap();
    let evaluations = reader.evaluations(Purpose::Search).unwrap();
    assert_eq!((evaluations.len(), evaluations[0].outcome.look), (1, None));
}

#[test]
fn candidates_are_buffered_and_an_evaluation_writes_all_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = begun(folder.path());
    let reader = RunReader::open(folder.path()).unwrap();
    let stored = || reader.counts().unwrap().explored();
    store
        .push(candidate(0, Verdict::ZeroGradient), Vec::new())
        .unwrap();
    assert_eq!(stored(), 0);
    store.record_evaluation(&evaluation(1)).unwrap();
    assert_eq!(stored(), 1);
    for id in 1..=FLUSH_ROWS as u64 {
        store
            .push(candidate(id, Verdict::ZeroGradient), Vec::new())
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
                .push(candidate(id, Verdict::ZeroGradient), Vec::new())
                .err()
        })
        .unwrap();
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
        .push(candidate(0, Verdict::ZeroGradient), Vec::new())
        .unwrap();
    let error = store.flush().unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
}

#[test]
fn best_files_follow_the_ranking_and_leave_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = begun(folder.path());
    let best = |id| BestLoss {
        id: CandidateId(id),
        score: 0.5,
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
    store
        .write_best(&header().task, 1, &[best(3), best(1)])
        .unwrap();
    assert_eq!(
        files(),
        ["candidate-00000001.json", "candidate-00000003.json"]
    );
    std::fs::write(folder.path().join("best/notes.txt"), "mine").unwrap();
    store
        .write_best(&header().task, 1, &[best(7), best(3)])
        .unwrap();
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
    let uri = reader::immutable_uri(&odd.join("run.db"));
    let connection = Connection::open_with_flags(uri, flags).unwrap();
    let reader = RunReader::over(connection, &odd);
    assert_eq!(reader.header().unwrap(), header());
}
