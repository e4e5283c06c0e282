//! The scale at which a loss is trained: its gradient by the raw predictions, at the screening's random ones, is as
//! large as that of a reference loss of its branch.
//!
//! With Adam that changes nothing but what its ε does to tiny gradients. With SGD a factor of the loss is a factor of
//! the learning rate, and where losses of several branches are added it is the weight of one of them; at one scale a
//! found loss suits a recipe that was made for the reference.

use crate::Result;
use crate::screen::TaskScreener;
use autoloss_graph::LossGraph;
use autoloss_search::ScreeningConfig;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How losses are scaled.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The random predictions are those of this screening.
    pub screening: ScreeningConfig,
    /// Seed of their samples.
    pub seed: u64,
}

/// The scales of losses.
pub(crate) struct Scales {
    scaling: Scaling,
    state: Mutex<Option<State>>,
}

#[derive(Default)]
struct State {
    /// None where the task cannot be screened.
    screener: Option<TaskScreener>,
    /// Norm of the reference's gradient for each searched branch; none without a reference that has a formula.
    references: Vec<Option<f64>>,
    known: BTreeMap<(usize, String), f64>,
}

impl State {
    fn new((mut screener, references): (TaskScreener, Vec<Option<LossGraph>>)) -> Result<Self> {
        let norms = references.iter().enumerate().map(|(branch, graph)| {
            let norm = graph
                .as_ref()
                .map(|graph| norm(&mut screener, branch, graph));
            Ok(norm.transpose()?.flatten())
        });
        Ok(Self {
            references: norms.collect::<Result<_>>()?,
            screener: Some(screener),
            known: BTreeMap::new(),
        })
    }
}

impl Scales {
    pub(crate) fn new(scaling: Scaling) -> Self {
        Self {
            scaling,
            state: Mutex::new(None),
        }
    }

    /// What the loss of a searched branch is multiplied by. `text` is the graph's text; `begin` makes a screener and
    /// says the reference of each searched branch, and is called once.
    pub(crate) fn of(
        &self,
        branch: usize,
        graph: &LossGraph,
        text: &str,
        begin: impl FnOnce(&Scaling) -> Result<(TaskScreener, Vec<Option<LossGraph>>)>,
    ) -> Result<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match &mut *state {
            Some(state) => state,
            None => {
                let begun = begin(&self.scaling).and_then(State::new);
                state.insert(begun.unwrap_or_else(|error| {
                    // A task that cannot be screened can still be trained.
                    tracing::warn!("losses are trained as they are, whatever their scale: {error}");
                    State::default()
                }))
            }
        };
        let reference = state.references.get(branch).copied().flatten();
        let (Some(reference), Some(screener)) = (reference, &mut state.screener) else {
            return Ok(1.0);
        };
        let key = (branch, text.to_owned());
        if let Some(known) = state.known.get(&key) {
            return Ok(*known);
        }
        let own = norm(screener, branch, graph)?;
        let scale = own.map_or(1.0, |own| rounded(reference / own));
        state.known.insert(key, scale);
        Ok(scale)
    }
}

/// The norm of a loss's gradient; none where it is no number, 0 or infinite.
fn norm(screener: &mut TaskScreener, branch: usize, graph: &LossGraph) -> Result<Option<f64>> {
    let gradient = screener.gradient(branch, graph)?;
    let squares = gradient.iter().map(|&value| f64::from(value).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    Ok((norm.is_finite() && norm > 0.0).then_some(norm))
}

/// To four significant digits, so that what a file says is what was trained with.
fn rounded(scale: f64) -> f64 {
    let rounded = format!("{scale:.3e}").parse().ok();
    rounded
        .filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_four_digits_and_are_never_zero() {
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(9.999_96e7), 1e8);
        assert_eq!(
            (rounded(f64::INFINITY), rounded(0.0), rounded(f64::NAN)),
            (1.0, 1.0, 1.0)
        );
    }
}
