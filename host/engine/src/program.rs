//! A loss graph as a linear program over tiles.
//!
//! A *stage* is a list of *levels*. In a level, first *whole* instructions work on complete fields (pools,
//! what depends on no position), then *tile* instructions run one after the other on a tile, and that for
//! tile after tile. Another level begins where an instruction needs other tiles' results: behind a sum
//! over the positions, before a pool. A program of one level without whole instructions is *local*: all
//! steps of a tile can be made before the next tile is touched.
//!
//! What does not depend on the prediction is a stage of its own, run once for each sample.

use crate::expr::{Back, Expr, Exprs, Extent, Id, Map, Pool};
use crate::lower::{Lowered, Sizes};
use crate::tile::TILE;
use autoloss_graph::LossGraph;

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
    /// Activates the raw predictions.
    Activate,
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
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Level {
    pub(crate) whole: Vec<Instruction>,
    pub(crate) tile: Vec<Instruction>,
}

/// A compiled loss graph.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) fixed: Vec<Level>,
    pub(crate) moving: Vec<Level>,
    /// Length of each slot.
    pub(crate) slots: Vec<usize>,
    /// Slots that hold a number everywhere.
    pub(crate) constants: Vec<(usize, f32)>,
    /// Slots that hold fixed inputs.
    pub(crate) inputs: Vec<(u8, usize)>,
    /// Rows of each number of sums.
    pub(crate) sums: Vec<usize>,
    pub(crate) prediction: View,
    /// ∂L/∂ŷ; none where it is zero by structure.
    pub(crate) gradient: Option<View>,
    pub(crate) weight: f64,
}

impl Program {
    /// Compiles a graph whose inputs depend on the prediction where `moving` says so.
    pub(crate) fn new(graph: &LossGraph, moving: &[bool], sizes: Sizes) -> Self {
        let lowered = Lowered::new(graph, moving, sizes);
        Compiler::new(&lowered, sizes).program(&lowered)
    }

    /// Whether all steps of a tile can be made before the next tile.
    pub(crate) fn is_local(&self) -> bool {
        self.moving.len() <= 1 && self.moving.iter().all(|level| level.whole.is_empty())
    }

    /// Whether the loss has a gradient, by its structure.
    #[must_use]
    pub fn has_gradient(&self) -> bool {
        self.gradient.is_some()
    }

    /// Number of instructions of a step.
    #[must_use]
    pub fn instructions(&self) -> usize {
        let count = |level: &Level| level.whole.len() + level.tile.len();
        self.moving.iter().map(count).sum()
    }
}

/// How an expression is computed.
#[derive(Copy, Clone, PartialEq, Debug)]
enum Kind {
    /// A number, or an input.
    Given,
    /// By a whole instruction.
    Whole,
    /// By a tile instruction.
    Tile,
}

struct Compiler<'a> {
    exprs: &'a Exprs,
    root: Id,
    sizes: Sizes,
    for_gradient: Vec<bool>,
    needed: Vec<bool>,
    /// What uses each expression, in order.
    users: Vec<Vec<Id>>,
    /// Whether the stage that is being compiled computes it.
    in_stage: Vec<bool>,
    level: Vec<usize>,
    views: Vec<View>,
    slots: Vec<usize>,
    constants: Vec<(usize, f32)>,
    inputs: Vec<(u8, usize)>,
    sums: Vec<usize>,
    /// The number of the sums that an expression collects.
    sum_of: Vec<Option<usize>>,
}

impl<'a> Compiler<'a> {
    fn new(lowered: &'a Lowered, sizes: Sizes) -> Self {
        let exprs = &lowered.exprs;
        let mut for_gradient = reached(exprs, lowered.gradient);
        // The step through the activation needs ŷ, even where ∂L/∂ŷ does not.
        for id in exprs.ids() {
            for_gradient[id.index()] |= exprs.get(id) == Expr::Prediction;
        }
        let mut needed = reached(exprs, Some(lowered.root));
        needed
            .iter_mut()
            .zip(&for_gradient)
            .for_each(|(to, from)| *to |= from);
        let mut users = vec![Vec::new(); exprs.len()];
        for id in exprs.ids().filter(|id| needed[id.index()]) {
            for operand in exprs.get(id).operands() {
                users[operand.index()].push(id);
            }
        }
        let nowhere = View {
            slot: usize::MAX,
            tile: 0,
            row: 0,
        };
        Self {
            exprs,
            root: lowered.root,
            sizes,
            for_gradient,
            needed,
            users,
            in_stage: vec![false; exprs.len()],
            level: vec![0; exprs.len()],
            views: vec![nowhere; exprs.len()],
            slots: Vec::new(),
            constants: Vec::new(),
            inputs: Vec::new(),
            sums: Vec::new(),
            sum_of: vec![None; exprs.len()],
        }
    }

    fn program(mut self, lowered: &Lowered) -> Program {
        let exprs = self.exprs;
        let needed: Vec<Id> = exprs.ids().filter(|id| self.needed[id.index()]).collect();
        let (moving, fixed): (Vec<Id>, Vec<Id>) =
            needed.into_iter().partition(|id| exprs.moves(*id));
        self.place_given(&fixed);
        let fixed = self.stage(&fixed, true, None);
        let found = moving
            .iter()
            .copied()
            .find(|id| exprs.get(*id) == Expr::Prediction);
        let mut moving = self.stage(&moving, false, lowered.gradient);
        self.total(lowered.root, &mut moving);
        let prediction = match found {
            Some(id) => self.views[id.index()],
            None => self.slot(self.plane(Extent::FULL)),
        };
        Program {
            fixed,
            moving,
            prediction,
            gradient: lowered.gradient.map(|id| self.views[id.index()]),
            slots: self.slots,
            constants: self.constants,
            inputs: self.inputs,
            sums: self.sums,
            weight: lowered.weight,
        }
    }

    fn kind(&self, id: Id) -> Kind {
        match self.exprs.get(id) {
            Expr::Constant(_) | Expr::Fixed(_) => Kind::Given,
            Expr::Pool(..) | Expr::PoolBack(..) => Kind::Whole,
            _ if !self.exprs.extent(id).positions => Kind::Whole,
            _ => Kind::Tile,
        }
    }

    /// Whether tile instructions of this stage make it, so that it is complete a level later only.
    fn grows(&self, id: Id) -> bool {
        self.in_stage[id.index()] && self.kind(id) == Kind::Tile
    }

    /// Levels, places and instructions of expressions, which are in order. Values outlive the stage where
    /// `kept`; `last` is what the step at its end uses.
    fn stage(&mut self, ids: &[Id], kept: bool, last: Option<Id>) -> Vec<Level> {
        self.in_stage.fill(false);
        for id in ids {
            self.in_stage[id.index()] = self.kind(*id) != Kind::Given;
        }
        self.assign_levels(ids);
        let deepest = ids.iter().map(|id| self.level[id.index()]).max();
        let Some(deepest) = deepest else {
            return Vec::new();
        };
        self.sink(ids, last, deepest);
        let mut levels = vec![Level::default(); deepest + 1];
        for (level, to) in levels.iter_mut().enumerate() {
            let here: Vec<Id> = ids
                .iter()
                .copied()
                .filter(|id| self.in_stage[id.index()] && self.level[id.index()] == level)
                .collect();
            self.whole(&here, to);
            let ends = |id: Id| last == Some(id) || self.exprs.get(id) == Expr::Prediction;
            let complete: Vec<bool> = here
                .iter()
                .map(|&id| kept || (ends(id) && level != deepest) || self.crosses(id))
                .collect();
            self.tile(&here, &complete, last, to);
        }
        levels
    }

    fn assign_levels(&mut self, ids: &[Id]) {
        for &id in ids {
            let whole = self.kind(id) == Kind::Whole;
            let level = self.exprs.get(id).operands().map(|operand| {
                if self.in_stage[operand.index()] {
                    self.level[operand.index()] + usize::from(whole && self.grows(operand))
                } else {
                    0
                }
            });
            self.level[id.index()] = level.max().unwrap_or(0);
        }
    }

    /// Moves what tile instructions make to the last level that is early enough, so that less has to be
    /// kept between levels.
    fn sink(&mut self, ids: &[Id], last: Option<Id>, deepest: usize) {
        for &id in ids.iter().rev() {
            if !self.grows(id) {
                continue;
            }
            let by_users = self.users[id.index()]
                .iter()
                .filter(|user| self.in_stage[user.index()])
                .map(|user| self.level[user.index()] - usize::from(self.kind(*user) == Kind::Whole))
                .min();
            let by_step = (last == Some(id)).then_some(deepest);
            if let Some(latest) = by_users.into_iter().chain(by_step).min() {
                self.level[id.index()] = latest;
            }
        }
    }

    /// Whether a value is needed beyond the tile instructions of its level.
    fn crosses(&self, id: Id) -> bool {
        self.users[id.index()].iter().any(|user| {
            // Sums are taken tile by tile.
            let sum = matches!(self.exprs.get(*user), Expr::SumPositions(_));
            let other = self.level[user.index()] != self.level[id.index()];
            self.in_stage[user.index()] && !sum && (self.kind(*user) == Kind::Whole || other)
        })
    }

    fn whole(&mut self, here: &[Id], to: &mut Level) {
        for &id in here {
            if self.kind(id) != Kind::Whole {
                continue;
            }
            let place = self.slot(self.plane(self.exprs.extent(id)));
            self.views[id.index()] = place;
            if let Some(work) = self.work(id) {
                to.whole.push(self.instruction(id, work, place));
            }
        }
    }

    fn tile(&mut self, here: &[Id], complete: &[bool], last: Option<Id>, to: &mut Level) {
        // Free temporary places of one row, and of all.
        let mut free = [Vec::new(), Vec::new()];
        let mut live: Vec<Id> = Vec::new();
        for (at, &id) in here.iter().enumerate() {
            if self.kind(id) != Kind::Tile {
                continue;
            }
            let extent = self.exprs.extent(id);
            let place = if complete[at] {
                self.slot(self.plane(extent))
            } else {
                live.push(id);
                self.temporary(extent, &mut free)
            };
            self.views[id.index()] = place;
            if let Some(work) = self.work(id) {
                to.tile.push(self.instruction(id, work, place));
            }
            self.accumulate(id, to);
            live.retain(|&value| {
                // The step and the loss are taken at the end of the level.
                let ends = last == Some(value)
                    || value == self.root
                    || self.exprs.get(value) == Expr::Prediction;
                let users = &self.users[value.index()];
                let keep = ends || users.last().is_some_and(|user| *user > id);
                if !keep {
                    let list = &mut free[usize::from(self.exprs.extent(value).channels)];
                    list.push(self.views[value.index()].slot);
                }
                keep
            });
        }
    }

    /// Adds a tile's sums where a later level collects them.
    fn accumulate(&mut self, id: Id, to: &mut Level) {
        let sums: Vec<Id> = self.users[id.index()]
            .iter()
            .copied()
            .filter(|user| matches!(self.exprs.get(*user), Expr::SumPositions(_)))
            .collect();
        for sum in sums {
            let view = self.views[id.index()];
            let work = Work::Accumulate(self.number_of(sum), view);
            to.tile.push(self.instruction(sum, work, view));
        }
    }

    fn number_of(&mut self, sum: Id) -> usize {
        let rows = self.rows(self.exprs.extent(sum));
        let sums = &mut self.sums;
        *self.sum_of[sum.index()].get_or_insert_with(|| {
            sums.push(rows);
            sums.len() - 1
        })
    }

    fn instruction(&self, id: Id, work: Work, to: View) -> Instruction {
        let rows = match self.exprs.get(id) {
            Expr::SumChannels(a) => self.rows(self.exprs.extent(a)),
            _ => self.rows(self.exprs.extent(id)),
        };
        Instruction {
            work,
            to,
            rows,
            for_value: !self.for_gradient[id.index()],
        }
    }

    /// What computes an expression; none for what is given.
    fn work(&mut self, id: Id) -> Option<Work> {
        let view = |id: Id| self.views[id.index()];
        Some(match self.exprs.get(id) {
            Expr::Constant(_) | Expr::Fixed(_) => return None,
            Expr::Prediction => Work::Activate,
            Expr::Add(a, b) => Work::Add(view(a), view(b)),
            Expr::Sub(a, b) => Work::Sub(view(a), view(b)),
            Expr::Mul(a, b) => Work::Mul(view(a), view(b)),
            Expr::MulAdd(a, b, c) => Work::MulAdd(view(a), view(b), view(c)),
            Expr::Map(map, a) => Work::Map(map, view(a)),
            Expr::MapMul(map, a, b) => Work::MapMul(map, view(a), view(b)),
            Expr::Back(rule, g, x) => Work::Back(rule, view(g), view(x)),
            Expr::BackMul(rule, [a, b], x) => Work::BackMul(rule, [view(a), view(b)], view(x)),
            Expr::SumChannels(a) => Work::SumChannels(view(a)),
            Expr::SumPositions(a) if self.grows(a) => Work::Collect(self.number_of(id)),
            Expr::SumPositions(a) => Work::SumPositions(view(a)),
            Expr::Pool(pool, a) => Work::Pool(pool, view(a)),
            Expr::PoolBack(pool, g, x) => Work::PoolBack(pool, view(g), view(x)),
        })
    }

    fn total(&self, root: Id, moving: &mut [Level]) {
        let level = moving.get_mut(self.level[root.index()]);
        if let Some(level) = level.filter(|_| self.in_stage[root.index()]) {
            let view = self.views[root.index()];
            let extent = self.exprs.extent(root);
            let total = Instruction {
                work: Work::Total(view),
                to: view,
                rows: self.rows(extent),
                for_value: true,
            };
            if extent.positions {
                level.tile.push(total);
            } else {
                level.whole.push(total);
            }
        }
    }

    fn place_given(&mut self, ids: &[Id]) {
        for &id in ids {
            match self.exprs.get(id) {
                Expr::Constant(bits) => {
                    let view = self.slot((TILE, 0, 0));
                    self.constants.push((view.slot, f32::from_bits(bits)));
                    self.views[id.index()] = view;
                }
                Expr::Fixed(index) => {
                    let view = self.slot(self.plane(Extent::FULL));
                    self.inputs.push((index, view.slot));
                    self.views[id.index()] = view;
                }
                _ => {}
            }
        }
    }

    fn rows(&self, extent: Extent) -> usize {
        if extent.channels {
            self.sizes.channels
        } else {
            1
        }
    }

    /// Length, tile stride and row stride of a complete field.
    fn plane(&self, extent: Extent) -> (usize, usize, usize) {
        let length = self.rows(extent) * TILE;
        let row = if extent.channels { TILE } else { 0 };
        if extent.positions {
            (self.sizes.tiles() * length, length, row)
        } else {
            (length, 0, row)
        }
    }

    fn slot(&mut self, (length, tile, row): (usize, usize, usize)) -> View {
        self.slots.push(length);
        View {
            slot: self.slots.len() - 1,
            tile,
            row,
        }
    }

    /// A place for one tile.
    fn temporary(&mut self, extent: Extent, free: &mut [Vec<usize>; 2]) -> View {
        let row = if extent.channels { TILE } else { 0 };
        match free[usize::from(extent.channels)].pop() {
            Some(slot) => View { slot, tile: 0, row },
            None => self.slot((self.rows(extent) * TILE, 0, row)),
        }
    }
}

/// What `id` needs, itself included.
fn reached(exprs: &Exprs, id: Option<Id>) -> Vec<bool> {
    let mut reached = vec![false; exprs.len()];
    let mut stack: Vec<Id> = id.into_iter().collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut reached[id.index()], true) {
            stack.extend(exprs.get(id).operands());
        }
    }
    reached
}
