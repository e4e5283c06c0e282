//! What was found in a folder.

use super::sample::Entry;
use crate::Split;

/// The samples of the four splits and what was noticed on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    splits: [Vec<Entry>; 4],
    pub(super) notes: Vec<String>,
    pub(super) skipped: Vec<String>,
}

impl Contents {
    pub(super) fn of(&self, split: Split) -> &[Entry] {
        &self.splits[split.position()]
    }

    pub(super) fn add(&mut self, split: Split, entry: Entry) {
        self.splits[split.position()].push(entry);
    }

    /// Deals entries out to the splits chosen for them.
    pub(super) fn deal(&mut self, entries: Vec<Entry>, splits: &[Split]) {
        for (entry, &split) in entries.into_iter().zip(splits) {
            self.add(split, entry);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.splits.iter().all(Vec::is_empty)
    }
}
