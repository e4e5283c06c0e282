use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use autoloss_run::{Findings, Store};
use autoloss_search::{
    BestLoss, Confirmed, Contender, FinalTable, Fitness, Job, KnownAs, OutcomeKind, Promoted,
    Provenance, Purpose, Search, SecondStage,
};

use super::support::*;

#[test]
fn the_best_are_measured_again_with_other_seeds_on_another_split() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(3000);
    settings.confirmation.top = 8;
    let mut search = begin(folder.path(), 1, &settings);
    let summary = finish(&mut search);
    let stop = AtomicBool::new(false);
    let mut trainer = FakeTrainer::default();
    let confirmed = search
        .confirm(None, &mut trainer, &mut (), &stop)
        .unwrap()
        .unwrap();
    assert_eq!(confirmed.len(), 8);
    // Eight with one seed, four of them with two more, two of these with four more.
    let seeds: Vec<u64> = trainer.jobs.iter().map(|job| job.seed).collect();
    assert_eq!(seeds[..8], [8; 8]);
    assert_eq!(seeds[8..16], [9, 10].repeat(4));
    assert_eq!(seeds[16..], [11, 12, 13, 14].repeat(2));
    assert!(trainer.jobs.iter().all(|job| job.split == "selection"));
    for entry in &confirmed {
        assert!(summary.best[..8].contains(&entry.loss));
    }
    let lasting: Vec<_> = confirmed
        .iter()
        .filter(|entry| entry.mean().is_some())
        .collect();
    let counts: Vec<usize> = lasting
        .iter()
        .map(|entry| entry.evaluations.len())
        .collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    // Of those that stayed equally long the better goes first.
    for pair in lasting.windows(2) {
        let equal = pair[0].evaluations.len() == pair[1].evaluations.len();
        assert!(!equal || pair[0].mean() >= pair[1].mean());
    }

    // A second call finds everything in the store.
    drop(search);
    let mut search = resume(folder.path(), 1);
    let mut idle = FakeTrainer::default();
    let again = search.confirm(None, &mut idle, &mut (), &stop).unwrap();
    // Except for what failed, which may go well now.
    assert_eq!(idle.jobs.len(), failures(&confirmed));
    assert_eq!(again, Some(confirmed));
    let stored = search.journal().reader().evaluations(Purpose::Confirmation);
    assert_eq!(stored.unwrap().len(), 24);
}

#[test]
fn losses_of_one_direction_are_not_all_measured_again() {
    let mut settings = config(3000);
    settings.equivalence.near = 0.0;
    settings.confirmation.apart = 0.05;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let mut toy = task(1);
    toy.branches[0].scaled = true;
    let mut search = Search::new(toy, settings, Provenance::default(), store).unwrap();
    let mut engine = FakeEngine {
        sketched: true,
        ..FakeEngine::default()
    };
    let (mut trainer, stop) = (FakeTrainer::default(), AtomicBool::new(false));
    let summary = search
        .run(&mut engine, &mut trainer, &mut (), &stop)
        .unwrap();
    let confirmed = search.confirm(None, &mut trainer, &mut (), &stop).unwrap();
    let confirmed: Vec<BestLoss> = confirmed.unwrap().into_iter().map(|c| c.loss).collect();
    let steps = |loss: &BestLoss| -> Vec<f64> {
        let record = search.journal().reader().candidate(loss.id).unwrap();
        let key = record.key.unwrap();
        key.as_str()
            .split(',')
            .map(|step| step.parse().unwrap())
            .collect()
    };
    let close = |a: &BestLoss, b: &BestLoss| {
        let (a, b) = (steps(a), steps(b));
        let squares: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
        0.02 * (squares / a.len() as f64).sqrt() < 0.05
    };
    assert_eq!(confirmed.len(), 8);
    for (n, loss) in confirmed.iter().enumerate() {
        assert!(!confirmed[..n].iter().any(|other| close(loss, other)));
    }
    let worst = confirmed.iter().map(|loss| loss.fitness).min().unwrap();
    let better = summary.best.iter().filter(|loss| loss.fitness > worst);
    let passed: Vec<_> = better.filter(|loss| !confirmed.contains(loss)).collect();
    assert!(!passed.is_empty());
    for loss in passed {
        assert!(
            confirmed
                .iter()
                .any(|other| other.fitness >= loss.fitness && close(loss, other))
        );
    }
}

#[test]
fn a_stopped_confirmation_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &config(3000));
    finish(&mut search);
    let stop = AtomicBool::new(false);
    let mut trainer = FakeTrainer {
        interrupt_at: Some(5),
        ..FakeTrainer::default()
    };
    assert_eq!(
        search.confirm(None, &mut trainer, &mut (), &stop).unwrap(),
        None
    );
    let mut rest = FakeTrainer::default();
    let confirmed = search
        .confirm(None, &mut rest, &mut (), &stop)
        .unwrap()
        .unwrap();
    assert_eq!(confirmed.len(), 8);
    // What failed of the four that had ended is tried again.
    let ended = trainer.jobs.iter().take(4).map(evaluation);
    let failed = ended.filter(|ended| ended.outcome.kind() == OutcomeKind::Failed);
    assert_eq!(rest.jobs.len(), 24 - 4 + failed.count());
}

fn cross_entropy() -> Contender {
    Contender {
        name: "cross entropy".into(),
        losses: BTreeMap::from([("b0".to_owned(), "neg(mul(y, log(yhat)))".to_owned())]),
    }
}

fn failures(confirmed: &[Confirmed]) -> usize {
    let evaluations = confirmed.iter().flat_map(|loss| &loss.evaluations);
    evaluations
        .filter(|evaluation| evaluation.outcome.kind() == OutcomeKind::Failed)
        .count()
}

#[test]
fn the_final_table_has_the_best_first_and_the_same_seeds_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &config(3000));
    finish(&mut search);
    let table = FinalTable {
        split: "test".into(),
        score: "miou".into(),
        found: "found".into(),
        fixed: BTreeMap::from([("held".to_owned(), "@l1".to_owned())]),
        others: vec![cross_entropy()],
        ..FinalTable::default()
    };
    let stop = AtomicBool::new(false);
    let mut trainer = FakeTrainer::default();
    let conclusion = search
        .conclude(&table, &mut trainer, &mut (), &stop)
        .unwrap()
        .unwrap();
    let chosen = conclusion.chosen.unwrap();
    let names: Vec<&str> = conclusion
        .rows
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    assert_eq!(names, ["found", "cross entropy"]);
    assert_eq!(conclusion.rows[0].losses["b0"], chosen.loss.losses["b0"]);
    assert_eq!(conclusion.rows[0].losses["held"], "@l1");
    let tested: Vec<_> = trainer
        .jobs
        .iter()
        .filter(|job| job.split == "test")
        .collect();
    let seeds: Vec<u64> = tested.iter().map(|job| job.seed).collect();
    // After those of the confirmation.
    assert_eq!(seeds, [15, 16, 17, 18, 19, 20].repeat(2));
    assert_eq!(conclusion.seeds, seeds[..6]);
    assert!(tested.iter().all(|job| job.budget.eval_images == 0));
    for (row, jobs) in conclusion.rows.iter().zip(tested.chunks(6)) {
        let scores = |job: &&Job| evaluation(job).fitness().map(Fitness::score);
        let expected: Vec<_> = jobs.iter().map(scores).collect();
        let found: Vec<_> = row
            .scores
            .iter()
            .map(|s| s.as_ref().map(|s| s["miou"]))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_best_new_loss_has_a_row_and_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &config(3000));
    let summary = finish(&mut search);
    let best = search.journal().reader().best(10).unwrap();
    let mut others = Vec::new();
    let chosen_as = |new: &BestLoss, others: &[Contender], search: &mut Search<Store>| {
        let known = KnownAs {
            loss: "cross entropy".into(),
            factor: 2.0,
        };
        let named = |loss: &BestLoss| (loss.id, BTreeMap::from([("b0".to_owned(), known.clone())]));
        let table = FinalTable {
            split: "test".into(),
            score: "miou".into(),
            found: "found".into(),
            known: best
                .iter()
                .filter(|l| l.id != new.id)
                .map(named)
                .chain([(new.id, BTreeMap::new())])
                .collect(),
            new: Some(new.clone()),
            others: others.to_vec(),
            ..FinalTable::default()
        };
        let (mut trainer, stop) = (FakeTrainer::default(), AtomicBool::new(false));
        let conclusion = search.conclude(&table, &mut trainer, &mut (), &stop);
        let mut findings = Findings::of_search(search.journal(), &summary, "miou").unwrap();
        let conclusion = conclusion.unwrap().unwrap();
        findings
            .conclude(search.journal(), conclusion, &table)
            .unwrap();
        findings
    };
    let (mut trainer, stop) = (FakeTrainer::default(), AtomicBool::new(false));
    let confirmed = search.confirm(None, &mut trainer, &mut (), &stop).unwrap();
    let confirmed = confirmed.unwrap();
    let mut worse = confirmed.iter().skip(1).rev();
    let worse = worse
        .find(|loss| loss.mean().is_some())
        .unwrap()
        .loss
        .clone();
    let findings = chosen_as(&worse, &others, &mut search);
    let names: Vec<&str> = findings.test.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["found", "best new"]);
    assert_eq!(findings.test[1].losses, worse.losses);
    let (chosen, new) = (findings.best.unwrap(), findings.best_new.unwrap());
    assert_eq!(chosen.known["b0"].to_string(), "2.00 × cross entropy");
    assert!(new.known.is_empty() && new.selection.is_some());
    assert_eq!(new.candidate, worse.id.to_string());
    let file = std::fs::read_to_string(folder.path().join("best_new.json")).unwrap();
    assert!(file.contains(&worse.losses["b0"]), "{file}");
    let file = std::fs::read_to_string(folder.path().join("best.json")).unwrap();
    assert!(
        file.contains("known_as") && file.contains("cross entropy"),
        "{file}"
    );

    let first = best
        .iter()
        .find(|loss| loss.id.to_string() == chosen.candidate);
    let findings = chosen_as(first.unwrap(), &others, &mut search);
    assert_eq!(findings.test.len(), 1);
    assert_eq!(findings.best_new, findings.best);

    // The chosen loss is a reference that has a row already.
    others.push(cross_entropy());
    let findings = chosen_as(&worse, &others, &mut search);
    let names: Vec<&str> = findings.test.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["best new", "cross entropy"]);
    assert_eq!(findings.test[0].losses, worse.losses);
}

#[test]
fn the_second_stage_chooses_and_its_trainings_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = begin(folder.path(), 1, &config(3000));
    finish(&mut search);
    let table = FinalTable {
        split: "test".into(),
        score: "miou".into(),
        found: "found".into(),
        second: Some(SecondStage {
            network: "real".into(),
            run_spec: "longer".into(),
            top: 3,
            seeds: 2,
            references: vec![cross_entropy()],
            ..SecondStage::default()
        }),
        others: vec![cross_entropy()],
        ..FinalTable::default()
    };
    let stop = AtomicBool::new(false);
    let mut trainer = FakeTrainer::default();
    let conclusion = search.conclude(&table, &mut trainer, &mut (), &stop);
    let conclusion = conclusion.unwrap().unwrap();
    let long: Vec<&Job> = trainer
        .jobs
        .iter()
        .filter(|job| job.network == "real")
        .collect();
    assert_eq!(long.len(), 2 * 4);
    assert!(
        long.iter()
            .all(|job| job.run_spec == "longer" && job.split == "selection")
    );
    let names: Vec<&str> = conclusion
        .second
        .iter()
        .map(|loss| loss.name.as_str())
        .collect();
    assert!(
        names.contains(&"cross entropy") && names.len() == 4,
        "{names:?}"
    );
    let means: Vec<Option<f64>> = conclusion.second.iter().map(|loss| loss.mean()).collect();
    assert!(means.is_sorted_by(|a, b| a >= b), "{means:?}");
    let first = conclusion.second.iter().find_map(|loss| loss.candidate);
    assert_eq!(conclusion.chosen.as_ref().map(|loss| loss.loss.id), first);

    // Except for what failed, which may go well now.
    drop(search);
    let mut search = resume(folder.path(), 1);
    let mut again = FakeTrainer::default();
    search.conclude(&table, &mut again, &mut (), &stop).unwrap();
    let long = again
        .jobs
        .iter()
        .filter(|job| job.network == "real")
        .count();
    let failed = |loss: &Promoted| {
        let evaluations = loss.evaluations.iter();
        let failed = evaluations.filter(|e| e.outcome.kind() == OutcomeKind::Failed);
        failed.count()
    };
    assert_eq!(long, conclusion.second.iter().map(failed).sum::<usize>());

    // What is a multiple of the reference has the reference's trainings.
    let known = KnownAs {
        loss: "cross entropy".into(),
        factor: 2.0,
    };
    let id = first.unwrap();
    let table = FinalTable {
        known: BTreeMap::from([(id, BTreeMap::from([("b0".to_owned(), known)]))]),
        ..table
    };
    let mut idle = FakeTrainer::default();
    let named = search.conclude(&table, &mut idle, &mut (), &stop);
    let second = named.unwrap().unwrap().second;
    let of = |candidate| {
        let mut found = second.iter().filter(|loss| loss.candidate == candidate);
        &found.next().unwrap().evaluations
    };
    assert_eq!(of(Some(id)), of(None));
    let others = |loss: &&Promoted| loss.candidate.is_none_or(|candidate| candidate != id);
    let before: Vec<_> = conclusion.second.iter().filter(others).collect();
    assert_eq!(second.iter().filter(others).collect::<Vec<_>>(), before);
}
