//! Rows that need not be computed.
//!
//! A target in one-hot coding is 0 in most rows, a channel in a tile: few classes are near each other. What
//! is multiplied by it is 0 there if it is finite, which [`crate::range`] tells, and so is all that comes of
//! it through maps that keep 0. Such a *silent* row is cleared instead of computed, and where all users of a
//! value are silent, or are themselves read by silent ones only, not even that.

use crate::expr::{Back, Expr, Exprs, Extent, Id};
use crate::lower::Sizes;
use crate::range::{InputFacts, image, ranges};
use autoloss_graph::facts::Interval;
use std::cmp::Ordering;

/// How large the parts are that are 0 throughout.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Grain {
    /// A channel in a tile.
    Row,
    /// A channel in all tiles.
    Channel,
}

/// The rows in which an input is not 0 throughout.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Support {
    pub(crate) input: u8,
    pub(crate) grain: Grain,
}

/// The rows that an instruction works on.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Where {
    /// All of them.
    #[default]
    Everywhere,
    /// Those; with `clear` the others become 0, else nobody reads them.
    On { support: Support, clear: bool },
}

impl Support {
    /// Both together.
    fn join(self, other: Self) -> Option<Self> {
        (self.input == other.input).then_some(Self {
            grain: self.grain.max(other.grain),
            ..self
        })
    }

    /// Whether all its rows are among those of `other`.
    fn is_within(self, other: Self) -> bool {
        self.join(other) == Some(other)
    }
}

/// Where each expression has to be computed; `outputs` are read everywhere.
pub(crate) fn places(
    exprs: &Exprs,
    outputs: &[Id],
    facts: &InputFacts,
    sizes: Sizes,
) -> Vec<Where> {
    let supports = Supports::new(exprs, facts, sizes).found;
    // What is read of each; nothing so far.
    let mut read: Vec<Option<Demand>> = vec![None; exprs.len()];
    for id in outputs {
        read[id.index()] = Some(Demand::All);
    }
    let mut places = vec![Where::Everywhere; exprs.len()];
    for id in exprs.ids().rev() {
        let expr = exprs.get(id);
        let Some(demand) = read[id.index()] else {
            continue;
        };
        // What is the same along an axis is read by rows of all kinds.
        let own = match exprs.extent(id) == Extent::FULL {
            true => place(expr, supports[id.index()], demand),
            false => Where::Everywhere,
        };
        places[id.index()] = own;
        let needs = Demand::of(expr, own);
        for operand in expr.operands() {
            let before = &mut read[operand.index()];
            *before = Some(before.map_or(needs, |before| before.join(needs)));
        }
    }
    places
}

/// Rows that are read.
#[derive(Copy, Clone, PartialEq, Debug)]
enum Demand {
    All,
    Only(Support),
}

impl Demand {
    /// What an expression that is computed there reads of its operands.
    fn of(expr: Expr, place: Where) -> Self {
        match (expr, place) {
            // Sums take the zeros, too.
            (Expr::SumChannels(_) | Expr::SumPositions(_), _) | (_, Where::Everywhere) => Self::All,
            (_, Where::On { support, .. }) => Self::Only(support),
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => a.join(b).map_or(Self::All, Self::Only),
            _ => Self::All,
        }
    }
}

fn place(expr: Expr, silent: Option<Support>, demand: Demand) -> Where {
    let widened = |support: Support| match expr {
        // Pools work on whole channels.
        Expr::Pool(..) | Expr::PoolBack(..) => Support {
            grain: Grain::Channel,
            ..support
        },
        _ => support,
    };
    match (silent.map(widened), demand) {
        (None, Demand::All) => Where::Everywhere,
        (Some(support), Demand::All) => Where::On {
            support,
            clear: true,
        },
        (silent, Demand::Only(read)) => {
            let read = widened(read);
            match silent {
                Some(support) if !read.is_within(support) => Where::On {
                    support,
                    clear: true,
                },
                _ => Where::On {
                    support: read,
                    clear: false,
                },
            }
        }
    }
}

/// Outside of which rows each expression is 0, if that is known.
struct Supports {
    ranges: Vec<Option<Interval>>,
    found: Vec<Option<Support>>,
}

impl Supports {
    fn new(exprs: &Exprs, facts: &InputFacts, sizes: Sizes) -> Self {
        let mut all = Self {
            ranges: ranges(exprs, facts, sizes),
            found: Vec::with_capacity(exprs.len()),
        };
        for id in exprs.ids() {
            let support = match exprs.extent(id) == Extent::FULL {
                true => all.of(exprs.get(id), facts),
                false => None,
            };
            all.found.push(support);
        }
        all
    }

    fn get(&self, id: Id) -> Option<Support> {
        self.found[id.index()]
    }

    fn is_finite(&self, id: Id) -> bool {
        self.ranges[id.index()].is_some()
    }

    fn of(&self, expr: Expr, facts: &InputFacts) -> Option<Support> {
        match expr {
            Expr::Constant(_)
            | Expr::Prediction(_)
            | Expr::SumChannels(_)
            | Expr::SumPositions(_) => None,
            Expr::Fixed(input) => facts.sparse.get(usize::from(input))?.then_some(Support {
                input,
                grain: Grain::Row,
            }),
            Expr::Add(a, b) | Expr::Sub(a, b) => self.get(a)?.join(self.get(b)?),
            Expr::Mul(a, b) => self.product(a, b),
            Expr::MulAdd(a, b, c) | Expr::MulSub(a, b, c) | Expr::SubMul(a, b, c) => {
                self.product(a, b)?.join(self.get(c)?)
            }
            Expr::Map(map, a) => self.get(a).filter(|_| map.op().keeps_zero()),
            Expr::MapMul(map, a, b) => {
                let mapped = self.ranges[a.index()].and_then(|range| image(map.op(), range));
                let keeps_zero = map.op().keeps_zero();
                let by_map = self.get(a).filter(|_| keeps_zero && self.is_finite(b));
                smaller(by_map, self.get(b).filter(|_| mapped.is_some()))
            }
            Expr::Back(rule, g, x) => self.back(rule, self.get(g), self.is_finite(g), x),
            Expr::BackMul(rule, [a, b], x) => {
                let finite = self.is_finite(a) && self.is_finite(b);
                self.back(rule, self.product(a, b), finite, x)
            }
            Expr::Pool(_, a) => self.get(a).map(whole),
            Expr::PoolBack(_, g, x) => self.get(g).filter(|_| self.is_finite(x)).map(whole),
        }
    }

    fn product(&self, a: Id, b: Id) -> Option<Support> {
        smaller(
            self.get(a).filter(|_| self.is_finite(b)),
            self.get(b).filter(|_| self.is_finite(a)),
        )
    }

    /// `arriving` is the support of what arrives.
    fn back(
        &self,
        rule: Back,
        arriving: Option<Support>,
        finite: bool,
        value: Id,
    ) -> Option<Support> {
        let by_arriving = arriving.filter(|_| self.is_finite(value));
        let by_value = match rule {
            Back::Tanh => None,
            Back::Abs | Back::Inv | Back::Log | Back::Sqrt => self.get(value),
        };
        smaller(by_arriving, by_value.filter(|_| finite))
    }
}

fn whole(support: Support) -> Support {
    Support {
        grain: Grain::Channel,
        ..support
    }
}

/// The one of fewer rows.
fn smaller(a: Option<Support>, b: Option<Support>) -> Option<Support> {
    match (a, b) {
        (Some(a), Some(b)) if b.grain.cmp(&a.grain) == Ordering::Less => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Input, Machine, Problem, Program, Shape};
    use autoloss_graph::{GenerateConfig, Limits, LossGraph, Signature, random_graph};
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// The rows of the second fill vectors and tiles.
    const SIZES: [[usize; 2]; 2] = [[13, 21], [14, 32]];

    /// Classes in bands of rows; the last two are in the second sample alone.
    fn problem(rng: &mut ChaCha8Rng, [height, width]: [usize; 2]) -> Problem {
        let shape = Shape {
            samples: 2,
            channels: 7,
            height,
            width,
        };
        let positions = shape.positions();
        let mut y = vec![0.0; shape.len()];
        for sample in 0..shape.samples {
            for at in 0..positions {
                let class = at / width / 3 + 2 * sample;
                y[(sample * shape.channels + class) * positions + at] = 1.0;
            }
        }
        let raw: Vec<f32> = (0..shape.len())
            .map(|_| rng.random_range(-2.0..2.0))
            .collect();
        let inputs = [Input::Prediction, Input::Fixed(y)];
        Problem::new(shape, Activation::Softmax, &inputs, &raw, None).unwrap()
    }

    /// Everything that a program computes of a problem, by its bits.
    fn computed(problem: &Problem, program: &Program) -> Vec<u64> {
        let mut machine = Machine::default();
        machine.reset(problem);
        let found = machine.gradient(problem, program);
        let mut values = Vec::new();
        machine.raw_gradient(problem, program, &mut values);
        let ended = machine.descend(problem, program, 3, 0.1);
        let mut predictions = Vec::new();
        machine.predictions(problem, 0, &mut predictions);
        values.extend(predictions);
        let sums = [found.losses, found.norms, found.alignments].concat();
        let ended = u64::from(ended.is_break());
        // Of zeros the sign may differ, and NaN has many forms.
        let bits = |value: f64| match value.is_nan() {
            true => u64::MAX,
            false => (value + 0.0).to_bits(),
        };
        let values = values.into_iter().map(f64::from).chain(sums).map(bits);
        values.chain([ended]).collect()
    }

    #[test]
    fn nothing_changes_where_rows_are_skipped() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let sparse = SIZES.map(|size| problem(&mut rng, size));
        let dense = sparse.clone().map(Problem::dense);
        let (signature, limits) = (Signature::dense(), Limits::default());
        let mut skipped = 0;
        for depth in [3, 3, 4, 5] {
            for turn in 0..500 {
                let (sparse, dense) = (&sparse[turn % 2], &dense[turn % 2]);
                let config = GenerateConfig { depth };
                let graph = random_graph(&mut rng, &signature, &config, &limits);
                let program = sparse.compile(&graph);
                skipped += usize::from(skips(&program));
                assert_eq!(
                    computed(sparse, &program),
                    computed(dense, &dense.compile(&graph)),
                    "{}",
                    graph.display(&signature)
                );
            }
        }
        assert!(skipped > 50, "{skipped}");
    }

    fn skips(program: &Program) -> bool {
        let mut all = program.moving.iter();
        all.any(|phase| {
            let mut all = phase.tile.iter().chain(&phase.whole);
            all.any(|instruction| instruction.on != Where::Everywhere)
        })
    }

    fn compiled(text: &str) -> Program {
        let graph = LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap();
        problem(&mut ChaCha8Rng::seed_from_u64(1), SIZES[0]).compile(&graph)
    }

    #[test]
    fn rows_are_skipped_only_where_that_is_certain_to_be_zero() {
        assert!(skips(&compiled("neg(mul(y, log(yhat)))")));
        assert!(skips(&compiled("mul(max_pool3x3(yhat), neg(y))")));
        // 1 / (ŷ − ŷ²) may be infinite, and e⁰ is not 0.
        assert!(!skips(&compiled(
            "mul(y, inv(add(yhat, neg(square(yhat)))))"
        )));
        assert!(!skips(&compiled("mul(exp(y), yhat)")));
    }
}
