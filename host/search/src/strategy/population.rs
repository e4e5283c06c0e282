//! The population of regularised evolution (AutoLoss-Zero, arXiv 2103.14026): the P most recent
//! losses that have a score. Age alone removes a member, never its score, so a lucky measurement
//! cannot stay for ever.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use autoloss_graph::LossGraph;
use rand::Rng;

use crate::candidate::Parent;
use crate::fitness::Fitness;

/// A scored loss.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) fitness: Fitness,
    pub(super) loss: Arc<Parent>,
}

impl Member {
    /// Nodes of all its graphs.
    fn nodes(&self) -> usize {
        self.loss.graphs.iter().map(LossGraph::len).sum()
    }
}

/// A ring of members, oldest first.
#[derive(Debug)]
pub(super) struct Population {
    capacity: usize,
    members: VecDeque<Member>,
}

impl Population {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            members: VecDeque::new(),
        }
    }

    /// Adds the newest member; the oldest leaves where the ring is full.
    pub(super) fn push(&mut self, member: Member) {
        if self.members.len() >= self.capacity {
            self.members.pop_front();
        }
        self.members.push_back(member);
    }

    /// The best of a random part of the population, drawn without replacement; of equal scores the
    /// younger one, which lets neutral changes drift. Where `parsimony` is above 0, the one with the fewest nodes of
    /// those whose scores are lower than the best by at most this. None where the population is empty.
    pub(super) fn tournament(
        &self,
        rng: &mut impl Rng,
        fraction: f64,
        parsimony: f64,
    ) -> Option<Arc<Parent>> {
        let amount = (fraction * self.members.len() as f64).round() as usize;
        let amount = amount.clamp(1.min(self.members.len()), self.members.len());
        let drawn = rand::seq::index::sample(rng, self.members.len(), amount).into_iter();
        let drawn: Vec<&Member> = drawn.map(|index| &self.members[index]).collect();
        let best = drawn.iter().map(|member| member.fitness).max()?.score();
        let nodes = |member: &Member| (parsimony > 0.0).then(|| Reverse(member.nodes()));
        drawn
            .into_iter()
            .filter(|member| member.fitness.score() >= best - parsimony)
            .max_by_key(|member| (nodes(member), member.fitness, member.loss.id))
            .map(|member| Arc::clone(&member.loss))
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<u64> {
        self.members.iter().map(|member| member.loss.id.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use autoloss_graph::Limits;

    use super::*;
    use crate::id::CandidateId;
    use crate::random::{Draws, stream};
    use crate::task::TaskSpec;

    fn filled(capacity: usize, scores: &[f64]) -> Population {
        let mut population = Population::new(capacity);
        for (id, &score) in scores.iter().enumerate() {
            population.push(Member {
                fitness: Fitness::new(score).unwrap(),
                loss: Parent {
                    id: CandidateId(id as u64),
                    graphs: Vec::new(),
                    canonical: None,
                }
                .into(),
            });
        }
        population
    }

    #[test]
    fn age_removes_even_the_best() {
        assert_eq!(filled(3, &[9.0, 1.0, 2.0, 3.0]).ids(), [1, 2, 3]);
    }

    #[test]
    fn a_full_tournament_finds_the_best_and_of_equals_the_younger() {
        let population = filled(9, &[0.1, 0.7, 0.3, 0.7, 0.2]);
        let mut rng = stream(1, Draws::Plan, 0);
        assert_eq!(population.tournament(&mut rng, 1.0, 0.0).unwrap().id.0, 3);
    }

    #[test]
    fn a_small_tournament_draws_one_and_an_empty_one_nobody() {
        let population = filled(9, &[0.1, 0.7, 0.3]);
        let drawn: std::collections::BTreeSet<u64> = (0..50)
            .filter_map(|n| population.tournament(&mut stream(1, Draws::Plan, n), 0.05, 0.0))
            .map(|member| member.id.0)
            .collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        let mut rng = stream(1, Draws::Plan, 0);
        assert!(filled(3, &[]).tournament(&mut rng, 0.5, 0.1).is_none());
    }

    #[test]
    fn of_nearly_equal_scores_the_smallest_loss_wins() {
        let signature = &TaskSpec::toy(1).branches[0].signature;
        let texts = [
            "exp(exp(yhat))",
            "square(yhat)",
            "abs(exp(exp(yhat)))",
            "yhat",
        ];
        let mut population = Population::new(9);
        for (id, (text, score)) in texts.iter().zip([0.7, 0.699, 0.7, 0.69]).enumerate() {
            let graph = LossGraph::parse(text, signature, &Limits::default()).unwrap();
            population.push(Member {
                fitness: Fitness::new(score).unwrap(),
                loss: Parent {
                    id: CandidateId(id as u64),
                    graphs: vec![graph],
                    canonical: None,
                }
                .into(),
            });
        }
        let winner = |parsimony| {
            let mut rng = stream(1, Draws::Plan, 0);
            population
                .tournament(&mut rng, 1.0, parsimony)
                .unwrap()
                .id
                .0
        };
        assert_eq!([0.0, 1e-6, 0.002, 0.1].map(winner), [2, 0, 1, 3]);
    }

    #[test]
    fn tournament_size_follows_the_population() {
        // 5 % of 100 are 5: the winner is never among the four worst.
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        let population = filled(100, &scores);
        for n in 0..200 {
            let winner = population.tournament(&mut stream(3, Draws::Plan, n), 0.05, 0.0);
            assert!(winner.unwrap().id.0 >= 4);
        }
    }
}
