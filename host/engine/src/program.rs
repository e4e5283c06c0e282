//! A loss graph as a linear program over tiles.
//!
//! A *stage* is a list of *phases*. In a phase, first *whole* instructions work on complete fields (pools,
//! what depends on no position), then *tile* instructions run one after the other on a tile, and that for
//! tile after tile. Another phase begins where an instruction needs other tiles' results: behind a sum
//! over the positions, before a pool. A program of one phase without whole instructions is *local*: all
//! steps of a tile can be made before the next tile is touched.
//!
//! What does not depend on the prediction is a stage of its own, run once for each sample.

use crate::expr::{Back, Map, Pool};
use crate::lower::Part;
use crate::sparse::Where;

/// Where a value lies, seen from an instruction: row c of tile t begins at t·`tile` + c·`row`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) slot: usize,
    pub(crate) tile: usize,
    pub(crate) row: usize,
}

/// What an instruction does.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Work {
    Add(View, View),
    Sub(View, View),
    Mul(View, View),
    MulAdd(View, View, View),
    MulSub(View, View, View),
    SubMul(View, View, View),
    Map(Map, View),
    MapMul(Map, View, View),
    Back(Back, View, View),
    BackMul(Back, [View; 2], View),
    SumChannels(View),
    /// Adds a tile's sums over its positions to the sums of this number.
    Accumulate(usize, View),
    /// The sums of this number as a value.
    Collect(usize),
    /// The sums over the positions of a complete field.
    SumPositions(View),
    Pool(Pool, View),
    PoolBack(Pool, View, View),
    /// Activates the raw predictions to a part of ŷ.
    Activate(u8),
    /// Adds a tile's sum to the loss; as a whole instruction, one value of each row.
    Total(View),
}

/// One instruction.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Instruction {
    pub(crate) work: Work,
    pub(crate) to: View,
    /// Rows of the result, or of the operand of a sum.
    pub(crate) rows: usize,
    /// Needed for the loss but not for its gradient.
    pub(crate) for_value: bool,
    /// The rows of the result that are computed.
    pub(crate) on: Where,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Phase {
    pub(crate) whole: Vec<Instruction>,
    pub(crate) tile: Vec<Instruction>,
}

/// A compiled loss graph.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) fixed: Vec<Phase>,
    pub(crate) moving: Vec<Phase>,
    /// Length of each slot.
    pub(crate) slots: Vec<usize>,
    /// The slots by falling length.
    pub(crate) by_length: Vec<usize>,
    /// Slots that hold a number everywhere.
    pub(crate) constants: Vec<(usize, f32)>,
    /// Slots that hold fixed inputs.
    pub(crate) inputs: Vec<(u8, usize)>,
    /// Rows of each number of sums.
    pub(crate) sums: Vec<usize>,
    /// The parts of the prediction.
    pub(crate) parts: Vec<Part<View>>,
    pub(crate) weight: f64,
}

impl Program {
    /// Whether all steps of a tile can be made before the next tile.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.moving.len() <= 1 && self.moving.iter().all(|phase| phase.whole.is_empty())
    }

    /// Whether the loss has a gradient, by its structure.
    #[must_use]
    pub fn has_gradient(&self) -> bool {
        self.parts.iter().any(|part| part.gradient.is_some())
    }

    /// Number of pools, and of their gradients, of a step.
    #[must_use]
    pub fn pools(&self) -> usize {
        let whole = self.moving.iter().flat_map(|phase| &phase.whole);
        let pool = |work: Work| matches!(work, Work::Pool(..) | Work::PoolBack(..));
        whole.filter(|instruction| pool(instruction.work)).count()
    }

    /// Number of instructions of a step.
    #[must_use]
    pub fn instructions(&self) -> usize {
        let count = |phase: &Phase| phase.whole.len() + phase.tile.len();
        self.moving.iter().map(count).sum()
    }
}
