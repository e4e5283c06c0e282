//! Small data sets made on the spot.

use autoloss_vision::codec::{encode_jpeg, encode_labels};
use autoloss_vision::folder::{FolderOptions, SegmentationFolder};
use autoloss_vision::{LabelledImage, Split, VisionError};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A VOC folder in a temporary place, removed at the end.
pub(crate) struct Voc {
    _place: TempDir,
    pub(crate) root: PathBuf,
}

impl Voc {
    /// Folders without files.
    pub(crate) fn empty() -> Voc {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("VOC2012");
        for folder in ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Voc {
            _place: place,
            root,
        }
    }

    /// Pictures a0 … with a list `train`, b0 … with a list `val`.
    pub(crate) fn of(train: usize, val: usize) -> Voc {
        let voc = Voc::empty();
        let train = names("a", train);
        let val = names("b", val);
        for name in train.iter().chain(&val) {
            voc.picture(name);
        }
        voc.list("train", &train.join("\n"));
        voc.list("val", &val.join("\n"));
        voc
    }

    /// A photograph of 6x8 pixels and its mask.
    pub(crate) fn picture(&self, name: &str) {
        self.photograph(name, 6, 8);
        self.mask("SegmentationClass", name, 6, 8, 1);
    }

    pub(crate) fn photograph(&self, name: &str, height: usize, width: usize) {
        let bytes = encode_jpeg(height, width, &vec![90; 3 * height * width]).unwrap();
        self.write(&format!("JPEGImages/{name}.jpg"), &bytes);
    }

    /// A mask of one label.
    pub(crate) fn mask(&self, folder: &str, name: &str, height: usize, width: usize, label: u8) {
        let bytes = encode_labels(height, width, &vec![label; height * width]).unwrap();
        self.write(&format!("{folder}/{name}.png"), &bytes);
    }

    pub(crate) fn list(&self, name: &str, text: &str) {
        self.write(
            &format!("ImageSets/Segmentation/{name}.txt"),
            text.as_bytes(),
        );
    }

    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) {
        let path = self.root.join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, relative: &str) {
        fs::remove_file(self.root.join(relative)).unwrap();
    }

    pub(crate) fn open(&self) -> Result<SegmentationFolder, VisionError> {
        self.open_with(&FolderOptions::default())
    }

    pub(crate) fn open_with(
        &self,
        options: &FolderOptions,
    ) -> Result<SegmentationFolder, VisionError> {
        SegmentationFolder::open(&self.root, options)
    }

    /// The message of a folder that does not open.
    pub(crate) fn refusal(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{prefix}{index}")).collect()
}

/// A split's names in order.
pub(crate) fn names_of(set: &SegmentationFolder, split: Split) -> Vec<String> {
    (0..set.len(split))
        .map(|index| set.name(split, index).unwrap().to_owned())
        .collect()
}

/// The sample of that name in whatever split it is.
pub(crate) fn sample(set: &SegmentationFolder, name: &str) -> Result<LabelledImage, VisionError> {
    let (split, index) = set
        .all()
        .find(|&(split, index)| set.name(split, index) == Some(name))
        .unwrap();
    set.sample(split, index)
}

#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// Writes any file below a folder.
pub(crate) fn write(root: &Path, relative: &str, bytes: &[u8]) {
    let path = root.join(relative);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
