//! Writing a VOC folder.
//!
//! The result is a genuine VOC2012 folder that any reader of such data accepts: `train.txt` lists all that
//! may be learnt from, and the parts held out of it are named in two lists of our own. The lists keep the
//! order of writing, so that sample `index` of a split read back is the `index`-th written. They are
//! written last, `train.txt` at the very end, into a folder made at the very beginning: a folder whose
//! writing was interrupted has an `ImageSets` without lists and is refused when it is opened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::classes;
use super::list::PHOTOGRAPHS;
use super::sample::check_labels;
use super::voc::{LISTS, MASK_FOLDERS};
use crate::codec::{encode_jpeg, encode_labels};
use crate::data::WrittenCounts;
use crate::data::disk::NewFolder;
use crate::data::side_file::{SIDE_FILE, SideFile};
use crate::{LabelledImage, Split, VisionError};

/// Writes samples as a VOC2012 folder: `JPEGImages` (quality 95, see [`encode_jpeg`]),
/// `SegmentationClass`, `ImageSets/Segmentation` and the side file [`SIDE_FILE`] with `classes` and
/// `settings`. Samples are taken one by one. Names are files' names without an ending.
///
/// # Errors
/// The first error among the samples, if any;
/// [`VisionError::Folder`] where the folder has files already, a name is bad or occurs twice, classes
/// are badly named, or there is no sample of train or of test; [`VisionError::Label`] where a sample has
/// a label that is no class; [`VisionError::File`] and [`VisionError::Encode`] where a file cannot be
/// written. What was written until then stays and is refused by
/// [`SegmentationFolder::open`](super::SegmentationFolder::open).
pub fn write_voc(
    folder: &Path,
    samples: impl IntoIterator<Item = Result<(Split, String, LabelledImage), VisionError>>,
    classes: &[String],
    settings: &BTreeMap<String, Value>,
) -> Result<WrittenCounts, VisionError> {
    classes::check(classes).map_err(|problem| VisionError::folder(folder, problem))?;
    let mut new = NewFolder::create(folder, &[LISTS, PHOTOGRAPHS, MASK_FOLDERS[0]])?;
    let mut names: [Vec<String>; 4] = Default::default();
    for sample in samples {
        let (split, name, sample) = sample?;
        new.take_name(&name)?;
        let (height, width) = (sample.height(), sample.width());
        check_labels(sample.labels(), width, classes.len(), Path::new(&name))?;
        let photograph = encode_jpeg(height, width, sample.image())?;
        let mask = encode_labels(height, width, sample.labels())?;
        new.write(&format!("{PHOTOGRAPHS}/{name}.jpg"), &photograph)?;
        new.write(&format!("{}/{name}.png", MASK_FOLDERS[0]), &mask)?;
        names[split as usize].push(name);
    }
    for split in [Split::Train, Split::Test] {
        if names[split as usize].is_empty() {
            let problem = format!("no sample of the {split} split was given; VOC needs one");
            return Err(VisionError::folder(folder, problem));
        }
    }
    let side = SideFile {
        classes: classes.to_vec(),
        settings: settings.clone(),
        ..SideFile::default()
    };
    let side = side.text();
    let side = side.map_err(|problem| VisionError::folder(folder, problem))?;
    new.write(SIDE_FILE, side.as_bytes())?;
    let counts = names.each_ref().map(Vec::len);
    let [train, reward, selection, test] = names;
    let train = [train, reward.clone(), selection.clone()].concat();
    let all = [train.as_slice(), &test].concat();
    for (name, lines) in [
        ("reward", reward),
        ("selection", selection),
        ("val", test),
        ("trainval", all),
        ("train", train),
    ] {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        new.write_list(&format!("{LISTS}/{name}.txt"), |file| fs::write(file, text))?;
    }
    Ok(WrittenCounts { counts })
}
