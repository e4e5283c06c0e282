//! Random graphs.

use crate::graph::NodeId;
use crate::signature::operators;
use crate::{GraphBuilder, InputId, Limits, LossGraph, Op, Signature};
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
    if op.arity() == 1 {
        return builder.add(crate::Node::Unary(op, a));
    }
    let b = random_subgraph(rng, builder, signature, depth - 1, room);
    builder.add(crate::Node::Binary(op, a, b))
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
