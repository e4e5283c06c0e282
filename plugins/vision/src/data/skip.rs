//! Samples and entries that cannot be used: skipped and counted, or refused.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use crate::VisionError;

/// Skips samples that cannot be read, where the user wants that, and counts them.
///
/// ```
/// use autoloss_vision::data::Skipper;
///
/// let bad = || Err::<u8, _>("it is no JPEG");
/// assert_eq!(Skipper::new(false).pass("test 3".into(), bad()), bad().map(Some));
/// assert_eq!(Skipper::new(true).pass("test 3".into(), bad()), Ok(None));
/// ```
#[derive(Debug)]
pub struct Skipper {
    enabled: bool,
    seen: Mutex<BTreeSet<String>>,
}

impl Skipper {
    /// A skipper that has skipped nothing yet; unless it is `enabled`, it passes every error on.
    #[must_use]
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            seen: Mutex::default(),
        }
    }

    /// The sample that was read, or None where reading failed and it is skipped; a warning counts each name
    /// once.
    ///
    /// # Errors
    /// That of `read` where nothing is skipped.
    pub fn pass<T, E: Display>(&self, name: String, read: Result<T, E>) -> Result<Option<T>, E> {
        match read {
            Err(error) if self.enabled => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.insert(name) {
                    let count = seen.len();
                    tracing::warn!("skipped ({count} so far): {error}");
                }
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}

/// Entries of a list that cannot be used. With `skip_bad` all of them are named; without, the first is
/// refused and the others are counted, so that a user learns at once how much is missing.
pub(crate) struct BadEntries {
    skip_bad: bool,
    first: Option<VisionError>,
    count: usize,
    skipped: Vec<String>,
}

impl BadEntries {
    pub(crate) fn new(skip_bad: bool) -> BadEntries {
        BadEntries {
            skip_bad,
            first: None,
            count: 0,
            skipped: Vec::new(),
        }
    }

    /// Adds an entry under the text that names it where it is skipped; `error` refuses it.
    pub(crate) fn add(&mut self, entry: String, error: impl FnOnce(String) -> VisionError) {
        self.count += 1;
        if self.skip_bad {
            self.skipped.push(entry);
        } else if self.first.is_none() {
            self.first = Some(error(entry));
        }
    }

    /// The entries that were skipped.
    ///
    /// # Errors
    /// The first entry that is not to be skipped; `advice` is added to its problem, given how many there
    /// are.
    pub(crate) fn finish(
        self,
        advice: impl FnOnce(usize) -> String,
    ) -> Result<Vec<String>, VisionError> {
        let Some(mut error) = self.first else {
            return Ok(self.skipped);
        };
        if let VisionError::List { problem, .. } | VisionError::Folder { problem, .. } = &mut error
        {
            problem.push_str(&advice(self.count));
        }
        Err(error)
    }
}
