//! The file beside a data set: its classes, settings, and which training pictures are held out.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::disk::text_of;
use crate::VisionError;

/// The name of the file beside a data set that names its classes and carries settings.
pub const SIDE_FILE: &str = "autoloss.json";

/// The version of the file that is written and read.
const SCHEMA: u32 = 1;

/// The contents of the file. Each layout writes the keys that it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SideFile {
    pub(crate) schema: u32,
    /// Empty where the layout itself names the classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) classes: Vec<String>,
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Value>,
    /// The `file_name` of each picture of the reward split in its order; None leaves the choice to the
    /// reader's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reward: Option<Vec<String>>,
    /// The same of the selection split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) selection: Option<Vec<String>>,
}

impl Default for SideFile {
    fn default() -> SideFile {
        SideFile {
            schema: SCHEMA,
            classes: Vec::new(),
            settings: BTreeMap::new(),
            reward: None,
            selection: None,
        }
    }
}

impl SideFile {
    /// Reads the file of a data set; the default where there is none.
    pub(crate) fn read(root: &Path) -> Result<SideFile, VisionError> {
        let file = root.join(SIDE_FILE);
        match text_of(&file)? {
            None => Ok(SideFile::default()),
            Some(text) => parse(&text).map_err(|problem| VisionError::folder(&file, problem)),
        }
    }

    pub(crate) fn text(&self) -> Result<String, String> {
        match serde_json::to_string_pretty(self) {
            Ok(text) => Ok(text + "\n"),
            Err(error) => Err(format!("the settings cannot be written: {error}")),
        }
    }
}

fn parse(text: &str) -> Result<SideFile, String> {
    let side: SideFile = serde_json::from_str(text).map_err(|error| {
        format!(
            "{error}; expected {{\"schema\": 1, \"classes\": [names], \"settings\": {{…}}, \"reward\": \
             [file names], \"selection\": [file names]}}"
        )
    })?;
    match side.schema {
        SCHEMA => Ok(side),
        other => Err(format!(
            "its schema is {other}, this program reads {SCHEMA}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_the_file_has_no_settings_and_no_lists() {
        let place = tempfile::tempdir().unwrap();
        let side = SideFile::read(place.path()).unwrap();
        assert!(side.settings.is_empty() && side.reward.is_none() && side.selection.is_none());
    }

    #[test]
    fn what_is_written_is_read() {
        let side = SideFile {
            classes: vec!["background".to_owned(), "car".to_owned()],
            settings: BTreeMap::from([("share".to_owned(), serde_json::json!(0.1))]),
            reward: Some(vec!["b.jpg".to_owned(), "a.jpg".to_owned()]),
            ..SideFile::default()
        };
        let read = parse(&side.text().unwrap()).unwrap();
        assert_eq!((read.settings, read.reward), (side.settings, side.reward));
        assert_eq!((read.classes, read.selection), (side.classes, None));
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        for (text, words) in [
            ("{", "expected {\"schema\""),
            ("{}", "missing field `schema`"),
            (r#"{"schema": 2}"#, "its schema is 2"),
            (r#"{"schema": 1, "reward": [3]}"#, "invalid type"),
            (r#"{"schema": 1, "classes": [3]}"#, "invalid type"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }
}
