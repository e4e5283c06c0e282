//! Simplified losses against what they were.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../src/testing.rs"]
mod testing;

use autoloss_export::simplify;
use autoloss_graph::{Limits, LossGraph, Signature};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use testing::{difference, inputs_of, is_delicate, random_loss, signatures};

#[test]
fn random_losses_keep_values_and_gradients() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut shorter, mut compared) = (0, 0);
    for trial in 0..3000 {
        let signature = &signatures()[trial % 3];
        let graph = random_loss(&mut rng, signature);
        let simple = simplify(&graph, signature);
        assert!(simple.len() <= graph.len() && simple.tree_size() <= graph.tree_size());
        shorter += usize::from(simple.tree_size() < graph.tree_size());
        for inputs in inputs_of(&mut rng, signature) {
            if is_delicate([&graph, &simple], &inputs) {
                continue;
            }
            compared += 1;
            let differs = difference(&graph, &simple, signature, &inputs);
            let (from, to) = (graph.display(signature), simple.display(signature));
            assert_eq!(differs, None, "{from} became {to}\n{inputs:?}");
        }
        assert_eq!(
            simplify(&simple, signature),
            simple,
            "not simplified at once"
        );
    }
    assert!(shorter > 500 && compared > 2500, "{shorter} {compared}");
}

#[test]
fn formulas_become_what_one_would_write() {
    for (signature, from, to) in [
        (
            "dense",
            "mul(neg(y), log(abs(yhat)))",
            "neg(mul(y, log(yhat)))",
        ),
        ("dense", "neg(neg(square(y)))", "y"),
        (
            "dense",
            "neg(mul(mul(log(yhat), square(add(1, neg(yhat)))), y))",
            "neg(mul(mul(y, log(yhat)), square(add(1, neg(yhat)))))",
        ),
        ("dense", "mul(mul(y, log(yhat)), y)", "mul(y, log(yhat))"),
        (
            "dense",
            "tanh(mul(log(yhat), y))",
            "mul(y, tanh(log(yhat)))",
        ),
        (
            "dense",
            "mean_nhw(mean_nhw(exp(yhat)))",
            "mean_nhw(exp(yhat))",
        ),
        (
            "dense",
            "max_pool3x3(neg(mean_nhw(yhat)))",
            "neg(mean_nhw(yhat))",
        ),
        ("dense", "neg(max_pool3x3(neg(yhat)))", "min_pool3x3(yhat)"),
        ("dense", "mul(exp(yhat), exp(y))", "exp(add(y, yhat))"),
        (
            "dense",
            "add(mul(y, yhat), mul(y, exp(yhat)))",
            "mul(y, add(yhat, exp(yhat)))",
        ),
        ("dense", "add(neg(yhat), y)", "add(y, neg(yhat))"),
        ("dense", "add(yhat, add(1, neg(mean_c(1))))", "yhat"),
        (
            "dense",
            "abs(mul(neg(y), neg(tanh(yhat))))",
            "mul(y, tanh(yhat))",
        ),
        ("boxes", "neg(mul(neg(i), inv(u)))", "mul(i, inv(u))"),
        ("boxes", "abs(sqrt(mul(i, i)))", "sqrt(square(i))"),
        // ε, ties and overflow forbid more.
        ("boxes", "inv(inv(u))", "inv(inv(u))"),
        ("boxes", "square(sqrt(u))", "square(sqrt(u))"),
        (
            "dense",
            "max_pool3x3(max_pool3x3(yhat))",
            "max_pool3x3(max_pool3x3(yhat))",
        ),
        ("dense", "sqrt(1)", "sqrt(1)"),
        ("any", "abs(p)", "abs(p)"),
        ("any", "square(square(p))", "square(square(p))"),
        (
            "any",
            "add(exp(p), neg(exp(p)))",
            "add(exp(p), neg(exp(p)))",
        ),
    ] {
        let signature = match signature {
            "dense" => Signature::dense(),
            "boxes" => Signature::boxes(),
            _ => signatures()[2].clone(),
        };
        let graph = LossGraph::parse(from, &signature, &Limits::default()).unwrap();
        let simple = simplify(&graph, &signature).display(&signature).to_string();
        assert_eq!(simple, to, "{from}");
    }
}

#[test]
fn large_graphs_stay_as_they_are() {
    let signature = Signature::dense();
    let limits = Limits {
        max_nodes: 1000,
        max_depth: 1000,
        max_tree_size: 1000,
    };
    let text = format!("{}y{}", "neg(".repeat(300), ")".repeat(300));
    let graph = LossGraph::parse(&text, &signature, &limits).unwrap();
    assert_eq!(simplify(&graph, &signature), graph);
}
