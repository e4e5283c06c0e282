//! The names of the classes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SIDE_FILE;
use super::cityscapes::CITYSCAPES_CLASSES;
use crate::VisionError;

/// The classes of PASCAL VOC, background first, in the order of their labels.
pub const VOC_CLASSES: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// The list of classes that labelme writes.
const LABELME_FILE: &str = "class_names.txt";

/// The version of the side file that is written and read.
const SCHEMA: u32 = 1;

/// A data set's classes and settings: the contents of the side file.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) classes: Vec<String>,
    pub(super) settings: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct SideFile {
    schema: u32,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
}

/// From the side file, else labelme's list, else VOC's own 21 classes.
pub(super) fn voc(root: &Path) -> Result<Description, VisionError> {
    let listed = match read(&root.join(LABELME_FILE))? {
        Some(text) => labelme_names(&text),
        None => VOC_CLASSES.map(str::to_owned).to_vec(),
    };
    describe(root, listed)
}

/// From the side file, else the 19 classes that Cityscapes evaluates.
pub(super) fn cityscapes(root: &Path) -> Result<Description, VisionError> {
    describe(root, CITYSCAPES_CLASSES.map(str::to_owned).to_vec())
}

fn describe(root: &Path, listed: Vec<String>) -> Result<Description, VisionError> {
    let file = root.join(SIDE_FILE);
    let description = match read(&file)? {
        None => Description {
            classes: listed,
            settings: BTreeMap::new(),
        },
        Some(text) => {
            let side = parse(&text).map_err(|problem| folder_error(&file, problem))?;
            Description {
                classes: if side.classes.is_empty() {
                    listed
                } else {
                    side.classes
                },
                settings: side.settings,
            }
        }
    };
    check(&description.classes).map_err(|problem| folder_error(root, problem))?;
    Ok(description)
}

fn parse(text: &str) -> Result<SideFile, String> {
    let side: SideFile = serde_json::from_str(text).map_err(|error| {
        format!("{error}; expected {{\"schema\": 1, \"classes\": [names], \"settings\": {{…}}}}")
    })?;
    if side.schema != SCHEMA {
        return Err(format!(
            "its schema is {}, this program reads {SCHEMA}",
            side.schema
        ));
    }
    Ok(side)
}

/// The text of a side file.
pub(super) fn side_file(
    classes: &[String],
    settings: &BTreeMap<String, Value>,
) -> Result<String, serde_json::Error> {
    let side = SideFile {
        schema: SCHEMA,
        classes: classes.to_vec(),
        settings: settings.clone(),
    };
    Ok(serde_json::to_string_pretty(&side)? + "\n")
}

/// Names must tell classes apart and labels must fit below void.
pub(super) fn check(classes: &[String]) -> Result<(), String> {
    if classes.is_empty() || classes.len() > 255 {
        return Err(format!("{} classes, expected 1 to 255", classes.len()));
    }
    let mut seen = BTreeSet::new();
    for name in classes {
        if name.is_empty() || !seen.insert(name) {
            return Err(format!(
                "the class name {name:?} is empty or occurs twice; name every class once"
            ));
        }
    }
    Ok(())
}

/// One name a line. `__ignore__` is the label that becomes void, not a class; `_background_` is 0.
fn labelme_names(text: &str) -> Vec<String> {
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    names
        .filter(|&name| name != "__ignore__")
        .map(|name| {
            if name == "_background_" {
                "background"
            } else {
                name
            }
            .to_owned()
        })
        .collect()
}

fn read(file: &Path) -> Result<Option<String>, VisionError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VisionError::File {
            action: "read",
            file: file.to_owned(),
            problem: error.to_string(),
        }),
    }
}

fn folder_error(folder: &Path, problem: String) -> VisionError {
    VisionError::Folder {
        folder: folder.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labelme_lists_lose_ignore_and_keep_the_background_first() {
        let names = labelme_names("__ignore__\n_background_\ncar\r\n\ntv/monitor");
        assert_eq!(names, ["background", "car", "tv/monitor"]);
    }

    #[test]
    fn the_side_file_comes_before_every_other() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(voc(root).unwrap().classes.len(), 21);
        assert_eq!(cityscapes(root).unwrap().classes.len(), 19);
        fs::write(root.join(LABELME_FILE), "_background_\ncar").unwrap();
        assert_eq!(voc(root).unwrap().classes, ["background", "car"]);
        fs::write(root.join(SIDE_FILE), r#"{"schema":1,"settings":{"a":[1]}}"#).unwrap();
        let described = voc(root).unwrap();
        assert_eq!(described.classes, ["background", "car"]);
        assert_eq!(described.settings["a"], serde_json::json!([1]));
        fs::write(root.join(SIDE_FILE), r#"{"schema":1,"classes":["x"]}"#).unwrap();
        assert_eq!(voc(root).unwrap().classes, ["x"]);
    }

    #[test]
    fn bad_descriptions_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        for (text, words) in [
            ("{", "expected {\"schema\""),
            (r#"{"schema":2}"#, "its schema is 2"),
            (r#"{"schema":1,"classes":["a","a"]}"#, "occurs twice"),
            (r#"{"schema":1,"classes":[3]}"#, "invalid type"),
        ] {
            fs::write(folder.path().join(SIDE_FILE), text).unwrap();
            let message = voc(folder.path()).unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
        let many: Vec<String> = (0..256).map(|index| index.to_string()).collect();
        assert!(check(&many).is_err());
        assert!(check(&many[1..]).is_ok());
    }
}
