//! What a finished search comes to: the loss that is best on a split the search never saw, or in a second
//! stage, beside what it is compared with on the test split.

use std::collections::BTreeMap;

use autoloss_spec::TrainingBudget;

use crate::candidate::BestLoss;
use crate::comparison::{Contender, Row};
use crate::evaluation::{Confirmed, Evaluation, mean_score};
use crate::id::CandidateId;
use crate::known::KnownAs;

/// Name of the best new loss's row.
pub(crate) const NEW: &str = "best new";

/// What the chosen loss is compared with, and on what.
#[derive(Clone, Debug, Default)]
pub struct FinalTable {
    /// Split that decides nothing else.
    pub split: String,
    /// Name of the target score.
    pub score: String,
    /// Name of the chosen loss's row, which comes first. Where it is a reference loss that has a row, and there is
    /// a best new loss, the latter comes first.
    pub found: String,
    /// Losses of the branches that are not searched, by branch.
    pub fixed: BTreeMap<String, String>,
    /// What the losses of branches are known as, by candidate; without those that are new.
    pub known: BTreeMap<CandidateId, BTreeMap<String, KnownAs>>,
    /// What the losses of branches are multiplied by in training, by candidate; without those that are not.
    pub scales: BTreeMap<CandidateId, BTreeMap<String, f64>>,
    /// The best loss of the search that nobody knows by a name; it is measured again beside the best.
    pub new: Option<BestLoss>,
    /// The second stage, where there is one.
    pub second: Option<SecondStage>,
    /// The other rows.
    pub others: Vec<Contender>,
}

/// How the best losses are trained in a second stage.
#[derive(Clone, Debug, Default)]
pub struct SecondStage {
    /// Name of the network.
    pub network: String,
    /// Identity of its opened task, for its jobs.
    pub run_spec: String,
    /// Length and shape of a training.
    pub budget: TrainingBudget,
    /// How many losses are trained.
    pub top: usize,
    /// Trainings of each, at most as many as the final table has.
    pub seeds: usize,
    /// What they are compared with.
    pub references: Vec<Contender>,
}

/// A loss in the second stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Promoted {
    /// The candidate; absent for a reference.
    pub candidate: Option<CandidateId>,
    /// The reference's name, or the candidate's number.
    pub name: String,
    /// Texts by branch.
    pub losses: BTreeMap<String, String>,
    /// What came of each seed.
    pub evaluations: Vec<Evaluation>,
}

impl Promoted {
    /// Mean of the scores; none where a training ended without one.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        mean_score(&self.evaluations)
    }
}

impl FinalTable {
    /// The row that a candidate is but for a factor: every branch is known by its name.
    pub(crate) fn row_of(
        &self,
        id: CandidateId,
        branches: usize,
        rows: &[Contender],
    ) -> Option<usize> {
        let names = self.known.get(&id)?;
        let is = |row: &Contender| names.values().all(|known| known.loss == row.name);
        rows.iter()
            .position(|row| names.len() == branches && is(row))
    }

    /// Whether some branch of a candidate has a loss that nobody knows by a name. What was not looked at
    /// counts as known.
    pub(crate) fn is_new(&self, id: CandidateId, branches: usize) -> bool {
        self.known
            .get(&id)
            .is_some_and(|names| names.len() < branches)
    }

    /// The losses of the searched branches, and of those that are not.
    pub(crate) fn whole(&self, losses: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let both = losses.iter().chain(&self.fixed);
        both.map(|(branch, text)| (branch.clone(), text.clone()))
            .collect()
    }
}

/// What a finished search comes to.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Conclusion {
    /// The loss with the best mean in the second stage, or else on the selection split; absent where none
    /// trained with every seed.
    pub chosen: Option<Confirmed>,
    /// The best of those measured again that nobody knows by a name; it may be the chosen one.
    pub new: Option<Confirmed>,
    /// All that were measured again, best first.
    pub confirmed: Vec<Confirmed>,
    /// The second stage, best first; empty without one.
    pub second: Vec<Promoted>,
    /// The seeds of the final table.
    pub seeds: Vec<u64>,
    /// The final table; empty without a chosen loss.
    pub rows: Vec<Row>,
    /// Standard deviation of the target score between seeds.
    pub noise_floor: Option<f64>,
}
