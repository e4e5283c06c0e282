//! Everything a search remembers between candidates, apart from the journal. It is a function of the
//! candidates and of when each was settled, so having read them and having lived through them come to the same.
//!
//! What a shared outcome means for the population (the method's words leave it open): a candidate
//! that repeats a scored one, by canonical form or by gradient, joins with the shared fitness, for
//! the check saves an evaluation and is not meant to change the evolution. Two exceptions are ours:
//! a child that repeats its own parent is no step and is proposed again, and the initial random
//! losses must be distinct, or a few frequent forms would fill the start. A candidate that repeats
//! one without a fitness is rejected like it. A failed evaluation is never shared: it says nothing
//! about the loss.

mod replay;

use std::collections::{BTreeMap, BTreeSet};

use autoloss_graph::LossGraph;

use crate::candidate::{BestLoss, CandidateRecord, OpenCandidate, Screened, Settled, SettledLate};
use crate::config::SearchConfig;
use crate::counts::Counts;
use crate::evaluation::{Evaluation, Pruner};
use crate::fault::Fault;
use crate::fitness::Fitness;
use crate::id::CandidateId;
use crate::outcome::{Outcome, OutcomeKind};
use crate::screening::{Ahead, Answers, Funnel, GradientKey, Probe, ScreenRecord, Screener};
use crate::strategy::{Next, Strategy};
use crate::task::TaskSpec;
use crate::timing::Stage;

/// A candidate behind the screens.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) candidate: OpenCandidate,
    graphs: Vec<LossGraph>,
    branch: Option<usize>,
    /// What it shares with the evaluated candidate that it repeats.
    shared: Option<Fitness>,
    accepted: bool,
    pub(crate) screens: Vec<ScreenRecord>,
    /// What came of its training so far.
    pub(crate) evaluation: Option<Evaluation>,
    /// Whether nothing more is to come of it.
    pub(crate) is_trained: bool,
}

impl Waiting {
    /// Whether it has to be trained.
    pub(crate) fn is_new(&self) -> bool {
        self.candidate.outcome.is_none()
    }

    /// Whether its outcome needs a training, its own or that of the one it repeats.
    pub(crate) fn is_open(&self) -> bool {
        self.accepted && self.shared.is_none()
    }
}

/// How many of the best losses there are to choose each from that is measured again.
const CHOICE: usize = 16;

/// The memory of a search.
#[derive(Debug)]
pub(crate) struct State {
    /// Number of the next candidate.
    pub(crate) next: u64,
    pub(crate) counts: Counts,
    /// Candidates since the last evaluated one.
    pub(crate) idle: u64,
    /// Evaluations that failed since one did not, in this process.
    pub(crate) failures: u64,
    /// The best scored losses, best first; of equal ones the earlier first.
    pub(crate) best: Vec<BestLoss>,
    /// What was seen of trainings on their way.
    pub(crate) pruner: Pruner,
    strategy: Box<dyn Strategy + Send>,
    funnel: Funnel,
    joined: u64,
    /// How many trainings were scored, and the seconds that they took.
    scored: (u64, f64),
    ahead: Ahead,
    /// What is explored and not settled.
    pub(crate) open: BTreeMap<CandidateId, Waiting>,
    /// Whether the next candidate begins another child.
    pub(crate) between: bool,
    /// How many were open and are settled.
    late: u64,
    /// How many of the best are remembered.
    most: usize,
}

impl State {
    pub(crate) fn new(
        config: &SearchConfig,
        task: &TaskSpec,
        strategy: Box<dyn Strategy + Send>,
    ) -> Self {
        Self {
            next: 0,
            counts: Counts::default(),
            idle: 0,
            failures: 0,
            best: Vec::new(),
            pruner: Pruner::default(),
            strategy,
            funnel: Funnel::new(config, task),
            joined: 0,
            scored: (0, 0.0),
            ahead: Ahead::default(),
            open: BTreeMap::new(),
            between: true,
            late: 0,
            most: config.keep_best.max(config.confirmation.top * CHOICE),
        }
    }

    /// Mean seconds of a whole training with its evaluation; none before the first.
    pub(crate) fn training_seconds(&self) -> Option<f64> {
        let (count, seconds) = self.scored;
        (count > 0).then(|| seconds / count as f64)
    }

    /// The best losses, at most `count`, whose gradients are at least so far apart; see `confirmation.apart`.
    pub(crate) fn distinct(&self, count: usize, apart: f64) -> Vec<BestLoss> {
        let evaluated = &self.funnel.evaluated;
        let mut distinct: Vec<&BestLoss> = Vec::new();
        for loss in &self.best {
            let differs = |other: &&BestLoss| {
                let distance = evaluated.distance(loss.id, other.id);
                distance.is_none_or(|distance| distance >= apart)
            };
            if distinct.len() < count && distinct.iter().all(differs) {
                distinct.push(loss);
            }
        }
        distinct.into_iter().cloned().collect()
    }

    pub(crate) fn key_of(&self, branch: usize, probe: &Probe) -> Option<GradientKey> {
        self.funnel.key_of(branch, probe)
    }

    /// Takes in that a candidate was explored, as far as what follows depends on it.
    fn explored_again(&mut self, again: &Screened, ends_child: bool) {
        let id = again.proposal.id;
        self.strategy.screened(again);
        if again.branch.is_none() {
            let evaluated = &mut self.funnel.evaluated;
            let key = again.key.as_ref();
            match &again.outcome {
                Some(Outcome::Equivalent { of } | Outcome::Near { of }) => {
                    // In a run of an earlier version the one that it repeats may have failed already.
                    if !evaluated.is_forgotten(*of) {
                        evaluated.note(*of, again.canonical, key);
                    }
                }
                Some(outcome) if !outcome.kind().evaluated() => {}
                _ => {
                    evaluated.note(id, again.canonical, key);
                    evaluated.add(id, key);
                }
            }
        }
        self.next = id.0 + 1;
        self.between = ends_child;
    }

    /// Makes and screens the next candidate.
    pub(crate) fn explore(
        &mut self,
        config: &SearchConfig,
        task: &TaskSpec,
        screener: &mut dyn Screener,
    ) -> Result<Waiting, Fault> {
        let id = CandidateId(self.next);
        let mut tested = self
            .ahead
            .proposal(id, self.strategy.as_ref(), &self.funnel, screener)?;
        let mut answers = Answers {
            known: &mut self.ahead.known,
            screener,
        };
        let decision = self.funnel.screen(&mut tested, &mut answers)?;
        let mut screened = Screened {
            proposal: tested.proposal,
            passed: decision.passed,
            canonical: decision.canonical,
            key: decision.key,
            accepted: decision.outcome.is_none(),
            outcome: decision.outcome,
            branch: decision.branch,
            shared: None,
            screens: decision.screens,
            times: tested.times,
        };
        self.share(&mut screened, config);
        let next = self.strategy.screened(&screened);
        // Proposals that were drawn ahead know neither what was learnt nor the next child.
        if next != Next::Same {
            self.ahead.clear();
        }
        self.next = id.0 + 1;
        self.between = next == Next::Child;
        let proposal = screened.proposal;
        Ok(Waiting {
            candidate: OpenCandidate {
                id,
                child: proposal.child,
                parent: proposal.parent.as_ref().map(|parent| parent.id),
                origins: proposal.origins,
                losses: task.texts(&proposal.graphs),
                canonical: screened.canonical,
                key: screened.key,
                outcome: screened.outcome,
                passed: screened.passed,
                ends_child: self.between,
                times: screened.times,
            },
            graphs: proposal.graphs,
            branch: screened.branch,
            shared: screened.shared,
            accepted: screened.accepted,
            screens: screened.screens,
            evaluation: None,
            is_trained: false,
        })
    }

    /// The best score so far, those that are open with a first training included.
    pub(crate) fn best_so_far(&self) -> Option<Fitness> {
        let open = self
            .open
            .values()
            .filter_map(|waiting| waiting.evaluation.as_ref());
        let open = open.filter_map(Evaluation::fitness).max();
        open.max(self.best.first().map(|best| best.fitness))
    }

    /// Takes in an open candidate's first training.
    pub(crate) fn first_of(&mut self, id: CandidateId, evaluation: Evaluation) {
        if let Some(waiting) = self.open.get_mut(&id) {
            waiting.evaluation = Some(evaluation);
        }
    }

    /// Takes in its second training, after which nothing more is to come.
    pub(crate) fn repeated(&mut self, id: CandidateId, again: Evaluation) {
        if let Some(first) = self.open.get_mut(&id).and_then(|w| w.evaluation.as_mut()) {
            first.repeated(again);
        }
        self.is_trained(id);
    }

    /// Nothing more is to come of an open candidate.
    pub(crate) fn is_trained(&mut self, id: CandidateId) {
        if let Some(waiting) = self.open.get_mut(&id) {
            waiting.is_trained = true;
        }
    }

    /// The open candidates of which nothing more is to come, those before others that repeat them.
    pub(crate) fn ready(&self) -> Vec<CandidateId> {
        let mut ready = BTreeSet::new();
        for (id, waiting) in &self.open {
            let repeated = waiting.candidate.outcome.as_ref().and_then(Outcome::of);
            let done = match repeated {
                None => waiting.is_trained,
                Some(of) => !self.open.contains_key(&of) || ready.contains(&of),
            };
            if done {
                ready.insert(*id);
            }
        }
        ready.into_iter().collect()
    }

    /// Shares an earlier fitness with a loss that repeats the one it was given to, unless that is
    /// the loss's own parent. Where the earlier one is still being evaluated, it is waited for.
    fn share(&self, screened: &mut Screened, config: &SearchConfig) {
        let (None, Some(of)) = (
            screened.branch,
            screened.outcome.as_ref().and_then(Outcome::of),
        ) else {
            return;
        };
        let known = self.funnel.evaluated.fitness(of);
        screened.shared = known.flatten();
        let repeats_parent = screened.proposal.parent.as_ref().is_some_and(|parent| {
            parent.graphs == screened.proposal.graphs
                || (parent.canonical.is_some() && parent.canonical == screened.canonical)
        });
        screened.accepted = !repeats_parent
            && match known {
                None => true,
                Some(fitness) => fitness.is_some() && self.joins(config),
            };
    }

    /// Whether a loss that repeats a scored one joins the population now.
    fn joins(&self, config: &SearchConfig) -> bool {
        self.joined >= config.evolution.initial as u64
    }

    /// Settles a candidate: at once, or before the next is proposed.
    pub(crate) fn settle(
        &mut self,
        waiting: Waiting,
        elapsed: f64,
        config: &SearchConfig,
    ) -> Settled {
        let is_open = waiting.is_open();
        let Waiting {
            mut candidate,
            shared: mut fitness,
            accepted: mut joined,
            ..
        } = waiting;
        let id = candidate.id;
        let outcome = match (candidate.outcome, waiting.evaluation) {
            (None, Some(evaluation)) => {
                fitness = evaluation.fitness();
                joined = fitness.is_some();
                if let Some(score) = evaluation.pruning_score {
                    self.pruner.push(score);
                }
                let seconds = evaluation.train_seconds + evaluation.eval_seconds;
                candidate.times.add(Stage::Evaluate, (seconds * 1e9) as u64);
                evaluation.outcome
            }
            // What it repeats was still being evaluated.
            (Some(outcome), _) => {
                if let (true, None, Some(of)) = (joined, fitness, outcome.of()) {
                    fitness = self.funnel.evaluated.fitness(of).flatten();
                    joined = fitness.is_some() && self.joins(config);
                }
                outcome
            }
            (None, None) => {
                joined = false;
                Outcome::Failed {
                    reason: "the evaluation has not ended".into(),
                }
            }
        };
        if is_open {
            // Drawn before this was known.
            self.ahead.clear();
        }
        let settled = Settled {
            record: CandidateRecord {
                id,
                child: candidate.child,
                parent: candidate.parent,
                losses: candidate.losses,
                origins: candidate.origins,
                canonical: candidate.canonical,
                key: candidate.key,
                outcome,
                branch: waiting.branch,
                passed: candidate.passed,
                fitness,
                joined,
                ends_child: candidate.ends_child,
                late: is_open.then_some(SettledLate {
                    before: CandidateId(self.next),
                    order: self.late,
                }),
                times: candidate.times,
                elapsed,
            },
            graphs: waiting.graphs,
            screens: waiting.screens,
        };
        self.take_in(&settled);
        settled
    }

    /// Counts a candidate, ranks it, and tells the strategy.
    fn take_in(&mut self, settled: &Settled) {
        let record = &settled.record;
        let kind = record.outcome.kind();
        if record.branch.is_none() && kind.evaluated() {
            match kind {
                OutcomeKind::Failed => self.funnel.evaluated.forget(record.id),
                _ => self.funnel.evaluated.finish(record.id, record.fitness),
            }
        }
        self.counts.add(kind, 1, &record.times);
        self.idle = if kind.evaluated() { 0 } else { self.idle + 1 };
        self.failures = match kind {
            OutcomeKind::Failed => self.failures + 1,
            kind if kind.evaluated() => 0,
            _ => self.failures,
        };
        if kind == OutcomeKind::Scored {
            self.scored.0 += 1;
            self.scored.1 += record.times.seconds(Stage::Evaluate);
        }
        self.joined += u64::from(record.joined);
        self.late += u64::from(record.late.is_some());
        self.rank(record);
        self.strategy.tell(settled);
    }

    /// Puts a scored candidate among the best, where it belongs there.
    fn rank(&mut self, record: &CandidateRecord) {
        let Some(fitness) = record.outcome.fitness() else {
            return;
        };
        let place = self.best.partition_point(|best| best.fitness >= fitness);
        if place < self.most {
            let best = BestLoss {
                id: record.id,
                fitness,
                losses: record.losses.clone(),
            };
            self.best.insert(place, best);
            self.best.truncate(self.most);
        }
    }
}
