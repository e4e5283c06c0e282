//! Text form, generation and mutation of random graphs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use autoloss_graph::{
    GenerateConfig, Limits, LossGraph, Mutation, Signature, mutate, random_graph,
};
use proptest::prelude::*;
use rand::RngExt;
use support::{graph, rng};

fn signatures() -> impl Strategy<Value = Signature> {
    prop_oneof![Just(Signature::dense()), Just(Signature::boxes())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(seed: u64, signature in signatures()) {
        let graph = graph(&mut rng(seed), &signature);
        let text = graph.display(&signature).to_string();
        let back = LossGraph::parse(&text, &signature, &Limits::default()).unwrap();
        prop_assert_eq!(back.structural_hash(), graph.structural_hash());
        prop_assert_eq!(back, graph);
    }

    #[test]
    fn reading_never_panics(text in "(neg|add|mul|log|yhat|y|1|\\(|\\)|,| |\n|é|x){0,40}") {
        let signature = Signature::dense();
        if let Ok(graph) = LossGraph::parse(&text, &signature, &Limits::default()) {
            prop_assert!(graph.validate(&Limits::default()).is_ok());
        }
    }

    #[test]
    fn generated_graphs_and_their_mutants_keep_the_limits(
        seed: u64,
        signature in signatures(),
        max_nodes in 3usize..20,
        max_depth in 1usize..6,
        max_tree_size in 3u64..40,
        depth in 0usize..8,
    ) {
        let limits = Limits { max_nodes, max_depth, max_tree_size };
        let mut rng = rng(seed);
        let mut graph = random_graph(&mut rng, &signature, &GenerateConfig { depth }, &limits);
        prop_assert!(graph.validate(&limits).is_ok());
        for _ in 0..8 {
            let mutation = Mutation::ALL[rng.random_range(0..Mutation::ALL.len())];
            let Some(child) = mutate(&mut rng, &graph, &signature, &limits, mutation) else { continue };
            prop_assert!(child.validate(&limits).is_ok(), "{mutation:?}");
            prop_assert!(child != graph, "{mutation:?} changed nothing");
            let text = child.display(&signature).to_string();
            prop_assert_eq!(&LossGraph::parse(&text, &signature, &limits).unwrap(), &child);
            graph = child;
        }
    }

    #[test]
    fn equal_seeds_give_equal_graphs(seed: u64, signature in signatures()) {
        prop_assert_eq!(graph(&mut rng(seed), &signature), graph(&mut rng(seed), &signature));
    }

    #[test]
    fn formulas_have_balanced_brackets(seed: u64, signature in signatures()) {
        let graph = graph(&mut rng(seed), &signature);
        let ascii = graph.formula(&signature).ascii().to_string();
        prop_assert!(ascii.is_ascii());
        let mut open = 0;
        for c in ascii.chars() {
            open += i32::from(c == '(') - i32::from(c == ')');
            prop_assert!(open >= 0, "{}", ascii);
        }
        prop_assert_eq!(open, 0, "{}", ascii);
    }
}
