//! From a loss graph to the expressions of its value and its gradient.
//!
//! The gradient is built in reverse order, rule by rule, as PyTorch's autograd takes it of the literal
//! formulas (see [`autoloss_graph::reference`]). Where an operand varies along fewer axes than the
//! result, what arrives is summed over the others.

use crate::expr::{Back, Expr, Exprs, Extent, Id, Map, Pool};
use crate::tile::TILE;
use autoloss_graph::{BinaryOp, LossGraph, Node, UnaryOp};

/// Sizes of the fields that a graph is compiled for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sizes {
    pub(crate) channels: usize,
    /// H·W.
    pub(crate) positions: usize,
}

impl Sizes {
    /// Tiles of a sample; the last one may be filled up.
    pub(crate) fn tiles(self) -> usize {
        self.positions.div_ceil(TILE)
    }
}

/// A graph as expressions.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) exprs: Exprs,
    /// The root; L is [`weight`](Self::weight) times the sum of its stored values.
    pub(crate) root: Id,
    pub(crate) weight: f64,
    /// The parts of ŷ, in their order.
    pub(crate) parts: Vec<Part<Id>>,
}

/// A part of the prediction.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Part<T> {
    /// None where the graph does not use it.
    pub(crate) prediction: Option<T>,
    /// ∂L/∂ŷ; None where it is zero by structure.
    pub(crate) gradient: Option<T>,
}

impl Lowered {
    /// `part_of` says of each input which part of the prediction it is; None of an input that stays.
    pub(crate) fn new(graph: &LossGraph, part_of: &[Option<u8>], sizes: Sizes) -> Self {
        let mut exprs = Exprs::new();
        let root = forward(&mut exprs, graph, part_of, sizes);
        let extent = exprs.extent(root);
        let repeated = |varies: bool, count: usize| if varies { 1.0 } else { count as f64 };
        let weight = repeated(extent.channels, sizes.channels)
            * repeated(extent.positions, sizes.positions)
            / sizes.positions as f64;
        let count = part_of.iter().flatten().max().map_or(1, |&last| last + 1);
        let parts = backward(&mut exprs, root, weight as f32, sizes, count);
        let (root, weight) = summed(&exprs, root, weight);
        let gradients = parts.iter().filter_map(|part| part.gradient);
        let outputs: Vec<Id> = gradients.chain([root]).collect();
        exprs.fuse(&outputs);
        Self {
            exprs,
            root,
            weight,
            parts,
        }
    }
}

/// The loss sums the root, so sums at the root are left to it, and so is a factor.
fn summed(exprs: &Exprs, root: Id, weight: f64) -> (Id, f64) {
    match exprs.get(root) {
        Expr::SumChannels(a) | Expr::SumPositions(a) => summed(exprs, a, weight),
        _ => match exprs.scaled(root) {
            (k, a) if a != root => summed(exprs, a, weight * f64::from(k)),
            _ => (root, weight),
        },
    }
}

fn forward(exprs: &mut Exprs, graph: &LossGraph, part_of: &[Option<u8>], sizes: Sizes) -> Id {
    let mut done: Vec<Id> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        let id = match *node {
            Node::One => exprs.constant(1.0),
            Node::Input(input) => match part_of.get(input.index()) {
                Some(&Some(part)) => exprs.prediction(part),
                _ => exprs.fixed(input.index() as u8),
            },
            Node::Unary(op, a) => unary(exprs, op, done[a.index()], sizes),
            Node::Binary(BinaryOp::Add, a, b) => sum(exprs, done[a.index()], done[b.index()]),
            Node::Binary(BinaryOp::Mul, a, b) => exprs.mul(done[a.index()], done[b.index()]),
        };
        done.push(id);
    }
    // A graph has at least its root.
    done[graph.len() - 1]
}

/// a + b, as a difference where one of them is a negative.
fn sum(exprs: &mut Exprs, a: Id, b: Id) -> Id {
    match (exprs.factor(a), exprs.factor(b)) {
        ((-1.0, a), (-1.0, b)) => {
            let sum = exprs.add(a, b);
            exprs.scale(sum, -1.0)
        }
        ((-1.0, a), _) => exprs.sub(b, a),
        (_, (-1.0, b)) => exprs.sub(a, b),
        _ => exprs.add(a, b),
    }
}

fn unary(exprs: &mut Exprs, op: UnaryOp, a: Id, sizes: Sizes) -> Id {
    let map = match op {
        UnaryOp::Neg => return exprs.scale(a, -1.0),
        UnaryOp::MeanC => {
            let sum = exprs.sum_channels(a, sizes.channels);
            return exprs.scale(sum, 1.0 / sizes.channels as f32);
        }
        UnaryOp::MeanNhw => {
            let sum = exprs.sum_positions(a, sizes.positions);
            return exprs.scale(sum, 1.0 / sizes.positions as f32);
        }
        UnaryOp::MaxPool3x3 => return exprs.pool(Pool::Max, a),
        UnaryOp::MinPool3x3 => return exprs.pool(Pool::Min, a),
        UnaryOp::Abs => Map::Abs,
        UnaryOp::Inv => Map::Inv,
        UnaryOp::Log => Map::Log,
        UnaryOp::Exp => Map::Exp,
        UnaryOp::Tanh => Map::Tanh,
        UnaryOp::Square => Map::Square,
        UnaryOp::Sqrt => Map::Sqrt,
    };
    exprs.map(map, a)
}

/// What has arrived at each expression so far.
struct Arriving {
    at: Vec<Option<Id>>,
    sizes: Sizes,
}

impl Arriving {
    /// `part` of ∂L/∂`to` arrives from a result of the axes `from`.
    fn send(&mut self, exprs: &mut Exprs, to: Id, from: Extent, part: Id) {
        if !exprs.moves(to) {
            return;
        }
        let own = exprs.extent(to);
        let mut part = part;
        if from.channels && !own.channels {
            part = exprs.sum_channels(part, self.sizes.channels);
        }
        if from.positions && !own.positions {
            part = exprs.sum_positions(part, self.sizes.positions);
        }
        let sum = match self.at[to.index()] {
            Some(before) => sum(exprs, before, part),
            None => part,
        };
        self.at[to.index()] = Some(sum);
    }
}

/// The `count` parts of the prediction, each with its gradient.
fn backward(exprs: &mut Exprs, root: Id, seed: f32, sizes: Sizes, count: u8) -> Vec<Part<Id>> {
    let forward: Vec<Id> = exprs.ids().take(root.index() + 1).collect();
    let mut arriving = Arriving {
        at: vec![None; forward.len()],
        sizes,
    };
    if exprs.moves(root) {
        arriving.at[root.index()] = Some(exprs.constant(seed));
    }
    for &id in forward.iter().rev() {
        if let Some(g) = arriving.at[id.index()] {
            step(exprs, &mut arriving, id, g);
        }
    }
    let part = |part: u8| {
        let mut known = forward.iter().copied();
        let prediction = known.find(|id| exprs.get(*id) == Expr::Prediction(part));
        Part {
            prediction,
            gradient: prediction.and_then(|id| arriving.at[id.index()]),
        }
    };
    (0..count).map(part).collect()
}

/// Passes what arrives at `id` on to its operands.
fn step(exprs: &mut Exprs, arriving: &mut Arriving, id: Id, g: Id) {
    let extent = exprs.extent(id);
    match exprs.get(id) {
        Expr::Constant(_) | Expr::Prediction(_) | Expr::Fixed(_) => {}
        Expr::Add(a, b) => {
            arriving.send(exprs, a, extent, g);
            arriving.send(exprs, b, extent, g);
        }
        Expr::Sub(a, b) => {
            arriving.send(exprs, a, extent, g);
            let negative = exprs.scale(g, -1.0);
            arriving.send(exprs, b, extent, negative);
        }
        Expr::Mul(a, b) => {
            for (to, other) in [(a, b), (b, a)] {
                if exprs.moves(to) {
                    let part = exprs.mul(g, other);
                    arriving.send(exprs, to, extent, part);
                }
            }
        }
        Expr::Map(map, a) => {
            let part = map_back(exprs, map, g, a, id);
            arriving.send(exprs, a, extent, part);
        }
        // Each summand receives what arrives at the sum.
        Expr::SumChannels(a) | Expr::SumPositions(a) => arriving.send(exprs, a, extent, g),
        Expr::Pool(pool, a) => {
            let part = exprs.pool_back(pool, g, a);
            arriving.send(exprs, a, extent, part);
        }
        // Of the gradient itself; there are none below the root.
        Expr::MulAdd(..)
        | Expr::MulSub(..)
        | Expr::SubMul(..)
        | Expr::MapMul(..)
        | Expr::Back(..)
        | Expr::BackMul(..)
        | Expr::PoolBack(..) => {}
    }
}

fn map_back(exprs: &mut Exprs, map: Map, g: Id, x: Id, y: Id) -> Id {
    match map {
        Map::Exp => exprs.mul(g, y),
        Map::Square => {
            let double = exprs.scale(g, 2.0);
            exprs.mul(double, x)
        }
        Map::Abs => exprs.back(Back::Abs, g, x),
        Map::Log => exprs.back(Back::Log, g, x),
        Map::Inv => exprs.back(Back::Inv, g, y),
        Map::Tanh => exprs.back(Back::Tanh, g, y),
        Map::Sqrt => exprs.back(Back::Sqrt, g, y),
    }
}
