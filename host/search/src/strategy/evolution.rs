//! Regularised (aging) evolution without crossover, the method of AutoLoss-Zero (arXiv 2103.14026).
//!
//! A child's plan, its parent and the branches that it changes, depends on the population, which changes
//! only between children, and on the number of its first proposal, so a resumed run makes the same plan
//! again.

use rand::RngExt;

use super::child::{Child, Children};
use super::population::{Member, Population};
use super::{Next, Strategy};
use crate::candidate::{Parent, Proposal, Screened, Settled};
use crate::config::{EvolutionConfig, SearchConfig};
use crate::id::CandidateId;
use crate::task::TaskSpec;

/// Mutates the best of random parts of a population of the most recent losses.
#[derive(Debug)]
pub struct Evolution {
    settings: EvolutionConfig,
    children: Children,
    population: Population,
    /// How many candidates ever joined the population.
    joined: u64,
}

impl Evolution {
    /// Evolution that was told nothing.
    #[must_use]
    pub fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            settings: config.evolution.clone(),
            children: Children::new(config, task),
            population: Population::new(config.evolution.population),
            joined: 0,
        }
    }

    /// Plans the child whose first proposal is `start`.
    fn plan(&self, start: CandidateId) -> Child {
        let source = &self.children.source;
        let mut rng = source.plan(start);
        let fresh = self.joined < self.settings.initial as u64
            || rng.random_bool(self.settings.fresh_probability);
        let drawn = match fresh {
            true => None,
            false => self
                .population
                .tournament(&mut rng, self.settings.tournament_fraction),
        };
        match drawn {
            None => Child::fresh(start, source),
            Some(parent) => {
                let changed = rng.random_range(1..=source.all());
                Child::of(start, parent, changed, source)
            }
        }
    }
}

impl Strategy for Evolution {
    fn propose(&self, id: CandidateId) -> Proposal {
        self.children.propose(id, |id| self.plan(id))
    }

    fn ahead(&self, first: CandidateId, most: u64) -> Vec<Proposal> {
        self.children.ahead(first, most, |first| self.plan(first))
    }

    fn screened(&mut self, screened: &Screened) -> Next {
        let first = !self.children.is_planned();
        let planned = first.then(|| self.plan(screened.proposal.child));
        self.children.screened(screened, planned)
    }

    fn tell(&mut self, settled: &Settled) {
        let record = &settled.record;
        if let (true, Some(fitness)) = (record.joined, record.fitness) {
            self.joined += 1;
            self.population.push(Member {
                fitness,
                loss: Parent {
                    id: record.id,
                    graphs: settled.graphs.clone(),
                    canonical: record.canonical,
                }
                .into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::Origin;
    use crate::fitness::Fitness;

    /// Evolution with a population of 20 losses, of which so many ever joined.
    fn evolution(branches: usize, fresh_probability: f64, joined: u64) -> Evolution {
        let mut config = SearchConfig::default();
        config.evolution.fresh_probability = fresh_probability;
        let mut evolution = Evolution::new(&config, &TaskSpec::toy(branches));
        for id in (0..20).map(CandidateId) {
            let graphs = evolution.propose(id).graphs;
            evolution.population.push(Member {
                fitness: Fitness::new(0.5).unwrap(),
                loss: Parent {
                    id,
                    graphs,
                    canonical: None,
                }
                .into(),
            });
        }
        evolution.joined = joined;
        evolution
    }

    #[test]
    fn the_first_losses_are_fresh_and_then_one_in_ten() {
        let fresh = |joined| {
            let evolution = evolution(1, 0.1, joined);
            let proposals = (0..2000).map(|n| evolution.propose(CandidateId(n)));
            proposals
                .filter(|proposal| proposal.parent.is_none())
                .count()
        };
        assert_eq!(fresh(19), 2000);
        let part = fresh(20);
        assert!((150..250).contains(&part), "{part} of 2000");
    }

    #[test]
    fn every_non_empty_subset_of_branches_is_changed_as_often() {
        let evolution = evolution(3, 0.0, 99);
        let mut seen = [0usize; 8];
        for n in 0..7000 {
            let proposal = evolution.propose(CandidateId(n));
            let changed = proposal.origins.iter().enumerate();
            let changed = changed.filter(|(_, origin)| **origin != Origin::Inherited);
            seen[changed.fold(0, |bits, (branch, _)| bits | 1 << branch)] += 1;
        }
        assert_eq!(seen[0], 0);
        assert!(
            seen[1..].iter().all(|&count| (850..1150).contains(&count)),
            "{seen:?}"
        );
    }
}
