//! The choices about a COCO folder.

use serde::{Deserialize, Serialize};

use crate::VisionError;
use crate::data::hold_out::check_shares;

/// How a COCO folder is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CocoOptions {
    /// The share of the training pictures that scores candidates, 0 to 0.5. Not used where the side file
    /// names them.
    pub reward_share: f64,
    /// The share of the training pictures that the best losses are chosen on, 0 to 0.5. Not used where the
    /// side file names them.
    pub selection_share: f64,
    /// `NAME` of the training annotations `annotations/instances_NAME.json`. None searches for `train2017`,
    /// then for the last name that begins with `train`, then for a single file.
    pub train: Option<String>,
    /// `NAME` of the test annotations. None searches for `val2017`, then for the last name that begins with
    /// `val`, then with `test`; where there is none, a fifth of the training pictures is the test split.
    pub test: Option<String>,
    /// Pictures of the train split with fewer objects to learn from are skipped: boxes of at least
    /// one pixel a side, no crowds. At 0 no picture is skipped. The other splits always have all pictures,
    /// since a detection where nothing is must count. 1 is what torchvision's reference training does.
    pub min_objects: usize,
    /// Whether pictures without a file and annotations that cannot be used are skipped rather than
    /// refused.
    pub skip_bad: bool,
}

impl Default for CocoOptions {
    fn default() -> CocoOptions {
        CocoOptions {
            reward_share: 0.1,
            selection_share: 0.1,
            train: None,
            test: None,
            min_objects: 1,
            skip_bad: false,
        }
    }
}

impl CocoOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`VisionError::Config`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), VisionError> {
        check_shares(self.reward_share, self.selection_share)?;
        let plain = |name: &Option<String>| {
            let bad = |name: &String| name.is_empty() || name.contains(['/', '\\', '\0']);
            !name.as_ref().is_some_and(bad)
        };
        let different = self.test.is_none() || self.train != self.test;
        let checks = [
            (
                "train",
                format!("{:?}", self.train),
                plain(&self.train),
                "the NAME of annotations/instances_NAME.json",
            ),
            (
                "test",
                format!("{:?}", self.test),
                plain(&self.test) && different,
                "the NAME of annotations/instances_NAME.json, another than train's",
            ),
        ];
        checks
            .into_iter()
            .try_for_each(|(field, found, good, expected)| {
                VisionError::check(field, found, good, expected)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_checked_by_name() {
        let good = CocoOptions::default;
        assert!(good().validate().is_ok());
        let name = |name: &str| Some(name.to_owned());
        for (field, options) in [
            (
                "reward_share",
                CocoOptions {
                    reward_share: f64::NAN,
                    ..good()
                },
            ),
            (
                "reward_share",
                CocoOptions {
                    reward_share: 0.6,
                    ..good()
                },
            ),
            (
                "selection_share",
                CocoOptions {
                    selection_share: -0.1,
                    ..good()
                },
            ),
            (
                "selection_share",
                CocoOptions {
                    reward_share: 0.5,
                    selection_share: 0.5,
                    ..good()
                },
            ),
            (
                "train",
                CocoOptions {
                    train: name(""),
                    ..good()
                },
            ),
            (
                "train",
                CocoOptions {
                    train: name("../x"),
                    ..good()
                },
            ),
            (
                "test",
                CocoOptions {
                    test: name("a/b"),
                    ..good()
                },
            ),
            (
                "test",
                CocoOptions {
                    train: name("a"),
                    test: name("a"),
                    ..good()
                },
            ),
        ] {
            match options.validate() {
                Err(VisionError::Config { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<CocoOptions>(r#"{"reward": 0.1}"#).unwrap_err();
        assert!(error.to_string().contains("reward"));
    }
}
