use std::sync::atomic::AtomicBool;

use autoloss_search::store::Purpose;

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
    assert_eq!(trainer.requests.len(), 8 * 3);
    for request in &trainer.requests {
        assert_eq!(request.split, "selection");
        assert!((8..=10).contains(&request.seed), "seed {}", request.seed);
    }
    for entry in &confirmed {
        assert!(summary.best[..8].contains(&entry.loss));
        assert_eq!(entry.outcomes.len(), 3);
    }
    let means: Vec<_> = confirmed.iter().filter_map(|entry| entry.mean()).collect();
    assert!(means.len() > 1 && means.windows(2).all(|pair| pair[0] >= pair[1]));

    // A second call finds everything in the store.
    drop(search);
    let mut search = resume(folder.path(), 1);
    let mut idle = FakeTrainer::default();
    let again = search.confirm(&mut idle, &mut (), &stop).unwrap();
    assert_eq!(again, Some(confirmed));
    assert!(idle.requests.is_empty());
    let stored = search.store().reader().evaluations(Purpose::Confirmation);
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
    let confirmed = search.confirm(&mut rest, &mut (), &stop).unwrap();
    assert_eq!(confirmed.unwrap().len(), 3);
    assert_eq!(rest.requests.len(), 9 - 4);
}
