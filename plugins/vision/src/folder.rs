//! Segmentation data sets on disk.
//!
//! A folder is opened by reading its lists and directory listings alone: the four splits, the existence
//! of every file, and what is wrong with the lists are known in a moment. Pictures are decoded when a
//! sample is asked for and never kept, so memory does not grow with the data set and threads share one
//! value without locks; whoever trains may keep what it reads.
//!
//! [`Split::Test`] is the published validation list (`val`), because the masks of the official test sets
//! are not public. What a search learns from ([`Split::Reward`], [`Split::Selection`]) is therefore held
//! out of the *training* list; the validation list stays unseen until the report. The choice depends on a
//! picture's name only (a hash), so it is the same for every seed, order of lines, and training list.

mod check;
mod cityscapes;
mod classes;
mod common;
mod contents;
mod hold_out;
mod list;
mod listing;
mod listless;
mod options;
mod sample;
mod voc;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::resize::reduced_size;
use crate::{LabelledImage, Split, VisionError, codec};
use classes::Description;
use contents::Contents;
use sample::Entry;

pub use check::check_labels;
pub use classes::VOC_CLASSES;
pub use options::FolderOptions;
pub use write::{WrittenCounts, write_voc};

// What reading and writing COCO shares with it.
pub(crate) use common::{create, existing, require_splits, take_name};
pub(crate) use hold_out::assign;
pub(crate) use listing::{Listings, list as list_names};
pub(crate) use listless::TEST_SHARE;
pub(crate) use options::check_shares;
pub(crate) use sample::bytes_of;
pub(crate) use write::failed;

/// The file beside a data set that names its classes and carries settings.
pub const SIDE_FILE: &str = "autoloss.json";

/// A data set for semantic segmentation in a folder: PASCAL VOC (with SBD's masks, or as labelme writes
/// it) or Cityscapes.
///
/// ```
/// use autoloss_vision::folder::{FolderOptions, SegmentationFolder, write_voc};
/// use autoloss_vision::{LabelledImage, Split, VisionError};
/// use std::collections::BTreeMap;
///
/// let place = tempfile::tempdir()?;
/// let folder = place.path().join("set");
/// let grey = LabelledImage::new(8, 8, vec![90; 192], vec![1; 64])?;
/// let sample = |split| Ok::<_, VisionError>((split, format!("a_{split}"), grey.clone()));
/// write_voc(&folder, Split::ALL.map(sample), &["background".into(), "thing".into()], &BTreeMap::new())?;
///
/// let set = SegmentationFolder::open(&folder, &FolderOptions::default())?;
/// assert_eq!((set.len(Split::Reward), set.num_classes()), (1, 2));
/// assert_eq!(set.name(Split::Test, 0), Some("a_test"));
/// assert_eq!(set.sample(Split::Test, 0)?.labels(), grey.labels());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SegmentationFolder {
    root: PathBuf,
    description: Description,
    contents: Contents,
    longest: Option<usize>,
    skip_bad: bool,
}

impl SegmentationFolder {
    /// Recognises the layout of `path`, reads its lists and checks that every named file exists.
    ///
    /// - PASCAL VOC: `JPEGImages` with `SegmentationClass`, `SegmentationClassPNG` (labelme) or
    ///   `SegmentationClassAug` (SBD), lists in `ImageSets/Segmentation`; `path` may also be the folder
    ///   that holds `VOCdevkit/VOC2012` or `VOC2012`. Masks of SBD serve the training list where that is
    ///   `trainaug`. Without `ImageSets` all pictures with a mask are used and a fifth of them is the
    ///   test split; a very small folder may then leave splits empty, see
    ///   [`SegmentationFolder::require_splits`].
    /// - Cityscapes: `leftImg8bit` and `gtFine`, `labelTrainIds` before `labelIds`.
    ///
    /// # Errors
    /// [`VisionError::Folder`] for a folder of neither layout, a missing or empty list, or one without a
    /// sample; [`VisionError::List`] for a line that cannot be used: a duplicate, a name outside of the
    /// folder, a file that does not exist; [`VisionError::Config`] for bad options.
    pub fn open(path: &Path, options: &FolderOptions) -> Result<SegmentationFolder, VisionError> {
        options.validate()?;
        existing(path)?;
        let (root, found_notes, layout) = find_layout(path)?;
        let mut contents = match layout {
            Layout::Voc if root.join("ImageSets").is_dir() => voc::contents(&root, options)?,
            Layout::Voc => listless::contents(&root, options)?,
            Layout::Cityscapes => cityscapes::contents(&root, options)?,
        };
        contents.notes.splice(0..0, found_notes);
        for note in &contents.notes {
            tracing::warn!(folder = %root.display(), "{note}");
        }
        if contents.is_empty() {
            return Err(VisionError::Folder {
                folder: root,
                problem: "no photograph has a mask, so there is nothing to learn from".to_owned(),
            });
        }
        let description = match layout {
            Layout::Voc => classes::voc(&root)?,
            Layout::Cityscapes => classes::cityscapes(&root)?,
        };
        Ok(SegmentationFolder {
            root,
            description,
            contents,
            longest: options.longest,
            skip_bad: options.skip_bad,
        })
    }

    /// The folder that holds the data, `VOC2012` itself where a folder above it was opened.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The classes' names; a label is an index into them or [`VOID`](crate::VOID).
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.description.classes
    }

    /// The number of classes, background included: 1 to 255.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.description.classes.len()
    }

    /// What [`SIDE_FILE`] holds under `settings`; empty without that file.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, Value> {
        &self.description.settings
    }

    /// The number of samples of a split.
    #[must_use]
    pub fn len(&self, split: Split) -> usize {
        self.contents.of(split).len()
    }

    /// Whether a split has no sample.
    #[must_use]
    pub fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// Every sample of every split as (split, index), for whoever only wants to look at them.
    pub fn all(&self) -> impl Iterator<Item = (Split, usize)> + '_ {
        let of_split = |split| (0..self.len(split)).map(move |index| (split, index));
        Split::ALL.into_iter().flat_map(of_split)
    }

    /// What a search needs: at least one sample in each split.
    ///
    /// # Errors
    /// [`VisionError::Folder`] names the splits that have none.
    pub fn require_splits(&self) -> Result<(), VisionError> {
        require_splits(
            &self.root,
            |split| self.len(split),
            "samples",
            "training list",
        )
    }

    /// A sample's name, None beyond the split's end: the file's name without its ending, for Cityscapes
    /// with the city before it.
    #[must_use]
    pub fn name(&self, split: Split, index: usize) -> Option<&str> {
        let entry = self.contents.of(split).get(index)?;
        Some(&entry.name)
    }

    /// What was noticed while opening and does not hinder: names removed from the training list because
    /// the validation list has them, photographs without masks. Also sent to `tracing` as warnings.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.contents.notes
    }

    /// Names that were dropped because a file is missing, each with the file: only with
    /// [`FolderOptions::skip_bad`].
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.contents.skipped
    }

    /// Reads and decodes a sample, reduced to [`FolderOptions::longest`]. Labels are classes or void.
    ///
    /// # Errors
    /// [`VisionError::NoSample`] beyond the split's end; [`VisionError::File`], [`VisionError::Decode`],
    /// [`VisionError::MaskSize`] or [`VisionError::Label`] where the files do not hold a sample.
    pub fn sample(&self, split: Split, index: usize) -> Result<LabelledImage, VisionError> {
        self.entry(split, index)?
            .read(self.num_classes(), self.longest)
    }

    /// The greatest height and the greatest width of a split's samples, as [`SegmentationFolder::sample`]
    /// returns them; (0, 0) of an empty split. Only the masks' headers are read: 33 bytes a sample.
    ///
    /// # Errors
    /// [`VisionError::File`] or [`VisionError::Decode`] where a mask has no header; with
    /// [`FolderOptions::skip_bad`] such are passed over.
    pub fn largest(&self, split: Split) -> Result<(usize, usize), VisionError> {
        let mut largest = (0, 0);
        for entry in self.contents.of(split) {
            let (height, width) = match codec::png_size(&entry.mask) {
                Err(_) if self.skip_bad => continue,
                size => size?,
            };
            let (height, width) = match self.longest {
                Some(longest) => reduced_size(height, width, longest),
                None => (height, width),
            };
            largest = (largest.0.max(height), largest.1.max(width));
        }
        Ok(largest)
    }

    fn entry(&self, split: Split, index: usize) -> Result<&Entry, VisionError> {
        let entries = self.contents.of(split);
        entries.get(index).ok_or(VisionError::NoSample {
            split,
            index,
            len: entries.len(),
        })
    }
}

#[derive(Clone, Copy)]
enum Layout {
    Voc,
    Cityscapes,
}

/// The folder that has a known layout, `path` itself or one below it.
fn find_layout(path: &Path) -> Result<(PathBuf, Vec<String>, Layout), VisionError> {
    if cityscapes::recognises(path) {
        return Ok((path.to_owned(), Vec::new(), Layout::Cityscapes));
    }
    if let Some((root, notes)) = voc::find(path)? {
        return Ok((root, notes, Layout::Voc));
    }
    let problem = "this is no data set that can be read; expected PASCAL VOC (JPEGImages beside \
                   SegmentationClass, SegmentationClassPNG or SegmentationClassAug, perhaps inside \
                   VOCdevkit/VOC2012) or Cityscapes (leftImg8bit beside gtFine)";
    Err(VisionError::Folder {
        folder: path.to_owned(),
        problem: problem.to_owned(),
    })
}
