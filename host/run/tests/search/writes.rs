//! The n-th write of a journal fails, for every n: the run ends in one sentence, and goes on.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use autoloss_run::{RunReader, Store, Verification};
use autoloss_search::{
    BestLoss, Entry, EvaluationKey, EvaluationRecord, Journal, JournalError, OpenCandidate,
    Provenance, RunHeader, ScreenRecord, Search, SearchConfig, SearchError, Settled,
};

use super::support::*;

/// A store that refuses one write.
struct Refusing {
    store: Store,
    /// Writes until then.
    left: usize,
}

impl Refusing {
    fn write(&mut self) -> Result<&mut Store, JournalError> {
        self.left = self.left.wrapping_sub(1);
        match self.left {
            0 => Err("no space left on the moon".into()),
            _ => Ok(&mut self.store),
        }
    }
}

impl Journal for Refusing {
    fn begin(&mut self, header: &RunHeader) -> Result<(), JournalError> {
        self.write()?.begin(header)
    }

    fn header(&self) -> Result<RunHeader, JournalError> {
        self.store.header()
    }

    fn change_config(&mut self, config: &SearchConfig) -> Result<(), JournalError> {
        self.write()?.change_config(config)
    }

    fn begin_session(&mut self) -> Result<(), JournalError> {
        self.write()?.begin_session()
    }

    fn opened(
        &mut self,
        open: &OpenCandidate,
        screens: Vec<ScreenRecord>,
    ) -> Result<(), JournalError> {
        self.write()?.opened(open, screens)
    }

    fn settled(&mut self, settled: Settled) -> Result<(), JournalError> {
        self.write()?.settled(settled)
    }

    fn evaluated(&mut self, record: &EvaluationRecord) -> Result<(), JournalError> {
        self.write()?.evaluated(record)
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.write()?.flush()
    }

    fn best(&mut self, best: &[BestLoss]) -> Result<(), JournalError> {
        self.write()?.best(best)
    }

    fn replay(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        self.store.replay(visit)
    }

    fn evaluation(&self, key: &EvaluationKey) -> Result<Option<EvaluationRecord>, JournalError> {
        self.store.evaluation(key)
    }
}

fn cut(folder: &Path, left: usize, settings: &SearchConfig) -> Result<(), SearchError> {
    let store = Store::create(folder).unwrap();
    let journal = Refusing { store, left };
    let mut search = Search::new(task(1), settings.clone(), Provenance::default(), journal)?;
    let stop = AtomicBool::new(false);
    let (mut engine, mut trainer) = (FakeEngine::default(), FakeTrainer::default());
    search.run(&mut engine, &mut trainer, &mut (), &stop)?;
    Ok(())
}

#[test]
fn whichever_write_fails_the_run_says_so_and_goes_on() {
    for workers in [1, 3] {
        let settings = SearchConfig {
            workers,
            ..config(120)
        };
        let (_, expected) = whole_run(1, &settings);
        let mut untouched = false;
        for left in 1.. {
            let folder = tempfile::tempdir().unwrap();
            match cut(folder.path(), left, &settings) {
                Ok(()) => untouched = true,
                Err(error) => assert_eq!(error.to_string(), "no space left on the moon"),
            }
            if left == 1 {
                continue;
            }
            finish(&mut resume(folder.path(), 1));
            let verification = Verification::of(&RunReader::open(folder.path()).unwrap()).unwrap();
            assert!(verification.is_sound(), "write {left}: {verification:?}");
            assert_eq!((verification.explored, verification.open), (120, 0));
            if workers == 1 {
                assert_eq!(trace(folder.path()), expected, "write {left}");
            }
            if untouched {
                break;
            }
        }
    }
}
