//! Where samples come from: scenes drawn from the embedded pack, or a data set in a folder.
//!
//! A task holds a [`Source`], which answers for both, caches what it decoded and skips what cannot be
//! read. The layouts of folders are in [`folder`](crate::folder) and [`coco`](crate::coco); what they
//! share is [`DataFolder`] and the private modules here.

mod cache;
pub(crate) mod disk;
pub(crate) mod hold_out;
pub(crate) mod names;
pub(crate) mod side_file;
mod skip;
mod source;

pub use cache::Cache;
pub use side_file::SIDE_FILE;
pub(crate) use skip::BadEntries;
pub use skip::Skipper;
pub use source::{Origin, Scenes, Source};

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Scene, Split, VisionError};

/// A number for each value, the same for equal ones, from 0 in the order in which they first occur.
///
/// ```
/// use autoloss_vision::data::numbered;
///
/// assert_eq!(numbered(["b", "a", "b"]), [0, 1, 0]);
/// ```
pub fn numbered<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<u32> {
    let mut known = BTreeMap::new();
    let number = |value| {
        let next = known.len() as u32;
        *known.entry(value).or_insert(next)
    };
    values.into_iter().map(number).collect()
}

/// A data set in a folder: four splits of samples, each read when it is asked for.
pub trait DataFolder: Sized {
    /// A picture with its ground truth.
    type Sample: fmt::Debug;

    /// The words of messages: for the samples, and for what the reward and selection splits are held out of.
    const WORDS: [&'static str; 2];

    /// The folder that holds the data, which may lie below the one that was opened.
    fn root(&self) -> &Path;

    /// The classes' names, the background first: a class is an index into them.
    fn class_names(&self) -> &[String];

    /// The `settings` of [`SIDE_FILE`]; empty without that file.
    fn settings(&self) -> &BTreeMap<String, Value>;

    /// Notes about oddities that do no harm, found while opening. Also sent to `tracing` as warnings.
    fn notes(&self) -> &[String];

    /// The entries that were skipped while opening, each with the reason: only where the options say
    /// `skip_bad`.
    fn skipped(&self) -> &[String];

    /// The number of samples of a split.
    fn len(&self, split: Split) -> usize;

    /// A sample's name, None beyond the split's end.
    fn name(&self, split: Split, index: usize) -> Option<&str>;

    /// Reads and decodes a sample.
    ///
    /// # Errors
    /// [`VisionError::NoSample`] beyond the split's end, or why the files do not hold a sample.
    fn sample(&self, split: Split, index: usize) -> Result<Self::Sample, VisionError>;

    /// The files that a sample is read from; none beyond the split's end.
    fn files_of(&self, split: Split, index: usize) -> Vec<&Path>;

    /// Files of text that decide what the samples of a split are; those that are not there are of no consequence.
    fn described_by(&self, split: Split) -> Vec<PathBuf>;

    /// Every file that decides what the samples of a split are, in the order of the samples.
    fn files(&self, split: Split) -> Vec<PathBuf> {
        let samples = 0..self.len(split);
        let samples = samples.flat_map(|index| self.files_of(split, index));
        let described = self.described_by(split).into_iter();
        described
            .filter(|file| file.exists())
            .chain(samples.map(Path::to_owned))
            .collect()
    }

    /// What a user should know of the samples of a split before they are trained on or scored.
    ///
    /// # Errors
    /// Why the split can teach or score nothing, with a file where there is one.
    fn check(&self, split: Split) -> Result<Vec<String>, VisionError> {
        let _ = split;
        Ok(Vec::new())
    }

    /// A scene as the sample that a reader of the written scene gets: its picture went once through JPEG.
    ///
    /// # Errors
    /// [`VisionError::Encode`] for a picture that cannot be encoded.
    fn of_scene(scene: Scene, index: u64) -> Result<Self::Sample, VisionError>;

    /// The memory that a sample takes, bytes.
    fn bytes(sample: &Self::Sample) -> usize;

    /// Writes scenes as a folder of this layout.
    ///
    /// # Errors
    /// Those of [`write_voc`](crate::folder::write_voc) and [`write_coco`](crate::coco::write_coco).
    fn write(
        to: &Path,
        scenes: impl Iterator<Item = (Split, String, Scene)>,
        classes: &[String],
        settings: &BTreeMap<String, Value>,
    ) -> Result<WrittenCounts, VisionError>;

    /// The number of classes, background included.
    fn num_classes(&self) -> usize {
        self.class_names().len()
    }

    /// Whether a split has no sample.
    fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// Every sample of every split as (split, index).
    fn all(&self) -> impl Iterator<Item = (Split, usize)> {
        let of_split = |split| (0..self.len(split)).map(move |index| (split, index));
        Split::ALL.into_iter().flat_map(of_split)
    }

    /// Checks that each split has at least one sample, which a search needs.
    ///
    /// # Errors
    /// [`VisionError::Folder`] names the splits without a sample.
    fn require_splits(&self) -> Result<(), VisionError> {
        let empty = Split::ALL.into_iter().filter(|&split| self.is_empty(split));
        let empty: Vec<_> = empty.map(Split::name).collect();
        if empty.is_empty() {
            return Ok(());
        }
        let (all, empty) = (self.all().count(), empty.join(", "));
        let [things, origin] = Self::WORDS;
        let problem = format!(
            "of its {all} {things} none is left for: {empty}; a search needs all four splits, so add \
             pictures or raise the shares that are held out of the {origin}"
        );
        Err(VisionError::folder(self.root(), problem))
    }
}

/// The first of many names, for a sentence.
pub(crate) fn some_of(names: &[&str]) -> String {
    match names {
        [a, b, c, d, e, _, ..] => format!("{a}, {b}, {c}, {d}, {e}, …"),
        few => few.join(", "),
    }
}

/// The number of samples of each split that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    pub(crate) counts: [usize; 4],
}

impl WrittenCounts {
    /// The number of a split.
    #[must_use]
    pub fn of(&self, split: Split) -> usize {
        self.counts[split as usize]
    }

    /// The number of all splits.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

impl fmt::Display for WrittenCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Split::ALL.map(|split| format!("{split} {}", self.of(split)));
        formatter.write_str(&counts.join(", "))
    }
}
