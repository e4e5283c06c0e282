//! Everything a search remembers between candidates, apart from the journal. It is a function of the
//! settled candidates alone, so having read them and having lived through them come to the same.
//!
//! What a shared outcome means for the population (the method's words leave it open): a candidate
//! that repeats a scored one, by canonical form or by gradient, joins with the shared fitness, for
//! the check saves an evaluation and is not meant to change the evolution. Two exceptions are ours:
//! a child that repeats its own parent is no step and is proposed again, and the initial random
//! losses must be distinct, or a few frequent forms would fill the start. A candidate that repeats
//! one without a fitness is rejected like it. A failed evaluation is never shared: it says nothing
//! about the loss.

use crate::candidate::{BestLoss, CandidateRecord, Proposal, Screened, Settled};
use crate::config::SearchConfig;
use crate::counts::Counts;
use crate::error::SearchError;
use crate::evaluation::{Evaluation, Pruner};
use crate::fault::Fault;
use crate::id::CandidateId;
use crate::journal::{Entry, Journal};
use crate::outcome::{Outcome, OutcomeKind};
use crate::screening::{Ahead, Answers, Funnel, GradientKey, Probe, Screener};
use crate::strategy::{Next, Strategy};
use crate::task::TaskSpec;
use crate::timing::{Stage, StageTimes};

/// A candidate that waits to be settled.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) screened: Screened,
    /// Whether the next candidate begins another child.
    ends_child: bool,
}

impl Waiting {
    /// Whether it has to be evaluated.
    pub(crate) fn is_new(&self) -> bool {
        self.screened.outcome.is_none()
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

    /// Takes in what a journal holds.
    pub(crate) fn replay(
        &mut self,
        journal: &impl Journal,
        config: &SearchConfig,
        task: &TaskSpec,
    ) -> Result<(), SearchError> {
        let mut damage = Ok(());
        journal.replay(&mut |entry| match entry {
            Entry::Screen(screen) => _ = self.funnel.remember(&screen),
            Entry::PruningScore(score) => self.pruner.push(score),
            Entry::Candidate(record) if damage.is_ok() => {
                damage = self.live_again(record, config, task);
            }
            Entry::Candidate(_) => {}
        })?;
        self.failures = 0;
        damage
    }

    fn live_again(
        &mut self,
        record: CandidateRecord,
        config: &SearchConfig,
        task: &TaskSpec,
    ) -> Result<(), SearchError> {
        let id = record.id;
        let graphs = match record.passed {
            0 => Vec::new(),
            _ => {
                task.parse(&record.losses, &config.limits)
                    .map_err(|what| SearchError::Damaged {
                        candidate: id,
                        what,
                    })?
            }
        };
        // What a strategy is told of a candidate that an earlier process screened.
        let screened = Screened {
            proposal: Proposal {
                id,
                child: record.child,
                parent: None,
                graphs,
                origins: record.origins.clone(),
                known: 0,
            },
            passed: record.passed,
            canonical: record.canonical,
            key: record.key.clone(),
            outcome: Some(record.outcome.clone()),
            branch: record.branch,
            shared: None,
            accepted: record.ends_child,
            screens: Vec::new(),
            times: StageTimes::default(),
        };
        self.strategy.screened(&screened);
        let evaluated = &mut self.funnel.evaluated;
        match (record.branch, record.outcome.kind(), record.outcome.of()) {
            (None, OutcomeKind::Equivalent | OutcomeKind::Near, Some(of))
                if evaluated.fitness(of).is_some() =>
            {
                evaluated.note(of, record.canonical, record.key.as_ref());
            }
            (None, kind, _) if kind.evaluated() && kind != OutcomeKind::Failed => {
                evaluated.note(id, record.canonical, record.key.as_ref());
                evaluated.add(id, record.key.as_ref());
                evaluated.finish(id, record.fitness);
            }
            _ => {}
        }
        self.take_in(&Settled {
            record,
            graphs: screened.proposal.graphs,
            screens: Vec::new(),
        });
        Ok(())
    }

    /// Makes and screens candidate `id`.
    pub(crate) fn explore(
        &mut self,
        id: CandidateId,
        config: &SearchConfig,
        screener: &mut dyn Screener,
    ) -> Result<Waiting, Fault> {
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
        Ok(Waiting {
            screened,
            ends_child: next == Next::Child,
        })
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

    /// Settles a candidate; candidates are settled in the order of their numbers.
    pub(crate) fn settle(
        &mut self,
        waiting: Waiting,
        evaluation: Option<&Evaluation>,
        elapsed: f64,
        (config, task): (&SearchConfig, &TaskSpec),
    ) -> Settled {
        let Waiting {
            mut screened,
            ends_child,
        } = waiting;
        let (id, mut fitness) = (screened.proposal.id, screened.shared);
        let mut joined = screened.accepted;
        let outcome = match (screened.outcome, evaluation) {
            (None, Some(evaluation)) => {
                fitness = evaluation.fitness();
                joined = fitness.is_some();
                if let Some(score) = evaluation.pruning_score {
                    self.pruner.push(score);
                }
                let seconds = evaluation.train_seconds + evaluation.eval_seconds;
                screened.times.add(Stage::Evaluate, (seconds * 1e9) as u64);
                match evaluation.outcome.kind() {
                    OutcomeKind::Failed => self.funnel.evaluated.forget(id),
                    _ => self.funnel.evaluated.finish(id, fitness),
                }
                evaluation.outcome.clone()
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
        let proposal = screened.proposal;
        let settled = Settled {
            record: CandidateRecord {
                id,
                child: proposal.child,
                parent: proposal.parent.as_ref().map(|parent| parent.id),
                losses: task.texts(&proposal.graphs),
                origins: proposal.origins,
                canonical: screened.canonical,
                key: screened.key,
                outcome,
                branch: screened.branch,
                passed: screened.passed,
                fitness,
                joined,
                ends_child,
                times: screened.times,
                elapsed,
            },
            graphs: proposal.graphs,
            screens: screened.screens,
        };
        self.take_in(&settled);
        settled
    }

    /// Counts a candidate, ranks it, and tells the strategy.
    fn take_in(&mut self, settled: &Settled) {
        let record = &settled.record;
        let kind = record.outcome.kind();
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
        self.next = record.id.0 + 1;
        self.joined += u64::from(record.joined);
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
