//! A cache of what is costly to make, up to an amount of memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by name, up to a number of bytes. A value that is in the cache stays; one that does not fit is
/// made anew each time, so the limit changes the time and never the result.
///
/// ```
/// use autoloss_vision::data::Cache;
///
/// let cache = Cache::new(10);
/// let make = |text: &str| Ok::<_, String>(text.to_owned());
/// let first = cache.get_or_make(1, String::len, || make("eight by"))?;
/// assert_eq!(first, cache.get_or_make(1, String::len, || make("unused"))?);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Cache<K, T> {
    limit: usize,
    entries: Mutex<Cached<K, T>>,
}

#[derive(Debug)]
struct Cached<K, T> {
    bytes: usize,
    by_name: HashMap<K, Arc<T>>,
}

impl<K: Eq + Hash, T> Cache<K, T> {
    /// An empty cache of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let cached = Cached {
            bytes: 0,
            by_name: HashMap::new(),
        };
        Self {
            limit,
            entries: Mutex::new(cached),
        }
    }

    /// The value of a name, from the cache or made now; `size` gives the bytes of a made one.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make<E>(
        &self,
        name: K,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let entries = || self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries().by_name.get(&name) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        let bytes = size(&made);
        let mut entries = entries();
        if entries.bytes + bytes <= self.limit && !entries.by_name.contains_key(&name) {
            entries.bytes += bytes;
            entries.by_name.insert(name, Arc::clone(&made));
        }
        Ok(made)
    }

    /// The bytes in the cache.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_its_limit() {
        let cache = Cache::new(512);
        let mut made = 0;
        for _ in 0..2 {
            for name in 0..4 {
                let mut make = || {
                    made += 1;
                    Ok::<_, String>([0u8; 200])
                };
                cache
                    .get_or_make(name, |held| held.len(), &mut make)
                    .unwrap();
            }
        }
        // Two fit and are made once; the others twice.
        assert_eq!((made, cache.bytes()), (6, 400));
    }
}
