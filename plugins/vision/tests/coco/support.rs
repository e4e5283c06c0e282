//! Small data sets made on the spot.

use crate::shared::write;
use autoloss_vision::VisionError;
use autoloss_vision::coco::{CocoFolder, CocoOptions};
use autoloss_vision::codec::encode_jpeg;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A COCO folder in a temporary place, removed at the end.
pub(crate) struct Coco {
    _place: TempDir,
    pub(crate) root: PathBuf,
}

impl Coco {
    pub(crate) fn empty() -> Coco {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("coco");
        fs::create_dir(&root).unwrap();
        Coco {
            _place: place,
            root,
        }
    }

    /// Pictures a0 … in `train2017` and b0 … in `val2017`, each with one object.
    pub(crate) fn of(train: usize, val: usize) -> Coco {
        let coco = Coco::empty();
        for (part, prefix, count) in [("train2017", "a", train), ("val2017", "b", val)] {
            coco.part(part, prefix, count);
        }
        coco
    }

    pub(crate) fn part(&self, part: &str, prefix: &str, count: usize) {
        let names: Vec<String> = (0..count)
            .map(|index| format!("{prefix}{index}.jpg"))
            .collect();
        for name in &names {
            self.photograph(&format!("{part}/{name}"), 12, 16);
        }
        self.annotations(part, &annotations(&names));
    }

    /// A grey photograph.
    pub(crate) fn photograph(&self, relative: &str, height: usize, width: usize) {
        let bytes = encode_jpeg(height, width, &vec![90; 3 * height * width]).unwrap();
        self.write(relative, &bytes);
    }

    pub(crate) fn annotations(&self, name: &str, content: &Value) {
        self.write(
            &format!("annotations/instances_{name}.json"),
            content.to_string().as_bytes(),
        );
    }

    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) {
        write(&self.root, relative, bytes);
    }

    /// Changes a file of annotations.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let file = self.root.join(format!("annotations/instances_{name}.json"));
        let mut content = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut content);
        self.annotations(name, &content);
    }

    pub(crate) fn open(&self) -> Result<CocoFolder, VisionError> {
        self.open_with(&CocoOptions::default())
    }

    pub(crate) fn open_with(&self, options: &CocoOptions) -> Result<CocoFolder, VisionError> {
        CocoFolder::open(&self.root, options)
    }

    /// The message of a folder that does not open.
    pub(crate) fn refusal(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

/// Annotations of pictures of 12x16 pixels: image `n` has one object of the category 5, annotation `100 + n`.
pub(crate) fn annotations(names: &[String]) -> Value {
    let images = names.iter().enumerate().map(
        |(id, name)| json!({"id": id, "file_name": name, "height": 12, "width": 16, "license": 1}),
    );
    let objects = (0..names.len()).map(|id| {
        json!({"id": 100 + id, "image_id": id, "category_id": 5, "bbox": [1, 2, 6.5, 7], "area": 30.5,
               "iscrowd": 0, "segmentation": [[1, 2, 7, 2, 7, 9]]})
    });
    json!({
        "info": {"year": 2017},
        "images": images.collect::<Vec<_>>(),
        "annotations": objects.collect::<Vec<_>>(),
        "categories": [{"id": 5, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "bus"}],
    })
}

/// A tree of files, for what must stay as it was.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
