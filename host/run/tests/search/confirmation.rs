use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use autoloss_run::{Findings, Store};
use autoloss_search::{
    BestLoss, Confirmed, Contender, FinalTable, Fitness, Job, KnownAs, OutcomeKind, Purpose, Search,
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
        .confirm(&mut trainer, &mut (), &stop)
        .unwrap()
        .unwrap();
    assert_eq!(confirmed.len(), 8);
    assert_eq!(trainer.jobs.len(), 8 * 3);
    for job in &trainer.jobs {
        assert_eq!(job.split, "selection");
        assert!((8..=10).contains(&job.seed), "seed {}", job.seed);
    }
    for entry in &confirmed {
        assert!(summary.best[..8].contains(&entry.loss));
        assert_eq!(entry.evaluations.len(), 3);
    }
    let means: Vec<_> = confirmed.iter().filter_map(|entry| entry.mean()).collect();
    assert!(means.len() > 1 && means.windows(2).all(|pair| pair[0] >= pair[1]));

    // A second call finds everything in the store.
    drop(search);
    let mut search = resume(folder.path(), 1);
    let mut idle = FakeTrainer::default();
    let again = search.confirm(&mut idle, &mut (), &stop).unwrap();
    // Except for what failed, which may go well now.
    assert_eq!(idle.jobs.len(), failures(&confirmed));
    assert_eq!(again, Some(confirmed));
    let stored = search.journal().reader().evaluations(Purpose::Confirmation);
    assert_eq!(stored.unwrap().len(), 24);
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
    assert_eq!(search.confirm(&mut trainer, &mut (), &stop).unwrap(), None);
    let mut rest = FakeTrainer::default();
    let confirmed = search.confirm(&mut rest, &mut (), &stop).unwrap().unwrap();
    assert_eq!(confirmed.len(), 3);
    // What failed of the four that had ended is tried again.
    let ended = trainer.jobs.iter().take(4).map(evaluation);
    let failed = ended.filter(|ended| ended.outcome.kind() == OutcomeKind::Failed);
    assert_eq!(rest.jobs.len(), 9 - 4 + failed.count());
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
    let other = Contender {
        name: "cross entropy".into(),
        losses: BTreeMap::from([("b0".to_owned(), "neg(mul(y, log(yhat)))".to_owned())]),
    };
    let table = FinalTable {
        split: "test".into(),
        score: "miou".into(),
        found: "found".into(),
        fixed: BTreeMap::from([("held".to_owned(), "@l1".to_owned())]),
        others: vec![other],
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
    assert_eq!(seeds, [8, 9, 10, 8, 9, 10]);
    assert!(tested.iter().all(|job| job.budget.eval_images == 0));
    for (row, jobs) in conclusion.rows.iter().zip(tested.chunks(3)) {
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
    let chosen_as = |new: &BestLoss, search: &mut Search<Store>| {
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
                .take(3)
                .filter(|l| l.id != new.id)
                .map(named)
                .collect(),
            new: Some(new.clone()),
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
    // Not among the few that are measured again, so not the chosen one.
    let findings = chosen_as(&best[9], &mut search);
    let names: Vec<&str> = findings.test.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["found", "best new"]);
    assert_eq!(findings.test[1].losses, best[9].losses);
    let (chosen, new) = (findings.best.unwrap(), findings.best_new.unwrap());
    assert_eq!(chosen.known["b0"].to_string(), "2.00 × cross entropy");
    assert!(new.known.is_empty() && new.selection.is_none());
    assert_eq!(new.candidate, best[9].id.to_string());
    let file = std::fs::read_to_string(folder.path().join("best_new.json")).unwrap();
    assert!(file.contains(&best[9].losses["b0"]), "{file}");
    let file = std::fs::read_to_string(folder.path().join("best.json")).unwrap();
    assert!(
        file.contains("known_as") && file.contains("cross entropy"),
        "{file}"
    );

    let first = best
        .iter()
        .find(|loss| loss.id.to_string() == chosen.candidate);
    let findings = chosen_as(first.unwrap(), &mut search);
    assert_eq!(findings.test.len(), 1);
    assert_eq!(findings.best_new, findings.best);
}
