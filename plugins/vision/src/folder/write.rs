//! Writing a VOC folder.
//!
//! The result is a genuine VOC2012 folder that any reader of such data accepts: `train.txt` lists all that
//! may be learnt from, and the parts held out of it are named in two lists of our own. The lists keep the
//! order of writing, so that sample `index` of a split read back is the `index`-th written. They are
//! written last, `train.txt` at the very end, into a folder made at the very beginning: a folder whose
//! writing was interrupted has an `ImageSets` without lists and is refused when it is opened.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::SIDE_FILE;
use super::check::check_labels;
use super::classes;
use super::common::{create, take_name};
use super::voc::{LISTS, MASK_FOLDERS, PHOTOGRAPHS};
use crate::codec::{encode_jpeg, encode_labels};
use crate::{LabelledImage, Split, VisionError};

/// How many samples were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    counts: [usize; 4],
}

impl WrittenCounts {
    pub(crate) fn new(counts: [usize; 4]) -> WrittenCounts {
        WrittenCounts { counts }
    }

    /// The number of a split.
    #[must_use]
    pub fn of(&self, split: Split) -> usize {
        self.counts[split.position()]
    }

    /// The number of all splits.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// Writes samples as a VOC2012 folder: `JPEGImages` (quality 95, see [`encode_jpeg`]),
/// `SegmentationClass`, `ImageSets/Segmentation` and the side file [`SIDE_FILE`] with `classes` and
/// `settings`. Samples are taken one by one and not kept. Names are files' names without an ending.
///
/// # Errors
/// The first error among the samples, if any;
/// [`VisionError::Folder`] where the folder has files already, a name is bad or occurs twice, classes
/// are badly named, or there is no sample of train or of test; [`VisionError::Label`] where a sample has
/// a label that is no class; [`VisionError::File`] and [`VisionError::Encode`] where a file cannot be
/// written. What was written until then stays and is refused by
/// [`SegmentationFolder::open`](super::SegmentationFolder::open).
pub fn write_voc<E: From<VisionError>>(
    folder: &Path,
    samples: impl IntoIterator<Item = Result<(Split, String, LabelledImage), E>>,
    classes: &[String],
    settings: &BTreeMap<String, Value>,
) -> Result<WrittenCounts, E> {
    let mut writer = Writer::new(folder, classes)?;
    for sample in samples {
        let (split, name, sample) = sample?;
        writer.add(split, name, &sample)?;
    }
    Ok(writer.finish(settings)?)
}

struct Writer<'a> {
    folder: &'a Path,
    classes: &'a [String],
    names: [Vec<String>; 4],
    seen: HashSet<String>,
}

impl<'a> Writer<'a> {
    fn new(folder: &'a Path, classes: &'a [String]) -> Result<Writer<'a>, VisionError> {
        let writer = Writer {
            folder,
            classes,
            names: Default::default(),
            seen: HashSet::new(),
        };
        classes::check(classes).map_err(|problem| writer.error(problem))?;
        create(folder, &[LISTS, PHOTOGRAPHS, MASK_FOLDERS[0]])?;
        Ok(writer)
    }

    fn error(&self, problem: String) -> VisionError {
        VisionError::Folder {
            folder: self.folder.to_owned(),
            problem,
        }
    }

    fn add(
        &mut self,
        split: Split,
        name: String,
        sample: &LabelledImage,
    ) -> Result<(), VisionError> {
        take_name(self.folder, &mut self.seen, &name)?;
        let (height, width) = (sample.height(), sample.width());
        check_labels(sample.labels(), width, self.classes.len(), Path::new(&name))?;
        let photograph = encode_jpeg(height, width, sample.image())?;
        let mask = encode_labels(height, width, sample.labels())?;
        self.write(&format!("{PHOTOGRAPHS}/{name}.jpg"), &photograph)?;
        self.write(&format!("{}/{name}.png", MASK_FOLDERS[0]), &mask)?;
        self.names[split.position()].push(name);
        Ok(())
    }

    fn finish(self, settings: &BTreeMap<String, Value>) -> Result<WrittenCounts, VisionError> {
        let of = |split: Split| self.names[split.position()].as_slice();
        for split in [Split::Train, Split::Test] {
            if of(split).is_empty() {
                let problem = format!("no sample of the {split} split was given; VOC needs one");
                return Err(self.error(problem));
            }
        }
        let side = classes::side_file(self.classes, settings)
            .map_err(|error| self.error(format!("the settings cannot be written: {error}")))?;
        self.write(SIDE_FILE, side.as_bytes())?;
        let train = [of(Split::Train), of(Split::Reward), of(Split::Selection)].concat();
        let all = [&train, of(Split::Test)].concat();
        for (name, lines) in [
            ("reward", of(Split::Reward)),
            ("selection", of(Split::Selection)),
            ("val", of(Split::Test)),
            ("trainval", &all),
            ("train", &train),
        ] {
            self.write_list(name, lines)?;
        }
        Ok(WrittenCounts::new(self.names.each_ref().map(Vec::len)))
    }

    /// Under another name first, so that no half list is ever read.
    fn write_list(&self, name: &str, lines: &[String]) -> Result<(), VisionError> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let partial = self.write(&format!("{LISTS}/{name}.partial"), text.as_bytes())?;
        let path = self.folder.join(format!("{LISTS}/{name}.txt"));
        fs::rename(&partial, &path).map_err(|error| failed("rename", &partial, &error))
    }

    fn write(&self, relative: &str, bytes: &[u8]) -> Result<PathBuf, VisionError> {
        let path = self.folder.join(relative);
        fs::write(&path, bytes).map_err(|error| failed("write", &path, &error))?;
        Ok(path)
    }
}

/// The error of a file that could not be written.
pub(crate) fn failed(action: &'static str, file: &Path, error: &std::io::Error) -> VisionError {
    VisionError::File {
        action,
        file: file.to_owned(),
        problem: error.to_string(),
    }
}
