use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use autoloss_graph::LossGraph;
use autoloss_run::{RunReader, Tally, Verification};
use autoloss_search::{
    CandidateId, CandidateRecord, Event, Fault, Gain, Job, Probe, Purpose, Screener, SearchConfig,
    Summary, Timed, Work,
};

use super::support::*;

fn three_workers() -> SearchConfig {
    SearchConfig {
        workers: 3,
        ..config(1500)
    }
}

fn search(settings: &SearchConfig, folder: &Path, trainer: &mut FakeTrainer) -> Summary {
    let stop = AtomicBool::new(false);
    begin(folder, 1, settings)
        .run(&mut FakeEngine::default(), trainer, &mut (), &stop)
        .unwrap()
}

fn verified(folder: &Path) -> Verification {
    let verification = Verification::of(&RunReader::open(folder).unwrap()).unwrap();
    assert!(verification.is_sound(), "{verification:?}");
    verification
}

/// Whether others were proposed before its outcome was known.
fn is_late(record: &CandidateRecord) -> bool {
    let late = record.late;
    late.is_some_and(|late| late.before > CandidateId(record.id.0 + 1))
}

/// Whichever training ends first: proposals follow from what was settled before them.
#[test]
fn a_run_follows_from_the_order_in_which_it_was_settled() {
    let mut traces = BTreeSet::new();
    for backwards in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut trainer = FakeTrainer {
            backwards,
            ..FakeTrainer::default()
        };
        let mut settings = three_workers();
        // The best are trained twice, so that several are settled before the same candidate.
        settings.proxy.repeat_best = true;
        let summary = search(&settings, folder.path(), &mut trainer);
        assert_eq!(summary.counts.explored(), 1500);
        let verification = verified(folder.path());
        assert_eq!((verification.explored, verification.open), (1500, 0));
        let records = records(folder.path());
        assert!(records.iter().any(is_late));
        traces.insert(trace(folder.path()));
    }
    assert_eq!(traces.len(), 2, "the order decides something");
}

/// A run that was changed afterwards is told from one that was not.
#[test]
fn what_was_not_proposed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    search(&three_workers(), folder.path(), &mut FakeTrainer::default());
    let records = records(folder.path());
    let late = records
        .iter()
        .find(|record| record.joined && is_late(record));
    let connection = rusqlite::Connection::open(folder.path().join("run.db")).unwrap();
    connection
        .execute(
            "UPDATE candidates SET score = score + 1 WHERE id = ?1",
            [late.unwrap().id.0 as i64],
        )
        .unwrap();
    drop(connection);
    let verification = Verification::of(&RunReader::open(folder.path()).unwrap()).unwrap();
    assert!(verification.different > 0);
    let first = &verification.deviations[0];
    assert!(first.candidate > late.unwrap().id && first.proposed != first.stored);
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
fn as_many_trainings_run_as_the_executor_takes() {
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

/// Killed at any training: the run goes on with the candidates that were open, repeats no training that had ended, and
/// loses none.
#[test]
fn a_killed_run_keeps_what_was_open_and_what_had_ended() {
    let settings = three_workers();
    for cut in [1usize, 2, 4, 8, 20] {
        let folder = tempfile::tempdir().unwrap();
        let (source, killed) = (folder.path().join("run"), folder.path().join("killed"));
        run_killed_at(cut, &source, &killed, &settings);
        let before = RunReader::open(&killed).unwrap();
        let open = before.open_candidates().unwrap();
        assert!(!open.is_empty());
        let ended = before.evaluations(Purpose::Search).unwrap();
        assert_eq!(ended.len(), cut);
        drop(before);

        let mut trainer = FakeTrainer::default();
        let stop = AtomicBool::new(false);
        let summary = resume(&killed, 1)
            .run(&mut FakeEngine::default(), &mut trainer, &mut (), &stop)
            .unwrap();
        assert_eq!(verified(&killed).open, 0);
        let records = records(&killed);
        assert_eq!(records.len() as u64, summary.counts.explored());
        for open in open {
            let record = &records[open.id.0 as usize];
            assert_eq!((&record.losses, record.child), (&open.losses, open.child));
        }
        let again = RunReader::open(&killed).unwrap();
        let again = again.evaluations(Purpose::Search).unwrap();
        assert!(ended.iter().all(|record| again.contains(record)));
        let repeated = |job: &Job| ended.iter().any(|record| record.losses == job.losses);
        assert!(!trainer.jobs.iter().any(repeated), "cut at {cut}");
        assert_eq!(trainer.jobs.len() + cut, summary.counts.proxies() as usize);
    }
}

/// Stopped between any two candidates, again and again.
#[test]
fn a_run_that_is_stopped_often_stays_sound() {
    let settings = three_workers();
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 1, &settings));
    for step in [3, 50, 1, 120, 7, 200] {
        run_until(&mut resume(folder.path(), 1), step);
        verified(folder.path());
    }
    let mut search = resume(folder.path(), 1);
    run_until(&mut search, 30);
    let summary = finish(&mut search);
    assert_eq!(summary.counts.explored(), 1500);
    assert_eq!(verified(folder.path()).explored, 1500);
}

/// A tally that is brought up to date while trainings are open comes to what one of the whole run does.
#[test]
fn a_tally_counts_what_is_settled_late() {
    let folder = tempfile::tempdir().unwrap();
    let (mut tally, mut whole) = (Tally::default(), Tally::default());
    let reader = std::cell::OnceCell::new();
    let mut watch = Watch(|event: &Event<'_>| {
        if let Event::EvaluationStarted { .. } = event {
            let reader = reader.get_or_init(|| RunReader::open(folder.path()).unwrap());
            reader.update(&mut tally).unwrap();
        }
    });
    let stop = AtomicBool::new(false);
    let summary = begin(folder.path(), 1, &three_workers())
        .run(
            &mut FakeEngine::default(),
            &mut FakeTrainer::default(),
            &mut watch,
            &stop,
        )
        .unwrap();
    let reader = reader.get().unwrap();
    reader.update(&mut tally).unwrap();
    reader.update(&mut whole).unwrap();
    assert_eq!(tally, whole);
    assert_eq!(tally.counts.explored(), summary.counts.explored());
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
