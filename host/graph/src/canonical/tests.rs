use crate::{BinaryOp, Limits, LossGraph, Signature};

fn canonical(text: &str) -> LossGraph {
    let signature = Signature::dense();
    LossGraph::parse(text, &signature, &Limits::default())
        .unwrap()
        .canonical(&signature)
}

#[test]
fn equals_meet() {
    for (one, other) in [
        ("add(y, yhat)", "add(yhat, y)"),
        ("neg(neg(yhat))", "yhat"),
        ("abs(neg(yhat))", "abs(yhat)"),
        ("abs(yhat)", "yhat"),
        ("tanh(mul(y, exp(yhat)))", "mul(y, tanh(exp(yhat)))"),
        ("log(mul(mul(y, yhat), neg(y)))", "neg(mul(y, log(yhat)))"),
        ("mul(exp(yhat), exp(y))", "exp(add(y, yhat))"),
        ("square(exp(yhat))", "exp(add(yhat, yhat))"),
        ("abs(abs(yhat))", "abs(yhat)"),
        ("abs(square(yhat))", "square(yhat)"),
        (
            "abs(mean_c(mul(exp(yhat), abs(y))))",
            "mul(exp(yhat), abs(y))",
        ),
        ("square(neg(yhat))", "mul(yhat, yhat)"),
        ("square(abs(yhat))", "square(yhat)"),
        (
            "mul(abs(yhat), square(abs(yhat)))",
            "mul(square(yhat), abs(yhat))",
        ),
        (
            "square(square(yhat))",
            "mul(yhat, mul(yhat, mul(yhat, yhat)))",
        ),
        ("square(mul(y, yhat))", "mul(square(y), square(yhat))"),
        ("mul(neg(y), neg(yhat))", "mul(yhat, mul(1, y))"),
        ("add(neg(y), neg(yhat))", "neg(add(yhat, y))"),
        (
            "add(y, add(neg(yhat), exp(y)))",
            "neg(add(yhat, neg(add(y, exp(y)))))",
        ),
        ("log(neg(yhat))", "neg(log(yhat))"),
        ("sqrt(neg(yhat))", "neg(sqrt(yhat))"),
        ("tanh(neg(yhat))", "neg(tanh(yhat))"),
        ("max_pool3x3(neg(yhat))", "neg(min_pool3x3(yhat))"),
        ("min_pool3x3(neg(exp(yhat)))", "neg(max_pool3x3(exp(yhat)))"),
        ("exp(mean_nhw(mean_nhw(yhat)))", "exp(mean_nhw(yhat))"),
        (
            "exp(mean_c(mean_nhw(mean_c(yhat))))",
            "exp(mean_nhw(mean_c(yhat)))",
        ),
        ("max_pool3x3(exp(mean_nhw(yhat)))", "exp(mean_nhw(yhat))"),
        ("mean_c(log(1))", "min_pool3x3(log(1))"),
        ("square(1)", "1"),
        ("neg(mean_nhw(exp(yhat)))", "neg(exp(yhat))"),
        (
            "add(mean_c(exp(y)), neg(mean_nhw(yhat)))",
            "neg(add(neg(exp(y)), yhat))",
        ),
    ] {
        assert_eq!(canonical(one), canonical(other), "{one} and {other}");
    }
}

fn trained(text: &str) -> LossGraph {
    let signature = Signature::dense();
    LossGraph::parse(text, &signature, &Limits::default())
        .unwrap()
        .training_form(&signature)
}

#[test]
fn training_forms_leave_out_what_has_no_gradient() {
    for (one, other) in [
        ("mul(exp(yhat), sqrt(1))", "exp(yhat)"),
        ("mul(mul(square(y), yhat), sqrt(y))", "mul(y, yhat)"),
        (
            "exp(mul(mul(inv(1), neg(log(exp(1)))), yhat))",
            "exp(neg(yhat))",
        ),
        ("add(square(y), mul(y, yhat))", "mul(y, yhat)"),
        ("mul(y, add(1, yhat))", "mul(y, yhat)"),
        ("mul(add(y, 1), neg(yhat))", "neg(mul(y, yhat))"),
        ("mean_c(add(exp(yhat), mean_nhw(yhat)))", "exp(yhat)"),
        (
            "add(mul(mean_c(exp(y)), yhat), mul(y, yhat))",
            "mul(y, yhat)",
        ),
        (
            "mul(add(y, yhat), add(1, neg(yhat)))",
            "neg(add(mul(y, yhat), square(yhat)))",
        ),
    ] {
        assert_eq!(trained(one), trained(other), "{one} and {other}");
    }
    for (one, other) in [
        // What may be infinite ends a training.
        ("add(exp(inv(y)), mul(y, yhat))", "mul(y, yhat)"),
        ("add(log(exp(inv(y))), mul(y, yhat))", "mul(y, yhat)"),
        (
            "mul(yhat, tanh(mul(y, exp(inv(y)))))",
            "mul(mul(y, yhat), tanh(exp(inv(y))))",
        ),
        ("add(square(yhat), mul(y, yhat))", "mul(y, yhat)"),
        ("exp(add(y, yhat))", "exp(yhat)"),
        ("mul(yhat, exp(y))", "yhat"),
    ] {
        assert_ne!(trained(one), trained(other), "{one} and {other}");
    }
}

#[test]
fn unequals_stay_apart() {
    for (one, other) in [
        // ε is added after the sign.
        ("inv(neg(yhat))", "neg(inv(yhat))"),
        ("exp(log(yhat))", "yhat"),
        ("sqrt(square(yhat))", "abs(yhat)"),
        ("max_pool3x3(max_pool3x3(yhat))", "max_pool3x3(yhat)"),
        ("exp(max_pool3x3(mean_c(yhat)))", "exp(mean_c(yhat))"),
        ("tanh(add(yhat, neg(y)))", "tanh(add(y, neg(yhat)))"),
        ("exp(neg(yhat))", "exp(yhat)"),
        ("abs(log(yhat))", "log(yhat)"),
        ("log(1)", "1"),
        ("add(yhat, yhat)", "yhat"),
        ("exp(mean_c(exp(yhat)))", "mean_c(exp(exp(yhat)))"),
        ("add(yhat, neg(y))", "add(yhat, y)"),
    ] {
        assert_ne!(canonical(one), canonical(other), "{one} and {other}");
    }
}

#[test]
fn products_that_could_overflow_keep_their_order() {
    // inv(y)⁴ is 10⁴⁸ at y = 0, infinite in f32; with a factor y taken first it is not.
    let huge = "square(square(inv(y)))";
    let one = format!("mul({huge}, mul(y, yhat))");
    let other = format!("mul(mul({huge}, y), yhat)");
    assert_ne!(canonical(&one), canonical(&other));
    let swapped = format!("mul(mul(yhat, y), {huge})");
    assert_eq!(canonical(&one), canonical(&swapped));
}

#[test]
fn sums_with_a_term_that_swallows_others_keep_their_order() {
    let one = canonical("exp(add(inv(y), add(yhat, y)))");
    let other = canonical("exp(add(add(inv(y), yhat), y))");
    assert_ne!(one, other);
}

#[test]
fn doubling_chains_do_not_explode() {
    for op in BinaryOp::ALL {
        let mut builder = crate::GraphBuilder::new();
        let mut id = builder.input(crate::InputId::new(0));
        for _ in 0..200 {
            id = builder.apply(op, &[id, id]).unwrap();
        }
        let graph = builder.finish(id).unwrap();
        let form = graph.canonical(&Signature::dense());
        assert!(form.len() < 400);
        assert_eq!(form.canonical(&Signature::dense()), form);
    }
}

#[test]
fn forms_are_frozen() {
    let signature = Signature::dense();
    for (text, form) in [
        ("mul(log(yhat), neg(y))", "neg(mul(y, log(yhat)))"),
        ("square(add(neg(yhat), y))", "square(add(yhat, neg(y)))"),
        (
            "mul(inv(y), mul(yhat, mul(yhat, yhat)))",
            "mul(mul(yhat, square(yhat)), inv(y))",
        ),
        (
            "max_pool3x3(neg(exp(neg(y))))",
            "neg(min_pool3x3(exp(neg(y))))",
        ),
        (
            "add(tanh(y), add(exp(yhat), 1))",
            "add(add(1, exp(yhat)), tanh(y))",
        ),
    ] {
        assert_eq!(canonical(text).display(&signature).to_string(), form);
    }
}

#[test]
fn graphs_beyond_the_size_limit_stay_as_they_are() {
    let mut builder = crate::GraphBuilder::new();
    let mut id = builder.input(crate::InputId::new(0));
    for _ in 0..super::LARGEST {
        id = builder.apply(crate::UnaryOp::Neg, &[id]).unwrap();
    }
    let graph = builder.finish(id).unwrap();
    assert_eq!(graph.canonical(&Signature::dense()), graph);
}
