//! How children are made: regularised evolution as in AutoLoss-Zero, or plain random search as
//! the baseline it is compared with.

use autoloss_graph::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// Where a child comes from.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// Regularised (aging) evolution with mutations and without crossover.
    #[default]
    Evolution,
    /// Every child is a fresh random loss.
    Random,
}

impl SearchMethod {
    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Evolution => "evolution",
            Self::Random => "random",
        }
    }
}

/// Section `[evolution]`. The numbers are those of AutoLoss-Zero (arXiv 2103.14026), recalled
/// rather than re-read, unless called ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionConfig {
    /// Where a child comes from.
    pub strategy: SearchMethod,
    /// Size of the population, the most recent losses that have a score: `1..=1000000`.
    /// Default 2500.
    pub population: usize,
    /// Part of the population that competes to be the parent, above 0 and at most 1. Default 0.05.
    pub tournament_fraction: f64,
    /// Random losses evaluated before evolution begins, `1..=population`. Default 20.
    pub initial: usize,
    /// Probability that a child is a fresh random loss rather than a mutated one, `0..=1`.
    /// Default 0.1.
    pub fresh_probability: f64,
    /// Share of mutations that add another loss as a term, one of `terms` or of the population, `0..=1`.
    /// Default 0.1, ours: sums of two losses are deeper than random graphs.
    pub addition: f64,
    /// Whether kinds of mutations are drawn the more often the more often their children were at least as good as
    /// their parents, each at least once in twenty. Default true, ours.
    pub adaptive: bool,
    /// Of the losses that compete to be the parent and score at most so much less than the best of them, the one with
    /// the fewest nodes is; 0: the best is, and of equals the younger. Scores are of one seed, so it is how far
    /// apart two spellings of one loss may lie. Default 0.002, ours: without it losses grow and score no better.
    pub parsimony: f64,
    /// Losses that begin the population, in front of the random ones: formulas, or JSON objects of formulas by
    /// branch. Default none.
    pub guesses: Vec<String>,
    /// What `addition` adds, as `guesses`. Default, for a new search: the task's reference losses with a formula, and
    /// other losses that are widely known.
    pub terms: Vec<String>,
    /// Depth of random graphs, `1..=limits.max_depth`. Default 3.
    pub depth: usize,
    /// Proposals from one parent before the next tournament, at least 1. Default 500, ours: a parent all
    /// of whose mutations are known must not hold up the search.
    #[serde(alias = "attempts_per_parent")]
    pub proposals_per_parent: u64,
    /// Proposals in a row without a proxy evaluation that end the search, at least 1. Default 5000000,
    /// ours.
    #[serde(alias = "max_attempts")]
    pub max_proposals: u64,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            strategy: SearchMethod::Evolution,
            population: 2500,
            tournament_fraction: 0.05,
            initial: 20,
            fresh_probability: 0.1,
            addition: 0.1,
            adaptive: true,
            parsimony: 0.002,
            guesses: Vec::new(),
            terms: Vec::new(),
            depth: 3,
            proposals_per_parent: 500,
            max_proposals: 5_000_000,
        }
    }
}

impl EvolutionConfig {
    pub(super) fn check(&self, check: &mut Checker, limits: &Limits) {
        check.range("evolution.population", self.population, 1..=1_000_000);
        check.positive(
            "evolution.tournament_fraction",
            self.tournament_fraction,
            1.0,
        );
        check.range(
            "evolution.initial",
            self.initial,
            1..=self.population.max(1),
        );
        check.range(
            "evolution.fresh_probability",
            self.fresh_probability,
            0.0..=1.0,
        );
        check.range("evolution.addition", self.addition, 0.0..=1.0);
        check.range("evolution.parsimony", self.parsimony, 0.0..=1e9);
        check.range("evolution.depth", self.depth, 1..=limits.max_depth.max(1));
        check.range(
            "evolution.proposals_per_parent",
            self.proposals_per_parent,
            1..=i64::MAX as u64,
        );
        check.range(
            "evolution.max_proposals",
            self.max_proposals,
            1..=i64::MAX as u64,
        );
    }
}
