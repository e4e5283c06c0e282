use std::collections::{BTreeMap, BTreeSet};

use autoloss_run::RunReader;
use autoloss_search::{
    CandidateId, CandidateRecord, EndReason, Job, OutcomeKind, Purpose, SearchConfig, SearchMethod,
};

use super::support::*;

fn run(branches: usize, config: &SearchConfig) -> (tempfile::TempDir, Vec<CandidateRecord>) {
    let folder = tempfile::tempdir().unwrap();
    finish(&mut begin(folder.path(), branches, config));
    let records = records(folder.path());
    (folder, records)
}

#[test]
fn stored_scores_are_the_recomputed_ones() {
    let (folder, records) = run(2, &config(6000));
    let reader = RunReader::open(folder.path()).unwrap();
    let evaluations = reader.evaluations(Purpose::Search).unwrap();
    let by_id: BTreeMap<CandidateId, _> =
        evaluations.iter().map(|e| (e.key.candidate, e)).collect();
    let header = reader.header().unwrap();
    let mut scored = 0;
    for record in &records {
        let Some(fitness) = record.outcome.fitness() else {
            assert!(record.outcome.of().is_some() || record.fitness.is_none());
            continue;
        };
        scored += 1;
        let job = Job {
            task: header.task.task.clone(),
            network: header.task.network.clone(),
            run_spec: String::new(),
            losses: record.losses.clone(),
            budget: header.config.proxy.budget.clone(),
            seed: header.config.seed,
            split: header.config.proxy.split.clone(),
            stop_invalid: header.config.proxy.stop_invalid,
            pruning: None,
            keep: None,
            checkpoints: None,
        };
        assert_eq!(evaluation(&job).fitness(), Some(fitness));
        assert_eq!(record.fitness, Some(fitness));
        assert_eq!(by_id[&record.id].evaluation.fitness(), Some(fitness));
        assert_eq!(by_id[&record.id].losses, record.losses);
    }
    assert!(scored > 20, "only {scored} were scored");
    let files: Vec<_> = std::fs::read_dir(folder.path().join("best"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(files.len(), header.config.keep_best);
    for best in reader.best(header.config.keep_best).unwrap() {
        let score = format!("\"score\": {}", best.fitness);
        assert!(files.iter().any(|file| file.contains(&score)), "{score}");
    }
}

#[test]
fn repeats_point_to_the_evaluated_one_and_share_its_score() {
    let (_folder, records) = run(1, &config(3000));
    let (mut duplicates, mut equivalents, mut joined) = (0, 0, 0);
    for record in &records {
        let Some(of) = record.outcome.of() else {
            continue;
        };
        let original = &records[of.0 as usize];
        assert!(original.id < record.id);
        assert_eq!(original.outcome.of(), None, "chains are resolved");
        assert_eq!(record.fitness, original.fitness);
        let same = canonical_hash(0, &graph(0, &record.losses["b0"]))
            == canonical_hash(0, &graph(0, &original.losses["b0"]));
        match record.outcome.kind() {
            OutcomeKind::Duplicate if original.key == record.key => duplicates += 1,
            OutcomeKind::Equivalent => {
                assert!(!same, "an equal form would be a duplicate");
                assert_eq!(record.key, original.key);
                equivalents += 1;
            }
            _ => {}
        }
        joined += usize::from(record.joined);
    }
    assert!(duplicates > 10 && equivalents > 10 && joined > 3);
}

#[test]
fn only_what_has_a_score_joins_and_no_child_repeats_its_parent() {
    let (_folder, records) = run(1, &config(3000));
    for record in records.iter().filter(|record| record.joined) {
        assert!(record.fitness.is_some());
        assert!(record.ends_child);
        if let Some(parent) = record.parent {
            let parent = &records[parent.0 as usize];
            assert!(parent.joined);
            assert_ne!(parent.canonical, record.canonical);
        }
    }
    let initial: Vec<_> = records.iter().filter(|r| r.joined).take(4).collect();
    assert!(
        initial
            .iter()
            .all(|r| r.parent.is_none() && r.outcome.kind() == OutcomeKind::Scored)
    );
    assert!(records.iter().any(|record| record.parent.is_some()));
}

#[test]
fn no_form_and_no_gradient_is_evaluated_twice_unless_it_failed() {
    let (_folder, records) = run(1, &config(3000));
    let mut forms = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for record in records
        .iter()
        .filter(|r| r.outcome.kind().evaluated() && r.outcome.kind() != OutcomeKind::Failed)
    {
        assert!(forms.insert(record.canonical.unwrap()));
        assert!(keys.insert(record.key.clone().unwrap()));
    }
    assert!(forms.len() > 20);
}

#[test]
fn parents_lie_within_the_population() {
    let (_folder, records) = run(1, &config(3000));
    let mut members: Vec<CandidateId> = Vec::new();
    for record in &records {
        if let Some(parent) = record.parent {
            let oldest = members.len().saturating_sub(12);
            assert!(members[oldest..].contains(&parent), "{}", record.id);
        }
        if record.joined {
            members.push(record.id);
        }
    }
    assert!(members.len() > 12, "nobody aged");
}

#[test]
fn branches_that_passed_stay_until_the_others_do() {
    let (_folder, records) = run(3, &config(6000));
    for pair in records.windows(2) {
        let [before, after] = pair else { continue };
        if before.child != after.child || before.passed == 0b111 {
            continue;
        }
        for (index, name) in ["b0", "b1", "b2"].into_iter().enumerate() {
            if before.passed & (1 << index) != 0 {
                assert_eq!(before.losses[name], after.losses[name], "{}", after.id);
                assert_ne!(after.passed & (1 << index), 0);
            }
        }
    }
    let scored: Vec<_> = records.iter().filter(|r| r.fitness.is_some()).collect();
    assert!(scored.len() > 5, "{} scored", scored.len());
    for record in scored {
        assert_eq!(record.passed, 0b111);
        let changed = record
            .origins
            .iter()
            .filter(|o| **o != autoloss_search::Origin::Inherited);
        assert!(changed.count() >= 1);
    }
}

#[test]
fn random_search_never_mutates() {
    let mut settings = config(1500);
    settings.evolution.strategy = SearchMethod::Random;
    let (_folder, records) = run(1, &settings);
    assert!(records.iter().all(|record| record.parent.is_none()));
    assert!(
        records
            .iter()
            .filter(|r| r.outcome.kind().evaluated())
            .count()
            > 5
    );
}

#[test]
fn a_task_that_rejects_everything_ends_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(1_000_000);
    settings.evolution.max_proposals = 250;
    let mut engine = FakeEngine {
        rejects_all: true,
        ..FakeEngine::default()
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let summary = begin(folder.path(), 1, &settings)
        .run(&mut engine, &mut FakeTrainer::default(), &mut (), &stop)
        .unwrap();
    assert_eq!(summary.end, EndReason::Exhausted { attempts: 250 });
    assert_eq!(summary.counts.explored(), 250);
    // Resumed, it says so again instead of trying as often once more.
    let again = finish(&mut resume(folder.path(), 1));
    assert_eq!(again.end, EndReason::Exhausted { attempts: 250 });
    assert_eq!(again.counts.explored(), 250);
}

#[test]
fn lineage_leads_back_to_a_fresh_loss() {
    let (folder, records) = run(1, &config(3000));
    let reader = RunReader::open(folder.path()).unwrap();
    let last = records
        .iter()
        .rfind(|record| record.parent.is_some())
        .unwrap();
    let line = reader.lineage(last.id).unwrap();
    assert!(line.len() > 1);
    assert_eq!(&line[0], last);
    assert_eq!(line.last().unwrap().parent, None);
    for pair in line.windows(2) {
        assert_eq!(pair[0].parent, Some(pair[1].id));
    }
    assert!(reader.lineage(CandidateId(999_999)).is_err());
}

#[test]
fn the_curve_rises_and_ends_at_the_best() {
    let (folder, records) = run(1, &config(1500));
    let reader = RunReader::open(folder.path()).unwrap();
    let curve = reader.curve().unwrap();
    let evaluated = records
        .iter()
        .filter(|r| r.outcome.kind().evaluated())
        .count();
    assert_eq!(curve.len(), evaluated);
    assert!(curve.windows(2).all(|pair| pair[0].best <= pair[1].best));
    let best = reader.best(1).unwrap();
    assert_eq!(curve.last().unwrap().best, Some(best[0].fitness.score()));
}
