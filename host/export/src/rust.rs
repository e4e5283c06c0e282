//! A loss as Rust functions on tch's tensors, one for each branch.
//!
//! A statement for each operator, with the fallible methods that the host uses itself: whoever builds on
//! tch checks errors anyway. Raw outputs are activated by the caller, who has the network.

use crate::escape::shown;
use crate::loss::{Branch, Loss};
use crate::text::{left_out, meaning, provenance, title};
use autoloss_graph::{BranchName, LossGraph, Node, NodeId, Op, Signature, UnaryOp};
use std::collections::BTreeSet;

/// Words that cannot be names of variables, and names of the functions below.
const RESERVED: &[&str] = &[
    "as",
    "async",
    "await",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "Self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "yield",
    "abstract",
    "become",
    "do",
    "final",
    "override",
    "priv",
    "typeof",
    "unsized",
    "virtual",
    "_",
    "root",
    "size",
    "positions",
];

/// The file. `loss` is as it was found and `written` as it is to be computed.
pub(crate) fn file(loss: &Loss, written: &Loss) -> String {
    let mut ops = BTreeSet::new();
    let mut functions = Vec::new();
    for (name, branch) in &written.branches {
        ops.extend(branch.graph.nodes().iter().filter_map(|node| node.op()));
        let raw = loss.branches.get(name).unwrap_or(branch);
        functions.push(function(name, branch, raw));
    }
    let mut notes = vec![title(loss)];
    notes.push(String::new());
    notes.push("Written by autoloss for tch 0.24.".to_owned());
    notes.extend(left_out(loss));
    notes.extend(
        provenance(loss)
            .into_iter()
            .map(|entry| format!("- {entry}")),
    );
    let notes: Vec<String> = notes
        .iter()
        .map(|line| format!("//! {line}").trim_end().to_owned())
        .collect();
    let mut parts = vec![notes.join("\n"), "use tch::{TchError, Tensor};".to_owned()];
    parts.extend(functions);
    parts.push(MEAN.to_owned());
    parts.extend(ops.iter().filter_map(|op| operator(*op)).map(str::to_owned));
    format!("{}\n", parts.join("\n\n"))
}

fn function(name: &BranchName, branch: &Branch, raw: &Branch) -> String {
    let signature = &branch.convention.inputs;
    let inputs = variables(signature);
    let parameters = signature.iter().zip(&inputs).map(|((id, _), name)| {
        // Ones are made like the first input.
        let like = id.index() == 0 && branch.graph.nodes().contains(&Node::One);
        match like || branch.graph.uses_input(id) {
            true => format!("{name}: &Tensor"),
            false => format!("_{name}: &Tensor"),
        }
    });
    let parameters: Vec<String> = parameters.collect();
    let mut notes = vec![
        format!(
            "The loss of branch {name}: {}",
            branch.graph.formula(signature)
        ),
        String::new(),
        format!("Text form: `{}`.", branch.graph.display(signature)),
    ];
    if raw.graph != branch.graph {
        notes.push(format!(
            "As it was found: `{}`.",
            raw.graph.display(signature)
        ));
    }
    notes.push(format!(
        "Inputs, (N, C, H, W): {}.",
        shown(&meaning(&branch.convention))
    ));
    let notes: Vec<String> = notes
        .iter()
        .map(|line| format!("/// {line}").trim_end().to_owned())
        .collect();
    format!(
        "{}\npub fn {name}_loss({}) -> Result<Tensor, TchError> {{\n{}\n}}",
        notes.join("\n"),
        parameters.join(", "),
        body(&branch.graph, &inputs, branch.scale)
    )
}

/// The variables of the inputs.
fn variables(signature: &Signature) -> Vec<String> {
    let mut taken: BTreeSet<String> = RESERVED.iter().map(|name| (*name).to_owned()).collect();
    let mut free = |name: &str| {
        let mut free = name.to_owned();
        while is_step(&free) || !taken.insert(free.clone()) {
            free.push('_');
        }
        free
    };
    let inputs = signature.inputs().iter();
    inputs.map(|input| free(&input.name)).collect()
}

/// Whether a name is one of a computed step: `t` and digits.
fn is_step(name: &str) -> bool {
    let digits = name.strip_prefix('t');
    digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()))
}

fn body(graph: &LossGraph, inputs: &[String], scale: f64) -> String {
    let like = inputs.first().map_or("", String::as_str);
    let mut names: Vec<String> = Vec::with_capacity(graph.len());
    let mut lines = Vec::new();
    for node in graph.nodes() {
        let of = |id: NodeId| match graph.node(id) {
            Node::Input(_) => names[id.index()].clone(),
            _ => format!("&{}", names[id.index()]),
        };
        let value = match *node {
            Node::Input(input) => {
                names.push(inputs.get(input.index()).cloned().unwrap_or_default());
                continue;
            }
            Node::One => format!("{like}.f_ones_like()?"),
            Node::Binary(op, a, b) => {
                format!("{}.f_{}({})?", names[a.index()], op.name(), of(b))
            }
            Node::Unary(op, a) => match op.facts().in_pytorch {
                true => format!("{}.f_{}()?", names[a.index()], op.name()),
                false => format!("{}({})?", op.name(), of(a)),
            },
        };
        let name = format!("t{}", lines.len() + 1);
        lines.push(format!("    let {name} = {value};"));
        names.push(name);
    }
    let root = match graph.node(graph.root()) {
        Node::Input(_) => names.last().cloned().unwrap_or_default(),
        _ => format!("&{}", names.last().map_or("", String::as_str)),
    };
    lines.push(match scale {
        1.0 => format!("    per_position({root})"),
        _ => format!("    per_position({root})?.f_mul_scalar({scale:e})"),
    });
    lines.join("\n")
}

const fn operator(op: Op) -> Option<&'static str> {
    let Op::Unary(op) = op else { return None };
    Some(match op {
        UnaryOp::Inv => INV,
        UnaryOp::Log => LOG,
        UnaryOp::Sqrt => SQRT,
        UnaryOp::MeanNhw => MEAN_NHW,
        UnaryOp::MeanC => MEAN_C,
        UnaryOp::MaxPool3x3 => MAX_POOL,
        UnaryOp::MinPool3x3 => MIN_POOL,
        _ => return None,
    })
}

const MEAN: &str = "/// The sum of all values, divided by the number of positions N·H·W.
fn per_position(values: &Tensor) -> Result<Tensor, TchError> {
    let (n, _, h, w) = values.size4()?;
    values
        .f_sum(values.kind())?
        .f_div_scalar((n * h * w).max(1))
}";

const INV: &str = "/// 1 / (x + ε).
fn inv(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_add_scalar(1e-12)?.f_reciprocal()
}";

const LOG: &str = "/// sign(x) · log(|x| + ε).
fn log(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_sign()?.f_mul(&x.f_abs()?.f_add_scalar(1e-12)?.f_log()?)
}";

const SQRT: &str = "/// sign(x) · √(|x| + ε).
fn sqrt(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_sign()?
        .f_mul(&x.f_abs()?.f_add_scalar(1e-12)?.f_sqrt()?)
}";

const MEAN_NHW: &str = "/// The mean of each channel, everywhere.
fn mean_nhw(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_mean_dim(&[0i64, 2, 3][..], true, x.kind())?
        .f_expand_as(x)
}";

const MEAN_C: &str = "/// The mean over the channels at each position.
fn mean_c(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_mean_dim(&[1i64][..], true, x.kind())?.f_expand_as(x)
}";

const MAX_POOL: &str = "/// The greatest value of each neighbourhood of 3×3.
fn max_pool3x3(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)
}";

const MIN_POOL: &str = "/// The least value of each neighbourhood of 3×3.
fn min_pool3x3(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_neg()?
        .f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)?
        .f_neg()
}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{dense, loss};
    use crate::{Format, Options, render};
    use autoloss_graph::InputInfo;

    #[test]
    fn a_function_computes_step_by_step() {
        let mut loss = loss(&[("seg", "neg(mul(abs(y), log(yhat)))", dense())]);
        loss.name = Some("a name\nfn main() {} \u{202e}".into());
        loss.provenance.insert("seed".into(), 3.into());
        let rust = render(&loss, Format::Rust, &Options::default()).unwrap();
        let expected = "//! Loss of task voc_seg: a name\u{fffd}fn main() {} \u{fffd}.
//!
//! Written by autoloss for tch 0.24.
//! - seed: 3

use tch::{TchError, Tensor};

/// The loss of branch seg: −y·log(ŷ)
///
/// Text form: `neg(mul(y, log(yhat)))`.
/// As it was found: `neg(mul(abs(y), log(yhat)))`.
/// Inputs, (N, C, H, W): yhat: softmax of the logits, y: target.
pub fn seg_loss(yhat: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    let t1 = log(yhat)?;
    let t2 = y.f_mul(&t1)?;
    let t3 = t2.f_neg()?;
    per_position(&t3)
}
";
        assert!(rust.starts_with(expected), "{rust}");
        assert!(rust.contains("fn log(x: &Tensor)") && !rust.contains("fn sqrt"));
    }

    #[test]
    fn inputs_that_are_not_used_say_so() {
        for (text, parameters) in [
            ("exp(yhat)", "(yhat: &Tensor, _y: &Tensor)"),
            ("exp(y)", "(_yhat: &Tensor, y: &Tensor)"),
            ("exp(add(y, 1))", "(yhat: &Tensor, y: &Tensor)"),
        ] {
            let loss = loss(&[("seg", text, dense())]);
            let rust = render(&loss, Format::Rust, &Options::default()).unwrap();
            assert!(rust.contains(parameters), "{rust}");
        }
    }

    #[test]
    fn names_of_inputs_are_usable() {
        let names = ["fn", "t1", "t1_", "root", "_", "t", "y"];
        let signature = Signature::new(names.map(InputInfo::target).to_vec()).unwrap();
        assert_eq!(
            variables(&signature),
            ["fn_", "t1_", "t1__", "root_", "__", "t_", "y"]
        );
    }
}
