//! Where candidates come from. A *child* is one place to fill in the population; each attempt at
//! it is a candidate of its own. A rejected attempt costs nothing: the same parent is mutated again
//! until an attempt passes (AutoLoss-Zero, arXiv 2103.14026).
//!
//! With several branches a child changes a non-empty random subset of them (ours), and every
//! branch must pass its own screen. Redrawing all of them at each attempt would multiply the pass
//! rates, 0.5 % four times over for a fresh loss. Instead the branches of an attempt that passed
//! stay and only the others are drawn again; since branches are screened independently, the losses
//! that result have the same distribution.
//!
//! A slot's plan depends on the population, which changes only between children, and on the number
//! of its first attempt, so a resumed run makes the same plan again.

use std::sync::Arc;

use autoloss_graph::{GenerateConfig, Limits, LossGraph, Mutation, random_graph, random_mutation};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::config::{SearchConfig, SearchMethod};
use crate::population::{Member, Population};
use crate::stream::{Purpose, stream};
use crate::task::TaskSpec;
use crate::verdict::CandidateId;

/// What was done to one branch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// The parent's graph, unchanged.
    Inherited,
    /// A fresh random graph.
    Fresh,
    /// See [`Mutation::Insertion`].
    Insertion,
    /// See [`Mutation::Deletion`].
    Deletion,
    /// See [`Mutation::Replacement`].
    Replacement,
}

impl From<Mutation> for Origin {
    fn from(mutation: Mutation) -> Self {
        match mutation {
            Mutation::Insertion => Self::Insertion,
            Mutation::Deletion => Self::Deletion,
            Mutation::Replacement => Self::Replacement,
        }
    }
}

/// A candidate before any screen.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: CandidateId,
    pub(crate) child: CandidateId,
    pub(crate) parent: Option<Arc<Member>>,
    pub(crate) graphs: Vec<LossGraph>,
    pub(crate) origins: Vec<Origin>,
    /// Bit b: branch b is known to pass its screens, being inherited or kept.
    pub(crate) known: u32,
}

impl Draft {
    /// Whether a branch is known to pass its screens.
    pub(crate) fn knows(&self, branch: usize) -> bool {
        self.known & (1 << branch) != 0
    }
}

/// A child in the making.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its first attempt, which also names it.
    pub(crate) start: CandidateId,
    parent: Option<Arc<Member>>,
    /// Bit b: branch b is drawn anew rather than inherited.
    changed: u32,
    kept: Vec<Option<(LossGraph, Origin)>>,
}

impl Child {
    /// Plans the child whose first attempt is `start`.
    pub(crate) fn plan(
        start: CandidateId,
        config: &SearchConfig,
        population: &Population,
        joined: u64,
        branches: usize,
    ) -> Self {
        let mut rng = stream(config.seed, Purpose::Plan, start.0);
        let evolution = &config.evolution;
        let all = (1u32 << branches) - 1;
        let fresh = evolution.strategy == SearchMethod::Random
            || joined < evolution.initial as u64
            || rng.random_bool(evolution.fresh_probability);
        let parent = if fresh {
            None
        } else {
            population.tournament(&mut rng, evolution.tournament_fraction)
        };
        let changed = match parent {
            Some(_) => rng.random_range(1..=all),
            None => all,
        };
        Self {
            start,
            parent,
            changed,
            kept: vec![None; branches],
        }
    }

    /// The next attempt.
    pub(crate) fn attempt(&self, id: CandidateId, config: &SearchConfig, task: &TaskSpec) -> Draft {
        let mut rng = stream(config.seed, Purpose::Graphs, id.0);
        let generate = generation(config);
        let mut draft = Draft {
            id,
            child: self.start,
            parent: self.parent.clone(),
            graphs: Vec::with_capacity(task.branches.len()),
            origins: Vec::with_capacity(task.branches.len()),
            known: 0,
        };
        for (index, branch) in task.branches.iter().enumerate() {
            let bit = 1u32 << index;
            let inherited = self.parent.as_ref().map(|parent| &parent.graphs[index]);
            let (graph, origin) = match (&self.kept[index], inherited) {
                (Some((graph, origin)), _) => {
                    draft.known |= bit;
                    (graph.clone(), *origin)
                }
                (None, Some(graph)) if self.changed & bit == 0 => {
                    draft.known |= bit;
                    (graph.clone(), Origin::Inherited)
                }
                (None, Some(graph)) => mutated(&mut rng, graph, branch, &generate, &config.limits),
                (None, None) => (
                    random_graph(&mut rng, &branch.signature, &generate, &config.limits),
                    Origin::Fresh,
                ),
            };
            draft.graphs.push(graph);
            draft.origins.push(origin);
        }
        draft
    }

    /// Keeps the branches of a rejected attempt that passed, bit by bit. Where all passed the loss
    /// as a whole was refused, so all are drawn again.
    pub(crate) fn learn(&mut self, graphs: &[LossGraph], origins: &[Origin], passed: u32) {
        let all = (1u32 << self.kept.len()) - 1;
        for (index, kept) in self.kept.iter_mut().enumerate() {
            let stays = passed != all && passed & self.changed & (1 << index) != 0;
            *kept = stays.then(|| (graphs[index].clone(), origins[index]));
        }
    }

    /// Bit b: branch b is kept from an earlier attempt.
    pub(crate) fn kept_branches(&self) -> u32 {
        let kept = self.kept.iter().enumerate();
        kept.filter(|(_, kept)| kept.is_some())
            .fold(0, |bits, (branch, _)| bits | 1 << branch)
    }

    /// How many attempts from `next` on there can be before another parent is tried.
    pub(crate) fn attempts_left(&self, next: CandidateId, config: &SearchConfig) -> u64 {
        if self.parent.is_none() {
            return u64::MAX;
        }
        let made = next.0 - self.start.0;
        config.evolution.proposals_per_parent.saturating_sub(made)
    }

    /// Whether another parent should be tried after this attempt. A fresh child has none, and what
    /// it has gathered must not be thrown away.
    pub(crate) fn is_spent(&self, last: CandidateId, config: &SearchConfig) -> bool {
        self.attempts_left(CandidateId(last.0 + 1), config) == 0
    }
}

fn generation(config: &SearchConfig) -> GenerateConfig {
    GenerateConfig {
        depth: config.evolution.depth,
    }
}

/// A mutation of the graph; a fresh graph where none applies.
fn mutated(
    rng: &mut rand_chacha::ChaCha8Rng,
    graph: &LossGraph,
    branch: &crate::task::BranchSpec,
    generate: &GenerateConfig,
    limits: &Limits,
) -> (LossGraph, Origin) {
    match random_mutation(rng, graph, &branch.signature, limits) {
        Some((mutation, graph)) => (graph, mutation.into()),
        None => (
            random_graph(rng, &branch.signature, generate, limits),
            Origin::Fresh,
        ),
    }
}

#[cfg(test)]
mod tests {
    use autoloss_graph::{BranchName, Signature};

    use super::*;
    use crate::task::BranchSpec;

    fn task(branches: usize) -> TaskSpec {
        TaskSpec {
            task: "toy".into(),
            network: "net".into(),
            branches: (0..branches)
                .map(|index| BranchSpec {
                    name: BranchName::new(format!("b{index}")).unwrap(),
                    signature: Signature::dense(),
                })
                .collect(),
            conventions: Default::default(),
        }
    }

    fn parents(branches: usize) -> Population {
        let task = task(branches);
        let config = SearchConfig::default();
        let mut population = Population::new(100);
        for id in 0..20 {
            let start = CandidateId(id);
            let child = Child::plan(start, &config, &population, 0, branches);
            population.push(Member {
                id: start,
                score: 0.5,
                graphs: child.attempt(start, &config, &task).graphs,
                canonical: None,
            });
        }
        population
    }

    #[test]
    fn the_first_losses_are_fresh_and_then_one_in_ten() {
        let config = SearchConfig::default();
        let population = parents(1);
        let fresh = |joined| {
            (0..2000)
                .map(|n| Child::plan(CandidateId(n), &config, &population, joined, 1))
                .filter(|child| child.parent.is_none())
                .count()
        };
        assert_eq!(fresh(19), 2000);
        let part = fresh(20);
        assert!((150..250).contains(&part), "{part} of 2000");
    }

    #[test]
    fn every_non_empty_subset_of_branches_is_changed_as_often() {
        let mut config = SearchConfig::default();
        config.evolution.fresh_probability = 0.0;
        let population = parents(3);
        let mut seen = [0usize; 8];
        for n in 0..7000 {
            let child = Child::plan(CandidateId(n), &config, &population, 99, 3);
            seen[child.changed as usize] += 1;
        }
        assert_eq!(seen[0], 0);
        assert!(
            seen[1..].iter().all(|&count| (850..1150).contains(&count)),
            "{seen:?}"
        );
    }

    #[test]
    fn attempts_change_only_what_the_plan_says() {
        let mut config = SearchConfig::default();
        config.evolution.fresh_probability = 0.0;
        let (task, population) = (task(3), parents(3));
        for n in 0..300 {
            let start = CandidateId(n);
            let child = Child::plan(start, &config, &population, 99, 3);
            let parent = child.parent.clone().unwrap();
            let draft = child.attempt(CandidateId(n + 5), &config, &task);
            for index in 0..3 {
                let inherited = child.changed & (1 << index) == 0;
                assert_eq!(draft.origins[index] == Origin::Inherited, inherited);
                assert_eq!(draft.known & (1 << index) != 0, inherited);
                if inherited {
                    assert_eq!(draft.graphs[index], parent.graphs[index]);
                }
            }
        }
    }

    #[test]
    fn what_passed_is_kept_unless_all_did() {
        let config = SearchConfig::default();
        let task = task(3);
        let start = CandidateId(4);
        let mut child = Child::plan(start, &config, &Population::new(1), 0, 3);
        let first = child.attempt(start, &config, &task);
        child.learn(&first.graphs, &first.origins, 0b101);
        let second = child.attempt(CandidateId(5), &config, &task);
        assert_eq!(second.known, 0b101);
        assert_eq!(second.graphs[0], first.graphs[0]);
        assert_eq!(second.graphs[2], first.graphs[2]);
        child.learn(&second.graphs, &second.origins, 0b111);
        assert_eq!(child.attempt(CandidateId(6), &config, &task).known, 0);
    }

    #[test]
    fn only_a_mutated_child_is_ever_spent() {
        let mut config = SearchConfig::default();
        config.evolution.proposals_per_parent = 10;
        let fresh = Child::plan(CandidateId(0), &config, &Population::new(1), 0, 1);
        assert!(!fresh.is_spent(CandidateId(1_000_000), &config));
        config.evolution.fresh_probability = 0.0;
        let mutated = Child::plan(CandidateId(50), &config, &parents(1), 99, 1);
        assert!(!mutated.is_spent(CandidateId(58), &config));
        assert!(mutated.is_spent(CandidateId(59), &config));
    }
}
