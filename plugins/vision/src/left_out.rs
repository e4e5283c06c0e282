//! Samples that cannot be read, where such are to be left out.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Counts what is left out.
///
/// ```
/// use autoloss_vision::LeftOut;
///
/// let bad = || Err::<u8, _>("it is no JPEG");
/// assert_eq!(LeftOut::new(false).pass("test 3".into(), bad()), bad().map(Some));
/// assert_eq!(LeftOut::new(true).pass("test 3".into(), bad()), Ok(None));
/// ```
#[derive(Debug)]
pub struct LeftOut {
    wanted: bool,
    seen: Mutex<BTreeSet<String>>,
}

impl LeftOut {
    /// Nothing is left out so far; `wanted` says whether anything may be.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            seen: Mutex::default(),
        }
    }

    /// What was made, or none where that failed and such is left out; the first time under a name it is
    /// counted in a warning.
    ///
    /// # Errors
    /// That of `made` where nothing may be left out.
    pub fn pass<T, E: Display>(&self, name: String, made: Result<T, E>) -> Result<Option<T>, E> {
        match made {
            Err(error) if self.wanted => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.insert(name) {
                    let count = seen.len();
                    tracing::warn!("left out ({count} so far): {error}");
                }
                Ok(None)
            }
            made => made.map(Some),
        }
    }
}
