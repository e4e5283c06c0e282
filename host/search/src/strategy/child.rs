//! A *child* is one place to fill in the population; each proposal for it is a candidate of its own.
//!
//! With several branches a child changes a non-empty random subset of them (ours), and every branch must
//! pass its own screen. Redrawing all of them for each proposal would multiply the pass rates, 0.5 % four
//! times over for a fresh loss. Instead the branches of a proposal that passed stay and only the others
//! are drawn again; since branches are screened independently, the losses that result have the same
//! distribution.

use std::sync::Arc;

use autoloss_graph::{
    GenerateConfig, Limits, LossGraph, Mutation, mutate, random_graph, random_mutation, sum,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Next;
use super::shares::Shares;
use crate::candidate::Origin;
use crate::candidate::{Parent, Proposal, Screened};
use crate::config::SearchConfig;
use crate::id::CandidateId;
use crate::random::{Draws, stream};
use crate::task::{BranchSpec, TaskSpec};

/// What proposals are drawn from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    seed: u64,
    branches: Vec<BranchSpec>,
    generate: GenerateConfig,
    limits: Limits,
    proposals_per_parent: u64,
    /// What each branch's losses may have added.
    terms: Vec<Vec<LossGraph>>,
}

impl Source {
    pub(super) fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            seed: config.seed,
            branches: task.branches.clone(),
            generate: GenerateConfig {
                depth: config.evolution.depth,
            },
            limits: config.limits,
            proposals_per_parent: config.evolution.proposals_per_parent,
            terms: terms(config, task),
        }
    }

    /// The bits of all branches.
    pub(super) fn all(&self) -> u32 {
        (1u32 << self.branches.len()) - 1
    }

    /// The numbers that plan the child whose first proposal is `start`.
    pub(super) fn plan(&self, start: CandidateId) -> ChaCha8Rng {
        stream(self.seed, Draws::Plan, start.0)
    }

    /// A mutation of a branch's graph; a fresh graph where none applies.
    fn mutated(
        &self,
        rng: &mut ChaCha8Rng,
        graph: &LossGraph,
        index: usize,
        how: &Mutating,
    ) -> (LossGraph, Origin) {
        let branch = &self.branches[index];
        if how.shares[Shares::ADDITION] > 0.0 && rng.random_bool(how.shares[Shares::ADDITION]) {
            let sum = self.addition(rng, graph, index, how);
            if let Some(sum) = sum {
                return (sum, Origin::Addition);
            }
        }
        let mutated = match how.adaptive {
            false => random_mutation(rng, graph, &branch.signature, &self.limits),
            true => {
                let kind = how.kind(rng.random());
                let child = mutate(rng, graph, &branch.signature, &self.limits, kind);
                child
                    .map(|child| (kind, child))
                    .or_else(|| random_mutation(rng, graph, &branch.signature, &self.limits))
            }
        };
        match mutated {
            Some((mutation, graph)) => (graph, mutation.into()),
            None => self.fresh(rng, branch),
        }
    }

    /// The sum with a term, or with the mate's loss of the branch.
    fn addition(
        &self,
        rng: &mut ChaCha8Rng,
        graph: &LossGraph,
        index: usize,
        how: &Mutating,
    ) -> Option<LossGraph> {
        let terms = &self.terms[index];
        let mate = how.mate.as_ref().map(|mate| &mate.graphs[index]);
        let term = match mate {
            Some(mate) if terms.is_empty() || rng.random() => mate,
            _ => terms.get(rng.random_range(0..terms.len().max(1)))?,
        };
        sum(graph, term, &self.limits)
    }

    fn fresh(&self, rng: &mut ChaCha8Rng, branch: &BranchSpec) -> (LossGraph, Origin) {
        let graph = random_graph(rng, &branch.signature, &self.generate, &self.limits);
        (graph, Origin::Fresh)
    }
}

/// The terms of every branch that the configuration names. What exceeds the limits is left out; a search does not
/// begin with what cannot be read.
fn terms(config: &SearchConfig, task: &TaskSpec) -> Vec<Vec<LossGraph>> {
    let mut terms = vec![Vec::new(); task.branches.len()];
    for text in &config.evolution.terms {
        let graphs = task.written(text, &config.limits).unwrap_or_default();
        for (terms, graph) in terms.iter_mut().zip(graphs) {
            terms.extend(graph);
        }
    }
    terms
}

/// How a parent is mutated.
#[derive(Clone, Debug, Default)]
pub(super) struct Mutating {
    /// Another loss of the population, which may be added.
    pub(super) mate: Option<Arc<Parent>>,
    /// How often each kind is drawn.
    pub(super) shares: [f64; Shares::KINDS],
    /// Whether kinds other than addition are drawn by their shares; else evenly.
    pub(super) adaptive: bool,
}

impl Mutating {
    /// The kind, other than addition, at a place from 0 to 1 on the line of their shares.
    fn kind(&self, place: f64) -> Mutation {
        let kinds = Mutation::ALL.iter().zip(self.shares);
        let all: f64 = kinds.clone().map(|(_, share)| share).sum();
        let mut left = place * all;
        for (kind, share) in kinds {
            left -= share;
            if left < 0.0 {
                return *kind;
            }
        }
        Mutation::Replacement
    }
}

/// What proposals are made for: one child after another.
#[derive(Debug)]
pub(super) struct Children {
    pub(super) source: Source,
    /// What the next proposal is for, where proposals for it were rejected.
    current: Option<Child>,
}

impl Children {
    pub(super) fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            source: Source::new(config, task),
            current: None,
        }
    }

    /// Proposal `id`; `plan` plans a child by the number of its first proposal.
    pub(super) fn propose(
        &self,
        id: CandidateId,
        plan: impl FnOnce(CandidateId) -> Child,
    ) -> Proposal {
        match &self.current {
            Some(child) => child.proposal(id, &self.source),
            None => plan(id).proposal(id, &self.source),
        }
    }

    /// The proposals from `first` on, at most `most` of them, that are for the same child.
    pub(super) fn ahead(
        &self,
        first: CandidateId,
        most: u64,
        plan: impl FnOnce(CandidateId) -> Child,
    ) -> Vec<Proposal> {
        match &self.current {
            Some(child) => child.proposals(first, most, &self.source),
            None => plan(first).proposals(first, most, &self.source),
        }
    }

    /// Whether it is planned already what the next proposal is for.
    pub(super) fn is_planned(&self) -> bool {
        self.current.is_some()
    }

    /// Takes in how a proposal was screened; `planned` is the child that it was for, where it was the
    /// first for its child.
    pub(super) fn screened(&mut self, screened: &Screened, planned: Option<Child>) -> Next {
        let Some(mut child) = self.current.take().or(planned) else {
            return Next::Child;
        };
        let next = child.screened(screened, &self.source);
        self.current = (next != Next::Child).then_some(child);
        next
    }
}

/// A child in the making.
#[derive(Clone, Debug)]
pub(super) struct Child {
    /// Its first proposal, which also names it.
    start: CandidateId,
    parent: Option<Arc<Parent>>,
    /// Bit b: branch b is drawn anew rather than inherited.
    changed: u32,
    how: Mutating,
    kept: Vec<Option<(LossGraph, Origin)>>,
}

impl Child {
    /// A child of random losses.
    pub(super) fn fresh(start: CandidateId, source: &Source) -> Self {
        Self {
            start,
            parent: None,
            changed: source.all(),
            how: Mutating::default(),
            kept: vec![None; source.branches.len()],
        }
    }

    /// A child that changes some branches of a parent.
    pub(super) fn of(
        start: CandidateId,
        parent: Arc<Parent>,
        changed: u32,
        how: Mutating,
        source: &Source,
    ) -> Self {
        Self {
            parent: Some(parent),
            changed,
            how,
            ..Self::fresh(start, source)
        }
    }

    /// The proposal of this number.
    fn proposal(&self, id: CandidateId, source: &Source) -> Proposal {
        let mut rng = stream(source.seed, Draws::Graphs, id.0);
        let mut proposal = Proposal {
            id,
            child: self.start,
            parent: self.parent.clone(),
            graphs: Vec::with_capacity(source.branches.len()),
            origins: Vec::with_capacity(source.branches.len()),
            known: 0,
        };
        for (index, branch) in source.branches.iter().enumerate() {
            let bit = 1u32 << index;
            let inherited = self.parent.as_ref().map(|parent| &parent.graphs[index]);
            let (graph, origin) = match (&self.kept[index], inherited) {
                (Some((graph, origin)), _) => {
                    proposal.known |= bit;
                    (graph.clone(), *origin)
                }
                (None, Some(graph)) if self.changed & bit == 0 => {
                    proposal.known |= bit;
                    (graph.clone(), Origin::Inherited)
                }
                (None, Some(graph)) => source.mutated(&mut rng, graph, index, &self.how),
                (None, None) => source.fresh(&mut rng, branch),
            };
            proposal.graphs.push(graph);
            proposal.origins.push(origin);
        }
        proposal
    }

    /// The proposals from `first` on, at most `most` of them.
    pub(super) fn proposals(
        &self,
        first: CandidateId,
        most: u64,
        source: &Source,
    ) -> Vec<Proposal> {
        let count = self.proposals_left(first, source).min(most);
        let numbers = first.0..first.0 + count;
        numbers
            .map(|id| self.proposal(CandidateId(id), source))
            .collect()
    }

    /// Takes in how a proposal for it was screened.
    fn screened(&mut self, screened: &Screened, source: &Source) -> Next {
        let id = screened.proposal.id;
        if screened.accepted || self.proposals_left(CandidateId(id.0 + 1), source) == 0 {
            return Next::Child;
        }
        let before = self.kept_branches();
        self.learn(screened);
        match self.kept_branches() == before {
            true => Next::Same,
            false => Next::Revised,
        }
    }

    /// Keeps the branches of a rejected proposal that passed. Where all passed the loss as a whole was
    /// refused, so all are drawn again.
    fn learn(&mut self, screened: &Screened) {
        let (passed, all) = (screened.passed, (1u32 << self.kept.len()) - 1);
        for (index, kept) in self.kept.iter_mut().enumerate() {
            let stays = passed != all && passed & self.changed & (1 << index) != 0;
            let Proposal {
                graphs, origins, ..
            } = &screened.proposal;
            *kept = stays.then(|| (graphs[index].clone(), origins[index]));
        }
    }

    /// Bit b: branch b is kept from an earlier proposal.
    fn kept_branches(&self) -> u32 {
        let kept = self.kept.iter().enumerate();
        kept.filter(|(_, kept)| kept.is_some())
            .fold(0, |bits, (branch, _)| bits | 1 << branch)
    }

    /// How many proposals from `next` on there can be before another parent is tried. A fresh child has
    /// none, and what it has gathered must not be thrown away.
    fn proposals_left(&self, next: CandidateId, source: &Source) -> u64 {
        if self.parent.is_none() {
            return u64::MAX;
        }
        let made = next.0 - self.start.0;
        source.proposals_per_parent.saturating_sub(made)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::timing::StageTimes;

    pub(in crate::strategy) fn screened(proposal: Proposal, passed: u32) -> Screened {
        Screened {
            proposal,
            passed,
            canonical: None,
            key: None,
            outcome: None,
            branch: None,
            shared: None,
            accepted: false,
            screens: Vec::new(),
            times: StageTimes::default(),
        }
    }

    fn parent(source: &Source) -> Arc<Parent> {
        let id = CandidateId(0);
        Arc::new(Parent {
            id,
            graphs: Child::fresh(id, source).proposal(id, source).graphs,
            canonical: None,
        })
    }

    #[test]
    fn proposals_change_only_what_the_plan_says() {
        let source = Source::new(&SearchConfig::default(), &TaskSpec::toy(3));
        let parent = parent(&source);
        for changed in 1..=7 {
            for start in 0..40 {
                let child = Child::of(
                    CandidateId(start),
                    Arc::clone(&parent),
                    changed,
                    Mutating::default(),
                    &source,
                );
                let proposal = child.proposal(CandidateId(start + 5), &source);
                for index in 0..3 {
                    let inherited = changed & (1 << index) == 0;
                    assert_eq!(proposal.origins[index] == Origin::Inherited, inherited);
                    assert_eq!(proposal.knows(index), inherited);
                    if inherited {
                        assert_eq!(proposal.graphs[index], parent.graphs[index]);
                    }
                }
            }
        }
    }

    #[test]
    fn what_passed_is_kept_unless_all_did() {
        let source = Source::new(&SearchConfig::default(), &TaskSpec::toy(3));
        let mut child = Child::fresh(CandidateId(4), &source);
        let first = child.proposal(CandidateId(4), &source);
        let next = child.screened(&screened(first.clone(), 0b101), &source);
        assert_eq!(next, Next::Revised);
        let second = child.proposal(CandidateId(5), &source);
        assert_eq!(second.known, 0b101);
        assert_eq!(second.graphs[0], first.graphs[0]);
        assert_eq!(second.graphs[2], first.graphs[2]);
        let next = child.screened(&screened(second, 0b111), &source);
        assert_eq!(next, Next::Revised);
        assert_eq!(child.proposal(CandidateId(6), &source).known, 0);
    }

    #[test]
    fn only_a_mutated_child_is_ever_spent() {
        let mut config = SearchConfig::default();
        config.evolution.proposals_per_parent = 10;
        let source = Source::new(&config, &TaskSpec::toy(1));
        let fresh = Child::fresh(CandidateId(0), &source);
        assert!(fresh.proposals_left(CandidateId(1_000_001), &source) > 0);
        let mutated = Child::of(
            CandidateId(50),
            parent(&source),
            1,
            Mutating::default(),
            &source,
        );
        assert_eq!(mutated.proposals_left(CandidateId(59), &source), 1);
        assert_eq!(mutated.proposals_left(CandidateId(60), &source), 0);
    }
}
