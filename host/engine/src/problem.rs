//! What a loss graph is screened on: samples with their targets, and the predictions to start from.

use crate::boxes::{NUMBERS, PARTS};
use crate::compile::compile;
use crate::kernels::Pick;
use crate::lower::Sizes;
use crate::occupied::{Occupied, RowSet};
use crate::program::Program;
use crate::range::{InputFacts, finite, of_numbers};
use crate::sparse::{Grain, Where};
use crate::tile::{TILE, tiled};
use autoloss_graph::LossGraph;
use autoloss_graph::facts::Interval;
use autoloss_spec::Activation;
use thiserror::Error;

/// (N, C, H, W).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Samples, which are independent of each other.
    pub samples: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Number of values of a field.
    #[must_use]
    pub fn len(self) -> usize {
        self.samples * self.channels * self.positions()
    }

    /// Whether a field has no values.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// H·W.
    #[must_use]
    pub fn positions(self) -> usize {
        self.height * self.width
    }
}

/// An input of the loss.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// ŷ, or the next part of it where it has several.
    Prediction,
    /// Values that stay, (N, C, H, W).
    Fixed(Vec<f32>),
}

/// Why a problem cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// Boxes without the boxes that they should become.
    #[error("a problem of boxes needs their targets: make it with Problem::boxes")]
    Boxes,
    /// A size is zero.
    #[error("fields of the shape {0:?} have no values")]
    Empty(Shape),
    /// A field has another number of values than the shape says.
    #[error("{what} has {found} values, where {expected} are expected")]
    Length {
        /// The field.
        what: String,
        /// Values it should have.
        expected: usize,
        /// Values it has.
        found: usize,
    },
}

/// Samples, targets and first predictions, laid out for the engine.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    /// By input, then by sample; None for ŷ.
    pub(crate) fixed: Vec<Option<Vec<Vec<f32>>>>,
    /// By sample: 1 where there is a label, else 0; (1, H·W).
    pub(crate) valid: Option<Vec<Vec<f32>>>,
    /// Raw predictions by sample.
    pub(crate) raw: Vec<Vec<f32>>,
    /// The input that ŷ should become.
    pub(crate) target: Option<usize>,
    /// By sample: what the raw predictions should become, where they are boxes.
    pub(crate) boxes: Option<Vec<Vec<f32>>>,
    facts: InputFacts,
    /// By input, then by sample; None where a sample of it has no row of zeros.
    occupied: Vec<Option<Vec<Occupied>>>,
}

impl Problem {
    /// A problem with the raw predictions `raw` of that shape. `valid` is (N, H, W), 1 at positions with a
    /// label and 0 elsewhere, where ŷ is 0.
    ///
    /// # Errors
    /// [`ProblemError`] where a field does not have the shape, and for [`Activation::Boxes`].
    pub fn new(
        shape: Shape,
        activation: Activation,
        inputs: &[Input],
        raw: &[f32],
        valid: Option<&[f32]>,
    ) -> Result<Self, ProblemError> {
        if activation == Activation::Boxes {
            return Err(ProblemError::Boxes);
        }
        Self::with_rows(shape.channels, shape, activation, inputs, raw, valid)
    }

    /// A problem whose raw predictions are boxes, (N, 4, H, W): dx, dy, ln w and ln h, as Faster R-CNN
    /// codes them (arXiv 1506.01497, equation 2), in units of a box of reference. `target` says in the
    /// same way what they should become. ŷ is, one prediction input after the other, the intersection of
    /// the two, their union and their smallest enclosing box, as areas in units of the reference's.
    ///
    /// # Errors
    /// [`ProblemError`] where a field does not have the shape, which has one channel.
    pub fn boxes(
        shape: Shape,
        inputs: &[Input],
        raw: &[f32],
        target: &[f32],
        valid: Option<&[f32]>,
    ) -> Result<Self, ProblemError> {
        check("a position of an input", shape.channels, 1)?;
        let areas = inputs.iter().filter(|input| **input == Input::Prediction);
        check("a box", areas.count(), PARTS)?;
        check("the target", target.len(), NUMBERS * shape.len())?;
        let problem = Self::with_rows(NUMBERS, shape, Activation::Boxes, inputs, raw, valid)?;
        Ok(Self {
            boxes: Some(by_sample(target, shape, NUMBERS)),
            // Areas have no bound.
            facts: InputFacts::default(),
            ..problem
        })
    }

    /// `rows` are the channels of the raw prediction.
    fn with_rows(
        rows: usize,
        shape: Shape,
        activation: Activation,
        inputs: &[Input],
        raw: &[f32],
        valid: Option<&[f32]>,
    ) -> Result<Self, ProblemError> {
        if shape.is_empty() {
            return Err(ProblemError::Empty(shape));
        }
        let expected = shape.samples * rows * shape.positions();
        check("the raw prediction", raw.len(), expected)?;
        if let Some(valid) = valid {
            let expected = shape.samples * shape.positions();
            check("the mask", valid.len(), expected)?;
        }
        let mut fixed = Vec::with_capacity(inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            fixed.push(match input {
                Input::Prediction => None,
                Input::Fixed(values) => {
                    check(&format!("input {number}"), values.len(), shape.len())?;
                    Some(by_sample(values, shape, shape.channels))
                }
            });
        }
        let occupied: Vec<Option<Vec<Occupied>>> = fixed
            .iter()
            .map(|input| {
                let samples = input.as_ref()?.iter();
                samples
                    .map(|sample| Occupied::of(sample, shape.channels))
                    .collect()
            })
            .collect();
        let facts = InputFacts {
            prediction: prediction_range(activation, raw),
            fixed: fixed
                .iter()
                .map(|input| of_numbers(input.as_ref()?.iter().flatten().copied()))
                .collect(),
            sparse: occupied.iter().map(Option::is_some).collect(),
        };
        Ok(Self {
            shape,
            activation,
            fixed,
            facts,
            occupied,
            valid: valid.map(|valid| by_sample(valid, shape, 1)),
            raw: by_sample(raw, shape, rows),
            target: inputs
                .iter()
                .position(|input| matches!(input, Input::Fixed(_))),
            boxes: None,
        })
    }

    /// Says which input ŷ should become; without this it is the first that stays.
    #[must_use]
    pub fn with_target(mut self, input: Option<usize>) -> Self {
        self.target = input;
        self
    }

    /// The shape of all fields.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Compiles a graph over the inputs of this problem.
    #[must_use]
    pub fn compile(&self, graph: &LossGraph) -> Program {
        let mut next = 0..;
        let part_of = self.fixed.iter().map(|fixed| match fixed {
            Some(_) => None,
            None if self.boxes.is_some() => next.next(),
            None => Some(0),
        });
        let part_of: Vec<Option<u8>> = part_of.collect();
        compile(graph, &part_of, &self.facts, self.sizes())
    }

    /// The same without knowledge of rows that are 0.
    #[cfg(test)]
    pub(crate) fn dense(mut self) -> Self {
        self.facts.sparse.fill(false);
        self
    }

    /// Which rows of a tile an instruction computes.
    #[inline(always)]
    pub(crate) fn pick(&self, on: Where, sample: usize, tile: usize) -> Pick {
        let Where::On { support, clear } = on else {
            return Pick::ALL;
        };
        let occupied = &self.occupied[usize::from(support.input)];
        let rows = occupied
            .as_ref()
            .map_or(RowSet::ALL, |samples| match support.grain {
                Grain::Row => samples[sample].tiles[tile],
                Grain::Channel => samples[sample].anywhere,
            });
        Pick { rows, clear }
    }

    /// Channels of the raw prediction.
    pub(crate) fn raw_rows(&self) -> usize {
        match self.boxes {
            Some(_) => NUMBERS,
            None => self.shape.channels,
        }
    }

    /// A tile of the boxes that the raw predictions of a sample should become.
    pub(crate) fn boxes_of(&self, sample: usize, tile: usize) -> Option<&[f32]> {
        let length = NUMBERS * TILE;
        self.boxes.as_ref()?[sample].get(tile * length..(tile + 1) * length)
    }

    /// Which positions of a tile have a label; None where all have.
    pub(crate) fn valid_of(&self, sample: usize, tile: usize) -> Option<&[f32; TILE]> {
        self.valid.as_ref()?[sample]
            .get(tile * TILE..)?
            .first_chunk()
    }

    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            channels: self.shape.channels,
            positions: self.shape.positions(),
        }
    }
}

/// The values that ŷ can have while the raw predictions are finite.
fn prediction_range(activation: Activation, raw: &[f32]) -> Option<Interval> {
    of_numbers(raw.iter().copied())?;
    match activation {
        Activation::Softmax | Activation::Sigmoid => finite(Interval::new(0.0, 1.0)),
        Activation::Identity | Activation::Boxes => None,
    }
}

fn check(what: &str, found: usize, expected: usize) -> Result<(), ProblemError> {
    if found == expected {
        return Ok(());
    }
    Err(ProblemError::Length {
        what: what.to_owned(),
        expected,
        found,
    })
}

fn by_sample(values: &[f32], shape: Shape, channels: usize) -> Vec<Vec<f32>> {
    let positions = shape.positions();
    values
        .chunks_exact(channels * positions)
        .map(|sample| tiled(sample, channels, positions))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_without_targets_are_refused() {
        let shape = Shape {
            samples: 1,
            channels: 4,
            height: 1,
            width: 1,
        };
        let problem = Problem::new(
            shape,
            Activation::Boxes,
            &[Input::Prediction],
            &[0.0; 4],
            None,
        );
        assert_eq!(problem.unwrap_err(), ProblemError::Boxes);
    }
}
