//! The static check rejects only what the reference interpreter finds useless as well.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use autoloss_graph::reference::{Field, evaluate};
use autoloss_graph::{Limits, LossGraph, Signature, StaticReason, static_check};
use std::collections::BTreeMap;
use support::{SHAPE, at, graph, one_hot, places, rng, softmax};

/// The gradient with respect to the logits of a softmax, and the magnitude of its terms; None where it
/// is not finite.
fn logit_gradient(graph: &LossGraph, yhat: &Field, y: &Field) -> Option<(Vec<f64>, f64)> {
    let result = evaluate(graph, &[yhat.clone(), y.clone()]).unwrap();
    let (p, g) = (yhat.data(), result.gradients[0].data());
    if !g.iter().all(|g| g.is_finite()) {
        return None;
    }
    let scale = g.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
    let mut gradient = vec![0.0; g.len()];
    for (n, position) in places() {
        let channels = || (0..SHAPE[1]).map(|c| at(n, c, position));
        let mean: f64 = channels().map(|at| p[at] * g[at]).sum();
        for at in channels() {
            gradient[at] = p[at] * (g[at] - mean);
        }
    }
    Some((gradient, scale))
}

/// y · exp(f − f).
fn cancelled(graph: &LossGraph, signature: &Signature) -> LossGraph {
    let term = graph.display(signature);
    let text = format!("mul(y, exp(add({term}, neg({term}))))");
    let limits = Limits {
        max_nodes: 1000,
        max_depth: 1000,
        max_tree_size: 100_000,
    };
    LossGraph::parse(&text, signature, &limits).unwrap()
}

#[test]
fn what_is_rejected_is_useless() {
    let signature = Signature::dense();
    let mut rng = rng(5);
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..100_000 {
        let graph = graph(&mut rng, &signature);
        let graph = if round % 100 == 0 {
            cancelled(&graph, &signature)
        } else {
            graph
        };
        let Err(reason) = static_check(&graph, &signature) else {
            continue;
        };
        let count = checked.entry(reason.as_str()).or_default();
        let common = matches!(reason, StaticReason::NoPrediction | StaticReason::NoTarget);
        if common && *count >= 300 {
            continue;
        }
        let yhat = softmax(&mut rng);
        let targets = [one_hot(&mut rng), one_hot(&mut rng)];
        let [Some((one, scale)), Some((other, other_scale))] =
            targets.each_ref().map(|y| logit_gradient(&graph, &yhat, y))
        else {
            continue;
        };
        *count += 1;
        let blind = matches!(
            reason,
            StaticReason::NoTarget | StaticReason::TargetIndependentGradient
        );
        let rounding = 1e-9 * scale.max(other_scale);
        for (one, other) in one.iter().zip(&other) {
            let signal = if blind {
                (one - other).abs()
            } else {
                one.abs().max(other.abs())
            };
            assert!(
                signal <= rounding,
                "{reason}: {}: {signal}",
                graph.display(&signature)
            );
        }
    }
    for reason in StaticReason::ALL {
        let count = checked.get(reason.as_str()).copied().unwrap_or(0);
        assert!(count >= 5, "{reason} was met {count} times");
    }
}

#[test]
fn what_is_accepted_is_mostly_of_use() {
    let signature = Signature::dense();
    let mut rng = rng(6);
    let (mut accepted, mut useful) = (0, 0);
    for _ in 0..5000 {
        let graph = graph(&mut rng, &signature);
        if static_check(&graph, &signature).is_err() {
            continue;
        }
        let yhat = softmax(&mut rng);
        let targets = [one_hot(&mut rng), one_hot(&mut rng)];
        let [Some((one, scale)), Some((other, _))] =
            targets.each_ref().map(|y| logit_gradient(&graph, &yhat, y))
        else {
            continue;
        };
        accepted += 1;
        let moves = one
            .iter()
            .zip(&other)
            .any(|(a, b)| (a - b).abs() > 1e-9 * scale);
        useful += usize::from(moves);
    }
    assert!(
        accepted > 100 && useful * 2 > accepted,
        "{useful} of {accepted}"
    );
}
