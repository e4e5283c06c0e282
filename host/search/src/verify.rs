//! Whether a run is what its configuration and its journal say: every proposal is made again.

use serde::Serialize;

use crate::candidate::{OpenCandidate, Proposal};
use crate::error::SearchError;
use crate::id::CandidateId;
use crate::journal::{Entry, JournalError, RunHeader};
use crate::state::State;

/// Where a run differs from what its strategy proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// The candidate.
    pub candidate: CandidateId,
    /// What differs: its child, its parent, its origins or its losses.
    pub what: &'static str,
    /// What the strategy proposes.
    pub proposed: String,
    /// What the journal holds.
    pub stored: String,
}

/// What was gone through.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Candidates.
    pub explored: u64,
    /// Candidates among them whose outcome waits for a training.
    pub open: u64,
    /// Candidates that differ.
    pub different: u64,
}

/// Goes through a run from its beginning, makes every proposal again from what had been settled by then, and tells
/// where it is not the stored one: in the order of their numbers, at most one of each candidate. `tell` is a journal's
/// [`replay`](crate::Journal::replay).
///
/// Screens and trainings are not repeated; that they answer again what they answered is what tests are for.
///
/// # Errors
///
/// [`SearchError::Damaged`] where a candidate is missing or cannot be read, or [`SearchError::Journal`].
pub fn verify(
    header: &RunHeader,
    tell: impl Fn(&mut dyn FnMut(Entry)) -> Result<(), JournalError>,
    differs: &mut dyn FnMut(Deviation),
) -> Result<Verified, SearchError> {
    let (config, task) = (&header.config, &header.task);
    let mut verified = Verified::default();
    let mut check = |proposal: &Proposal, stored: &OpenCandidate| {
        let parent =
            |id: Option<CandidateId>| id.map_or_else(|| "none".into(), |id| id.to_string());
        let proposed_parent = proposal.parent.as_ref().map(|parent| parent.id);
        let pairs = [
            (
                "child",
                proposal.child.to_string(),
                stored.child.to_string(),
            ),
            ("parent", parent(proposed_parent), parent(stored.parent)),
            (
                "origins",
                format!("{:?}", proposal.origins),
                format!("{:?}", stored.origins),
            ),
            (
                "losses",
                format!("{:?}", task.texts(&proposal.graphs)),
                format!("{:?}", stored.losses),
            ),
        ];
        let other = pairs.into_iter().find(|(_, one, other)| one != other);
        if let Some((what, proposed, stored_value)) = other {
            verified.different += 1;
            differs(Deviation {
                candidate: stored.id,
                what,
                proposed,
                stored: stored_value,
            });
        }
    };
    let strategy = config.evolution.strategy.strategy(config, task);
    let mut state = State::new(config, task, strategy);
    state.replay(&tell, (config, task), Some(&mut check))?;
    verified.explored = state.next;
    verified.open = state.open.len() as u64;
    Ok(verified)
}
