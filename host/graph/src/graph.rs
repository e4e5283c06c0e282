//! The graph itself.
//!
//! Nodes lie in depth-first post-order from the root, first operand first, each once however often
//! it is used. That order is a function of the structure alone, so comparing two node lists compares
//! two graphs, and the structural hash is the same on every machine and in every version.

use crate::hash::{FNV_START, fnv1a};
use crate::{BinaryOp, GraphError, InputId, Limits, Op, UnaryOp};
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Operators are refused from here on; the few inputs and the constant still find a number.
const MAX_NODES: usize = u16::MAX as usize - crate::MAX_INPUTS - 1;

/// Position of a node in its graph or builder.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct NodeId(pub(crate) u16);

impl NodeId {
    /// The position from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub enum Node {
    /// The constant 1.
    One,
    /// A named input.
    Input(InputId),
    /// An operator of one operand.
    Unary(UnaryOp, NodeId),
    /// An operator of two operands.
    Binary(BinaryOp, NodeId, NodeId),
}

impl Node {
    /// The operator, if it is one.
    #[must_use]
    pub const fn op(self) -> Option<Op> {
        match self {
            Node::Unary(op, _) => Some(Op::Unary(op)),
            Node::Binary(op, ..) => Some(Op::Binary(op)),
            Node::One | Node::Input(_) => None,
        }
    }

    /// The operands in order; none for inputs and the constant.
    pub fn operands(self) -> impl Iterator<Item = NodeId> {
        let (a, b) = match self {
            Node::One | Node::Input(_) => (None, None),
            Node::Unary(_, a) => (Some(a), None),
            Node::Binary(_, a, b) => (Some(a), Some(b)),
        };
        a.into_iter().chain(b)
    }

    /// The node with its operands renumbered.
    #[must_use]
    pub(crate) fn map(self, mut number: impl FnMut(NodeId) -> NodeId) -> Self {
        match self {
            Node::Unary(op, a) => Node::Unary(op, number(a)),
            Node::Binary(op, a, b) => Node::Binary(op, number(a), number(b)),
            leaf => leaf,
        }
    }
}

/// A loss of one branch: L = (1/(N·H·W)) · Σ over n, c, h, w of the root's tensor.
///
/// An immutable value; cloning shares it.
///
/// ```
/// use autoloss_graph::{BinaryOp, GraphBuilder, Signature};
///
/// let signature = Signature::dense();
/// let mut builder = GraphBuilder::new();
/// let yhat = builder.input(signature.index_of("yhat").expect("declared"));
/// let squared = builder.apply(BinaryOp::Mul, &[yhat, yhat])?;
/// let graph = builder.finish(squared)?;
/// // `yhat` is one node, used twice.
/// assert_eq!((graph.len(), graph.tree_size(), graph.depth()), (2, 3, 1));
/// # Ok::<(), autoloss_graph::GraphError>(())
/// ```
#[derive(Clone)]
pub struct LossGraph {
    nodes: Arc<[Node]>,
    hash: u64,
}

impl LossGraph {
    /// The nodes; operands come before their operators, the root last.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at a position.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[id.index()]
    }

    /// The positions in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(|index| NodeId(index as u16))
    }

    /// The root's position.
    #[must_use]
    pub fn root(&self) -> NodeId {
        NodeId((self.nodes.len() - 1) as u16)
    }

    /// Number of nodes, inputs and constants included.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a graph has a root")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of operators.
    #[must_use]
    pub fn operator_count(&self) -> usize {
        self.nodes.iter().filter(|node| node.op().is_some()).count()
    }

    /// Most operators on a path from the root to an input; 0 for an input alone.
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::with_capacity(self.len());
        for node in self.nodes() {
            let below = node.operands().map(|id| depths[id.index()]).max();
            depths.push(below.map_or(0, |below| below + 1));
        }
        depths.last().copied().unwrap_or(0)
    }

    /// Number of nodes when shared ones are counted at every use; saturates.
    #[must_use]
    pub fn tree_size(&self) -> u64 {
        let mut sizes: Vec<u64> = Vec::with_capacity(self.len());
        for node in self.nodes() {
            let below = node.operands().map(|id| sizes[id.index()]);
            sizes.push(below.fold(1, u64::saturating_add));
        }
        sizes.last().copied().unwrap_or(0)
    }

    /// Checks the graph against limits.
    ///
    /// # Errors
    /// [`GraphError::Limit`] names the first measure that is too large.
    pub fn validate(&self, limits: &Limits) -> Result<(), GraphError> {
        let measures = [
            (
                "a node count of",
                self.len() as u64,
                limits.max_nodes as u64,
            ),
            ("a depth of", self.depth() as u64, limits.max_depth as u64),
            ("a written size of", self.tree_size(), limits.max_tree_size),
        ];
        for (what, value, limit) in measures {
            if value > limit {
                return Err(GraphError::Limit { what, value, limit });
            }
        }
        Ok(())
    }

    /// Whether an input occurs.
    #[must_use]
    pub fn uses_input(&self, input: InputId) -> bool {
        self.nodes.contains(&Node::Input(input))
    }

    /// A hash of the structure (64-bit FNV-1a over the node list), stable over platforms and
    /// versions.
    #[must_use]
    pub fn structural_hash(&self) -> u64 {
        self.hash
    }

    fn from_nodes(nodes: Vec<Node>) -> Self {
        let hash = fnv(&nodes);
        Self {
            nodes: nodes.into(),
            hash,
        }
    }
}

impl PartialEq for LossGraph {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.nodes == other.nodes
    }
}

impl Eq for LossGraph {}

impl Hash for LossGraph {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for LossGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LossGraph").field(&self.nodes).finish()
    }
}

fn fnv(nodes: &[Node]) -> u64 {
    let mut hash = FNV_START;
    let mut add = |value: u16| hash = fnv1a(hash, &value.to_le_bytes());
    for node in nodes {
        match *node {
            Node::One => add(0),
            Node::Input(input) => {
                add(1);
                add(input.index() as u16);
            }
            Node::Unary(op, a) => {
                add(2);
                add(Op::Unary(op).number().into());
                add(a.0);
            }
            Node::Binary(op, a, b) => {
                add(3);
                add(Op::Binary(op).number().into());
                add(a.0);
                add(b.0);
            }
        }
    }
    hash
}

/// Builds graphs bottom-up; equal nodes become one.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
}

impl GraphBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The constant 1.
    pub fn one(&mut self) -> NodeId {
        self.add(Node::One)
    }

    /// An input.
    pub fn input(&mut self, input: InputId) -> NodeId {
        self.add(Node::Input(input))
    }

    /// An operator over nodes of this builder.
    ///
    /// # Errors
    /// A wrong number of operands, an unknown operand, or too many nodes.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> Result<NodeId, GraphError> {
        if let Some(unknown) = operands.iter().find(|id| id.index() >= self.nodes.len()) {
            return Err(GraphError::UnknownNode(unknown.index()));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(GraphError::TooManyNodes(MAX_NODES));
        }
        match (op.into(), operands) {
            (Op::Unary(op), &[a]) => Ok(self.add(Node::Unary(op, a))),
            (Op::Binary(op), &[a, b]) => Ok(self.add(Node::Binary(op, a, b))),
            (op, _) => Err(GraphError::Arity {
                op,
                given: operands.len(),
            }),
        }
    }

    /// Number of nodes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at a position.
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`].
    pub fn node(&self, id: NodeId) -> Result<Node, GraphError> {
        self.nodes
            .get(id.index())
            .copied()
            .ok_or(GraphError::UnknownNode(id.index()))
    }

    /// The graph below `root`, without the nodes that it does not reach.
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`].
    pub fn finish(&self, root: NodeId) -> Result<LossGraph, GraphError> {
        self.node(root)?;
        Ok(in_order(&self.nodes, root))
    }

    /// The nodes so far.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Adds a node whose operands are known.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let next = NodeId(self.nodes.len() as u16);
        let nodes = &mut self.nodes;
        *self.known.entry(node).or_insert_with(|| {
            nodes.push(node);
            next
        })
    }
}

/// The graph below `root` in post-order. An explicit stack: depth is bounded by memory only.
pub(crate) fn in_order(nodes: &[Node], root: NodeId) -> LossGraph {
    let mut order: Vec<Node> = Vec::new();
    let mut number: Vec<Option<NodeId>> = vec![None; nodes.len()];
    let mut known: HashMap<Node, NodeId> = HashMap::new();
    let mut stack = vec![root];
    while let Some(&id) = stack.last() {
        if number[id.index()].is_some() {
            stack.pop();
            continue;
        }
        let node = nodes[id.index()];
        let waiting = node
            .operands()
            .find(|operand| number[operand.index()].is_none());
        if let Some(operand) = waiting {
            stack.push(operand);
            continue;
        }
        stack.pop();
        let node = node.map(|operand| number[operand.index()].unwrap_or(operand));
        let next = NodeId(order.len() as u16);
        let id_in_order = *known.entry(node).or_insert_with(|| {
            order.push(node);
            next
        });
        number[id.index()] = Some(id_in_order);
    }
    LossGraph::from_nodes(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_building_does_not_matter() {
        let (yhat, y) = (InputId::new(0), InputId::new(1));
        let mut first = GraphBuilder::new();
        let (a, b) = (first.input(yhat), first.input(y));
        let product = first.apply(BinaryOp::Mul, &[a, b]).unwrap();
        let unused = first.apply(UnaryOp::Exp, &[product]).unwrap();
        assert_ne!(unused, product);
        let mut second = GraphBuilder::new();
        let (b, a) = (second.input(y), second.input(yhat));
        let same = second.apply(BinaryOp::Mul, &[a, b]).unwrap();
        let (first, second) = (first.finish(product).unwrap(), second.finish(same).unwrap());
        assert_eq!(first, second);
        assert_eq!(first.structural_hash(), second.structural_hash());
        let swapped = GraphBuilder::new();
        assert!(swapped.finish(NodeId(0)).is_err());
    }

    #[test]
    fn the_hash_is_frozen() {
        let mut builder = GraphBuilder::new();
        let yhat = builder.input(InputId::new(0));
        let root = builder.apply(UnaryOp::Log, &[yhat]).unwrap();
        let graph = builder.finish(root).unwrap();
        assert_eq!(graph.structural_hash(), 0x2a6a_ab15_76e9_2403);
    }

    #[test]
    fn wrong_operands_are_errors() {
        let mut builder = GraphBuilder::new();
        let one = builder.one();
        assert_eq!(
            builder.apply(BinaryOp::Add, &[one]),
            Err(GraphError::Arity {
                op: BinaryOp::Add.into(),
                given: 1
            })
        );
        assert_eq!(
            builder.apply(UnaryOp::Neg, &[NodeId(9)]),
            Err(GraphError::UnknownNode(9))
        );
    }

    #[test]
    fn sharing_is_counted_once_in_nodes_and_at_every_use_in_the_tree() {
        let mut builder = GraphBuilder::new();
        let mut id = builder.one();
        for _ in 0..70 {
            id = builder.apply(BinaryOp::Add, &[id, id]).unwrap();
        }
        let graph = builder.finish(id).unwrap();
        assert_eq!((graph.len(), graph.depth()), (71, 70));
        assert_eq!(graph.tree_size(), u64::MAX);
    }
}
