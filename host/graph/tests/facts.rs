//! What is said to be certain of values, against the values of random graphs on random inputs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use autoloss_graph::facts::{Facts, Traits};
use autoloss_graph::reference::Field;
use autoloss_graph::{InputInfo, LossGraph, Signature, Values};
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{
    SHAPE, at, awkward, boxes, field, graph, one_hot, places, rng, softmax, tensors, void,
};

/// A signature and inputs that it allows: ordinary ones, and such with the corners of its values.
fn inputs(rng: &mut ChaCha8Rng, kind: usize) -> (Signature, Vec<Field>) {
    let mut pick = |values: &[f64]| field(|| values[rng.random_range(0..values.len())]);
    let areas = [0.0, 1e-300, 1e-13, 1e-6, 1.0, 3.0, 1e6, 1e150, 1e300];
    let any = ["p", "q"].map(InputInfo::prediction).to_vec();
    match kind {
        0 => (Signature::dense(), vec![softmax(rng), one_hot(rng)]),
        1 => (Signature::dense(), void(rng).into()),
        2 => {
            let corners = pick(&[0.0, 1.0, 1e-300, 1e-13, 0.5, 0.25]);
            (Signature::dense(), vec![corners, one_hot(rng)])
        }
        3 => (Signature::boxes(), boxes(rng)),
        4 => (Signature::boxes(), [0; 3].map(|_| pick(&areas)).to_vec()),
        5 => {
            let binary = InputInfo::target("m").with_values(Values::Binary);
            let signature = Signature::new(vec![InputInfo::mixed("x"), binary]).unwrap();
            let mask = pick(&[0.0, 1.0]);
            (signature, vec![awkward(rng, 3.0), mask])
        }
        _ => (
            Signature::new(any).unwrap(),
            vec![awkward(rng, 1e300), awkward(rng, 50.0)],
        ),
    }
}

/// Whether values are the same over the axes that they are said to be.
fn is_even(values: &[f64], traits: Traits) -> bool {
    // Means of equal numbers are equal up to rounding, and infinity − infinity is no number.
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs() || a.to_bits() == b.to_bits();
    let mut all = places().flat_map(|(n, position)| (0..SHAPE[1]).map(move |c| (n, c, position)));
    all.all(|(n, c, position)| {
        let value = values[at(n, c, position)];
        (!traits.even_c || same(value, values[at(n, 0, position)]))
            && (!traits.even_nhw || same(value, values[at(0, c, 0)]))
    })
}

fn holds(graph: &LossGraph, signature: &Signature, inputs: &[Field]) -> Result<(), TestCaseError> {
    let all = Facts::of(graph, signature);
    for (facts, tensor) in all.iter().zip(tensors(graph, inputs)) {
        let text = graph.display(signature);
        for &value in tensor.data() {
            let bounds = facts.interval;
            let within = bounds.low <= value && value <= bounds.high;
            prop_assert!(
                within || (value.is_nan() && facts.nan),
                "{value} {facts:?} {text}"
            );
            prop_assert!(
                value.is_finite() || !facts.is_finite(),
                "{value} {facts:?} {text}"
            );
            let traits = facts.traits;
            prop_assert!(
                !traits.binary || value == 0.0 || value == 1.0,
                "{value} {text}"
            );
            let nonnegative = value >= 0.0 || value.is_nan();
            prop_assert!(!traits.nonnegative || nonnegative, "{value} {text}");
            let number = facts.number.map(f64::from);
            prop_assert!(
                number.is_none_or(|number| number == value),
                "{value} {text}"
            );
        }
        prop_assert!(is_even(tensor.data(), facts.traits), "{facts:?} {text}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_lie_within_what_is_certain(seed: u64, kind in 0..7usize) {
        let mut rng = rng(seed);
        let (signature, inputs) = inputs(&mut rng, kind);
        let graph = graph(&mut rng, &signature);
        holds(&graph, &signature, &inputs)?;
    }
}

/// Facts that say little would hold as well.
#[test]
fn much_is_certain() {
    let mut rng = rng(3);
    let signature = Signature::dense();
    let (mut nodes, mut finite, mut nonnegative, mut narrow) = (0, 0, 0, 0);
    for _ in 0..2000 {
        for facts in Facts::of(&graph(&mut rng, &signature), &signature) {
            nodes += 1;
            finite += usize::from(facts.is_finite());
            nonnegative += usize::from(facts.traits.nonnegative);
            narrow += usize::from(facts.magnitude() <= 100.0);
        }
    }
    let share = |count: usize| count as f64 / f64::from(nodes);
    let shares = [finite, nonnegative, narrow].map(share);
    assert!(
        shares[0] > 0.9 && shares[1] > 0.5 && shares[2] > 0.7,
        "{shares:?}"
    );
}
