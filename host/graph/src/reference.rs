//! A slow interpreter that says what a graph means. It works in f64 on whole fields, follows the
//! formulas literally, and takes gradients as PyTorch's autograd takes them of the literal formulas:
//! the derivative of sign is 0, that of |x| is sign(x) and so 0 at 0, and a maximum sends its
//! gradient to the first of equals. Every faster evaluation, and every rewriting in this crate, is
//! tested against it; nothing trains with it.

use crate::{BinaryOp, LossGraph, Node, UnaryOp};

mod error;
mod field;
mod pool;

pub use error::FieldError;
pub use field::Field;
use field::{mean_c, mean_nhw};
use pool::{Pool, min_pool};

/// The value and the gradient of a loss at given inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// L = (1/(N·H·W)) · Σ of the root's tensor.
    pub value: f64,
    /// The root's tensor.
    pub root: Field,
    /// ∂L/∂input for every input that was given, zero where the graph does not use it.
    pub gradients: Vec<Field>,
}

/// Evaluates a graph and its gradient.
///
/// `inputs` are in the order of the signature; all have one shape (N, C, H, W).
///
/// # Errors
///
/// [`FieldError::MissingInput`] where the graph uses an input beyond those given,
/// [`FieldError::Shape`] where their shapes differ, [`FieldError::NoInput`] where none is
/// given.
///
/// ```
/// use autoloss_graph::{Limits, LossGraph, Signature, reference};
///
/// let graph = LossGraph::parse("mul(y, yhat)", &Signature::dense(), &Limits::default())?;
/// let yhat = reference::Field::new([1, 2, 1, 1], vec![0.25, 0.75])?;
/// let y = reference::Field::new([1, 2, 1, 1], vec![0.0, 1.0])?;
/// let result = reference::evaluate(&graph, &[yhat, y])?;
/// assert_eq!(result.value, 0.75);
/// assert_eq!(result.gradients[0].data(), [0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate(graph: &LossGraph, inputs: &[Field]) -> Result<Evaluation, FieldError> {
    let shape = common_shape(graph, inputs)?;
    let mut values: Vec<Field> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        values.push(forward(*node, inputs, &values, shape));
    }
    let gradients = backward(graph, inputs, &values, shape);
    let root = values.pop().unwrap_or_else(|| Field::filled(shape, 1.0));
    Ok(Evaluation {
        value: root.data().iter().sum::<f64>() / positions(shape),
        root,
        gradients,
    })
}

fn common_shape(graph: &LossGraph, inputs: &[Field]) -> Result<[usize; 4], FieldError> {
    let Some(first) = inputs.first() else {
        return Err(FieldError::NoInput);
    };
    for (at, field) in inputs.iter().enumerate() {
        if field.shape() != first.shape() {
            return Err(FieldError::Shape {
                input: at,
                expected: first.shape(),
                found: field.shape(),
            });
        }
    }
    let beyond = graph.nodes().iter().find_map(|node| match node {
        Node::Input(input) if input.index() >= inputs.len() => Some(input.index()),
        _ => None,
    });
    match beyond {
        Some(input) => Err(FieldError::MissingInput {
            input,
            count: inputs.len(),
        }),
        None => Ok(first.shape()),
    }
}

/// N·H·W.
fn positions([n, _, h, w]: [usize; 4]) -> f64 {
    (n * h * w) as f64
}

fn forward(node: Node, inputs: &[Field], values: &[Field], shape: [usize; 4]) -> Field {
    match node {
        Node::One => Field::filled(shape, 1.0),
        Node::Input(input) => inputs[input.index()].clone(),
        Node::Binary(op, a, b) => {
            let (a, b) = (&values[a.index()], &values[b.index()]);
            a.zip(b, |a, b| op.at(a, b))
        }
        Node::Unary(op, a) => {
            let a = &values[a.index()];
            match op {
                UnaryOp::MeanNhw => mean_nhw(a),
                UnaryOp::MeanC => mean_c(a),
                UnaryOp::MaxPool3x3 => Pool::of(a).value,
                UnaryOp::MinPool3x3 => min_pool(a).value,
                _ => a.map(|x| op.at(x)),
            }
        }
    }
}

fn backward(
    graph: &LossGraph,
    inputs: &[Field],
    values: &[Field],
    shape: [usize; 4],
) -> Vec<Field> {
    let zero = || Field::filled(shape, 0.0);
    let mut arriving: Vec<Field> = values.iter().map(|_| zero()).collect();
    let mut gradients: Vec<Field> = inputs.iter().map(|_| zero()).collect();
    arriving[graph.root().index()] = Field::filled(shape, 1.0 / positions(shape));
    for (at, node) in graph.nodes().iter().enumerate().rev() {
        let g = std::mem::replace(&mut arriving[at], Field::filled([1; 4], 0.0));
        match *node {
            Node::One => {}
            Node::Input(input) => gradients[input.index()].add(&g),
            Node::Unary(op, a) => {
                let to = a.index();
                arriving[to].add(&unary_back(op, &g, &values[to], &values[at]));
            }
            Node::Binary(BinaryOp::Add, a, b) => {
                arriving[a.index()].add(&g);
                arriving[b.index()].add(&g);
            }
            Node::Binary(BinaryOp::Mul, a, b) => {
                let (a, b) = (a.index(), b.index());
                arriving[a].add(&g.zip(&values[b], |g, b| g * b));
                arriving[b].add(&g.zip(&values[a], |g, a| g * a));
            }
        }
    }
    gradients
}

fn unary_back(op: UnaryOp, g: &Field, x: &Field, y: &Field) -> Field {
    match op {
        // A mean broadcast back is a symmetric matrix, so it is its own transpose.
        UnaryOp::MeanNhw => mean_nhw(g),
        UnaryOp::MeanC => mean_c(g),
        UnaryOp::MaxPool3x3 => Pool::of(x).back(g),
        UnaryOp::MinPool3x3 => min_pool(x).back(g),
        _ => {
            let both = x.zip(y, |x, y| (x, y));
            g.zip(&both, |g, (x, y)| op.back(g, x, y))
        }
    }
}

#[cfg(test)]
mod tests;
