//! Segmentation data sets on disk.
//!
//! A folder is opened by reading its lists and directory listings alone: the four splits, the existence
//! of every file, and what is wrong with the lists are known in a moment. Pictures are decoded when a
//! sample is asked for and not cached here, so memory does not grow with the data set and threads share one
//! value without locks; whoever trains may cache what it reads.
//!
//! [`Split::Test`] is the published validation list (`val`), because the masks of the official test sets
//! are not public. What a search learns from ([`Split::Reward`], [`Split::Selection`]) is therefore held
//! out of the *training* list; the validation list stays unseen until the report. The choice depends on a
//! picture's name only (a hash), so it is the same for every seed, order of lines, and training list.

mod census;
mod cityscapes;
mod classes;
mod list;
mod options;
mod sample;
mod voc;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::data::disk::existing;
use crate::data::{DataFolder, SIDE_FILE, WrittenCounts};
use crate::{LabelledImage, Scene, Split, VisionError, codec};
use census::{Masks, Seen};
use classes::Description;
use sample::{Coding, Contents};

pub use classes::VOC_CLASSES;
pub use options::FolderOptions;
pub use sample::check_labels;
pub use write::write_voc;

/// A data set for semantic segmentation in a folder: PASCAL VOC (with SBD's masks, or as labelme writes
/// it) or Cityscapes.
///
/// ```
/// use autoloss_vision::data::DataFolder;
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
    seen: Seen,
}

impl SegmentationFolder {
    /// Recognises the layout of `path`, reads its lists and checks that every named file exists.
    ///
    /// - PASCAL VOC: `JPEGImages` with `SegmentationClass`, `SegmentationClassPNG` (labelme) or
    ///   `SegmentationClassAug` (SBD), lists in `ImageSets/Segmentation`; `path` may also be the folder
    ///   that holds `VOCdevkit/VOC2012` or `VOC2012`. With CVAT's `labelmap.txt` masks are read by their
    ///   colours. Masks of SBD serve the training list where that is
    ///   `trainaug`. Without `ImageSets` all pictures with a mask are used and a fifth of them is the
    ///   test split; a very small folder may then leave splits empty, see
    ///   [`DataFolder::require_splits`].
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
            Layout::Voc => voc::contents(&root, options)?,
            Layout::Cityscapes => cityscapes::contents(&root, options)?,
        };
        contents.notes.splice(0..0, found_notes);
        for note in &contents.notes {
            tracing::warn!(folder = %root.display(), "{note}");
        }
        if contents.is_empty() {
            let problem = "no photograph has a mask, so there is nothing to learn from";
            return Err(VisionError::folder(&root, problem));
        }
        let mut description = match layout {
            Layout::Voc => classes::voc(&root)?,
            Layout::Cityscapes => classes::cityscapes(&root)?,
        };
        if let Some(colours) = description.colours.take() {
            contents.code(&Coding::Colours(Arc::new(colours)));
        }
        Ok(SegmentationFolder {
            seen: Seen::nothing(&contents),
            root,
            description,
            contents,
            longest: options.longest,
            skip_bad: options.skip_bad,
        })
    }

    /// Height and width of each of a split's samples, pixels; None where its mask has no header and is skipped. Only the
    /// masks' headers are read, and only once.
    ///
    /// # Errors
    /// [`VisionError::File`] or [`VisionError::Decode`] where a mask has no header; with
    /// [`FolderOptions::skip_bad`] such masks are skipped.
    pub fn sizes(&self, split: Split) -> Result<&[Option<(usize, usize)>], VisionError> {
        self.masks().sizes(split)
    }

    fn masks(&self) -> Masks<'_> {
        Masks {
            contents: &self.contents,
            seen: &self.seen,
            num_classes: self.num_classes(),
            longest: self.longest,
            skip_bad: self.skip_bad,
        }
    }
}

impl DataFolder for SegmentationFolder {
    type Sample = LabelledImage;

    const WORDS: [&'static str; 2] = ["samples", "training list"];

    fn root(&self) -> &Path {
        &self.root
    }

    fn class_names(&self) -> &[String] {
        &self.description.classes
    }

    fn settings(&self) -> &BTreeMap<String, Value> {
        &self.description.settings
    }

    fn notes(&self) -> &[String] {
        &self.contents.notes
    }

    fn skipped(&self) -> &[String] {
        &self.contents.skipped
    }

    fn len(&self, split: Split) -> usize {
        self.contents.of(split).len()
    }

    /// The file's name without its ending, for Cityscapes with the city before it.
    fn name(&self, split: Split, index: usize) -> Option<&str> {
        let entry = self.contents.of(split).get(index)?;
        Some(&entry.name)
    }

    fn files_of(&self, split: Split, index: usize) -> Vec<&Path> {
        let entry = self.contents.of(split).get(index);
        entry.map_or(Vec::new(), |entry| vec![&entry.photograph, &entry.mask])
    }

    /// Lists count through the samples alone.
    fn described_by(&self, _: Split) -> Vec<PathBuf> {
        let files = [SIDE_FILE, classes::LABELME_FILE, classes::CVAT_FILE];
        files.map(|file| self.root.join(file)).into()
    }

    /// The sample reduced to [`FolderOptions::longest`]. Labels are classes or void.
    fn sample(&self, split: Split, index: usize) -> Result<LabelledImage, VisionError> {
        let entries = self.contents.of(split);
        let entry = entries.get(index).ok_or(VisionError::NoSample {
            split,
            index,
            len: entries.len(),
        })?;
        entry.read(self.num_classes(), self.longest)
    }

    fn check(&self, split: Split) -> Result<Vec<String>, VisionError> {
        let masks = self.masks();
        masks.compare_palettes()?;
        masks.check(&self.root, split, self.class_names())
    }

    fn of_scene(scene: Scene, _: u64) -> Result<LabelledImage, VisionError> {
        codec::jpeg_round_trip(&LabelledImage::of_scene(scene)?)
    }

    fn bytes(sample: &LabelledImage) -> usize {
        sample.image().len() + sample.labels().len()
    }

    fn write(
        to: &Path,
        scenes: impl Iterator<Item = (Split, String, Scene)>,
        classes: &[String],
        settings: &BTreeMap<String, Value>,
    ) -> Result<WrittenCounts, VisionError> {
        let sample = |(split, name, scene)| Ok((split, name, LabelledImage::of_scene(scene)?));
        write_voc(to, scenes.map(sample), classes, settings)
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
    Err(VisionError::folder(path, problem))
}
