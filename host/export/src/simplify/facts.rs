//! What is certain of the terms of an e-graph, for the rules that hold on conditions.
//!
//! Equal terms share what is known of each of them ([`Facts`]): that is what an analysis of an e-graph
//! adds to one pass over a graph.

use super::{Leaf, Term};
use autoloss_graph::facts::Facts;
use autoloss_graph::{Op, Signature};
use egg::{Analysis, DidMerge, EGraph, Id, Language};

/// What a signature says of inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    inputs: Vec<Facts>,
}

impl Domain {
    pub(super) fn of(signature: &Signature) -> Self {
        let inputs = signature.inputs().iter();
        Self {
            inputs: inputs.map(|input| Facts::input(Some(input))).collect(),
        }
    }

    fn input(&self, Leaf(position): Leaf) -> Facts {
        let known = self.inputs.get(usize::from(position)).copied();
        known.unwrap_or_else(|| Facts::input(None))
    }
}

impl Analysis<Term> for Domain {
    type Data = Facts;

    fn make(egraph: &mut EGraph<Term, Self>, term: &Term, _: Id) -> Facts {
        let at = |index: usize| term.children().get(index).map(|id| egraph[*id].data);
        match (term, term.op(), at(0), at(1)) {
            (Term::Input(leaf), ..) => egraph.analysis.input(*leaf),
            (_, Some(Op::Binary(op)), Some(a), Some(b)) => Facts::binary(op, &a, &b),
            (_, Some(Op::Unary(op)), Some(a), _) => Facts::unary(op, &a),
            _ => Facts::ONE,
        }
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let before = *a;
        let (old, new) = (&mut a.interval, b.interval);
        if narrows(old.low, new.low, new.low > old.low) {
            old.low = new.low;
        }
        if narrows(old.high, new.high, new.high < old.high) {
            old.high = new.high;
        }
        a.nan &= b.nan;
        a.all_finite |= b.all_finite;
        a.traits = a.traits.or(b.traits);
        a.number = a.number.or(b.number);
        DidMerge(*a != before, *a != b)
    }

    /// The shortest spelling of a small whole number is one of its spellings.
    fn modify(egraph: &mut EGraph<Term, Self>, id: Id) {
        let Some(number) = egraph[id].data.number else {
            return;
        };
        let one = |egraph: &mut EGraph<Term, Self>| egraph.add(Term::One);
        let short = match number {
            1 => one(egraph),
            -1 => {
                let one = one(egraph);
                egraph.add(Term::Neg(one))
            }
            0 => {
                let one = one(egraph);
                let minus = egraph.add(Term::Neg(one));
                egraph.add(Term::Add([one, minus]))
            }
            2 => {
                let one = one(egraph);
                egraph.add(Term::Add([one, one]))
            }
            _ => return,
        };
        egraph.union(id, short);
    }
}

/// Whether a bound is better by enough to be worth passing on. Bounds that only creep would be passed
/// round a cycle of the e-graph for ever.
fn narrows(old: f64, new: f64, better: bool) -> bool {
    let far = old.is_infinite() || old.signum() != new.signum() || new == 0.0;
    better && (far || (old / new).abs() > 2.0 || (new / old).abs() > 2.0)
}
