//! The parts of a data set.

use crate::UnknownName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Part of a data set. Data of one split never occurs in another.
///
/// ```
/// use autoloss_spec::Split;
///
/// assert_eq!(Split::Reward.to_string(), "reward");
/// assert_eq!("reward".parse(), Ok(Split::Reward));
/// assert!("rewards".parse::<Split>().is_err());
/// assert_eq!(serde_json::to_string(&Split::Test)?, "\"test\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Trains proxy and full networks.
    Train,
    /// Scores candidates during the search.
    Reward,
    /// Chooses among the best after the search.
    Selection,
    /// Reported, and used for nothing else.
    Test,
}

impl Split {
    /// All four, in the order of their use.
    pub const ALL: [Split; 4] = [Split::Train, Split::Reward, Split::Selection, Split::Test];

    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Reward => "reward",
            Split::Selection => "selection",
            Split::Test => "test",
        }
    }
}

impl FromStr for Split {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|split| split.name() == name)
            .ok_or_else(|| UnknownName::new("split", name, Self::ALL.map(Self::name)))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
