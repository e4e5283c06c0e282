//! From expressions to a program: which phase each belongs to, where it lies, what computes it.

use crate::expr::{Expr, Exprs, Extent, Id};
use crate::lower::{Lowered, Part, Sizes};
use crate::places::Places;
use crate::program::{Instruction, Phase, Program, View, Work};
use crate::range::InputFacts;
use crate::sparse::{self, Where};
use autoloss_graph::LossGraph;
use std::cmp::Reverse;

/// Compiles a graph. `part_of` says of each input which part of the prediction it is.
pub(crate) fn compile(
    graph: &LossGraph,
    part_of: &[Option<u8>],
    facts: &InputFacts,
    sizes: Sizes,
) -> Program {
    let lowered = Lowered::new(graph, part_of, sizes);
    Compiler::new(&lowered, facts, sizes).program(&lowered)
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

/// Orders expressions into phases and writes their instructions.
struct Compiler<'a> {
    exprs: &'a Exprs,
    root: Id,
    for_gradient: Vec<bool>,
    needed: Vec<bool>,
    /// What uses each expression, in order.
    users: Vec<Vec<Id>>,
    /// Which of its rows are computed in each step.
    on: Vec<Where>,
    /// Whether the stage that is being compiled computes it.
    in_stage: Vec<bool>,
    phase: Vec<usize>,
    views: Vec<View>,
    places: Places,
    constants: Vec<(usize, f32)>,
    inputs: Vec<(u8, usize)>,
    sums: Vec<usize>,
    /// The number of the sums that an expression collects.
    sum_of: Vec<Option<usize>>,
}

impl<'a> Compiler<'a> {
    fn new(lowered: &'a Lowered, facts: &InputFacts, sizes: Sizes) -> Self {
        let exprs = &lowered.exprs;
        let gradients = lowered.parts.iter().filter_map(|part| part.gradient);
        let mut for_gradient = reached(exprs, gradients.clone());
        let predictions = lowered.parts.iter().filter_map(|part| part.prediction);
        let outputs: Vec<Id> = gradients.chain(predictions).chain([lowered.root]).collect();
        // The step through the activation needs ŷ, even where ∂L/∂ŷ does not.
        for id in exprs.ids() {
            for_gradient[id.index()] |= exprs.is_prediction(id);
        }
        let mut needed = reached(exprs, [lowered.root]);
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
            for_gradient,
            needed,
            users,
            on: sparse::places(exprs, &outputs, facts, sizes),
            in_stage: vec![false; exprs.len()],
            phase: vec![0; exprs.len()],
            views: vec![nowhere; exprs.len()],
            places: Places::new(sizes),
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
        let fixed = self.stage(&fixed, None);
        let parts = lowered.parts.iter();
        let gradients: Vec<Id> = parts.clone().filter_map(|part| part.gradient).collect();
        let mut moving = self.stage(&moving, Some(&gradients));
        self.total(lowered.root, &mut moving);
        let view = |id: Id| self.views[id.index()];
        let parts = parts.map(|part| Part {
            prediction: part.prediction.map(view),
            gradient: part.gradient.map(view),
        });
        let parts = parts.collect();
        let slots = self.places.slots;
        let mut by_length: Vec<usize> = (0..slots.len()).collect();
        by_length.sort_by_key(|&slot| Reverse(slots[slot]));
        Program {
            by_length,
            fixed,
            moving,
            parts,
            slots,
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

    /// Whether tile instructions of this stage make it, so that it is complete a phase later only.
    fn grows(&self, id: Id) -> bool {
        self.in_stage[id.index()] && self.kind(id) == Kind::Tile
    }

    /// Phases, places and instructions of expressions, which are in order. `last` is what the step at the
    /// end of the stage uses; without one the values outlive the stage.
    fn stage(&mut self, ids: &[Id], last: Option<&[Id]>) -> Vec<Phase> {
        self.in_stage.fill(false);
        for id in ids {
            self.in_stage[id.index()] = self.kind(*id) != Kind::Given;
        }
        self.assign_phases(ids);
        let deepest = ids.iter().map(|id| self.phase[id.index()]).max();
        let Some(deepest) = deepest else {
            return Vec::new();
        };
        self.sink(ids, last, deepest);
        let mut phases = vec![Phase::default(); deepest + 1];
        for (phase, to) in phases.iter_mut().enumerate() {
            let here: Vec<Id> = ids
                .iter()
                .copied()
                .filter(|id| self.in_stage[id.index()] && self.phase[id.index()] == phase)
                .collect();
            self.places.release(phase);
            self.whole(&here, last, to);
            // What the step at the end uses; the loss is summed up where the root is made.
            let waits = |id: Id, last: &[Id]| {
                phase != deepest && (last.contains(&id) || self.exprs.is_prediction(id))
            };
            let complete: Vec<bool> = here
                .iter()
                .map(|&id| last.is_none_or(|last| waits(id, last)) || self.crosses(id))
                .collect();
            self.tile(&here, &complete, last, to);
        }
        phases
    }

    fn assign_phases(&mut self, ids: &[Id]) {
        for &id in ids {
            let whole = self.kind(id) == Kind::Whole;
            let phase = self.exprs.get(id).operands().map(|operand| {
                if self.in_stage[operand.index()] {
                    self.phase[operand.index()] + usize::from(whole && self.grows(operand))
                } else {
                    0
                }
            });
            self.phase[id.index()] = phase.max().unwrap_or(0);
        }
    }

    /// Moves what tile instructions make to the last phase that is early enough, so that less has to be
    /// kept between phases.
    fn sink(&mut self, ids: &[Id], last: Option<&[Id]>, deepest: usize) {
        for &id in ids.iter().rev() {
            if !self.grows(id) {
                continue;
            }
            let by_users = self.users[id.index()]
                .iter()
                .filter(|user| self.in_stage[user.index()])
                .map(|user| self.phase[user.index()] - usize::from(self.kind(*user) == Kind::Whole))
                .min();
            let by_step = last.is_some_and(|last| last.contains(&id));
            let by_step = by_step.then_some(deepest);
            if let Some(latest) = by_users.into_iter().chain(by_step).min() {
                self.phase[id.index()] = latest;
            }
        }
    }

    /// Whether a value is needed beyond the tile instructions of its phase.
    fn crosses(&self, id: Id) -> bool {
        self.users[id.index()].iter().any(|user| {
            // Sums are taken tile by tile.
            let sum = matches!(self.exprs.get(*user), Expr::SumPositions(_));
            let other = self.phase[user.index()] != self.phase[id.index()];
            self.in_stage[user.index()] && !sum && (self.kind(*user) == Kind::Whole || other)
        })
    }

    fn whole(&mut self, here: &[Id], last: Option<&[Id]>, to: &mut Phase) {
        for &id in here {
            if self.kind(id) != Kind::Whole {
                continue;
            }
            let place = self.complete(id, last);
            self.views[id.index()] = place;
            if let Some(work) = self.work(id) {
                to.whole.push(self.instruction(id, work, place));
            }
        }
    }

    fn tile(&mut self, here: &[Id], complete: &[bool], last: Option<&[Id]>, to: &mut Phase) {
        // Free temporary places of one row, and of all.
        let mut free = [Vec::new(), Vec::new()];
        let mut live: Vec<Id> = Vec::new();
        for (at, &id) in here.iter().enumerate() {
            if self.kind(id) != Kind::Tile {
                continue;
            }
            let extent = self.exprs.extent(id);
            let place = if complete[at] {
                self.complete(id, last)
            } else {
                live.push(id);
                self.places.temporary(extent, &mut free)
            };
            self.views[id.index()] = place;
            if let Some(work) = self.work(id) {
                to.tile.push(self.instruction(id, work, place));
            }
            self.accumulate(id, to);
            live.retain(|&value| {
                // The step and the loss are taken at the end of the phase.
                let ends = last.is_some_and(|last| self.ends(value, last));
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

    /// Adds a tile's sums where a later phase collects them.
    fn accumulate(&mut self, id: Id, to: &mut Phase) {
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
        let rows = self.places.rows(self.exprs.extent(sum));
        let sums = &mut self.sums;
        *self.sum_of[sum.index()].get_or_insert_with(|| {
            sums.push(rows);
            sums.len() - 1
        })
    }

    fn instruction(&self, id: Id, work: Work, to: View) -> Instruction {
        let rows = match self.exprs.get(id) {
            Expr::SumChannels(a) => self.places.rows(self.exprs.extent(a)),
            _ => self.places.rows(self.exprs.extent(id)),
        };
        Instruction {
            work,
            to,
            rows,
            for_value: !self.for_gradient[id.index()],
            on: match self.exprs.moves(id) {
                true => self.on[id.index()],
                false => Where::Everywhere,
            },
        }
    }

    /// What computes an expression; None for constants and inputs.
    fn work(&mut self, id: Id) -> Option<Work> {
        let view = |id: Id| self.views[id.index()];
        Some(match self.exprs.get(id) {
            Expr::Constant(_) | Expr::Fixed(_) => return None,
            Expr::Prediction(part) => Work::Activate(part),
            Expr::Add(a, b) => Work::Add(view(a), view(b)),
            Expr::Sub(a, b) => Work::Sub(view(a), view(b)),
            Expr::Mul(a, b) => Work::Mul(view(a), view(b)),
            Expr::MulAdd(a, b, c) => Work::MulAdd(view(a), view(b), view(c)),
            Expr::MulSub(a, b, c) => Work::MulSub(view(a), view(b), view(c)),
            Expr::SubMul(a, b, c) => Work::SubMul(view(a), view(b), view(c)),
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

    fn total(&self, root: Id, moving: &mut [Phase]) {
        let phase = moving.get_mut(self.phase[root.index()]);
        if let Some(phase) = phase.filter(|_| self.in_stage[root.index()]) {
            let view = self.views[root.index()];
            let extent = self.exprs.extent(root);
            let total = Instruction {
                work: Work::Total(view),
                to: view,
                rows: self.places.rows(extent),
                for_value: true,
                on: Where::Everywhere,
            };
            if extent.positions {
                phase.tile.push(total);
            } else {
                phase.whole.push(total);
            }
        }
    }

    fn place_given(&mut self, ids: &[Id]) {
        for &id in ids {
            match self.exprs.get(id) {
                Expr::Constant(bits) => {
                    let view = self.places.number();
                    self.constants.push((view.slot, f32::from_bits(bits)));
                    self.views[id.index()] = view;
                }
                Expr::Fixed(index) => {
                    let view = self.places.field(Extent::FULL);
                    self.inputs.push((index, view.slot));
                    self.views[id.index()] = view;
                }
                _ => {}
            }
        }
    }

    /// A place for a complete field. What outlives the stage, and what the end of a step uses, stays.
    fn complete(&mut self, id: Id, last: Option<&[Id]>) -> View {
        let until = last.filter(|last| !self.ends(id, last)).map(|_| {
            let users = self.users[id.index()].iter();
            let users = users.filter(|user| self.in_stage[user.index()]);
            let phases = users.map(|user| self.phase[user.index()]);
            phases.max().unwrap_or(self.phase[id.index()])
        });
        self.places.complete(self.exprs.extent(id), until)
    }

    /// Whether the end of a step or of its phase uses a value.
    fn ends(&self, id: Id, last: &[Id]) -> bool {
        last.contains(&id) || id == self.root || self.exprs.is_prediction(id)
    }
}

/// What `ids` need, themselves included.
fn reached(exprs: &Exprs, ids: impl IntoIterator<Item = Id>) -> Vec<bool> {
    let mut reached = vec![false; exprs.len()];
    let mut stack: Vec<Id> = ids.into_iter().collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut reached[id.index()], true) {
            stack.extend(exprs.get(id).operands());
        }
    }
    reached
}
