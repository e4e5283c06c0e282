//! The four splits and what each may be used for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the data. No item and no background pixel is in two splits.
///
/// ```
/// use autoloss_vision::Split;
/// assert_eq!(Split::from_name("reward"), Some(Split::Reward));
/// assert_eq!(Split::Test.to_string(), "test");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Proxy networks are trained on it.
    Train,
    /// Candidates are scored on it during a search.
    Reward,
    /// The best candidates of a finished search are chosen on it.
    Selection,
    /// The final result is reported on it.
    Test,
}

impl Split {
    /// All splits, in the order in which the pack stores them.
    pub const ALL: [Split; 4] = [Split::Train, Split::Reward, Split::Selection, Split::Test];

    /// The name used in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Reward => "reward",
            Split::Selection => "selection",
            Split::Test => "test",
        }
    }

    /// The split of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Split> {
        Split::ALL.into_iter().find(|split| split.name() == name)
    }

    /// The split's place in [`Split::ALL`].
    pub(crate) fn position(self) -> usize {
        self as usize
    }
}

#[cfg(feature = "networks")]
impl From<autoloss_plugin_api::Split> for Split {
    fn from(split: autoloss_plugin_api::Split) -> Self {
        use autoloss_plugin_api::Split as Theirs;
        match split {
            Theirs::Train => Split::Train,
            Theirs::Reward => Split::Reward,
            Theirs::Selection => Split::Selection,
            Theirs::Test => Split::Test,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
