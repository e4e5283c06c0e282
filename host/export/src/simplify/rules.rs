//! The rules: what may be written otherwise, and on which conditions.
//!
//! A table, so that one test can hold each rule against the reference interpreter. Most rules are exact in
//! floating point; the others change rounding alone, and only where no partial result can overflow,
//! underflow into something that is multiplied up again, or cancel.
//!
//! Not here, because ε, a tie or overflow makes it wrong: `inv(inv x)`, `square(sqrt x)`, `exp(log x)`,
//! 1/a · 1/b, maxima of maxima (their windows grow), monotone functions across pools, and sums in another
//! order where terms may cancel.

use super::Term;
use super::facts::Domain;
use autoloss_graph::facts::Facts;
use autoloss_graph::{BinaryOp, UnaryOp};
use egg::{ConditionalApplier, EGraph, Id, Pattern, Rewrite, Subst, Var};
use std::sync::LazyLock;

/// Greatest partial result of another order. It fits single precision, in which networks are trained; and
/// even where a factor is as small as f64 allows, the others do not lift it back to a size that matters.
const LARGEST_PRODUCT: f64 = 1e30;
/// Greatest exponent of an exponential that is joined with another.
const LARGEST_EXPONENT: f64 = 40.0;

/// On what a rule depends; `a`, `b` and `c` are the variables of its pattern.
type Condition = fn(a: &Facts, b: &Facts, c: &Facts) -> bool;

/// A rule.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) when: Condition,
}

const fn rule(name: &'static str, from: &'static str, to: &'static str, when: Condition) -> Rule {
    Rule {
        name,
        from,
        to,
        when,
    }
}

const ALWAYS: Condition = |_, _, _| true;

/// All rules; those whose two sides are of one size also the other way round.
pub(super) const RULES: &[Rule] = &[
    // Order.
    rule("add-commutes", "(add ?a ?b)", "(add ?b ?a)", ALWAYS),
    rule("mul-commutes", "(mul ?a ?b)", "(mul ?b ?a)", ALWAYS),
    rule(
        "add-associates",
        "(add (add ?a ?b) ?c)",
        "(add ?a (add ?b ?c))",
        |a, b, c| {
            of_one_sign(&[a, b, c])
                && [a, b, c]
                    .iter()
                    .all(|term| term.magnitude() <= LARGEST_PRODUCT)
        },
    ),
    rule(
        "mul-associates",
        "(mul (mul ?a ?b) ?c)",
        "(mul ?a (mul ?b ?c))",
        |a, b, c| {
            let factors = [a, b, c];
            let product: f64 = factors.iter().map(|x| x.magnitude().max(1.0)).product();
            factors.iter().all(|x| fits(x)) && product <= LARGEST_PRODUCT
        },
    ),
    // A factor of 0 or 1 between two others is exact in every order.
    rule(
        "binary-associates",
        "(mul (mul ?a ?b) ?c)",
        "(mul ?a (mul ?b ?c))",
        |_, b, _| b.traits.binary,
    ),
    rule(
        "binary-first",
        "(mul (mul ?a ?b) ?c)",
        "(mul ?a (mul ?b ?c))",
        |a, b, c| a.traits.binary && fits(&Facts::binary(BinaryOp::Mul, b, c)),
    ),
    // Signs.
    rule("neg-neg", "(neg (neg ?a))", "?a", ALWAYS),
    rule(
        "neg-of-product",
        "(mul (neg ?a) ?b)",
        "(neg (mul ?a ?b))",
        ALWAYS,
    ),
    rule(
        "neg-into-product",
        "(neg (mul ?a ?b))",
        "(mul (neg ?a) ?b)",
        ALWAYS,
    ),
    rule(
        "neg-of-sum",
        "(add (neg ?a) (neg ?b))",
        "(neg (add ?a ?b))",
        ALWAYS,
    ),
    rule(
        "neg-of-difference",
        "(neg (add ?a (neg ?b)))",
        "(add ?b (neg ?a))",
        ALWAYS,
    ),
    rule("abs-neg", "(abs (neg ?a))", "(abs ?a)", ALWAYS),
    rule("square-neg", "(square (neg ?a))", "(square ?a)", ALWAYS),
    rule("tanh-odd", "(tanh (neg ?a))", "(neg (tanh ?a))", ALWAYS),
    rule("log-odd", "(log (neg ?a))", "(neg (log ?a))", ALWAYS),
    rule("sqrt-odd", "(sqrt (neg ?a))", "(neg (sqrt ?a))", ALWAYS),
    rule(
        "mean-nhw-neg",
        "(mean_nhw (neg ?a))",
        "(neg (mean_nhw ?a))",
        ALWAYS,
    ),
    rule(
        "mean-c-neg",
        "(mean_c (neg ?a))",
        "(neg (mean_c ?a))",
        ALWAYS,
    ),
    rule(
        "max-neg",
        "(max_pool3x3 (neg ?a))",
        "(neg (min_pool3x3 ?a))",
        ALWAYS,
    ),
    rule(
        "min-neg",
        "(min_pool3x3 (neg ?a))",
        "(neg (max_pool3x3 ?a))",
        ALWAYS,
    ),
    // Absolute values.
    rule("abs-nonnegative", "(abs ?a)", "?a", |a, _, _| {
        a.traits.nonnegative
    }),
    rule(
        "abs-of-product",
        "(mul (abs ?a) (abs ?b))",
        "(abs (mul ?a ?b))",
        ALWAYS,
    ),
    rule(
        "abs-into-product",
        "(abs (mul ?a ?b))",
        "(mul (abs ?a) (abs ?b))",
        ALWAYS,
    ),
    // Squares.
    rule("mul-self", "(mul ?a ?a)", "(square ?a)", ALWAYS),
    rule("square-abs", "(square (abs ?a))", "(square ?a)", ALWAYS),
    rule(
        "square-of-product",
        "(mul (square ?a) (square ?b))",
        "(square (mul ?a ?b))",
        |a, b, _| {
            let both = a.magnitude().max(1.0) * b.magnitude().max(1.0);
            fits(a) && fits(b) && both * both <= LARGEST_PRODUCT
        },
    ),
    // Numbers.
    rule("mul-one", "(mul 1 ?a)", "?a", ALWAYS),
    rule("add-zero", "(add ?a ?b)", "?a", |_, b, _| {
        b.number == Some(0)
    }),
    rule("mul-zero", "(mul ?a ?b)", "?b", |a, b, _| {
        b.number == Some(0) && a.all_finite
    }),
    rule(
        "minus-itself",
        "(add ?a (neg ?a))",
        "(add 1 (neg 1))",
        |a, _, _| a.all_finite,
    ),
    // What is 0 or 1.
    rule("square-binary", "(square ?a)", "?a", |a, _, _| {
        a.traits.binary
    }),
    rule(
        "mul-binary-twice",
        "(mul ?a (mul ?a ?b))",
        "(mul ?a ?b)",
        |a, _, _| a.traits.binary,
    ),
    rule(
        "square-of-binary-product",
        "(square (mul ?a ?b))",
        "(mul ?a (square ?b))",
        |a, b, _| a.traits.binary && fits(&Facts::unary(UnaryOp::Square, b)),
    ),
    rule(
        "log-of-binary-product",
        "(log (mul ?a ?b))",
        "(mul ?a (log ?b))",
        |a, _, _| a.traits.binary,
    ),
    rule(
        "sqrt-of-binary-product",
        "(sqrt (mul ?a ?b))",
        "(mul ?a (sqrt ?b))",
        |a, _, _| a.traits.binary,
    ),
    rule(
        "tanh-of-binary-product",
        "(tanh (mul ?a ?b))",
        "(mul ?a (tanh ?b))",
        |a, b, _| a.traits.binary && fits(b),
    ),
    // Common factors.
    rule(
        "common-factor",
        "(add (mul ?a ?b) (mul ?a ?c))",
        "(mul ?a (add ?b ?c))",
        |a, b, c| {
            let sum = Facts::binary(BinaryOp::Add, b, c);
            let exact = a.traits.binary && fits(&sum);
            exact
                || (of_one_sign(&[b, c])
                    && Facts::binary(BinaryOp::Mul, a, &sum).magnitude() <= LARGEST_PRODUCT)
        },
    ),
    rule(
        "common-factor-of-difference",
        "(add (mul ?a ?b) (neg (mul ?a ?c)))",
        "(mul ?a (add ?b (neg ?c)))",
        |a, b, c| {
            a.traits.binary
                && fits(&Facts::binary(
                    BinaryOp::Add,
                    b,
                    &Facts::unary(UnaryOp::Neg, c),
                ))
        },
    ),
    rule(
        "exp-of-sum",
        "(mul (exp ?a) (exp ?b))",
        "(exp (add ?a ?b))",
        |a, b, _| {
            [a, b]
                .iter()
                .all(|x| fits(x) && x.magnitude() <= LARGEST_EXPONENT)
        },
    ),
    // What does not change along the axes that are gone over.
    rule("mean-nhw-even", "(mean_nhw ?a)", "?a", |a, _, _| {
        a.traits.even_nhw && a.can_be_summed()
    }),
    rule("mean-c-even", "(mean_c ?a)", "?a", |a, _, _| {
        a.traits.even_c && a.can_be_summed()
    }),
    rule("max-even", "(max_pool3x3 ?a)", "?a", |a, _, _| {
        a.traits.even_nhw
    }),
    rule("min-even", "(min_pool3x3 ?a)", "?a", |a, _, _| {
        a.traits.even_nhw
    }),
];

/// Whether a partial result is small enough, in single precision too.
fn fits(partial: &Facts) -> bool {
    partial.is_finite() && partial.magnitude() <= LARGEST_PRODUCT
}

/// Whether terms cannot cancel, nor overflow.
fn of_one_sign(terms: &[&Facts]) -> bool {
    let finite = terms.iter().all(|term| term.is_finite());
    finite
        && (terms.iter().all(|term| term.interval.low >= 0.0)
            || terms.iter().all(|term| term.interval.high <= 0.0))
}

/// The variables of patterns.
pub(super) const VARIABLES: [&str; 3] = ["?a", "?b", "?c"];

/// The rules as rewritings, made once.
pub(super) fn all() -> &'static [Rewrite<Term, Domain>] {
    static ALL: LazyLock<Vec<Rewrite<Term, Domain>>> =
        LazyLock::new(|| RULES.iter().filter_map(rewriting).collect());
    &ALL
}

/// None of a rule that cannot be read; a test sees that all can.
fn rewriting(rule: &Rule) -> Option<Rewrite<Term, Domain>> {
    let from: Pattern<Term> = rule.from.parse().ok()?;
    let to: Pattern<Term> = rule.to.parse().ok()?;
    let variables: Vec<Var> = VARIABLES
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()
        .ok()?;
    let when = rule.when;
    let holds = move |egraph: &mut EGraph<Term, Domain>, _: Id, found: &Subst| {
        let facts = |var: &Var| found.get(*var).map(|id| egraph[*id].data);
        match (
            facts(&variables[0]),
            facts(&variables[1]),
            facts(&variables[2]),
        ) {
            (Some(a), b, c) => when(&a, &b.unwrap_or(a), &c.unwrap_or(a)),
            _ => false,
        }
    };
    let applier = ConditionalApplier {
        condition: holds,
        applier: to,
    };
    Rewrite::new(rule.name, from, applier).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_read() {
        assert_eq!(all().len(), RULES.len());
    }
}
