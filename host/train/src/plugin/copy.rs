//! Copies of libraries that nobody can change.
//!
//! A library is mapped, not read: where its file is overwritten in its place while it is loaded, as `cp` does, the
//! process dies of the next page that it needs. So what is loaded is a sealed copy in memory. One process has one copy of
//! the same contents, since two would be two libraries; worker processes open that of their host through `/proc`.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The copies of this process, by the SHA-256 of what they hold. They last as long as it does, as do the libraries.
static COPIES: Mutex<BTreeMap<String, OwnedFd>> = Mutex::new(BTreeMap::new());

/// A path below `/proc` under which a library with these bytes can be opened and never changes; none where it finds other
/// libraries by its own place (`$ORIGIN`), or the system has no such files.
pub(super) fn unchanging(bytes: &[u8], sha256: &str) -> Option<PathBuf> {
    if bytes.windows(ORIGIN.len()).any(|window| window == ORIGIN) {
        return None;
    }
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    if !copies.contains_key(sha256) {
        match sealed(bytes) {
            Ok(copy) => copies.insert(sha256.to_owned(), copy),
            Err(error) => {
                tracing::debug!(%error, "no copy of a library");
                return None;
            }
        };
    }
    let process = std::process::id();
    let file = copies.get(sha256)?.as_raw_fd();
    let path = PathBuf::from(format!("/proc/{process}/fd/{file}"));
    path.exists().then_some(path)
}

const ORIGIN: &[u8] = b"$ORIGIN";

fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("plugin", flags)?);
    file.write_all(bytes)?;
    fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(file.into())
}

/// Whether a file is such a copy.
pub(super) fn is_unchanging(path: &Path) -> bool {
    let seals = File::open(path).map(fcntl_get_seals);
    matches!(seals, Ok(Ok(seals)) if seals.contains(SealFlags::WRITE | SealFlags::SHRINK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_holds_the_bytes_and_takes_no_others() {
        let path = unchanging(b"a library", "one").unwrap();
        assert_eq!(unchanging(b"a library", "one").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"a library");
        assert!(is_unchanging(&path));
        let overwritten = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"b"));
        assert!(overwritten.is_err());
        assert!(!is_unchanging(Path::new("/proc/self/exe")));
    }

    #[test]
    fn a_library_that_finds_others_by_its_place_stays_there() {
        assert_eq!(unchanging(b"\0$ORIGIN/../lib\0", "two"), None);
    }
}
