//! What a finished search comes to: the loss that is best on a split the search never saw, beside what it
//! is compared with on the test split.

use std::collections::BTreeMap;

use crate::candidate::BestLoss;
use crate::comparison::{Contender, Row};
use crate::evaluation::Confirmed;
use crate::id::CandidateId;
use crate::known::KnownAs;

/// Name of the best new loss's row.
const NEW: &str = "best new";

/// What the chosen loss is compared with, and on what.
#[derive(Clone, Debug, Default)]
pub struct FinalTable {
    /// Split that decides nothing else.
    pub split: String,
    /// Name of the target score.
    pub score: String,
    /// Name of the chosen loss's row, which comes first.
    pub found: String,
    /// Losses of the branches that are not searched, by branch.
    pub fixed: BTreeMap<String, String>,
    /// What the losses of branches are known as, by candidate; without those that are new.
    pub known: BTreeMap<CandidateId, BTreeMap<String, KnownAs>>,
    /// The best loss that nobody knows by a name. It has a row of its own where it is not the chosen one.
    pub new: Option<BestLoss>,
    /// The other rows.
    pub others: Vec<Contender>,
}

impl FinalTable {
    /// The name of the row with these losses.
    #[must_use]
    pub fn name(&self, losses: &BTreeMap<String, String>) -> &str {
        let row = self.others.iter().find(|row| row.losses == *losses);
        match (&self.new, row) {
            (_, Some(row)) => &row.name,
            (Some(new), None) if self.whole(&new.losses) == *losses => NEW,
            _ => &self.found,
        }
    }

    /// The best new loss's row.
    pub(crate) fn new_row(&self) -> Option<Contender> {
        self.new.as_ref().map(|new| Contender {
            name: NEW.to_owned(),
            losses: self.whole(&new.losses),
        })
    }

    /// The losses of the searched branches, and of those that are not.
    pub(crate) fn whole(&self, losses: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let both = losses.iter().chain(&self.fixed);
        both.map(|(branch, text)| (branch.clone(), text.clone()))
            .collect()
    }
}

/// What a finished search comes to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Conclusion {
    /// The loss with the best mean on the selection split; absent where none trained with every seed.
    pub chosen: Option<Confirmed>,
    /// The final table; empty without a chosen loss.
    pub rows: Vec<Row>,
    /// Standard deviation of the target score between seeds.
    pub noise_floor: Option<f64>,
}
