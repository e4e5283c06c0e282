//! What is wrong with a run folder is said in one sentence that names it.

use std::fs;
use std::path::Path;

use autoloss_run::{RunReader, Store, StoreError};
use autoloss_search::{Provenance, Search, SearchError};

use super::support::*;

fn says(error: &StoreError, folder: &Path, part: &str) {
    let message = error.to_string();
    assert!(message.contains(part), "{message}");
    assert!(message.contains(&folder.display().to_string()), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn a_folder_without_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for path in [folder.path(), missing.as_path()] {
        says(&Store::open(path).unwrap_err(), path, "holds no run");
        says(&RunReader::open(path).unwrap_err(), path, "holds no run");
    }
    assert!(!missing.exists(), "looking must not create anything");
}

#[test]
fn a_run_that_never_began() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::create(folder.path()).unwrap());
    says(
        &Store::open(folder.path()).unwrap_err(),
        folder.path(),
        "holds no run",
    );
    // Nothing is lost by beginning there.
    begin(folder.path(), 1, &config(5));
}

#[test]
fn a_folder_that_holds_a_run_already() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 1, &config(5)));
    let error = Store::create(folder.path()).unwrap_err();
    says(&error, folder.path(), "holds a run already");
}

#[test]
fn a_run_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let search = begin(folder.path(), 1, &config(5));
    let error = Store::open(folder.path()).unwrap_err();
    let process = format!("is in use by process {}", std::process::id());
    says(&error, folder.path(), &process);
    // Readers are welcome meanwhile.
    assert_eq!(
        RunReader::open(folder.path())
            .unwrap()
            .counts()
            .unwrap()
            .explored(),
        0
    );
    drop(search);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_run_of_a_later_version() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), 1, &config(5)));
    let database = rusqlite::Connection::open(folder.path().join("run.db")).unwrap();
    database.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(database);
    let part = "written by a later version (schema 99, this one knows up to 5)";
    says(
        &Store::open(folder.path()).unwrap_err(),
        folder.path(),
        part,
    );
    says(
        &RunReader::open(folder.path()).unwrap_err(),
        folder.path(),
        part,
    );
}

#[test]
fn a_file_that_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("run.db"),
        "not a database at all, but long enough",
    )
    .unwrap();
    says(
        &Store::open(folder.path()).unwrap_err(),
        folder.path(),
        "is damaged",
    );
    says(
        &Store::create(folder.path()).unwrap_err(),
        folder.path(),
        "holds a run already",
    );
}

#[test]
fn a_damaged_page() {
    let folder = tempfile::tempdir().unwrap();
    finish(&mut begin(folder.path(), 1, &config(500)));
    let path = folder.path().join("run.db");
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 20 * 4096);
    for byte in &mut bytes[2 * 4096..] {
        *byte = 0xa5;
    }
    fs::write(&path, bytes).unwrap();
    let error = Store::open(folder.path())
        .map_err(|error| SearchError::Journal(error.into()))
        .and_then(|store| Search::resume(&task(1), None, store))
        .err()
        .unwrap();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn a_stored_loss_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    run_until(&mut begin(folder.path(), 1, &config(900)), 800);
    let database = rusqlite::Connection::open(folder.path().join("run.db")).unwrap();
    let change = "UPDATE candidates SET losses = '{\"b0\": \"sub(y)\"}' WHERE joined = 1";
    assert!(database.execute(change, []).unwrap() > 0);
    drop(database);
    let store = Store::open(folder.path()).unwrap();
    let error = Search::resume(&task(1), None, store).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("is damaged (candidate "), "{error}");
}

#[test]
fn a_directory_in_the_place_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("run.db")).unwrap();
    let error = Store::create(folder.path()).unwrap_err();
    says(&error, folder.path(), "unable to open database file");
}

#[test]
fn a_file_in_the_place_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(matches!(Store::create(&path), Err(StoreError::Io { .. })));
}

#[test]
fn a_configuration_or_a_task_that_cannot_be_searched_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(5);
    settings.budget.max_explored = None;
    let store = Store::create(folder.path()).unwrap();
    let error = Search::new(task(1), settings, Provenance::default(), store);
    let error = error.err().unwrap();
    assert!(matches!(error, SearchError::Config(_)));

    for (count, part) in [
        (0, "has 0 searched branches"),
        (17, "has 17 searched branches"),
    ] {
        let store = Store::create(folder.path()).unwrap();
        let error = Search::new(task(count), config(5), Provenance::default(), store);
        let error = error.err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
    let mut twice = task(2);
    twice.branches[1].name = twice.branches[0].name.clone();
    let store = Store::create(folder.path()).unwrap();
    let error = Search::new(twice, config(5), Provenance::default(), store);
    let error = error.err().unwrap();
    assert!(
        error.to_string().contains("two branches named \"b0\""),
        "{error}"
    );
}
