//! Runs evaluations and writes each down the moment it ends, so that no crash costs a training.

use std::collections::BTreeMap;

use crate::error::SearchError;
use crate::evaluation::{EvaluationOutcome, EvaluationRequest, Evaluator};
use crate::observer::{Event, Observer};
use crate::screening::BackendError;
use crate::search::Search;
use crate::store::{EvaluationRecord, Purpose, Store, StoreError};
use crate::verdict::CandidateId;

/// An evaluation to run, and where its outcome goes.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) slot: usize,
    pub(crate) candidate: CandidateId,
    pub(crate) purpose: Purpose,
    pub(crate) request: EvaluationRequest,
}

impl Job {
    fn record(&self, outcome: EvaluationOutcome, elapsed: f64) -> EvaluationRecord {
        EvaluationRecord {
            candidate: self.candidate,
            purpose: self.purpose,
            seed: self.request.seed,
            split: self.request.split.clone(),
            losses: self.request.losses.clone(),
            outcome,
            elapsed,
        }
    }

    /// The outcome an earlier session stored. Other losses under the same number, as another
    /// version of the search might have left there, do not count.
    fn stored(&self, store: &Store) -> Result<Option<EvaluationOutcome>, StoreError> {
        let (seed, split) = (self.request.seed, &self.request.split);
        let found = store
            .reader()
            .evaluation(self.candidate, self.purpose, seed, split)?;
        Ok(found
            .filter(|record| record.losses == self.request.losses)
            .map(|record| record.outcome))
    }
}

impl Search {
    /// A training with the losses.
    pub(crate) fn request(
        &self,
        losses: &BTreeMap<String, String>,
        seed: u64,
        split: &str,
    ) -> EvaluationRequest {
        EvaluationRequest {
            task: self.task.task.clone(),
            network: self.task.network.clone(),
            losses: losses.clone(),
            budget: self.config.proxy.budget.clone(),
            seed,
            split: split.to_owned(),
            stop_invalid: self.config.proxy.stop_invalid,
            look: None,
        }
    }

    /// Fills the slots of all jobs; false where the evaluator was interrupted before the end. What
    /// an earlier session finished is not run again.
    pub(crate) fn run_jobs(
        &mut self,
        jobs: Vec<Job>,
        outcomes: &mut [Option<EvaluationOutcome>],
        evaluator: &mut dyn Evaluator,
        observer: &mut dyn Observer,
    ) -> Result<bool, SearchError> {
        let mut open = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job.stored(&self.store)? {
                Some(outcome) => outcomes[job.slot] = Some(outcome),
                None => open.push(job),
            }
        }
        if open.is_empty() {
            return Ok(true);
        }
        self.store.flush()?;
        let ended = evaluate_and_store(&open, outcomes, evaluator, observer, &mut self.store)?;
        let missing: Vec<CandidateId> = open
            .iter()
            .filter(|job| outcomes[job.slot].is_none())
            .map(|job| job.candidate)
            .collect();
        match ended {
            Ok(()) if missing.is_empty() => Ok(true),
            Ok(()) => Err(SearchError::Evaluation {
                candidates: missing,
                source: BackendError::new("the evaluator ended without an outcome"),
            }),
            Err(error) if error.interrupted => Ok(false),
            Err(source) => Err(SearchError::Evaluation {
                candidates: missing,
                source,
            }),
        }
    }
}

/// Runs the jobs. The outer error is the store's, the inner one the evaluator's.
fn evaluate_and_store(
    jobs: &[Job],
    outcomes: &mut [Option<EvaluationOutcome>],
    evaluator: &mut dyn Evaluator,
    observer: &mut dyn Observer,
    store: &mut Store,
) -> Result<Result<(), BackendError>, StoreError> {
    let requests: Vec<EvaluationRequest> = jobs.iter().map(|job| job.request.clone()).collect();
    for job in jobs {
        observer.observe(&Event::EvaluationStarted {
            candidate: job.candidate,
            purpose: job.purpose,
            request: &job.request,
        });
    }
    let mut stored = Ok(());
    let mut finished = |index: usize, outcome: EvaluationOutcome| {
        let Some(job) = jobs.get(index) else {
            return;
        };
        let outcome = outcome.checked();
        let elapsed = store.elapsed();
        let written = store.record_evaluation(&job.record(outcome.clone(), elapsed));
        if stored.is_ok() {
            stored = written;
        }
        observer.observe(&Event::EvaluationFinished {
            candidate: job.candidate,
            purpose: job.purpose,
            outcome: &outcome,
        });
        outcomes[job.slot] = Some(outcome);
    };
    let ended = evaluator.evaluate_all(&requests, &mut finished);
    stored.map(|()| ended)
}
