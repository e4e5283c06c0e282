//! The driver: explores candidates, has those that pass the funnel evaluated, and writes down
//! everything, until the budget is used up or the caller asks it to stop.
//!
//! A search is *steady*: whatever ends is settled before the next child is planned, and its place is filled at once, so
//! that no worker waits for a slower one. Which of several trainings ends first is chance; so the journal holds before
//! which candidate each was settled, and a run is a function of its journal, though not of its seed alone. With one
//! worker nothing is left to chance: a resumed run repeats it candidate for candidate wherever it was cut.
//!
//! `tests/seams.rs` has a whole search with a strategy, an executor and a journal of its own.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::candidate::BestLoss;
use crate::comparison::{Contender, Row, noise_floor};
use crate::conclusion::{self, Conclusion, FinalTable, Promoted, SecondStage};
use crate::config::SearchConfig;
use crate::error::SearchError;
use crate::evaluation::{Confirmed, Evaluation, Executor, Flights, Halt, Job, Training, run_jobs};
use crate::fault::Fault;
use crate::fitness::Fitness;
use crate::id::CandidateId;
use crate::journal::{
    Entry, EvaluationKey, EvaluationRecord, Journal, JournalError, Purpose, RunHeader,
};
use crate::observer::{Event, Observer};
use crate::outcome::{Outcome, OutcomeKind};
use crate::provenance::Provenance;
use crate::screening::{GradientKey, Probe, Screener};
use crate::state::{State, Waiting};
use crate::strategy::Strategy;
use crate::summary::{EndReason, Summary};
use crate::task::TaskSpec;

/// Makes the strategy of a run, anew whenever the run is read again.
type MakeStrategy = Box<dyn Fn(&SearchConfig, &TaskSpec) -> Box<dyn Strategy + Send> + Send>;

/// A run in progress.
pub struct Search<J> {
    task: TaskSpec,
    config: SearchConfig,
    run_spec: String,
    journal: J,
    state: State,
    make_strategy: MakeStrategy,
    /// Trainings that follow the search, one after the other, and are part of its time.
    after: usize,
    /// Work was abandoned, so the state knows of candidates that were never settled.
    dirty: bool,
}

/// The trainings of a search.
struct Work<'a> {
    flights: Flights<'a, Training>,
    /// Those at the same time: with several workers one more than there are, so that none waits for the next.
    most: usize,
    /// Those that are to begin.
    queue: VecDeque<(CandidateId, Purpose)>,
}

impl Work<'_> {
    /// The next training that ended, or that ends within a while where `wait` is set; observers are told of the
    /// waiting, so that they can show that it goes on.
    fn ended(
        &mut self,
        wait: bool,
        observer: &mut dyn Observer,
    ) -> Option<(Training, Result<Evaluation, Fault>)> {
        let now = Instant::now();
        if !wait {
            return self.flights.ended(Some(now));
        }
        let deadline = now + LOOK_EVERY;
        match self.flights.ended(Some(deadline)) {
            // Nothing will come of it: it says so where it is asked without a deadline.
            None if Instant::now() < deadline => self.flights.ended(None),
            None => {
                observer.observe(&Event::Waiting);
                None
            }
            ended => ended,
        }
    }
}

/// How often observers are told of the waiting.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl<J: Journal> Search<J> {
    /// Begins a run in an unused journal.
    ///
    /// # Errors
    ///
    /// [`SearchError::Config`] or [`SearchError::Task`] where they cannot be searched with,
    /// [`SearchError::Loss`] for a guess or a term that cannot be read, or [`SearchError::Journal`].
    pub fn new(
        task: TaskSpec,
        config: SearchConfig,
        provenance: Provenance,
        mut journal: J,
    ) -> Result<Self, SearchError> {
        config.validate()?;
        task.validate()
            .map_err(|sentence| SearchError::Task { sentence })?;
        for text in config
            .evolution
            .guesses
            .iter()
            .chain(&config.evolution.terms)
        {
            task.written(text, &config.limits)
                .map_err(|sentence| SearchError::Loss {
                    text: text.clone(),
                    sentence,
                })?;
        }
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        let header = RunHeader {
            task,
            config,
            provenance,
            created: created.map_or(0, |since| since.as_secs()),
        };
        journal.begin(&header)?;
        Ok(Self::with(header.task, header.config, journal))
    }

    /// Goes on with the run of a journal. With one worker it then equals, candidate for candidate, the run
    /// that was never cut. `config` may carry another budget; absent, the run keeps its own.
    ///
    /// # Errors
    ///
    /// [`SearchError::TaskDiffers`] where the task offered now is another one,
    /// [`SearchError::ConfigDiffers`] where more than the budget changed, [`SearchError::Damaged`] or
    /// [`SearchError::Journal`].
    pub fn resume(
        task: &TaskSpec,
        config: Option<SearchConfig>,
        mut journal: J,
    ) -> Result<Self, SearchError> {
        let header = journal.header()?;
        if let Some(what) = header.task.difference(task) {
            return Err(SearchError::TaskDiffers {
                stored: header.task.task,
                offered: task.task.clone(),
                what,
            });
        }
        if let Some(config) = &config {
            config.validate()?;
            if let Some(key) = header.config.first_difference(config) {
                return Err(SearchError::ConfigDiffers { key });
            }
            journal.change_config(config)?;
        }
        let mut search = Self::with(header.task, config.unwrap_or(header.config), journal);
        search.reload()?;
        Ok(search)
    }

    fn with(task: TaskSpec, config: SearchConfig, journal: J) -> Self {
        let make_strategy: MakeStrategy =
            Box::new(|config, task| config.evolution.strategy.strategy(config, task));
        Self {
            state: State::new(&config, &task, make_strategy(&config, &task)),
            task,
            config,
            run_spec: String::new(),
            journal,
            make_strategy,
            after: 0,
            dirty: false,
        }
    }

    /// The same run with another search method than the configuration names.
    ///
    /// # Errors
    ///
    /// [`SearchError::Damaged`] or [`SearchError::Journal`] where what the run has settled cannot be told
    /// to the strategy.
    pub fn with_strategy(
        mut self,
        make: impl Fn(&SearchConfig, &TaskSpec) -> Box<dyn Strategy + Send> + Send + 'static,
    ) -> Result<Self, SearchError> {
        self.make_strategy = Box::new(make);
        self.reload()?;
        Ok(self)
    }

    /// The same run, whose jobs carry this identity of the opened task ([`Job::run_spec`](crate::Job)).
    #[must_use]
    pub fn with_run_spec(mut self, run_spec: impl Into<String>) -> Self {
        self.run_spec = run_spec.into();
        self
    }

    /// The same run, which leaves room in `budget.max_seconds` for [`conclude`](Self::conclude) with a table of so
    /// many rows, as long as trainings took so far; at least half of the seconds are for searching. A second
    /// stage is not counted.
    #[must_use]
    pub fn with_conclusion(mut self, rows: usize) -> Self {
        let confirmation = &self.config.confirmation;
        if confirmation.top > 0 {
            let workers = self.config.workers.max(1);
            let rounds = confirmation.rounds().into_iter();
            let together = rounds.map(|(losses, seeds)| (losses * seeds).div_ceil(workers));
            let table = (rows * confirmation.seeds).div_ceil(workers);
            self.after = together.sum::<usize>() + table;
        }
        self
    }

    /// What a branch's loss with this probe is told apart by.
    #[must_use]
    pub fn key_of(&self, branch: usize, probe: &Probe) -> Option<GradientKey> {
        self.state.key_of(branch, probe)
    }

    /// Where it is written down.
    #[must_use]
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The best loss so far.
    #[must_use]
    pub fn best(&self) -> Option<&BestLoss> {
        self.state.best.first()
    }

    /// Seconds that all sessions of the run have taken, this one included.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.journal.elapsed()
    }

    fn reload(&mut self) -> Result<(), SearchError> {
        let strategy = (self.make_strategy)(&self.config, &self.task);
        self.state = State::new(&self.config, &self.task, strategy);
        let journal = &self.journal;
        let tell = |visit: &mut dyn FnMut(Entry)| journal.replay(visit);
        self.state.replay(&tell, (&self.config, &self.task), None)
    }

    /// Searches until the budget is used up, `stop` is raised or a child cannot be made. `stop` is
    /// looked at between candidates; an executor may look at the same flag and answer
    /// [`Fault::Interrupted`]. It can be called again.
    ///
    /// # Errors
    ///
    /// [`SearchError::Workers`] where the executor takes fewer jobs at a time than the configuration asks
    /// for; [`SearchError::Screening`], [`SearchError::Evaluation`] or [`SearchError::Failing`] where the
    /// backend cannot go on; [`SearchError::Journal`] where the journal cannot be written. What was found
    /// before is stored, as far as the disk allows.
    pub fn run(
        &mut self,
        screener: &mut dyn Screener,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Summary, SearchError> {
        let (asked, offered) = (self.config.workers, executor.capacity());
        if asked > offered {
            return Err(SearchError::Workers { asked, offered });
        }
        self.journal.begin_session()?;
        if self.dirty {
            self.journal.flush()?;
            self.reload()?;
        }
        self.dirty = true;
        // A kill between two writes may have left the files of the best behind.
        self.write_best()?;
        let written_before = self.journal.writing_seconds();
        let ended = self.explore(screener, executor, observer, stop);
        let flushed = self.journal.flush();
        let end = ended?;
        flushed?;
        self.dirty = end == EndReason::Stopped;
        tracing::debug!(explored = self.state.next, "the search ended: {end}");
        let kept = self.kept();
        Ok(Summary {
            end,
            counts: self.state.counts,
            best: kept.to_vec(),
            elapsed_seconds: self.journal.elapsed(),
            writing_seconds: self.journal.writing_seconds() - written_before,
        })
    }

    /// Explores, and at the end cancels the trainings that are at work.
    fn explore(
        &mut self,
        screener: &mut dyn Screener,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<EndReason, SearchError> {
        let flights = Flights::new(executor);
        let most = match self.config.workers {
            0 | 1 => 1,
            workers => flights.capacity().min(workers + 1),
        };
        let open = self.state.open.iter();
        let new = open.filter(|(_, waiting)| waiting.is_new());
        let mut work = Work {
            flights,
            most,
            queue: new.map(|(id, _)| (*id, Purpose::Search)).collect(),
        };
        let end = self.steadily(&mut work, screener, observer, stop);
        work.flights.cancel();
        while let Some((training, result)) = work.flights.ended(None) {
            if let Ok(evaluation) = result {
                // What the next session need not train again.
                let kept = keep(&mut self.journal, training, evaluation, observer);
                if end.is_ok() {
                    kept?;
                }
            }
        }
        end
    }

    fn steadily(
        &mut self,
        work: &mut Work<'_>,
        screener: &mut dyn Screener,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<EndReason, SearchError> {
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(EndReason::Stopped);
            }
            while work.flights.len() < work.most
                && let Some((id, purpose)) = work.queue.pop_front()
            {
                self.begin_training(id, purpose, work, observer)?;
            }
            let end = self.ending();
            // A child is planned from one population.
            if self.state.between || end.is_some() {
                for id in self.state.ready() {
                    if let Some(waiting) = self.state.open.remove(&id) {
                        self.settle(waiting, observer)?;
                    }
                }
            }
            let full = work.flights.len() >= work.most;
            let wait = end.is_some() || full;
            if let Some((training, result)) = work.ended(wait, observer) {
                match result {
                    Ok(evaluation) => {
                        let (id, purpose) = (training.key.candidate, training.key.purpose);
                        let evaluation = keep(&mut self.journal, training, evaluation, observer)?;
                        self.trained(id, purpose, evaluation, work);
                    }
                    Err(Fault::Interrupted) => return Ok(EndReason::Stopped),
                    Err(Fault::Failed(reason) | Fault::Fatal(reason)) => {
                        return Err(SearchError::Evaluation {
                            candidate: training.key.candidate,
                            reason,
                        });
                    }
                }
                continue;
            }
            if wait && work.flights.len() > 0 {
                continue;
            }
            match self.ending() {
                Some(end) if self.state.open.is_empty() => return Ok(end),
                Some(_) => {}
                None => {
                    if let Some(end) = self.explore_next(work, screener, observer)? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Explores one candidate; why that ends the session, where it does.
    fn explore_next(
        &mut self,
        work: &mut Work<'_>,
        screener: &mut dyn Screener,
        observer: &mut dyn Observer,
    ) -> Result<Option<EndReason>, SearchError> {
        let candidate = CandidateId(self.state.next);
        let mut waiting = match self.state.explore(&self.config, &self.task, screener) {
            Ok(waiting) => waiting,
            Err(Fault::Interrupted) => return Ok(Some(EndReason::Stopped)),
            Err(Fault::Failed(reason) | Fault::Fatal(reason)) => {
                return Err(SearchError::Screening { candidate, reason });
            }
        };
        if !waiting.is_open() {
            self.settle(waiting, observer)?;
            return Ok(None);
        }
        let screens = std::mem::take(&mut waiting.screens);
        self.journal.opened(&waiting.candidate, screens)?;
        if waiting.is_new() {
            work.queue.push_back((candidate, Purpose::Search));
        }
        self.state.open.insert(candidate, waiting);
        Ok(None)
    }

    fn ending(&self) -> Option<EndReason> {
        let budget = &self.config.budget;
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        if reached(budget.max_explored, self.state.next) {
            return Some(EndReason::Explored);
        }
        let open = self.state.open.values();
        let new = open.filter(|waiting| waiting.is_new()).count() as u64;
        if reached(budget.max_proxies, self.state.counts.proxies() + new) {
            return Some(EndReason::Proxies);
        }
        let after = self.after as f64 * self.state.training_seconds().unwrap_or(0.0);
        if budget
            .max_seconds
            .is_some_and(|limit| self.journal.elapsed() + after.min(0.5 * limit) >= limit)
        {
            return Some(EndReason::Seconds);
        }
        let attempts = self.state.idle;
        let exhausted = new == 0 && attempts >= self.config.evolution.max_proposals;
        exhausted.then_some(EndReason::Exhausted { attempts })
    }

    /// Begins a training of an open candidate, or takes what an earlier session stored of it. All train with the
    /// run's own seed: what initial weights and image order do to a score they then do to every candidate's.
    fn begin_training(
        &mut self,
        id: CandidateId,
        purpose: Purpose,
        work: &mut Work<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), SearchError> {
        let Some(waiting) = self.state.open.get(&id) else {
            return Ok(());
        };
        let seed = match purpose {
            Purpose::Repeat => self.repeat_seed(),
            _ => self.config.seed,
        };
        let losses = &waiting.candidate.losses;
        let mut training = self.training((id, purpose), losses, seed, &self.config.proxy.split);
        if purpose == Purpose::Search {
            training.job.pruning = self.state.pruner.next(&self.config.proxy);
        }
        if let Some(evaluation) = self.stored(&training)? {
            if purpose == Purpose::Search {
                training.key.purpose = Purpose::Repeat;
                training.key.seed = self.repeat_seed();
                // An earlier session found it to be the best of its time.
                if self.stored(&training)?.is_some() {
                    work.queue.push_front((id, Purpose::Repeat));
                    self.state.first_of(id, evaluation);
                    return Ok(());
                }
            }
            self.trained(id, purpose, evaluation, work);
            return Ok(());
        }
        self.journal.flush()?;
        observer.observe(&Event::EvaluationStarted {
            candidate: id,
            purpose,
            job: &training.job,
        });
        let job = training.job.clone();
        work.flights.submit(&job, training);
        Ok(())
    }

    /// Takes in what came of an open candidate's training. What scored more than every loss before it is trained once
    /// more, where the configuration asks for it.
    fn trained(
        &mut self,
        id: CandidateId,
        purpose: Purpose,
        evaluation: Evaluation,
        work: &mut Work<'_>,
    ) {
        if purpose == Purpose::Repeat {
            return self.state.repeated(id, evaluation);
        }
        let again =
            self.config.proxy.repeat_best && evaluation.fitness() > self.state.best_so_far();
        self.state.first_of(id, evaluation);
        match again {
            true => work.queue.push_front((id, Purpose::Repeat)),
            false => self.state.is_trained(id),
        }
    }

    /// The seed of a second training; beyond those of the trainings after the search.
    fn repeat_seed(&self) -> u64 {
        self.config.seed.wrapping_add(1 << 32) & (i64::MAX as u64)
    }

    fn settle(&mut self, waiting: Waiting, observer: &mut dyn Observer) -> Result<(), SearchError> {
        let before: Vec<CandidateId> = self.kept().iter().map(|best| best.id).collect();
        let elapsed = self.journal.elapsed();
        let settled = self.state.settle(waiting, elapsed, &self.config);
        observer.observe(&Event::Explored {
            record: &settled.record,
            counts: &self.state.counts,
        });
        let outcome = settled.record.outcome.clone();
        self.journal.settled(settled)?;
        if !self
            .kept()
            .iter()
            .map(|best| best.id)
            .eq(before.iter().copied())
        {
            if let Some(best) = self
                .kept()
                .first()
                .filter(|best| before.first() != Some(&best.id))
            {
                observer.observe(&Event::Improved { best });
            }
            self.journal.flush()?;
            self.write_best()?;
        }
        let most = self.config.budget.max_failures;
        match outcome {
            Outcome::Failed { reason } if self.state.failures >= most => {
                Err(SearchError::Failing {
                    count: most,
                    reason,
                })
            }
            _ => Ok(()),
        }
    }

    /// The best losses that are kept as files.
    fn kept(&self) -> &[BestLoss] {
        let count = self.state.best.len().min(self.config.keep_best);
        &self.state.best[..count]
    }

    fn write_best(&mut self) -> Result<(), SearchError> {
        let count = self.kept().len();
        if count > 0 {
            self.journal.best(&self.state.best[..count])?;
        }
        Ok(())
    }

    /// A training of a candidate.
    fn training(
        &self,
        (candidate, purpose): (CandidateId, Purpose),
        losses: &BTreeMap<String, String>,
        seed: u64,
        split: &str,
    ) -> Training {
        Training {
            key: EvaluationKey {
                candidate,
                purpose,
                seed,
                split: split.to_owned(),
            },
            job: Job {
                task: self.task.task.clone(),
                network: self.task.network.clone(),
                run_spec: self.run_spec.clone(),
                losses: losses.clone(),
                budget: self.config.proxy.budget.clone(),
                seed,
                split: split.to_owned(),
                stop_invalid: self.config.proxy.stop_invalid,
                pruning: None,
                keep: None,
                checkpoints: None,
            },
        }
    }

    /// The evaluations of the trainings, in their order; nothing where it was interrupted before the end.
    /// What an earlier session finished is not run again.
    fn run_trainings(
        &mut self,
        trainings: &[Training],
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Evaluation>>, SearchError> {
        let mut ended: Vec<Option<Evaluation>> = Vec::with_capacity(trainings.len());
        for training in trainings {
            ended.push(self.stored(training)?);
        }
        let places: Vec<usize> = (0..trainings.len())
            .filter(|&n| ended[n].is_none())
            .collect();
        if !places.is_empty() {
            self.journal.flush()?;
        }
        let jobs: Vec<&Job> = places.iter().map(|&place| &trainings[place].job).collect();
        let journal = &mut self.journal;
        let observer = RefCell::new(observer);
        let started = |index: usize| {
            let training = &trainings[places[index]];
            observer.borrow_mut().observe(&Event::EvaluationStarted {
                candidate: training.key.candidate,
                purpose: training.key.purpose,
                job: &training.job,
            });
        };
        let finished = |index: usize, evaluation: Evaluation| {
            let training = trainings[places[index]].clone();
            let kept = keep(journal, training, evaluation, *observer.borrow_mut())?;
            ended[places[index]] = Some(kept);
            Ok::<(), JournalError>(())
        };
        match run_jobs(&jobs, executor, stop, started, finished) {
            Ok(()) => Ok(ended.into_iter().collect()),
            Err(Halt::Interrupted) => Ok(None),
            Err(Halt::Caller(error)) => Err(error.into()),
            Err(Halt::Fatal { job, reason }) => Err(SearchError::Evaluation {
                candidate: trainings[places[job]].key.candidate,
                reason,
            }),
        }
    }

    /// What an earlier session stored. Other losses under the same number, as another version of the
    /// search might have left there, do not count, nor does a training after the search that failed.
    fn stored(&self, training: &Training) -> Result<Option<Evaluation>, SearchError> {
        let found = self.journal.evaluation(&training.key)?;
        let again = |record: &EvaluationRecord| {
            record.losses != training.job.losses
                || (record.key.purpose != Purpose::Search
                    && record.evaluation.outcome.kind() == OutcomeKind::Failed)
        };
        Ok(found
            .filter(|record| !again(record))
            .map(|record| record.evaluation))
    }

    /// Measures the best losses again by halving, as `[confirmation]` says, and returns them best first: those
    /// that stayed longer before the others, those without a mean last. `also` takes part where it is not among
    /// the best. Trainings that an earlier call finished are not repeated. Nothing where `stop` was raised before
    /// the end.
    ///
    /// # Errors
    ///
    /// [`SearchError::Evaluation`] or [`SearchError::Journal`].
    pub fn confirm(
        &mut self,
        also: Option<&BestLoss>,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Confirmed>>, SearchError> {
        self.journal.begin_session()?;
        self.journal.flush()?;
        let confirmation = self.config.confirmation.clone();
        let mut left = self.state.distinct(confirmation.top, confirmation.apart);
        let also = also.filter(|also| left.iter().all(|loss| loss.id != also.id));
        left.extend(also.cloned());
        let mut left: Vec<Confirmed> = left.into_iter().map(Confirmed::new).collect();
        let mut out: Vec<Confirmed> = Vec::new();
        let mut made = 0;
        for (round, (count, each)) in confirmation.rounds().into_iter().enumerate() {
            if round > 0 {
                let lost = left.split_off(count.min(left.len()));
                out.splice(..0, lost);
            }
            let seeds: Vec<u64> = (made..made + each).map(|n| self.later_seed(n)).collect();
            made += each;
            let trainings: Vec<Training> = left
                .iter()
                .flat_map(|confirmed| seeds.iter().map(|&seed| (&confirmed.loss, seed)))
                .map(|(loss, seed)| {
                    let of = (loss.id, Purpose::Confirmation);
                    self.training(of, &loss.losses, seed, &confirmation.split)
                })
                .collect();
            let ended = self.run_trainings(&trainings, executor, observer, stop)?;
            let Some(ended) = ended else {
                return Ok(None);
            };
            for (confirmed, ended) in left.iter_mut().zip(ended.chunks(each)) {
                confirmed.evaluations.extend_from_slice(ended);
            }
            left.sort_by_cached_key(|loss| Reverse(loss.mean().and_then(Fitness::new)));
        }
        left.extend(out);
        left.sort_by_key(|loss| loss.mean().is_none());
        Ok(Some(left))
    }

    /// The seed of training `n` after the search; none of them is the search's own.
    fn later_seed(&self, n: usize) -> u64 {
        self.config.seed.wrapping_add(1 + n as u64) & (i64::MAX as u64)
    }

    /// The seeds of the final table: those after the confirmation's, so that none has chosen a row.
    fn table_seeds(&self) -> Vec<u64> {
        let confirmation = &self.config.confirmation;
        let made: usize = confirmation.rounds().iter().map(|(_, each)| each).sum();
        let seeds = made..made + confirmation.seeds;
        seeds.map(|n| self.later_seed(n)).collect()
    }

    /// Trains the best of the confirmation, and the stage's references, as a second stage says. One that
    /// is a reference but for a factor that changes no training has the reference's trainings.
    fn promote(
        &mut self,
        confirmed: &[&Confirmed],
        stage: &SecondStage,
        table: &FinalTable,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Promoted>>, SearchError> {
        let mut promoted: Vec<Promoted> = confirmed
            .iter()
            .map(|confirmed| Promoted {
                candidate: Some(confirmed.loss.id),
                name: confirmed.loss.id.to_string(),
                losses: confirmed.loss.losses.clone(),
                evaluations: Vec::new(),
            })
            .collect();
        promoted.extend(stage.references.iter().map(|reference| Promoted {
            candidate: None,
            name: reference.name.clone(),
            losses: reference.losses.clone(),
            evaluations: Vec::new(),
        }));
        let seeds: Vec<u64> = self.table_seeds();
        let seeds = &seeds[..stage.seeds.min(seeds.len())];
        let split = self.config.confirmation.split.clone();
        let branches = self.task.branches.len();
        let reference = |loss: &Promoted| {
            let id = loss.candidate.filter(|_| self.config.normalised)?;
            let row = table.row_of(id, branches, &stage.references)?;
            Some(confirmed.len() + row)
        };
        let same: Vec<Option<usize>> = promoted.iter().map(reference).collect();
        let mut trainings = Vec::new();
        for (number, loss) in promoted.iter().enumerate() {
            if same[number].is_some() {
                continue;
            }
            let id = loss.candidate;
            let id = id.unwrap_or_else(|| CandidateId::of_reference(number - confirmed.len()));
            for &seed in seeds {
                let of = (id, Purpose::Promotion);
                let mut training = self.training(of, &loss.losses, seed, &split);
                training.job.network.clone_from(&stage.network);
                training.job.run_spec.clone_from(&stage.run_spec);
                training.job.budget.clone_from(&stage.budget);
                trainings.push(training);
            }
        }
        let ended = self.run_trainings(&trainings, executor, observer, stop)?;
        let Some(ended) = ended else {
            return Ok(None);
        };
        let mut ended = ended.chunks(seeds.len());
        let trained = promoted.iter_mut().zip(&same);
        for (promoted, _) in trained.filter(|(_, same)| same.is_none()) {
            promoted.evaluations = ended.next().unwrap_or_default().to_vec();
        }
        for (number, same) in same.into_iter().enumerate() {
            if let Some(reference) = same {
                promoted[number].evaluations = promoted[reference].evaluations.clone();
            }
        }
        promoted.sort_by_cached_key(|loss| Reverse(loss.mean().and_then(Fitness::new)));
        Ok(Some(promoted))
    }

    /// Measures the best losses again, chooses among them, in the second stage where the table has one, and
    /// compares the chosen one, and the best new one, on the table's split, under the search's own budget, on all
    /// samples, with the same seeds for every row. Nothing where `stop` was raised before the end.
    ///
    /// # Errors
    ///
    /// As [`confirm`](Self::confirm).
    pub fn conclude(
        &mut self,
        table: &FinalTable,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Conclusion>, SearchError> {
        let confirmed = self.confirm(table.new.as_ref(), executor, observer, stop)?;
        let Some(confirmed) = confirmed else {
            return Ok(None);
        };
        let mut ranked: Vec<&Confirmed> = confirmed.iter().collect();
        ranked.retain(|loss| loss.mean().is_some());
        let branches = self.task.branches.len();
        let is_new = |loss: &&&Confirmed| table.is_new(loss.loss.id, branches);
        let mut second = Vec::new();
        if let (Some(stage), false) = (&table.second, ranked.is_empty()) {
            let mut finalists: Vec<&Confirmed> = ranked.iter().take(stage.top).copied().collect();
            if !finalists.iter().any(|loss| is_new(&loss)) {
                finalists.extend(ranked.iter().find(is_new));
            }
            let promoted = self.promote(&finalists, stage, table, executor, observer, stop)?;
            let Some(promoted) = promoted else {
                return Ok(None);
            };
            second = promoted;
            let place = |loss: &&Confirmed| {
                let id = Some(loss.loss.id);
                second.iter().position(|promoted| promoted.candidate == id)
            };
            finalists.sort_by_key(place);
            ranked = finalists;
        }
        let Some(&chosen) = ranked.first() else {
            return Ok(Some(Conclusion::default()));
        };
        let new = ranked.iter().find(is_new).copied();
        let contender = |name: &str, loss: &Confirmed| Contender {
            name: name.to_owned(),
            losses: table.whole(&loss.loss.losses),
        };
        let mut contenders = Vec::new();
        // A multiple of a reference has that reference's row, where a factor changes no training.
        let has_a_row = self.config.normalised
            && table
                .row_of(chosen.loss.id, branches, &table.others)
                .is_some();
        if new.is_none() || !has_a_row {
            contenders.push(contender(&table.found, chosen));
        }
        let other = new.filter(|new| new.loss.id != chosen.loss.id);
        contenders.extend(other.map(|new| contender(conclusion::NEW, new)));
        contenders.extend(table.others.iter().cloned());
        let (chosen, new) = (chosen.clone(), new.cloned());
        let rows = self.compare(table, &contenders, executor, observer, stop)?;
        Ok(rows.map(|rows| Conclusion {
            noise_floor: noise_floor(&rows, &table.score),
            chosen: Some(chosen),
            new,
            confirmed,
            second,
            seeds: self.table_seeds(),
            rows,
        }))
    }

    fn compare(
        &self,
        table: &FinalTable,
        contenders: &[Contender],
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Row>>, SearchError> {
        let mut budget = self.config.proxy.budget.clone();
        budget.eval_images = 0;
        let seeds = self.table_seeds();
        let jobs: Vec<(&Contender, Job)> = contenders
            .iter()
            .flat_map(|contender| seeds.iter().map(move |&seed| (contender, seed)))
            .map(|(contender, seed)| {
                let job = Job {
                    task: self.task.task.clone(),
                    network: self.task.network.clone(),
                    run_spec: self.run_spec.clone(),
                    losses: contender.losses.clone(),
                    budget: budget.clone(),
                    seed,
                    split: table.split.clone(),
                    stop_invalid: true,
                    pruning: None,
                    keep: None,
                    checkpoints: None,
                };
                (contender, job)
            })
            .collect();
        let mut ended: Vec<Option<Evaluation>> = vec![None; jobs.len()];
        observer.observe(&Event::Comparing { rows: contenders });
        let finished = |index: usize, evaluation: Evaluation| {
            let (contender, job) = &jobs[index];
            observer.observe(&Event::Compared {
                name: &contender.name,
                job,
                evaluation: &evaluation,
                last: (index + 1).is_multiple_of(seeds.len()),
            });
            ended[index] = Some(evaluation);
            Ok::<(), SearchError>(())
        };
        let open: Vec<&Job> = jobs.iter().map(|(_, job)| job).collect();
        match run_jobs(&open, executor, stop, |_| (), finished) {
            Ok(()) => {}
            Err(Halt::Interrupted) => return Ok(None),
            Err(Halt::Caller(error)) => return Err(error),
            Err(Halt::Fatal { job, reason }) => {
                let name = jobs[job].0.name.clone();
                return Err(SearchError::Comparison { name, reason });
            }
        }
        let scores = |evaluation: Evaluation| {
            let scored = evaluation.fitness().is_some();
            scored.then_some(evaluation.metrics)
        };
        let mut ended = ended.into_iter().flatten().map(scores);
        let row = |contender: &Contender| contender.row(ended.by_ref().take(seeds.len()).collect());
        Ok(Some(contenders.iter().map(row).collect()))
    }
}

/// Writes a finished evaluation down.
fn keep(
    journal: &mut impl Journal,
    Training { key, job }: Training,
    evaluation: Evaluation,
    observer: &mut dyn Observer,
) -> Result<Evaluation, JournalError> {
    let record = EvaluationRecord {
        key,
        losses: job.losses,
        evaluation,
        elapsed: journal.elapsed(),
    };
    let written = journal.evaluated(&record);
    observer.observe(&Event::EvaluationFinished {
        candidate: record.key.candidate,
        purpose: record.key.purpose,
        evaluation: &record.evaluation,
    });
    written.map(|()| record.evaluation)
}
