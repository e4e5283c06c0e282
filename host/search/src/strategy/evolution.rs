//! Regularised (aging) evolution without crossover, the method of AutoLoss-Zero (arXiv 2103.14026).
//!
//! A child's plan, its parent and the branches that it changes, depends on the population, which changes
//! only between children, and on the number of its first proposal, so a resumed run makes the same plan
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoloss_graph::LossGraph;
use rand::{Rng, RngExt};

use super::child::{Child, Children, Mutating};
use super::population::{Member, Population};
use super::shares::Shares;
use super::{Next, Strategy};
use crate::candidate::{Origin, Parent, Proposal, Screened, Settled};
use crate::config::{EvolutionConfig, SearchConfig};
use crate::fitness::Fitness;
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
    shares: Shares,
    /// What the candidates that joined are worth.
    worth: BTreeMap<CandidateId, Fitness>,
    /// The losses that begin the population, and how many of them were screened.
    guesses: Vec<Vec<LossGraph>>,
    guessed: usize,
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
            shares: Shares::new(config.evolution.addition, config.evolution.adaptive),
            worth: BTreeMap::new(),
            guesses: guesses(config, task),
            guessed: 0,
        }
    }

    /// The next of the losses that begin the population.
    fn guess(&self, id: CandidateId) -> Option<Proposal> {
        let graphs = self.guesses.get(self.guessed)?;
        Some(Proposal {
            id,
            child: id,
            parent: None,
            graphs: graphs.clone(),
            origins: vec![Origin::Guess; graphs.len()],
            known: 0,
        })
    }

    /// A loss of the population to make children from.
    fn tournament(&self, rng: &mut impl Rng) -> Option<Arc<Parent>> {
        let (fraction, parsimony) = (self.settings.tournament_fraction, self.settings.parsimony);
        self.population.tournament(rng, fraction, parsimony)
    }

    /// Plans the child whose first proposal is `start`.
    fn plan(&self, start: CandidateId) -> Child {
        let source = &self.children.source;
        let mut rng = source.plan(start);
        let fresh = self.joined < self.settings.initial as u64
            || rng.random_bool(self.settings.fresh_probability);
        let drawn = match fresh {
            true => None,
            false => self.tournament(&mut rng),
        };
        match drawn {
            None => Child::fresh(start, source),
            Some(parent) => {
                let changed = rng.random_range(1..=source.all());
                let shares = self.shares.now();
                let mate = match shares[Shares::ADDITION] > 0.0 {
                    true => self.tournament(&mut rng),
                    false => None,
                };
                let how = Mutating {
                    mate: mate.filter(|mate| mate.id != parent.id),
                    shares,
                    adaptive: self.settings.adaptive,
                };
                Child::of(start, parent, changed, how, source)
            }
        }
    }
}

impl Strategy for Evolution {
    fn propose(&self, id: CandidateId) -> Proposal {
        if let Some(guess) = self.guess(id) {
            return guess;
        }
        self.children.propose(id, |id| self.plan(id))
    }

    fn ahead(&self, first: CandidateId, most: u64) -> Vec<Proposal> {
        if let Some(guess) = self.guess(first) {
            return vec![guess];
        }
        self.children.ahead(first, most, |first| self.plan(first))
    }

    fn screened(&mut self, screened: &Screened) -> Next {
        if self.guessed < self.guesses.len() {
            self.guessed += 1;
            return Next::Child;
        }
        let first = !self.children.is_planned();
        let planned = first.then(|| self.plan(screened.proposal.child));
        self.children.screened(screened, planned)
    }

    fn tell(&mut self, settled: &Settled) {
        let record = &settled.record;
        if record.outcome.kind().evaluated()
            && let Some(parent) = record.parent.and_then(|parent| self.worth.get(&parent))
        {
            let good = record.fitness.is_some_and(|fitness| fitness >= *parent);
            for &origin in &record.origins {
                self.shares.tell(origin, good);
            }
        }
        if let (true, Some(fitness)) = (record.joined, record.fitness) {
            self.joined += 1;
            self.worth.insert(record.id, fitness);
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

/// The losses of the configuration that begin the population; one that leaves a branch out does not count.
fn guesses(config: &SearchConfig, task: &TaskSpec) -> Vec<Vec<LossGraph>> {
    let texts = config.evolution.guesses.iter();
    let graphs = texts.filter_map(|text| task.written(text, &config.limits).ok());
    graphs
        .filter_map(|graphs| graphs.into_iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::child::tests::screened;
    use super::*;

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
    fn guesses_go_first_and_once() {
        let mut config = SearchConfig::default();
        config.evolution.guesses = ["neg(mul(y, log(yhat)))", "square(add(y, neg(yhat)))"]
            .map(String::from)
            .to_vec();
        let task = TaskSpec::toy(1);
        let mut evolution = Evolution::new(&config, &task);
        for (n, text) in config.evolution.guesses.iter().enumerate() {
            let proposal = evolution.propose(CandidateId(n as u64));
            assert_eq!(task.texts(&proposal.graphs)["b0"], *text);
            assert_eq!(proposal.origins, [Origin::Guess]);
            let next = evolution.screened(&screened(proposal, 0));
            assert_eq!(next, Next::Child);
        }
        assert_eq!(evolution.propose(CandidateId(2)).origins, [Origin::Fresh]);
    }

    #[test]
    fn sums_have_a_term_or_another_loss_of_the_population() {
        let mut config = SearchConfig::default();
        (
            config.evolution.addition,
            config.evolution.fresh_probability,
        ) = (1.0, 0.0);
        config.evolution.terms = vec!["neg(mul(y, log(yhat)))".into()];
        let task = TaskSpec::toy(1);
        let mut evolution = Evolution::new(&config, &task);
        for (n, text) in ["square(yhat)", "exp(yhat)"].into_iter().enumerate() {
            let losses = BTreeMap::from([("b0".to_owned(), text.to_owned())]);
            let loss = Parent {
                id: CandidateId(n as u64),
                graphs: task.parse(&losses, &config.limits).unwrap(),
                canonical: None,
            };
            let fitness = Fitness::new(0.5).unwrap();
            evolution.population.push(Member {
                fitness,
                loss: loss.into(),
            });
        }
        evolution.joined = 99;
        let texts = (0..200).map(|n| {
            let proposal = evolution.propose(CandidateId(n));
            assert!(proposal.origins[0] == Origin::Addition || proposal.parent.is_some());
            task.texts(&proposal.graphs)["b0"].clone()
        });
        let texts: std::collections::BTreeSet<String> = texts.collect();
        for parent in ["square(yhat)", "exp(yhat)"] {
            assert!(
                texts.contains(&format!("add({parent}, neg(mul(y, log(yhat))))")),
                "{texts:?}"
            );
        }
        assert!(
            texts.contains("add(square(yhat), exp(yhat))")
                || texts.contains("add(exp(yhat), square(yhat))"),
            "{texts:?}"
        );
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
