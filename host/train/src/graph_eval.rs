//! Loss graphs on tensors, with autograd.
//!
//! Plain libtorch operators, one for each node: training cost is dominated by the network, and the
//! oracle tests compare this path with PyTorch's. Nodes are computed in graph order, each once.

use crate::Result;
use autoloss_graph::{BinaryOp, EPSILON, LossGraph, Node, UnaryOp};
use tch::{Kind, Tensor};

/// What `mean_nhw` averages over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// N, H and W, as the operator is defined.
    Batch,
    /// H and W of each sample: N independent problems that share one tensor.
    Sample,
}

/// The root's tensor, (N, C, H, W). `inputs` are in the order of the branch's signature, all of that
/// shape.
///
/// # Errors
/// libtorch's own, such as memory that is used up.
pub fn evaluate_graph(graph: &LossGraph, inputs: &[&Tensor], scope: Scope) -> Result<Tensor> {
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.len());
    for node in graph.nodes() {
        let value = match *node {
            Node::One => inputs[0].f_ones_like()?,
            Node::Input(input) => inputs[input.index()].shallow_clone(),
            Node::Unary(op, a) => unary(op, &values[a.index()], scope)?,
            Node::Binary(BinaryOp::Add, a, b) => values[a.index()].f_add(&values[b.index()])?,
            Node::Binary(BinaryOp::Mul, a, b) => values[a.index()].f_mul(&values[b.index()])?,
        };
        values.push(value);
    }
    // A graph has at least its root.
    Ok(values.swap_remove(graph.len() - 1))
}

/// L = (1/(N·H·W)) · Σ of the root, a scalar with gradient. With [`Scope::Sample`] the sum of the
/// losses of the N samples, each (1/(H·W)) · Σ, so that every sample's gradient is its own.
///
/// # Errors
/// As [`evaluate_graph`].
pub fn loss_of(graph: &LossGraph, inputs: &[&Tensor], scope: Scope) -> Result<Tensor> {
    let root = evaluate_graph(graph, inputs, scope)?;
    let size = root.size();
    let positions = match scope {
        Scope::Batch => size[0] * size[2] * size[3],
        Scope::Sample => size[2] * size[3],
    };
    Ok(root.f_sum(root.kind())?.f_div_scalar(positions.max(1))?)
}

fn unary(op: UnaryOp, x: &Tensor, scope: Scope) -> Result<Tensor> {
    Ok(match op {
        UnaryOp::Neg => x.f_neg()?,
        UnaryOp::Abs => x.f_abs()?,
        UnaryOp::Inv => x.f_add_scalar(EPSILON)?.f_reciprocal()?,
        UnaryOp::Log => x
            .f_sign()?
            .f_mul(&x.f_abs()?.f_add_scalar(EPSILON)?.f_log()?)?,
        UnaryOp::Exp => x.f_exp()?,
        UnaryOp::Tanh => x.f_tanh()?,
        UnaryOp::Square => x.f_square()?,
        UnaryOp::Sqrt => x
            .f_sign()?
            .f_mul(&x.f_abs()?.f_add_scalar(EPSILON)?.f_sqrt()?)?,
        UnaryOp::MeanNhw => {
            let over: &[i64] = match scope {
                Scope::Batch => &[0, 2, 3],
                Scope::Sample => &[2, 3],
            };
            x.f_mean_dim(over, true, x.kind())?.f_expand_as(x)?
        }
        UnaryOp::MeanC => x.f_mean_dim(&[1i64][..], true, x.kind())?.f_expand_as(x)?,
        UnaryOp::MaxPool3x3 => max_pool(x)?,
        UnaryOp::MinPool3x3 => max_pool(&x.f_neg()?)?.f_neg()?,
    })
}

fn max_pool(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)?)
}

/// Whether every value is finite. One pass: a sum of absolute values is finite exactly when its
/// terms are, short of overflow, which is no usable value either.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor
        .f_abs()?
        .f_sum(Kind::Double)?
        .f_double_value(&[])?
        .is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_graph::{Limits, Signature};

    fn graph(text: &str) -> LossGraph {
        LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap()
    }

    #[test]
    fn cross_entropy_is_libtorchs_own() {
        tch::manual_seed(1);
        let options = (Kind::Double, tch::Device::Cpu);
        let logits = Tensor::randn([2, 5, 4, 3], options);
        let labels = Tensor::randint(5, [2, 4, 3], (Kind::Int64, tch::Device::Cpu));
        let yhat = logits.softmax(1, None);
        let y = labels
            .one_hot(5)
            .permute([0, 3, 1, 2])
            .to_kind(Kind::Double);
        let ours = loss_of(&graph("neg(mul(y, log(yhat)))"), &[&yhat, &y], Scope::Batch).unwrap();
        let theirs =
            logits.cross_entropy_loss(&labels, None::<Tensor>, tch::Reduction::Mean, -100, 0.0);
        assert!((ours.double_value(&[]) - theirs.double_value(&[])).abs() < 1e-9);
    }

    #[test]
    fn samples_are_independent_in_sample_scope() {
        tch::manual_seed(2);
        let x = Tensor::randn([3, 2, 4, 4], (Kind::Double, tch::Device::Cpu));
        let y = x.square();
        let loss = graph("mul(mean_nhw(yhat), exp(y))");
        let together = loss_of(&loss, &[&x, &y], Scope::Sample)
            .unwrap()
            .double_value(&[]);
        let alone: f64 = (0..3)
            .map(|n| {
                let (x, y) = (x.narrow(0, n, 1), y.narrow(0, n, 1));
                loss_of(&loss, &[&x, &y], Scope::Batch)
                    .unwrap()
                    .double_value(&[])
            })
            .sum();
        assert!((together - alone).abs() < 1e-9);
    }
}
