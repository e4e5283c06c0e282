//! Random graphs.

use crate::graph::NodeId;
use crate::signature::operators;
use crate::{GraphBuilder, InputId, Limits, LossGraph, Node, Op, Signature};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How random graphs are drawn.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateConfig {
    /// Operators on every path from the root to an input (3 in AutoLoss-Zero, recalled).
    pub depth: usize,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self { depth: 3 }
    }
}

/// A random graph: operators drawn evenly down to `config.depth`, then inputs and the constant 1
/// drawn evenly. Where that exceeds `limits`, a shallower one.
///
/// ```
/// use autoloss_graph::{GenerateConfig, Limits, Signature, random_graph};
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
///
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let limits = Limits::default();
/// let graph = random_graph(&mut rng, &Signature::dense(), &GenerateConfig::default(), &limits);
/// assert_eq!(graph.depth(), 3);
/// ```
pub fn random_graph<R: Rng + ?Sized>(
    rng: &mut R,
    signature: &Signature,
    config: &GenerateConfig,
    limits: &Limits,
) -> LossGraph {
    let mut depth = config.depth.min(limits.max_depth);
    loop {
        let mut builder = GraphBuilder::new();
        let mut room = limits.max_tree_size;
        let root = random_subgraph(rng, &mut builder, signature, depth, &mut room);
        let graph = crate::graph::in_order(builder.nodes(), root);
        if depth == 0 || graph.validate(limits).is_ok() {
            return graph;
        }
        depth -= 1;
    }
}

/// An input or the constant 1, each as likely.
pub(crate) fn random_leaf<R: Rng + ?Sized>(
    rng: &mut R,
    builder: &mut GraphBuilder,
    signature: &Signature,
) -> NodeId {
    let choice = rng.random_range(0..=signature.len());
    if choice == signature.len() {
        builder.one()
    } else {
        builder.input(InputId::new(choice as u8))
    }
}

/// An operator of those that a signature allows, each as likely.
pub(crate) fn random_op<R: Rng + ?Sized>(rng: &mut R, signature: &Signature) -> Op {
    let known = operators(signature);
    known[rng.random_range(0..known.len())]
}

fn random_subgraph<R: Rng + ?Sized>(
    rng: &mut R,
    builder: &mut GraphBuilder,
    signature: &Signature,
    depth: usize,
    room: &mut u64,
) -> NodeId {
    // A tree beyond the limits is thrown away: without room left it only has to end quickly, since
    // every operator of two operands doubles the work.
    let full = *room == 0;
    *room = room.saturating_sub(1);
    if depth == 0 || full {
        return random_leaf(rng, builder, signature);
    }
    let op = random_op(rng, signature);
    let a = random_subgraph(rng, builder, signature, depth - 1, room);
    match op {
        Op::Unary(op) => builder.add(Node::Unary(op, a)),
        Op::Binary(op) => {
            let b = random_subgraph(rng, builder, signature, depth - 1, room);
            builder.add(Node::Binary(op, a, b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_operator_and_leaf_occurs() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut ops = std::collections::HashSet::new();
        let mut leaves = std::collections::HashSet::new();
        for _ in 0..500 {
            let graph = random_graph(
                &mut rng,
                &Signature::dense(),
                &GenerateConfig::default(),
                &Limits::default(),
            );
            assert_eq!(graph.depth(), 3);
            for node in graph.nodes() {
                match node.op() {
                    Some(op) => ops.insert(op),
                    None => leaves.insert(*node),
                };
            }
        }
        assert_eq!((ops.len(), leaves.len()), (14, 3));
    }

    /// What many graphs of a signature have in common.
    #[derive(Default)]
    struct Census {
        graphs: usize,
        /// Uses of each operator, input and constant, by its text.
        uses: std::collections::BTreeMap<String, usize>,
        sizes: std::collections::BTreeSet<usize>,
        tree_sizes: u64,
        without: Vec<usize>,
        distinct: std::collections::HashSet<u64>,
    }

    fn census(signature: &Signature, depth: usize) -> Census {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut census = Census {
            graphs: 5000,
            without: vec![0; signature.len()],
            ..Census::default()
        };
        for _ in 0..census.graphs {
            let config = GenerateConfig { depth };
            let graph = random_graph(&mut rng, signature, &config, &Limits::default());
            assert_eq!(graph.depth(), depth);
            census.sizes.insert(graph.len());
            census.tree_sizes += graph.tree_size();
            census.distinct.insert(graph.structural_hash());
            for (input, _) in signature.iter() {
                census.without[input.index()] += usize::from(!graph.uses_input(input));
            }
            let text = graph.display(signature).to_string();
            for word in text
                .split(['(', ')', ',', ' '])
                .filter(|word| !word.is_empty())
            {
                *census.uses.entry(word.to_owned()).or_default() += 1;
            }
        }
        census
    }

    /// Of 14 operators 2 have two operands, so a tree of depth d has a = 8/7 operands an operator: of depth 3
    /// 1 + a + a² operators and a³ leaves on average.
    #[test]
    fn operators_and_leaves_are_drawn_evenly() {
        let signature = Signature::dense();
        let found = census(&signature, 3);
        let a = 8.0_f64 / 7.0;
        let (operators, leaves) = (1.0 + a + a * a, a * a * a);
        for (names, all) in [
            (Op::ALL.map(Op::name).to_vec(), operators),
            (vec!["yhat", "y", "1"], leaves),
        ] {
            for name in &names {
                let expected = found.graphs as f64 * all / names.len() as f64;
                let uses = found.uses.get(*name).copied().unwrap_or(0) as f64;
                assert!(
                    (uses / expected - 1.0).abs() < 0.1,
                    "{name}: {uses} of {expected}"
                );
            }
        }
        let size = found.tree_sizes as f64 / found.graphs as f64;
        assert!((size - operators - leaves).abs() < 0.1, "{size}");
    }

    #[test]
    fn graphs_vary_in_size_and_inputs() {
        let found = census(&Signature::dense(), 3);
        assert!(found.sizes.len() >= 6, "{:?}", found.sizes);
        assert!(found.distinct.len() > 3000, "{}", found.distinct.len());
        // With one leaf, two graphs in three lack an input; with more leaves fewer do.
        for without in &found.without {
            let share = *without as f64 / found.graphs as f64;
            assert!((0.5..0.65).contains(&share), "{share}");
        }
        assert_eq!(census(&Signature::dense(), 1).sizes, [2, 3].into());
    }

    #[test]
    fn lists_have_no_pools() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let signature = Signature::boxes().set_valued();
        for _ in 0..500 {
            let config = GenerateConfig::default();
            let graph = random_graph(&mut rng, &signature, &config, &Limits::default());
            let (_, child) =
                crate::random_mutation(&mut rng, &graph, &signature, &Limits::default()).unwrap();
            for graph in [graph, child] {
                assert!(
                    graph
                        .nodes()
                        .iter()
                        .filter_map(|node| node.op())
                        .all(|op| !op.is_pool())
                );
            }
        }
    }

    #[test]
    fn a_great_depth_ends() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let limits = Limits {
            max_depth: 200,
            ..Limits::default()
        };
        let config = GenerateConfig { depth: 200 };
        let graph = random_graph(&mut rng, &Signature::dense(), &config, &limits);
        graph.validate(&limits).unwrap();
    }

    #[test]
    fn tight_limits_are_kept() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let limits = Limits {
            max_nodes: 3,
            max_depth: 2,
            max_tree_size: 3,
        };
        for _ in 0..200 {
            let config = GenerateConfig { depth: 9 };
            let graph = random_graph(&mut rng, &Signature::boxes(), &config, &limits);
            graph.validate(&limits).unwrap();
        }
    }
}
