//! What a finished search comes to: the loss that is best on a split the search never saw, beside what it
//! is compared with on the test split.

use std::collections::BTreeMap;

use crate::comparison::{Contender, Row};
use crate::evaluation::Confirmed;

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
    /// The other rows.
    pub others: Vec<Contender>,
}

impl FinalTable {
    /// The name of the row with these losses.
    #[must_use]
    pub fn name(&self, losses: &BTreeMap<String, String>) -> &str {
        let row = self.others.iter().find(|row| row.losses == *losses);
        row.map_or(&self.found, |row| &row.name)
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
