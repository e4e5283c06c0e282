//! What is costly to make, kept up to an amount of memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Things by name, up to a number of bytes. Nothing is ever dropped: what does not fit is made anew each
/// time, so the amount decides nothing but time.
///
/// ```
/// use autoloss_vision::Kept;
///
/// let kept = Kept::new(10);
/// let make = |text: &str| Ok::<_, String>(text.to_owned());
/// let first = kept.get_or_make(1, String::len, || make("eight by"))?;
/// assert_eq!(first, kept.get_or_make(1, String::len, || make("unused"))?);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Kept<K, T> {
    limit: usize,
    held: Mutex<Held<K, T>>,
}

#[derive(Debug)]
struct Held<K, T> {
    bytes: usize,
    by_name: HashMap<K, Arc<T>>,
}

impl<K: Eq + Hash, T> Kept<K, T> {
    /// Keeps up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let held = Held {
            bytes: 0,
            by_name: HashMap::new(),
        };
        Self {
            limit,
            held: Mutex::new(held),
        }
    }

    /// What is kept under a name, or else is made now. `size` tells its bytes.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make<E>(
        &self,
        name: K,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held().by_name.get(&name) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        let bytes = size(&made);
        let mut held = held();
        if held.bytes + bytes <= self.limit && !held.by_name.contains_key(&name) {
            held.bytes += bytes;
            held.by_name.insert(name, Arc::clone(&made));
        }
        Ok(made)
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_its_limit() {
        let kept = Kept::new(512);
        let mut made = 0;
        for _ in 0..2 {
            for name in 0..4 {
                let mut make = || {
                    made += 1;
                    Ok::<_, String>([0u8; 200])
                };
                kept.get_or_make(name, |held| held.len(), &mut make)
                    .unwrap();
            }
        }
        // Two fit and are made once; the others twice.
        assert_eq!((made, kept.bytes()), (6, 400));
    }
}
