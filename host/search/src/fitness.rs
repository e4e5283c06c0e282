//! What a candidate is worth.
//!
//! Strategies, the pruner and the store look into it; everything else passes it on. Today it is one
//! target score; a search for several scores would change this type and who looks into it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The target score of an evaluated loss, higher is better. Always finite, so that any two compare.
///
/// ```
/// use autoloss_search::Fitness;
///
/// let (low, high) = (Fitness::new(0.2).unwrap(), Fitness::new(0.3).unwrap());
/// assert!(low < high);
/// assert_eq!(Fitness::new(f64::NAN), None);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fitness(f64);

impl Fitness {
    /// A score; none that is NaN or infinite.
    #[must_use]
    pub fn new(score: f64) -> Option<Self> {
        score.is_finite().then_some(Self(score))
    }

    /// The target score.
    #[must_use]
    pub fn score(self) -> f64 {
        self.0
    }
}

impl Eq for Fitness {}

impl Ord for Fitness {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Fitness {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<f64> for Fitness {
    type Error = String;

    fn try_from(score: f64) -> Result<Self, String> {
        Self::new(score).ok_or_else(|| format!("the score is {score}, which cannot be compared"))
    }
}

impl From<Fitness> for f64 {
    fn from(fitness: Fitness) -> Self {
        fitness.0
    }
}
