//! What a loss graph and its gradient compute, as expressions without repetition.
//!
//! An expression carries the axes along which it varies: a mean over the channels is stored and
//! worked on once for each position, a constant once. Equal expressions are one ([`Exprs::add`]), signs
//! are moved out of odd operators, which is exact, and constants are folded, so building the gradient
//! literally, rule by rule, still gives a short program.

use crate::math::EPSILON;
use autoloss_graph::{Parity, UnaryOp};
use std::collections::HashMap;

/// Position of an expression; operands come before what uses them.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Id(u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A function of one value at each position.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Map {
    Abs,
    Inv,
    Log,
    Exp,
    Tanh,
    Square,
    Sqrt,
}

impl Map {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::Abs,
        Self::Inv,
        Self::Log,
        Self::Exp,
        Self::Tanh,
        Self::Square,
        Self::Sqrt,
    ];

    /// The operator of graphs that it is.
    pub(crate) const fn op(self) -> UnaryOp {
        match self {
            Self::Abs => UnaryOp::Abs,
            Self::Inv => UnaryOp::Inv,
            Self::Log => UnaryOp::Log,
            Self::Exp => UnaryOp::Exp,
            Self::Tanh => UnaryOp::Tanh,
            Self::Square => UnaryOp::Square,
            Self::Sqrt => UnaryOp::Sqrt,
        }
    }
}

/// The gradient of a [`Map`] times what arrives, from its operand or its result.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Back {
    /// g · sign(x) of the operand.
    Abs,
    /// −g · y² of the result.
    Inv,
    /// g / (|x| + ε) of the operand, 0 at 0.
    Log,
    /// g · (1 − y²) of the result.
    Tanh,
    /// g / (2|y|) of the result, 0 at 0.
    Sqrt,
}

/// Which end of a 3×3 neighbourhood.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Pool {
    Max,
    Min,
}

/// An expression.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Expr {
    /// A number, by its bits.
    Constant(u32),
    /// The activated prediction ŷ, or a part of it by its number.
    Prediction(u8),
    /// An input that does not depend on the prediction, by its position in the signature.
    Fixed(u8),
    Add(Id, Id),
    Sub(Id, Id),
    Mul(Id, Id),
    /// a · b + c.
    MulAdd(Id, Id, Id),
    /// a · b − c.
    MulSub(Id, Id, Id),
    /// c − a · b.
    SubMul(Id, Id, Id),
    Map(Map, Id),
    /// map(a) · b.
    MapMul(Map, Id, Id),
    /// The rule, what arrives, and the operand or result.
    Back(Back, Id, Id),
    /// The same where the product of two arrives.
    BackMul(Back, [Id; 2], Id),
    /// Σ over the channels.
    SumChannels(Id),
    /// Σ over the positions of a sample.
    SumPositions(Id),
    Pool(Pool, Id),
    /// The kind, what arrives at the result, and the operand.
    PoolBack(Pool, Id, Id),
}

impl Expr {
    pub(crate) fn operands(self) -> impl Iterator<Item = Id> {
        let [a, b, c] = match self {
            Expr::Constant(_) | Expr::Prediction(_) | Expr::Fixed(_) => [None; 3],
            Expr::Map(_, a) | Expr::SumChannels(a) | Expr::SumPositions(a) | Expr::Pool(_, a) => {
                [Some(a), None, None]
            }
            Expr::Add(a, b)
            | Expr::Sub(a, b)
            | Expr::Mul(a, b)
            | Expr::MapMul(_, a, b)
            | Expr::Back(_, a, b)
            | Expr::PoolBack(_, a, b) => [Some(a), Some(b), None],
            Expr::MulAdd(a, b, c)
            | Expr::MulSub(a, b, c)
            | Expr::SubMul(a, b, c)
            | Expr::BackMul(_, [a, b], c) => [Some(a), Some(b), Some(c)],
        };
        [a, b, c].into_iter().flatten()
    }
}

/// Along which axes a value varies.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Extent {
    pub(crate) channels: bool,
    pub(crate) positions: bool,
}

impl Extent {
    pub(crate) const NONE: Self = Self {
        channels: false,
        positions: false,
    };
    pub(crate) const FULL: Self = Self {
        channels: true,
        positions: true,
    };

    fn with(self, other: Self) -> Self {
        Self {
            channels: self.channels || other.channels,
            positions: self.positions || other.positions,
        }
    }
}

/// Expressions with what is known of each.
#[derive(Debug)]
pub(crate) struct Exprs {
    nodes: Vec<Expr>,
    extents: Vec<Extent>,
    /// Whether it depends on a prediction.
    moving: Vec<bool>,
    known: HashMap<Expr, Id>,
}

impl Exprs {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            extents: Vec::new(),
            moving: Vec::new(),
            known: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = Id> + use<> {
        (0..self.nodes.len()).map(|index| Id(index as u32))
    }

    pub(crate) fn get(&self, id: Id) -> Expr {
        self.nodes[id.index()]
    }

    pub(crate) fn extent(&self, id: Id) -> Extent {
        self.extents[id.index()]
    }

    pub(crate) fn moves(&self, id: Id) -> bool {
        self.moving[id.index()]
    }

    /// The number of a constant.
    pub(crate) fn constant_of(&self, id: Id) -> Option<f32> {
        match self.get(id) {
            Expr::Constant(bits) => Some(f32::from_bits(bits)),
            _ => None,
        }
    }

    fn intern(&mut self, expr: Expr, extent: Extent, moving: bool) -> Id {
        let next = Id(self.nodes.len() as u32);
        let id = *self.known.entry(expr).or_insert(next);
        if id == next {
            self.nodes.push(expr);
            self.extents.push(extent);
            self.moving.push(moving);
        }
        id
    }

    /// An expression whose axes are those of its operands.
    fn pointwise(&mut self, expr: Expr) -> Id {
        let (mut extent, mut moving) = (Extent::NONE, false);
        for id in expr.operands() {
            extent = extent.with(self.extent(id));
            moving |= self.moves(id);
        }
        self.intern(expr, extent, moving)
    }

    pub(crate) fn constant(&mut self, value: f32) -> Id {
        self.intern(Expr::Constant(value.to_bits()), Extent::NONE, false)
    }

    pub(crate) fn prediction(&mut self, part: u8) -> Id {
        self.intern(Expr::Prediction(part), Extent::FULL, true)
    }

    pub(crate) fn is_prediction(&self, id: Id) -> bool {
        matches!(self.get(id), Expr::Prediction(_))
    }

    pub(crate) fn fixed(&mut self, index: u8) -> Id {
        self.intern(Expr::Fixed(index), Extent::FULL, false)
    }

    pub(crate) fn add(&mut self, a: Id, b: Id) -> Id {
        if let (Some(x), Some(y)) = (self.constant_of(a), self.constant_of(b)) {
            return self.constant(x + y);
        }
        self.pointwise(Expr::Add(a.min(b), a.max(b)))
    }

    pub(crate) fn sub(&mut self, a: Id, b: Id) -> Id {
        if let (Some(x), Some(y)) = (self.constant_of(a), self.constant_of(b)) {
            return self.constant(x - y);
        }
        self.pointwise(Expr::Sub(a, b))
    }

    /// a · b. Signs stay outside, where they meet others; that is exact.
    pub(crate) fn mul(&mut self, a: Id, b: Id) -> Id {
        match (self.constant_of(a), self.constant_of(b)) {
            (Some(x), Some(y)) => return self.constant(x * y),
            (Some(x), None) => return self.scale(b, x),
            (None, Some(y)) => return self.scale(a, y),
            (None, None) => {}
        }
        let ((x, a), (y, b)) = (self.factor(a), self.factor(b));
        let product = self.pointwise(Expr::Mul(a.min(b), a.max(b)));
        self.scale(product, x * y)
    }

    /// k · a.
    pub(crate) fn scale(&mut self, a: Id, k: f32) -> Id {
        if let Some(x) = self.constant_of(a) {
            return self.constant(k * x);
        }
        let (inner, a) = self.scaled(a);
        let k = k * inner;
        if k == 1.0 {
            return a;
        }
        let k = self.constant(k);
        self.pointwise(Expr::Mul(k.min(a), k.max(a)))
    }

    /// a as k · b with a constant factor k apart.
    pub(crate) fn scaled(&self, a: Id) -> (f32, Id) {
        if let Expr::Mul(x, y) = self.get(a) {
            match (self.constant_of(x), self.constant_of(y)) {
                (Some(k), None) => return (k, y),
                (None, Some(k)) => return (k, x),
                _ => {}
            }
        }
        (1.0, a)
    }

    /// a as ±b with the sign apart.
    pub(crate) fn factor(&self, a: Id) -> (f32, Id) {
        match self.scaled(a) {
            (-1.0, inner) => (-1.0, inner),
            _ => (1.0, a),
        }
    }

    pub(crate) fn map(&mut self, map: Map, a: Id) -> Id {
        if let Some(x) = self.constant_of(a) {
            return self.constant(number(map, x));
        }
        let (k, inner) = self.factor(a);
        match map.op().facts().parity {
            Parity::Even if k == -1.0 => self.pointwise(Expr::Map(map, inner)),
            Parity::Odd if k == -1.0 => {
                let y = self.pointwise(Expr::Map(map, inner));
                self.scale(y, -1.0)
            }
            _ => self.pointwise(Expr::Map(map, a)),
        }
    }

    /// What `rule` makes of what arrives and the operand or result.
    pub(crate) fn back(&mut self, rule: Back, arriving: Id, value: Id) -> Id {
        let (k, inner) = self.factor(value);
        // All rules but that of |x| see the size of the value only.
        if k == -1.0 && rule != Back::Abs {
            return self.pointwise(Expr::Back(rule, arriving, inner));
        }
        self.pointwise(Expr::Back(rule, arriving, value))
    }

    /// Σ over the channels, `count` of them.
    pub(crate) fn sum_channels(&mut self, a: Id, count: usize) -> Id {
        let extent = self.extent(a);
        let left = Extent {
            channels: false,
            ..extent
        };
        match extent.channels {
            true => self.sum(Expr::SumChannels, a, left),
            false => self.scale(a, count as f32),
        }
    }

    /// Σ over the positions of a sample, `count` of them.
    pub(crate) fn sum_positions(&mut self, a: Id, count: usize) -> Id {
        let extent = self.extent(a);
        let left = Extent {
            positions: false,
            ..extent
        };
        match extent.positions {
            true => self.sum(Expr::SumPositions, a, left),
            false => self.scale(a, count as f32),
        }
    }

    fn sum(&mut self, sum: impl Fn(Id) -> Expr, a: Id, extent: Extent) -> Id {
        let (k, inner) = self.factor(a);
        let total = self.intern(sum(inner), extent, self.moves(inner));
        self.scale(total, k)
    }

    /// The extreme value around each position; the value itself where it is the same everywhere.
    pub(crate) fn pool(&mut self, pool: Pool, a: Id) -> Id {
        if !self.extent(a).positions {
            return a;
        }
        let (k, inner) = self.factor(a);
        if k == -1.0 {
            let other = match pool {
                Pool::Max => Pool::Min,
                Pool::Min => Pool::Max,
            };
            let y = self.pointwise(Expr::Pool(other, inner));
            return self.scale(y, -1.0);
        }
        self.pointwise(Expr::Pool(pool, a))
    }

    pub(crate) fn pool_back(&mut self, pool: Pool, arriving: Id, value: Id) -> Id {
        self.pointwise(Expr::PoolBack(pool, arriving, value))
    }

    /// Joins an expression with an operand that nothing else uses, where there is a kernel for both: each
    /// spares a pass over the tile.
    pub(crate) fn fuse(&mut self, outputs: &[Id]) {
        let mut uses = vec![0u32; self.len()];
        let operands = self.nodes.iter().flat_map(|expr| expr.operands());
        for id in operands.chain(outputs.iter().copied()) {
            uses[id.index()] += 1;
        }
        for id in self.ids() {
            if let Some(joined) = self.joined(id, &uses) {
                self.nodes[id.index()] = joined;
            }
        }
    }

    /// An expression with such an operand in it.
    fn joined(&self, id: Id, uses: &[u32]) -> Option<Expr> {
        // What stays the same is better computed once than joined to what does not.
        let alone = |operand: Id| uses[operand.index()] == 1 && self.moves(operand);
        let expr = self.get(id);
        match expr {
            Expr::Add(a, b) | Expr::Mul(a, b) => {
                let mut sides = [(a, b), (b, a)].into_iter();
                sides.find_map(|(operand, rest)| match (expr, self.get(operand)) {
                    _ if !alone(operand) => None,
                    (Expr::Add(..), Expr::Mul(x, y)) => Some(Expr::MulAdd(x, y, rest)),
                    (Expr::Mul(..), Expr::Map(map, x)) => Some(Expr::MapMul(map, x, rest)),
                    _ => None,
                })
            }
            Expr::Sub(a, b) => match (self.get(a), self.get(b)) {
                (Expr::Mul(x, y), _) if alone(a) => Some(Expr::MulSub(x, y, b)),
                (_, Expr::Mul(x, y)) if alone(b) => Some(Expr::SubMul(x, y, a)),
                _ => None,
            },
            Expr::Back(rule, g, x) => match self.get(g) {
                Expr::Mul(a, b) if alone(g) => Some(Expr::BackMul(rule, [a, b], x)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A map of a number.
pub(crate) fn number(map: Map, x: f32) -> f32 {
    let sign = if x == 0.0 { 0.0 } else { x.signum() };
    match map {
        Map::Abs => x.abs(),
        Map::Inv => 1.0 / (x + EPSILON),
        Map::Log => sign * (x.abs() + EPSILON).ln(),
        Map::Exp => x.exp(),
        Map::Tanh => x.tanh(),
        Map::Square => x * x,
        Map::Sqrt => sign * (x.abs() + EPSILON).sqrt(),
    }
}
