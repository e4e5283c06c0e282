//! Everything a search remembers between candidates, apart from the store. It is a function of the
//! stored candidates alone, so loading it and having lived through it come to the same.
//!
//! What a reused verdict means for the population (the method's words leave it open): a candidate
//! that repeats a scored one, by canonical form or by gradient, joins with the shared score, for
//! the check saves an evaluation and is not meant to change the evolution. Two exceptions are ours:
//! a child that repeats its own parent is no step and is mutated again, and the initial random
//! losses must be distinct, or a few frequent forms would fill the start. A candidate that repeats
//! one without a score is rejected like it. A failed evaluation is never shared: it says nothing
//! about the loss.

use std::collections::VecDeque;

use autoloss_graph::LossGraph;

use crate::ahead::{Ahead, Source};
use crate::config::SearchConfig;
use crate::counts::Counts;
use crate::error::SearchError;
use crate::evaluation::EvaluationOutcome;
use crate::looks::Looks;
use crate::pipeline::{Decision, Funnel, Screening};
use crate::population::{Member, Population};
use crate::propose::{Child, Draft};
use crate::screening::{BackendError, Screener, Timed};
use crate::store::{CandidateRecord, RunReader, StoreError};
use crate::task::TaskSpec;
use crate::timing::{Stage, StageTimes};
use crate::verdict::{CandidateId, Verdict, VerdictKind};

/// Candidates drawn ahead for each loss that a screener works on at the same time. Fixed: it fills the
/// screening threads and changes no candidate.
const AHEAD: u64 = 64;

/// A candidate on its way into the store.
#[derive(Debug)]
pub(crate) struct Explored {
    /// Verdict, score and joining are provisional until it is settled.
    pub(crate) record: CandidateRecord,
    pub(crate) graphs: Vec<LossGraph>,
    pub(crate) entries: Vec<crate::pipeline::BranchEntry>,
    pub(crate) fate: Fate,
}

/// What is still open about a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// Nothing.
    Settled,
    /// It has to be evaluated.
    Evaluate,
    /// It shares the score of a candidate that is being evaluated.
    Await(CandidateId),
}

/// The memory of a search.
#[derive(Debug)]
pub(crate) struct State {
    /// Number of the next candidate.
    pub(crate) next: u64,
    pub(crate) counts: Counts,
    /// Candidates since the last evaluated one.
    pub(crate) idle: u64,
    funnel: Funnel,
    population: Population,
    joined: u64,
    child: Option<Child>,
    ahead: Ahead,
    /// What was seen of trainings on their way.
    pub(crate) looks: Looks,
}

impl State {
    pub(crate) fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            next: 0,
            counts: Counts::default(),
            idle: 0,
            funnel: Funnel::new(config, task),
            population: Population::new(config.evolution.population),
            joined: 0,
            child: None,
            ahead: Ahead::default(),
            looks: Looks::default(),
        }
    }

    /// The state after the stored candidates.
    pub(crate) fn load(
        reader: &RunReader,
        config: &SearchConfig,
        task: &TaskSpec,
    ) -> Result<Self, SearchError> {
        let mut state = Self::new(config, task);
        let Some(last) = reader.last()? else {
            return Ok(state);
        };
        state.next = last.id.0 + 1;
        state.counts = reader.counts()?;
        state.idle = last.id.0 + 1 - reader.last_evaluated()?.map_or(0, |id| id.0 + 1);
        state.joined = reader.joined()?;
        reader.for_each_entry(|entry| state.funnel.restore(entry))?;
        state.restore_judged(reader)?;
        reader.for_each_look(last.id, |score| state.looks.push(score))?;
        for record in reader.members(config.evolution.population)? {
            let graphs = parse(&record, config, task, reader)?;
            state.population.push(Member {
                id: record.id,
                score: record.score.unwrap_or(f64::NEG_INFINITY),
                graphs,
                canonical: record.canonical,
            });
        }
        if !last.ends_child {
            let graphs = parse(&last, config, task, reader)?;
            let mut child = state.plan(last.child, config, task);
            child.learn(&graphs, &last.origins, last.passed);
            state.child = Some(child);
        }
        Ok(state)
    }

    fn restore_judged(&mut self, reader: &RunReader) -> Result<(), StoreError> {
        let judged = &mut self.funnel.judged;
        reader.for_each_judged(|row| match (row.kind, row.of) {
            (VerdictKind::Equivalent, Some(of)) if judged.score(of).is_some() => {
                judged.note(of, row.canonical, row.key.as_ref());
            }
            (kind, _) if kind.evaluated() && kind != VerdictKind::Failed => {
                judged.note(row.id, row.canonical, row.key.as_ref());
                judged.finish(row.id, row.score);
            }
            _ => {}
        })
    }

    fn plan(&self, start: CandidateId, config: &SearchConfig, task: &TaskSpec) -> Child {
        let branches = task.branches.len();
        Child::plan(start, config, &self.population, self.joined, branches)
    }

    /// Makes and screens candidate `id`.
    pub(crate) fn explore(
        &mut self,
        id: CandidateId,
        config: &SearchConfig,
        task: &TaskSpec,
        screener: &mut dyn Screener,
    ) -> Result<Explored, SearchError> {
        let mut times = StageTimes::default();
        let child = match self.child.take() {
            Some(child) => child,
            None => self.plan(id, config, task),
        };
        let failed = |source| SearchError::Screening {
            candidate: id,
            source,
        };
        let drawn = match self.ahead.take(id, &mut times) {
            Some(draft) => Some(draft),
            None => {
                self.look_ahead(&child, id, config, task, screener)
                    .map_err(failed)?;
                self.ahead.take(id, &mut times)
            }
        };
        let draft = drawn
            .unwrap_or_else(|| times.measure(Stage::Generate, || child.attempt(id, config, task)));
        let mut source = Source {
            ahead: &mut self.ahead,
            screener,
        };
        let screening = self
            .funnel
            .screen(&draft, &mut source, &mut times)
            .map_err(failed)?;
        let mut explored = self.judge(draft, screening, config, task);
        explored.record.times = times;
        self.advance(
            child,
            &mut explored.record,
            &explored.graphs,
            &explored.fate,
            config,
        );
        Ok(explored)
    }

    /// Draws the next attempts at a child and has them screened together, where the screener gains by it.
    fn look_ahead(
        &mut self,
        child: &Child,
        id: CandidateId,
        config: &SearchConfig,
        task: &TaskSpec,
        screener: &mut dyn Screener,
    ) -> Result<(), BackendError> {
        let width = screener.width() as u64;
        if width < 2 {
            return Ok(());
        }
        let count = child.attempts_left(id, config).min(width * AHEAD);
        let draw = |number| Timed::of(|| child.attempt(CandidateId(number), config, task));
        let drafts: VecDeque<Timed<Draft>> = (id.0..id.0 + count).map(draw).collect();
        let fresh = self.funnel.fresh(drafts.iter().map(|draft| &draft.answer));
        self.ahead
            .screen(drafts, fresh, screener, self.funnel.goes_on())
    }

    /// Turns the funnel's decision into a record.
    fn judge(
        &self,
        draft: Draft,
        screening: Screening,
        config: &SearchConfig,
        task: &TaskSpec,
    ) -> Explored {
        let (verdict, branch, fate) = self.interpret(screening.decision);
        let mut explored = Explored {
            record: CandidateRecord {
                id: draft.id,
                child: draft.child,
                parent: draft.parent.as_ref().map(|parent| parent.id),
                losses: task.texts(&draft.graphs),
                origins: draft.origins,
                canonical: screening.canonical,
                key: screening.key,
                verdict,
                branch,
                passed: screening.passed,
                score: None,
                joined: false,
                ends_child: false,
                times: StageTimes::default(),
                elapsed: 0.0,
            },
            graphs: draft.graphs,
            entries: screening.entries,
            fate,
        };
        self.reuse(&mut explored, draft.parent.as_deref(), config);
        explored
    }

    fn interpret(&self, decision: Decision) -> (Verdict, Option<usize>, Fate) {
        match decision {
            Decision::Rejected { verdict, branch } => (verdict, Some(branch), Fate::Settled),
            Decision::New => (unfinished(), None, Fate::Evaluate),
            Decision::Known(verdict) => {
                let pending = verdict
                    .of()
                    .filter(|&of| self.funnel.judged.score(of).is_none());
                (verdict, None, pending.map_or(Fate::Settled, Fate::Await))
            }
        }
    }

    /// Shares an earlier score with a loss that repeats the one it was given to, unless that is
    /// the loss's own parent.
    fn reuse(&self, explored: &mut Explored, parent: Option<&Member>, config: &SearchConfig) {
        let record = &mut explored.record;
        let repeats_parent = parent.is_some_and(|parent| {
            parent.graphs == explored.graphs
                || (parent.canonical.is_some() && parent.canonical == record.canonical)
        });
        if let (Fate::Settled, None, Some(of)) =
            (&explored.fate, record.branch, record.verdict.of())
        {
            self.share(record, of, config);
        }
        if repeats_parent && explored.fate != Fate::Evaluate {
            record.joined = false;
            explored.fate = Fate::Settled;
        }
    }

    /// Gives a candidate the score of the one it repeats.
    fn share(&self, record: &mut CandidateRecord, of: CandidateId, config: &SearchConfig) {
        record.score = self.funnel.judged.score(of).flatten();
        record.joined = record.score.is_some() && self.joined >= config.evolution.initial as u64;
    }

    /// Decides whether the next candidate is another attempt at the same child.
    fn advance(
        &mut self,
        mut child: Child,
        record: &mut CandidateRecord,
        graphs: &[LossGraph],
        fate: &Fate,
        config: &SearchConfig,
    ) {
        let done = record.joined || *fate != Fate::Settled;
        record.ends_child = done || child.is_spent(record.id, config);
        let before = child.kept_branches();
        if !record.ends_child {
            child.learn(graphs, &record.origins, record.passed);
        }
        // Attempts that were drawn ahead know neither what was learnt nor the next child.
        if record.ends_child || child.kept_branches() != before {
            self.ahead.clear();
        }
        if !record.ends_child {
            self.child = Some(child);
        }
    }

    /// Takes the candidate's outcome in. Candidates are settled in the order of their numbers.
    pub(crate) fn settle(
        &mut self,
        explored: &mut Explored,
        outcome: Option<&EvaluationOutcome>,
        config: &SearchConfig,
    ) {
        let record = &mut explored.record;
        match (&explored.fate, outcome) {
            (Fate::Evaluate, Some(outcome)) => {
                record.verdict = Verdict::from(&outcome.verdict);
                record.score = outcome.score();
                record.joined = record.score.is_some();
                if let Some(score) = outcome.look {
                    self.looks.push(score);
                }
                let seconds = outcome.train_seconds + outcome.eval_seconds;
                record.times.add(Stage::Evaluate, (seconds * 1e9) as u64);
                if record.verdict.kind() == VerdictKind::Failed {
                    self.funnel.judged.forget(record.id);
                } else {
                    self.funnel.judged.finish(record.id, record.score);
                }
            }
            (Fate::Await(of), _) => self.share(record, *of, config),
            _ => {}
        }
        explored.fate = Fate::Settled;
        self.count(record);
        if let (true, Some(score)) = (record.joined, record.score) {
            self.joined += 1;
            self.population.push(Member {
                id: record.id,
                score,
                graphs: explored.graphs.clone(),
                canonical: record.canonical,
            });
        }
    }

    fn count(&mut self, record: &CandidateRecord) {
        let kind = record.verdict.kind();
        self.counts.add(kind, 1, &record.times);
        self.idle = if kind.evaluated() { 0 } else { self.idle + 1 };
        self.next = record.id.0 + 1;
    }
}

/// Stands in until the evaluation has ended; it is never stored.
fn unfinished() -> Verdict {
    Verdict::Failed {
        error: "the evaluation has not ended".into(),
    }
}

fn parse(
    record: &CandidateRecord,
    config: &SearchConfig,
    task: &TaskSpec,
    reader: &RunReader,
) -> Result<Vec<LossGraph>, StoreError> {
    let parsed = |branch: &crate::task::BranchSpec| {
        let name = branch.name.as_str();
        let text = record.losses.get(name).ok_or_else(|| {
            let detail = format!("candidate {} has no loss for {name:?}", record.id);
            StoreError::damaged(reader.folder(), detail)
        })?;
        LossGraph::parse(text, &branch.signature, &config.limits).map_err(|error| {
            let detail = format!("candidate {}: {error}", record.id);
            StoreError::damaged(reader.folder(), detail)
        })
    };
    task.branches.iter().map(parsed).collect()
}
