//! The normal form against the reference interpreter.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use autoloss_graph::reference::{Field, evaluate};
use autoloss_graph::{
    BinaryOp, GraphBuilder, InputInfo, LossGraph, Node, NodeId, Signature, UnaryOp,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use support::{
    awkward, below, boxes, difference, finite, gradient_terms, graph, largest, of_logits, one_hot,
    rng, rounding_decides, softmax, unknown, value_difference, void,
};

/// `i`, `u` and `e` of which only the names are known.
fn areas() -> Signature {
    Signature::new(["i", "u", "e"].map(InputInfo::mixed).to_vec()).unwrap()
}

/// The same loss written otherwise: operands swapped, 1 · x, − − x, −|…| and so on.
fn rewritten(rng: &mut ChaCha8Rng, graph: &LossGraph) -> LossGraph {
    let mut builder = GraphBuilder::new();
    let mut copied: Vec<NodeId> = Vec::new();
    for node in graph.nodes() {
        let of = |id: NodeId| copied[id.index()];
        let id = match *node {
            Node::One => builder.one(),
            Node::Input(input) => builder.input(input),
            Node::Binary(op, a, b) if below(rng, 2) == 0 => {
                builder.apply(op, &[of(b), of(a)]).unwrap()
            }
            Node::Binary(op, a, b) => builder.apply(op, &[of(a), of(b)]).unwrap(),
            Node::Unary(UnaryOp::Square, a) if below(rng, 2) == 0 => {
                builder.apply(BinaryOp::Mul, &[of(a), of(a)]).unwrap()
            }
            Node::Unary(op @ (UnaryOp::Abs | UnaryOp::Square), a) if below(rng, 2) == 0 => {
                let negative = builder.apply(UnaryOp::Neg, &[of(a)]).unwrap();
                builder.apply(op, &[negative]).unwrap()
            }
            Node::Unary(op, a) => builder.apply(op, &[of(a)]).unwrap(),
        };
        let id = match below(rng, 4) {
            0 => {
                let one = builder.one();
                builder.apply(BinaryOp::Mul, &[id, one]).unwrap()
            }
            1 => {
                let negative = builder.apply(UnaryOp::Neg, &[id]).unwrap();
                builder.apply(UnaryOp::Neg, &[negative]).unwrap()
            }
            _ => id,
        };
        copied.push(id);
    }
    builder.finish(copied[graph.root().index()]).unwrap()
}

fn check_form(
    graph: &LossGraph,
    signature: &Signature,
    inputs: &[Field],
) -> Result<(), TestCaseError> {
    let form = graph.canonical(signature);
    prop_assert_eq!(&form.canonical(signature), &form, "not idempotent");
    prop_assume!(!rounding_decides(graph, inputs) && !rounding_decides(&form, inputs));
    let differs = difference(graph, &form, signature, inputs);
    prop_assert!(
        differs.is_none(),
        "{} became {}: {}",
        graph.display(signature),
        form.display(signature),
        differs.unwrap_or_default()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, max_global_rejects: 4000, ..ProptestConfig::default() })]

    #[test]
    fn keeps_value_and_gradient_on_softmax_and_one_hot(seed: u64) {
        let (mut rng, signature) = (rng(seed), Signature::dense());
        let graph = graph(&mut rng, &signature);
        let inputs = [softmax(&mut rng), one_hot(&mut rng)];
        check_form(&graph, &signature, &inputs)?;
    }

    #[test]
    fn keeps_value_and_gradient_on_boxes(seed: u64) {
        let (mut rng, signature) = (rng(seed), Signature::boxes());
        let graph = graph(&mut rng, &signature);
        let inputs = boxes(&mut rng);
        check_form(&graph, &signature, &inputs)?;
    }

    #[test]
    fn keeps_value_and_gradient_at_zero_ties_and_around_epsilon(seed: u64) {
        let (mut rng, signature) = (rng(seed), unknown());
        let graph = graph(&mut rng, &signature);
        let inputs = [awkward(&mut rng, 1.0), awkward(&mut rng, 1.0)];
        check_form(&graph, &signature, &inputs)?;
    }

    #[test]
    fn keeps_value_and_gradient_of_large_areas(seed: u64) {
        let (mut rng, signature) = (rng(seed), areas());
        let graph = graph(&mut rng, &signature);
        let inputs = [0; 3].map(|_| awkward(&mut rng, 1e6));
        check_form(&graph, &signature, &inputs)?;
    }

    #[test]
    fn keeps_the_value_where_some_is_void(seed: u64) {
        let (mut rng, signature) = (rng(seed), Signature::dense());
        let graph = graph(&mut rng, &signature);
        let inputs = void(&mut rng);
        let form = graph.canonical(&signature);
        prop_assume!(!rounding_decides(&graph, &inputs) && !rounding_decides(&form, &inputs));
        let differs = value_difference(&graph, &form, &inputs);
        prop_assert!(differs.is_none(), "{} became {}: {}", graph.display(&signature),
            form.display(&signature), differs.unwrap_or_default());
    }

    #[test]
    fn training_form_keeps_the_gradient_of_the_logits(seed: u64) {
        let (mut rng, signature) = (rng(seed), Signature::dense());
        let graph = graph(&mut rng, &signature);
        let form = graph.training_form(&signature);
        prop_assert_eq!(&form.training_form(&signature), &form, "not idempotent");
        let inputs = void(&mut rng);
        prop_assume!(!rounding_decides(&graph, &inputs) && !rounding_decides(&form, &inputs));
        let [one, other] = [&graph, &form].map(|graph| {
            let found = evaluate(graph, &inputs).unwrap();
            let gradient = of_logits(&inputs[0], &found.gradients[0]);
            (found.value.is_finite() && finite(&gradient), gradient)
        });
        prop_assert_eq!(one.0, other.0, "{} became {}", graph.display(&signature), form.display(&signature));
        if !one.0 {
            return Ok(());
        }
        let (one, other) = (one.1, other.1);
        let terms = gradient_terms(&graph, &inputs).max(gradient_terms(&form, &inputs));
        let scale = largest(&one).max(largest(&other));
        let worst = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        prop_assert!(
            worst <= 1e-9 * scale || worst <= 1e-13 * terms,
            "{} became {}: {worst:e} of {scale:e}",
            graph.display(&signature),
            form.display(&signature)
        );
    }

    #[test]
    fn is_the_same_for_the_same_loss_written_otherwise(seed: u64) {
        let (mut rng, signature) = (rng(seed), Signature::dense());
        let graph = graph(&mut rng, &signature);
        let other = rewritten(&mut rng, &graph);
        prop_assert_eq!(
            graph.canonical(&signature),
            other.canonical(&signature),
            "{} and {}", graph.display(&signature), other.display(&signature)
        );
    }
}

#[test]
fn equal_forms_have_equal_values() {
    let signature = Signature::dense();
    let mut rng = rng(11);
    let inputs = [softmax(&mut rng), one_hot(&mut rng)];
    let mut first: HashMap<LossGraph, LossGraph> = HashMap::new();
    let mut compared = 0;
    for _ in 0..4000 {
        let graph = graph(&mut rng, &signature);
        let form = graph.canonical(&signature);
        let earlier = first.entry(form).or_insert_with(|| graph.clone());
        if *earlier == graph
            || rounding_decides(earlier, &inputs)
            || rounding_decides(&graph, &inputs)
        {
            continue;
        }
        compared += 1;
        assert_eq!(
            difference(earlier, &graph, &signature, &inputs),
            None,
            "{} and {}",
            earlier.display(&signature),
            graph.display(&signature)
        );
    }
    assert!(compared > 50, "only {compared} pairs of equals were met");
}
