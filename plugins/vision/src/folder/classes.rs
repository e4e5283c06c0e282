//! The names of the classes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use crate::data::disk::text_of;
use crate::data::names::composed;
use crate::data::side_file::SideFile;
use crate::palette::voc_colour;
use crate::{VOID, VisionError};

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

/// The evaluated classes of Cityscapes in the order of their train ids (Cordts et al., CVPR 2016).
pub(super) const CITYSCAPES_CLASSES: [&str; 19] = [
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
];

/// The list of classes that labelme writes.
pub(super) const LABELME_FILE: &str = "class_names.txt";

/// The list of classes with their colours that CVAT writes.
pub(super) const CVAT_FILE: &str = "labelmap.txt";

/// The label of a colour in masks that are told by their colours.
pub(super) type Colours = HashMap<[u8; 3], u8>;

/// A data set's classes, and the settings of its side file.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) classes: Vec<String>,
    pub(super) settings: BTreeMap<String, Value>,
    /// Where masks are read by their colours instead of their indices.
    pub(super) colours: Option<Colours>,
}

/// The classes of the side file, else of CVAT's or labelme's list, else VOC's own 21.
pub(super) fn voc(root: &Path) -> Result<Description, VisionError> {
    let cvat = root.join(CVAT_FILE);
    if let Some(text) = text_of(&cvat)? {
        let read = cvat_names(&text).map_err(|problem| VisionError::folder(&cvat, problem));
        let (listed, colours) = read?;
        let mut description = describe(root, listed.clone())?;
        // Other classes than CVAT's go with indices.
        description.colours = (description.classes == listed).then_some(colours);
        return Ok(description);
    }
    let listed = match text_of(&root.join(LABELME_FILE))? {
        Some(text) => labelme_names(&text),
        None => VOC_CLASSES.map(str::to_owned).to_vec(),
    };
    describe(root, listed)
}

/// The classes of the side file, else the 19 that Cityscapes evaluates.
pub(super) fn cityscapes(root: &Path) -> Result<Description, VisionError> {
    describe(root, CITYSCAPES_CLASSES.map(str::to_owned).to_vec())
}

fn describe(root: &Path, listed: Vec<String>) -> Result<Description, VisionError> {
    let SideFile {
        classes, settings, ..
    } = SideFile::read(root)?;
    let classes = if classes.is_empty() { listed } else { classes };
    // Written in one spelling, names are equal where they look alike.
    let classes: Vec<String> = classes
        .iter()
        .map(|name| composed(name).into_owned())
        .collect();
    check(&classes).map_err(|problem| VisionError::folder(root, problem))?;
    Ok(Description {
        classes,
        settings,
        colours: None,
    })
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

/// `name:red,green,blue:parts:actions` a line, the background moved to the front. Names of what is not a class stand for
/// void, and so does the colour that VOC has for it.
fn cvat_names(text: &str) -> Result<(Vec<String>, Colours), String> {
    let mut classes: Vec<(String, [u8; 3])> = Vec::new();
    let mut colours = Colours::from([(voc_colour(VOID), VOID)]);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The first colon that a colour follows: others belong to the name.
        let colons = line.match_indices(':');
        let mut readings =
            colons.filter_map(|(at, _)| Some((&line[..at], colour_at(&line[at + 1..])?)));
        let Some((name, colour)) = readings.next() else {
            return Err(format!(
                "line {}: {line:?} is not NAME:RED,GREEN,BLUE:PARTS:ACTIONS",
                number + 1
            ));
        };
        match &*composed(name.trim()) {
            "void" | "ignore" | "__ignore__" => {
                colours.insert(colour, VOID);
            }
            "background" => classes.insert(0, (name.to_owned(), colour)),
            name => classes.push((name.to_owned(), colour)),
        }
    }
    for (label, (name, colour)) in classes.iter().enumerate() {
        let label = u8::try_from(label).map_err(|_| "more than 255 classes".to_owned())?;
        if colours.insert(*colour, label).is_some() {
            return Err(format!(
                "{name:?} has the colour {colour:?} of another entry"
            ));
        }
    }
    Ok((classes.into_iter().map(|(name, _)| name).collect(), colours))
}

/// The colour that a text begins with, as `red,green,blue` up to its end or a colon.
fn colour_at(text: &str) -> Option<[u8; 3]> {
    let numbers = text.split(':').next()?.split(',');
    let numbers: Option<Vec<u8>> = numbers.map(|number| number.trim().parse().ok()).collect();
    numbers?.try_into().ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SIDE_FILE;
    use std::fs;

    #[test]
    fn labelme_lists_lose_ignore_and_keep_the_background_first() {
        let names = labelme_names("__ignore__\n_background_\ncar\r\n\ntv/monitor");
        assert_eq!(names, ["background", "car", "tv/monitor"]);
    }

    #[test]
    fn marks_in_front_are_no_part_of_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(
            root.join(LABELME_FILE),
            "\u{feff}__ignore__\n_background_\r\ncar",
        )
        .unwrap();
        assert_eq!(voc(root).unwrap().classes, ["background", "car"]);
        fs::write(root.join(LABELME_FILE), "\u{feff}_background_\ncar").unwrap();
        assert_eq!(voc(root).unwrap().classes, ["background", "car"]);
        fs::write(
            root.join(SIDE_FILE),
            "\u{feff}{\"schema\":1,\"classes\":[\"x\"]}",
        )
        .unwrap();
        assert_eq!(voc(root).unwrap().classes, ["x"]);
        fs::write(root.join(SIDE_FILE), b"\xff\xfe{\0").unwrap();
        let message = voc(root).unwrap_err().to_string();
        assert!(
            message.contains(SIDE_FILE) && message.contains("UTF-16"),
            "{message}"
        );
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
    fn cvat_lists_give_names_and_colours() {
        let text =
            "# label:color_rgb:parts:actions\ncat:128,0,0::\nbackground:0,0,0::\nignore:1,1,1::\n";
        let (classes, colours) = cvat_names(text).unwrap();
        assert_eq!(classes, ["background", "cat"]);
        let label = |colour| colours.get(&colour).copied();
        assert_eq!([label([0, 0, 0]), label([128, 0, 0])], [Some(0), Some(1)]);
        assert_eq!([label([1, 1, 1]), label([224, 224, 192])], [Some(VOID); 2]);
        let (classes, _) = cvat_names("sign: 30:1,2,3::\ne\u{301}:4,5,6").unwrap();
        assert_eq!(classes, ["sign: 30", "\u{e9}"]);
        for (text, words) in [
            ("cat:1,2::", "line 1: "),
            ("cat:1,2,300::", "is not NAME"),
            ("a:1,2,3::\nb:1,2,3::", "of another entry"),
        ] {
            assert!(cvat_names(text).unwrap_err().contains(words), "{text}");
        }
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
