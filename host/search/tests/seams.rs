//! A search method, an executor and a journal of one's own, each a few lines: what the search needs of
//! them is no more.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use autoloss_graph::{BranchName, GenerateConfig, Limits, LossGraph, Signature, random_graph};
use autoloss_search::*;

/// Draws small losses at first and larger ones from the tenth accepted on.
#[derive(Debug, Default)]
struct Growing {
    accepted: u64,
}

impl Strategy for Growing {
    fn propose(&self, id: CandidateId) -> Proposal {
        let generate = GenerateConfig {
            depth: if self.accepted < 10 { 2 } else { 4 },
        };
        let mut rng = stream(11, Draws::Graphs, id.0);
        let graph = random_graph(&mut rng, &Signature::dense(), &generate, &Limits::default());
        Proposal {
            id,
            child: id,
            parent: None,
            graphs: vec![graph],
            origins: vec![Origin::Fresh],
            known: 0,
        }
    }

    fn screened(&mut self, screened: &Screened) -> Next {
        self.accepted += u64::from(screened.accepted);
        Next::Child
    }

    fn tell(&mut self, _settled: &Settled) {}
}

/// Two jobs at the same time, the later one ended first; losses of few characters are the best.
#[derive(Default)]
struct Pair {
    open: Vec<(Ticket, Job)>,
}

impl Executor for Pair {
    fn capacity(&self) -> usize {
        2
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        self.open.push((ticket, job.clone()));
        assert!(self.open.len() <= self.capacity());
    }

    fn wait(&mut self, _deadline: Option<Instant>) -> Option<Finished> {
        let (ticket, job) = self.open.pop()?;
        let score = 1.0 / job.losses["seg"].len() as f64;
        Some((ticket, Ok(Evaluation::scored(score, Scores::new()))))
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.open.retain(|(open, _)| *open != ticket);
    }
}

/// Everything in memory.
#[derive(Default)]
struct Memory {
    header: Option<RunHeader>,
    open: Vec<OpenCandidate>,
    screens: Vec<ScreenRecord>,
    settled: Vec<Settled>,
    evaluations: Vec<EvaluationRecord>,
}

impl Journal for Memory {
    fn begin(&mut self, header: &RunHeader) -> Result<(), JournalError> {
        self.header = Some(header.clone());
        Ok(())
    }

    fn header(&self) -> Result<RunHeader, JournalError> {
        self.header.clone().ok_or_else(|| "no run was begun".into())
    }

    fn change_config(&mut self, config: &SearchConfig) -> Result<(), JournalError> {
        let header = self.header.as_mut().ok_or("no run was begun")?;
        header.config = config.clone();
        Ok(())
    }

    fn opened(
        &mut self,
        open: &OpenCandidate,
        screens: Vec<ScreenRecord>,
    ) -> Result<(), JournalError> {
        self.open.push(open.clone());
        self.screens.extend(screens);
        Ok(())
    }

    fn settled(&mut self, settled: Settled) -> Result<(), JournalError> {
        self.open.retain(|open| open.id != settled.record.id);
        self.screens.extend(settled.screens.iter().cloned());
        let place = self
            .settled
            .partition_point(|other| other.record.id < settled.record.id);
        self.settled.insert(place, settled);
        Ok(())
    }

    fn evaluated(&mut self, record: &EvaluationRecord) -> Result<(), JournalError> {
        self.evaluations.push(record.clone());
        Ok(())
    }

    fn replay(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        let screens = self.screens.iter().cloned().map(Entry::Screen);
        screens.for_each(&mut *visit);
        let open = self.open.iter().cloned().map(Entry::Open);
        open.for_each(&mut *visit);
        let scores = self
            .evaluations
            .iter()
            .filter(|e| e.key.purpose == Purpose::Search);
        let scores = scores.filter_map(|e| e.evaluation.pruning_score);
        scores.for_each(|score| visit(Entry::PruningScore(score)));
        let records = self.settled.iter().map(|settled| settled.record.clone());
        records.for_each(|record| visit(Entry::Candidate(record)));
        Ok(())
    }

    fn evaluation(&self, key: &EvaluationKey) -> Result<Option<EvaluationRecord>, JournalError> {
        Ok(self.evaluations.iter().find(|e| e.key == *key).cloned())
    }
}

/// A screener that lets everything pass that has a gradient by its structure.
struct Open;

impl Screener for Open {
    fn probe(&mut self, _: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        let norm = 1.0 + (graph.structural_hash() % 1_000_003) as f64;
        Ok(Probe {
            losses: vec![0.5; 3],
            norms: vec![norm, norm * norm, 1.0 / norm],
            alignments: vec![-norm; 3],
            sketch: Vec::new(),
            rounding_scale: 0.0,
        })
    }

    fn reject(&mut self, _: usize, _: &LossGraph) -> Result<Gain, Fault> {
        Ok(Gain {
            gain: 0.9,
            initial: 0.05,
            reached: 0.95,
            steps: 500,
        })
    }
}

fn task() -> TaskSpec {
    TaskSpec {
        task: "voc_seg".into(),
        network: "small".into(),
        branches: vec![BranchSpec {
            name: BranchName::new("seg").unwrap(),
            signature: Signature::dense(),
            scaled: false,
        }],
        conventions: Default::default(),
    }
}

fn search(proxies: u64, journal: Option<Memory>) -> Search<Memory> {
    let mut config = SearchConfig {
        workers: 2,
        ..SearchConfig::default()
    };
    config.budget.max_seconds = None;
    config.budget.max_proxies = Some(proxies);
    let search = match journal {
        None => Search::new(task(), config, Provenance::default(), Memory::default()),
        Some(journal) => Search::resume(&task(), Some(config), journal),
    };
    search
        .unwrap()
        .with_strategy(|_, _| Box::new(Growing::default()))
        .unwrap()
}

fn run(search: &mut Search<Memory>) -> Summary {
    let stop = AtomicBool::new(false);
    search
        .run(&mut Open, &mut Pair::default(), &mut (), &stop)
        .unwrap()
}

#[test]
fn a_search_runs_on_a_strategy_an_executor_and_a_journal_of_ones_own() {
    let mut whole = search(40, None);
    let summary = run(&mut whole);
    assert_eq!(summary.end, EndReason::Proxies);
    assert_eq!(summary.counts.proxies(), 40);
    let memory = whole.journal();
    assert_eq!(memory.settled.len() as u64, summary.counts.explored());
    let scored = memory
        .settled
        .iter()
        .filter(|s| s.record.outcome.fitness().is_some());
    let best = scored.map(|s| s.record.fitness.unwrap()).max().unwrap();
    assert_eq!(summary.best[0].fitness, best);
    let depth = |settled: &Settled| settled.graphs[0].depth();
    let deepest = memory.settled.iter().map(depth).max().unwrap();
    assert_eq!(deepest, 4, "it was told of what was accepted");
}

#[test]
fn it_goes_on_from_its_journal_as_if_it_had_not_been_cut() {
    let mut whole = search(40, None);
    run(&mut whole);
    let mut first = search(16, None);
    run(&mut first);
    let journal = Memory {
        header: first.journal().header.clone(),
        open: first.journal().open.clone(),
        screens: first.journal().screens.clone(),
        settled: first.journal().settled.clone(),
        evaluations: first.journal().evaluations.clone(),
    };
    let mut rest = search(40, Some(journal));
    run(&mut rest);
    let losses = |search: &Search<Memory>| -> Vec<_> {
        let settled = search.journal().settled.iter();
        settled
            .map(|s| (s.record.losses.clone(), s.record.outcome.clone()))
            .collect()
    };
    assert_eq!(losses(&rest), losses(&whole));
}

/// Losses for which a training was asked for more than once would show a fault of the books.
#[test]
fn nothing_is_trained_twice() {
    let mut search = search(40, None);
    run(&mut search);
    let trained = search.journal().evaluations.iter();
    let keys: std::collections::HashSet<_> = trained.clone().map(|e| e.key.clone()).collect();
    assert_eq!(keys.len(), trained.count());
}
