//! Whether what a run folder holds is consistent: proposals follow from what was settled before them, and every training
//! belongs to a candidate.

use std::collections::BTreeSet;

use autoloss_search::{CandidateId, Deviation, Purpose, Verified, verify};
use serde::Serialize;

use crate::error::StoreError;
use crate::reader::RunReader;

/// Deviations that are kept.
const SHOWN: usize = 20;

/// What going through a run showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Candidates.
    pub explored: u64,
    /// Candidates among them that wait for a training.
    pub open: u64,
    /// Candidates that are not what the search proposes in their place.
    pub different: u64,
    /// The first of these.
    pub deviations: Vec<Deviation>,
    /// Scored candidates whose training is not stored.
    pub without_training: Vec<CandidateId>,
    /// Trainings of the search whose candidate is not one that was to be trained.
    pub stray_trainings: Vec<CandidateId>,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.different == 0 && self.without_training.is_empty() && self.stray_trainings.is_empty()
    }

    /// Goes through a run from its beginning.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub fn of(reader: &RunReader) -> Result<Self, StoreError> {
        // What a search writes meanwhile must not make one half of a candidate.
        let _moment = reader.moment()?;
        let damaged = |detail: String| StoreError::damaged(reader.folder(), detail);
        let mut deviations = Vec::new();
        let tell = |visit: &mut dyn FnMut(_)| Ok(reader.replay(visit)?);
        let Verified {
            explored,
            open,
            different,
        } = verify(&reader.header()?, tell, &mut |deviation| {
            if deviations.len() < SHOWN {
                deviations.push(deviation);
            }
        })
        .map_err(|error| damaged(error.to_string()))?;
        let trained = reader.evaluations(Purpose::Search)?.into_iter();
        let trained: BTreeSet<CandidateId> = trained.map(|record| record.key.candidate).collect();
        let mut asked: BTreeSet<CandidateId> = BTreeSet::new();
        let mut without_training = Vec::new();
        reader.for_each_candidate(|record| {
            if record.outcome.kind().evaluated() {
                asked.insert(record.id);
            }
            if record.outcome.fitness().is_some() && !trained.contains(&record.id) {
                without_training.push(record.id);
            }
        })?;
        asked.extend(reader.open_candidates()?.into_iter().map(|open| open.id));
        Ok(Self {
            explored,
            open,
            different,
            deviations,
            without_training,
            stray_trainings: trained.difference(&asked).copied().collect(),
        })
    }
}
