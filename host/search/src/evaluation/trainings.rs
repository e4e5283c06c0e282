//! Has jobs run, as many at the same time as the executor takes, and writes each down the moment it
//! ends, so that no crash costs a training.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::executor::{Executor, Ticket};
use super::job::{Evaluation, Job};
use crate::candidate::CandidateId;
use crate::error::SearchError;
use crate::fault::Fault;
use crate::journal::{EvaluationKey, EvaluationRecord, Journal, Purpose};
use crate::observer::{Event, Observer};
use crate::outcome::OutcomeKind;
use crate::search::Search;

/// A training to run, and what it is for.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    pub(crate) key: EvaluationKey,
    pub(crate) job: Job,
}

/// Why jobs were not run to their end: whatever the caller's own `finished` said, or the executor.
pub(crate) enum Halt<E> {
    Interrupted,
    Fatal { job: usize, reason: String },
    Caller(E),
}

/// Runs jobs. `started` is told the number of each that begins and `finished` of each that ends, with what
/// came of it. Where the executor or the caller ends it all, what is still open is cancelled.
pub(crate) fn run_jobs<E>(
    jobs: &[&Job],
    executor: &mut dyn Executor,
    stop: &AtomicBool,
    mut started: impl FnMut(usize),
    mut finished: impl FnMut(usize, Evaluation) -> Result<(), E>,
) -> Result<(), Halt<E>> {
    let mut open: BTreeMap<Ticket, usize> = BTreeMap::new();
    let mut next = 0;
    let mut halt = None;
    loop {
        while halt.is_none() && next < jobs.len() && open.len() < executor.capacity().max(1) {
            if stop.load(Ordering::Relaxed) {
                halt = Some(Halt::Interrupted);
                break;
            }
            let ticket = Ticket(next as u64);
            started(next);
            executor.submit(ticket, jobs[next]);
            open.insert(ticket, next);
            next += 1;
        }
        let Some((&first, &job)) = open.first_key_value() else {
            return halt.map_or(Ok(()), Err);
        };
        if halt.is_some() {
            open.keys().for_each(|&ticket| executor.cancel(ticket));
        }
        let (ticket, result) = match executor.wait(None) {
            Some(ended) => ended,
            None => {
                let reason = "the executor has lost a job".to_owned();
                halt.get_or_insert(Halt::Fatal { job, reason });
                open.clear();
                executor.cancel(first);
                continue;
            }
        };
        let Some(job) = open.remove(&ticket) else {
            continue;
        };
        let evaluation = match result {
            Ok(evaluation) => evaluation.checked(),
            Err(Fault::Failed(reason)) => Evaluation::failed(reason),
            Err(Fault::Interrupted) => {
                halt.get_or_insert(Halt::Interrupted);
                continue;
            }
            Err(Fault::Fatal(reason)) => {
                halt.get_or_insert(Halt::Fatal { job, reason });
                continue;
            }
        };
        if let Err(error) = finished(job, evaluation) {
            halt.get_or_insert(Halt::Caller(error));
        }
    }
}

impl<J: Journal> Search<J> {
    /// A training of a candidate.
    pub(crate) fn training(
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
            },
        }
    }

    /// The evaluations of the trainings, in their order; nothing where it was interrupted before the end.
    /// What an earlier session finished is not run again.
    pub(crate) fn run_trainings(
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
        let observer = std::cell::RefCell::new(observer);
        let started = |index: usize| {
            let training = &trainings[places[index]];
            observer.borrow_mut().observe(&Event::EvaluationStarted {
                candidate: training.key.candidate,
                purpose: training.key.purpose,
                job: &training.job,
            });
        };
        let finished = |index: usize, evaluation: Evaluation| {
            let Training { key, job } = &trainings[places[index]];
            let record = EvaluationRecord {
                key: key.clone(),
                losses: job.losses.clone(),
                evaluation,
                elapsed: journal.elapsed(),
            };
            let written = journal.evaluated(&record);
            observer.borrow_mut().observe(&Event::EvaluationFinished {
                candidate: key.candidate,
                purpose: key.purpose,
                evaluation: &record.evaluation,
            });
            ended[places[index]] = Some(record.evaluation);
            written
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
    /// search might have left there, do not count, nor does a confirmation that failed.
    fn stored(&self, training: &Training) -> Result<Option<Evaluation>, SearchError> {
        let found = self.journal.evaluation(&training.key)?;
        let again = |record: &EvaluationRecord| {
            record.losses != training.job.losses
                || (record.key.purpose == Purpose::Confirmation
                    && record.evaluation.outcome.kind() == OutcomeKind::Failed)
        };
        Ok(found
            .filter(|record| !again(record))
            .map(|record| record.evaluation))
    }
}
