//! Small data sets made on the spot.

use crate::shared::{place, write};
use autoloss_vision::codec::{encode_jpeg, encode_labels};
use autoloss_vision::data::DataFolder;
use autoloss_vision::folder::{FolderOptions, SegmentationFolder};
use autoloss_vision::{LabelledImage, VisionError};
use std::fs;
use std::path::PathBuf;
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
        write(&self.root, relative, bytes);
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

/// The sample of that name in whatever split it is.
pub(crate) fn sample(set: &SegmentationFolder, name: &str) -> Result<LabelledImage, VisionError> {
    let (split, index) = place(set, name);
    set.sample(split, index)
}
