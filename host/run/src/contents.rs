//! What the files of a data set, or of weights, held when something was trained on them.
//!
//! A result belongs to what files held, not to where they lay: data that were moved are the same data, and data that
//! were changed in their place are others. So files are told by the SHA-256 of their contents. Each file is read for
//! this once; afterwards its size and its times tell whether it has changed, as in the index of git, since nobody
//! wants to read a data set of gigabytes before every command.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::files::write_whole;
use crate::summary::is_run;

/// A file that was changed so shortly before it was read may be changed again within the same tick of the file
/// system's clock, seconds.
const SETTLED: i64 = 2;
/// More threads than this wait for the disk.
const MAX_THREADS: usize = 8;

/// What some files held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// How many there are.
    pub files: usize,
    /// SHA-256 of their names and contents in hexadecimal.
    pub sha256: String,
}

impl Contents {
    /// What differs from what there is now, as the end of a sentence about data; none where nothing does.
    pub(crate) fn change(&self, now: &Self) -> Option<String> {
        if self == now {
            return None;
        }
        Some(match (self.files, now.files) {
            (then, now) if then == now => {
                format!("are {now} files as before, of other contents, names or order")
            }
            (then, now) => format!("were read from {then} files and are from {now}"),
        })
    }
}

/// Files under a name, such as those of a split.
pub type Group<'a> = (&'a str, Vec<PathBuf>);

/// Computes [`Contents`], and keeps in a folder what it found of each file.
///
/// ```
/// use autoloss_run::{Contents, Fingerprints};
///
/// let place = tempfile::tempdir()?;
/// let (here, there) = (place.path().join("a"), place.path().join("b"));
/// for folder in [&here, &there] {
///     std::fs::create_dir(folder)?;
///     std::fs::write(folder.join("mask.png"), "one")?;
/// }
/// let fingerprints = Fingerprints::new(None);
/// let of = |folder: &std::path::Path| {
///     let files = vec![folder.join("mask.png")];
///     fingerprints.of(folder, &[("train", files)], &Default::default(), &mut |_, _| ())
/// };
/// assert_eq!(of(&here), of(&there));
/// std::fs::write(there.join("mask.png"), "two")?;
/// assert_ne!(of(&here), of(&there));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Fingerprints {
    folder: Option<PathBuf>,
}

/// A file's stamp, and the SHA-256 that it had then, by its [`key`].
type Known = BTreeMap<String, (String, String)>;

/// What a file is found under: two names that are no UTF-8 may share it, and are then told apart by their stamps.
fn key(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

impl Fingerprints {
    /// With a folder for what is found, if any; it is made when it is needed.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// What groups of files below `root` hold; a file elsewhere counts by its whole path. `watch` is told files done
    /// and files in all. None where `stop` was raised; what was read until then is kept.
    ///
    /// A file that cannot be read counts as such: whoever needs it will say why.
    pub fn of(
        &self,
        root: &Path,
        groups: &[Group<'_>],
        stop: &AtomicBool,
        watch: &mut dyn FnMut(usize, usize),
    ) -> Option<Contents> {
        let files = groups.iter().flat_map(|(_, files)| files);
        let files: Vec<PathBuf> = files.map(|file| root.join(file)).collect();
        let found = self.inspected(root, &files, stop, watch);
        let mut digest = Sha256::new();
        let mut found = files.iter().zip(&found);
        for (name, files) in groups {
            digest.update(format!("{name}\0{}\0", files.len()));
            for (file, found) in found.by_ref().take(files.len()) {
                let name = file.strip_prefix(root).unwrap_or(file);
                digest.update(name.as_os_str().as_encoded_bytes());
                digest.update([0]);
                digest.update(&found.as_ref()?.sha256);
            }
        }
        Some(Contents {
            files: files.len(),
            sha256: hexadecimal(&digest.finalize()),
        })
    }

    /// What a single file holds, whatever it is called: the SHA-256 is the file's own. None where `stop` was raised or it
    /// cannot be read.
    pub fn of_file(&self, file: &Path, stop: &AtomicBool) -> Option<Contents> {
        let files = [file.to_owned()];
        let found = self.inspected(file, &files, stop, &mut |_, _| ());
        let sha256 = found.into_iter().next()??.sha256;
        (!sha256.is_empty()).then_some(Contents { files: 1, sha256 })
    }

    /// Every file in its place, by what is known of files below `root` where their stamps have not changed.
    fn inspected(
        &self,
        root: &Path,
        files: &[PathBuf],
        stop: &AtomicBool,
        watch: &mut dyn FnMut(usize, usize),
    ) -> Vec<Option<Inspected>> {
        let table = self.table_of(root);
        let mut known = table.as_deref().map(read).unwrap_or_default();
        let found = inspect(files, &known, stop, watch);
        let mut changed = false;
        for (file, found) in files.iter().zip(&found) {
            let Some(found) = found.as_ref().filter(|found| found.read) else {
                continue;
            };
            changed = true;
            match found.lasting {
                true => known.insert(key(file), (found.stamp.clone(), found.sha256.clone())),
                false => known.remove(&key(file)),
            };
        }
        if let Some(table) = table.filter(|_| changed)
            && let Err(error) = write(&table, &known)
        {
            // The next pass reads the files again.
            tracing::debug!("{}: {error}", table.display());
        }
        found
    }

    /// The file for what is known of files below a root.
    fn table_of(&self, root: &Path) -> Option<PathBuf> {
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let name = format!("{}.json", hexadecimal(&digest[..12]));
        Some(self.folder.as_ref()?.join(name))
    }
}

/// What is known of a file.
struct Inspected {
    /// Size and times.
    stamp: String,
    /// In hexadecimal; empty of a file that cannot be read.
    sha256: String,
    /// Whether it was read now.
    read: bool,
    /// Whether the stamp tells of every later change.
    lasting: bool,
}

impl Inspected {
    fn of(file: &Path, known: &Known) -> Self {
        let unreadable = Self {
            stamp: String::new(),
            sha256: String::new(),
            read: true,
            lasting: false,
        };
        let Ok(metadata) = fs::metadata(file) else {
            return unreadable;
        };
        let stamp = format!(
            "{} {}.{} {}.{} {}",
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
            metadata.ino()
        );
        if let Some((_, sha256)) = known.get(&key(file)).filter(|(known, _)| *known == stamp) {
            return Self {
                stamp,
                sha256: sha256.clone(),
                read: false,
                lasting: true,
            };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs() as i64);
        match sha256_of(file) {
            Ok(sha256) => Self {
                stamp,
                sha256,
                read: true,
                lasting: metadata.ctime().max(metadata.mtime()) + SETTLED < now,
            },
            Err(_) => unreadable,
        }
    }
}

/// Every file in its place; none of those that were not reached before `stop` was raised.
fn inspect(
    files: &[PathBuf],
    known: &Known,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(usize, usize),
) -> Vec<Option<Inspected>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let mut all: Vec<Option<Inspected>> = files.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..cores.min(MAX_THREADS).min(files.len()) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(index) else { break };
                    // Nobody listens any more only where this scope panics.
                    drop(send.send((index, Inspected::of(file, known))));
                }
            });
        }
        drop(send);
        for (done, (index, found)) in results.into_iter().enumerate() {
            all[index] = Some(found);
            watch(done + 1, files.len());
        }
    });
    all
}

fn sha256_of(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            length => digest.update(&buffer[..length]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a table holds; empty where it is missing or damaged.
fn read(table: &Path) -> Known {
    let text = fs::read(table).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

fn write(table: &Path, known: &Known) -> io::Result<()> {
    if let Some(folder) = table.parent() {
        fs::create_dir_all(folder)?;
    }
    write_whole(table, &serde_json::to_string(known)?)
}

/// Every file in a folder, sorted, but hidden ones and those of run folders.
#[must_use]
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    let walk = walk.into_iter().filter_entry(|entry| {
        let skipped =
            hidden(entry.file_name()) || entry.file_type().is_dir() && is_run(entry.path());
        entry.depth() == 0 || !skipped
    });
    // What cannot be listed cannot be read by a task either.
    let files = walk.filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fingerprints with a table, of a folder with two files of long ago.
    struct Place {
        _place: tempfile::TempDir,
        data: PathBuf,
        fingerprints: Fingerprints,
    }

    impl Place {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let data = place.path().join("data");
            fs::create_dir(&data).unwrap();
            for name in ["a", "b"] {
                fs::write(data.join(name), format!("contents of {name}")).unwrap();
            }
            Self {
                fingerprints: Fingerprints::new(Some(place.path().join("tables"))),
                data,
                _place: place,
            }
        }

        fn groups(&self) -> [Group<'static>; 2] {
            [
                ("train", vec![self.data.join("a")]),
                ("test", vec![self.data.join("b")]),
            ]
        }

        fn contents(&self) -> Contents {
            let stop = AtomicBool::new(false);
            let found = self
                .fingerprints
                .of(&self.data, &self.groups(), &stop, &mut |_, _| ());
            found.unwrap()
        }

        /// Makes the table say that the files, as they are now, have other digests.
        fn falsify(&self) {
            let mut known = Known::new();
            for name in ["a", "b"] {
                let file = self.data.join(name);
                let found = Inspected::of(&file, &known);
                known.insert(key(&file), (found.stamp, "0".repeat(64)));
            }
            write(&self.fingerprints.table_of(&self.data).unwrap(), &known).unwrap();
        }
    }

    #[test]
    fn a_file_is_read_again_only_where_its_stamp_changed() {
        let place = Place::new();
        let honest = place.contents();
        place.falsify();
        assert_ne!(place.contents(), honest, "the table is believed");
        // The same bytes, written again.
        for name in ["a", "b"] {
            fs::write(place.data.join(name), format!("contents of {name}")).unwrap();
        }
        assert_eq!(place.contents(), honest);
    }

    #[test]
    fn what_was_just_written_is_not_kept() {
        let place = Place::new();
        place.contents();
        let table = place.fingerprints.table_of(&place.data).unwrap();
        assert!(read(&table).is_empty());
    }

    #[test]
    fn contents_names_and_groups_count() {
        let place = Place::new();
        let first = place.contents();
        let of = |groups: &[Group<'_>]| {
            let stop = AtomicBool::new(false);
            let found = place
                .fingerprints
                .of(&place.data, groups, &stop, &mut |_, _| ());
            found.unwrap()
        };
        let [(_, a), (_, b)] = place.groups();
        let all = [a.clone(), b.clone()].concat();
        assert_ne!(of(&[("train", all), ("test", Vec::new())]), first);
        assert_ne!(of(&[("train", b), ("test", a.clone())]), first);
        fs::rename(place.data.join("b"), place.data.join("c")).unwrap();
        assert_ne!(
            of(&[("train", a), ("test", vec![place.data.join("c")])]),
            first
        );
        // A file that is not there is a fact like another.
        let missing = place.contents();
        assert_ne!(missing, first);
        assert_eq!(missing.change(&missing), None);
    }

    #[test]
    fn a_pass_that_is_stopped_has_no_result() {
        let place = Place::new();
        let stop = AtomicBool::new(true);
        let found = place
            .fingerprints
            .of(&place.data, &place.groups(), &stop, &mut |_, _| ());
        assert_eq!(found, None);
    }

    #[test]
    fn the_files_of_a_folder_are_those_that_are_not_hidden() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b/2", "a", ".hidden", ".git/x"] {
            let file = place.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let expected = ["a", "b/2"].map(|name| place.path().join(name));
        assert_eq!(files_in(place.path()), expected);
    }
}
