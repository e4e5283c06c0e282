//! The choices about a folder.

use serde::{Deserialize, Serialize};

use crate::VisionError;
use crate::data::hold_out::check_shares;

/// How a folder is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderOptions {
    /// The share of the training list that scores candidates, 0 to 0.5. Not used where
    /// `ImageSets/Segmentation/reward.txt` names them.
    pub reward_share: f64,
    /// The share of the training list that the best losses are chosen on, 0 to 0.5. Not used where
    /// `ImageSets/Segmentation/selection.txt` names them.
    pub selection_share: f64,
    /// The training list's name without `.txt`: `train`, `trainaug` (VOC with SBD's masks, 10,582
    /// pictures) or another in `ImageSets/Segmentation`. Cityscapes has `train` alone.
    pub train_list: String,
    /// The longest side, pixels: larger pictures are reduced to it; None leaves every size as it is.
    pub longest: Option<usize>,
    /// Whether names whose files are missing are skipped rather than refused.
    pub skip_bad: bool,
}

impl Default for FolderOptions {
    fn default() -> FolderOptions {
        FolderOptions {
            reward_share: 0.1,
            selection_share: 0.1,
            train_list: "train".to_owned(),
            longest: None,
            skip_bad: false,
        }
    }
}

impl FolderOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`VisionError::Config`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), VisionError> {
        check_shares(self.reward_share, self.selection_share)?;
        let list = !self.train_list.is_empty()
            && !self.train_list.contains(['/', '\\'])
            && self.train_list != "val"
            && self.train_list != "trainval";
        let checks = [
            (
                "train_list",
                format!("{:?}", self.train_list),
                list,
                "the name of a list in ImageSets/Segmentation without the pictures of val.txt, such as \
                 train or trainaug",
            ),
            (
                "longest",
                format!("{:?}", self.longest),
                self.longest != Some(0),
                "at least 1 pixel",
            ),
        ];
        checks
            .into_iter()
            .try_for_each(|(field, found, good, expected)| {
                VisionError::check(field, found, good, expected)
            })
    }

    /// The training list's name without its ending, which people add.
    pub(super) fn train_name(&self) -> &str {
        let name = self.train_list.as_str();
        name.strip_suffix(".txt").unwrap_or(name)
    }
}
