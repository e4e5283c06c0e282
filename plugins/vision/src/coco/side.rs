//! The side file: settings, and which training pictures are held out.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::VisionError;
use crate::folder::SIDE_FILE;

/// The version of the side file that is written and read.
const SCHEMA: u32 = 1;

/// The contents of the side file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) schema: u32,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Value>,
    /// The `file_name` of each picture of the reward split in its order; None leaves the choice to the
    /// reader's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reward: Option<Vec<String>>,
    /// The same of the selection split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) selection: Option<Vec<String>>,
}

impl Default for Side {
    fn default() -> Side {
        Side {
            schema: SCHEMA,
            settings: BTreeMap::new(),
            reward: None,
            selection: None,
        }
    }
}

impl Side {
    /// Reads the file of a data set; what a set without one says where there is none.
    pub(super) fn read(root: &Path) -> Result<Side, VisionError> {
        let file = root.join(SIDE_FILE);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Side::default()),
            Err(error) => {
                return Err(VisionError::File {
                    action: "read",
                    file,
                    problem: error.to_string(),
                });
            }
            Ok(text) => text,
        };
        Side::parse(&text).map_err(|problem| VisionError::Folder {
            folder: file,
            problem,
        })
    }

    fn parse(text: &str) -> Result<Side, String> {
        let side: Side = serde_json::from_str(text).map_err(|error| {
            format!(
                "{error}; expected {{\"schema\": 1, \"settings\": {{…}}, \"reward\": [file names], \
                 \"selection\": [file names]}}"
            )
        })?;
        if side.schema == SCHEMA {
            Ok(side)
        } else {
            Err(format!(
                "its schema is {}, this program reads {SCHEMA}",
                side.schema
            ))
        }
    }

    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_the_file_has_no_settings_and_no_lists() {
        let place = tempfile::tempdir().unwrap();
        let side = Side::read(place.path()).unwrap();
        assert!(side.settings.is_empty() && side.reward.is_none() && side.selection.is_none());
    }

    #[test]
    fn what_is_written_is_read() {
        let side = Side {
            settings: BTreeMap::from([("share".to_owned(), serde_json::json!(0.1))]),
            reward: Some(vec!["b.jpg".to_owned(), "a.jpg".to_owned()]),
            ..Side::default()
        };
        let read = Side::parse(&side.text().unwrap()).unwrap();
        assert_eq!((read.settings, read.reward), (side.settings, side.reward));
        assert_eq!(read.selection, None);
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        for (text, words) in [
            ("{", "expected {\"schema\""),
            ("{}", "missing field `schema`"),
            (r#"{"schema": 2}"#, "its schema is 2"),
            (r#"{"schema": 1, "reward": [3]}"#, "invalid type"),
        ] {
            let problem = Side::parse(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }
}
