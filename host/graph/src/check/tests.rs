use super::*;
use crate::{InputInfo, Limits};

fn check(text: &str, signature: &Signature) -> Option<StaticReason> {
    let graph = LossGraph::parse(text, signature, &Limits::default()).unwrap();
    static_check(&graph, signature).err()
}

#[test]
fn dense_graphs() {
    use StaticReason::{
        ConstantChannelMean, GradientCut, NoPrediction, NoTarget, TargetIndependentGradient,
    };
    for (text, reason) in [
        ("neg(mul(y, log(yhat)))", None),
        ("1", Some(NoPrediction)),
        ("exp(y)", Some(NoPrediction)),
        ("exp(yhat)", Some(NoTarget)),
        // The channel mean of a softmax, also through what keeps it constant.
        ("mul(y, mean_c(yhat))", Some(ConstantChannelMean)),
        (
            "mul(y, mean_c(neg(add(yhat, 1))))",
            Some(ConstantChannelMean),
        ),
        ("mul(y, mean_c(mean_nhw(yhat)))", Some(ConstantChannelMean)),
        ("mul(y, mean_nhw(mean_c(yhat)))", Some(ConstantChannelMean)),
        (
            "mul(y, mean_c(mul(mean_c(log(y)), yhat)))",
            Some(ConstantChannelMean),
        ),
        (
            "exp(mul(y, mean_c(add(y, yhat))))",
            Some(ConstantChannelMean),
        ),
        ("mul(exp(y), mean_c(square(yhat)))", None),
        ("mul(exp(y), mean_c(max_pool3x3(yhat)))", None),
        ("mul(y, mean_c(mul(y, yhat)))", None),
        // At the root the sum over the channels has the same effect.
        ("add(yhat, exp(y))", Some(ConstantChannelMean)),
        ("mul(yhat, mean_c(exp(y)))", Some(ConstantChannelMean)),
        ("mul(yhat, mean_nhw(exp(y)))", None),
        ("mul(mean_c(exp(yhat)), y)", Some(TargetIndependentGradient)),
        ("mul(exp(yhat), mean_c(y))", Some(TargetIndependentGradient)),
        ("mul(exp(yhat), mean_c(square(y)))", None),
        // Separable sums, and what makes them inseparable.
        ("add(exp(yhat), exp(y))", Some(TargetIndependentGradient)),
        (
            "neg(mean_nhw(add(exp(yhat), exp(y))))",
            Some(TargetIndependentGradient),
        ),
        (
            "mul(exp(1), add(exp(yhat), exp(y)))",
            Some(TargetIndependentGradient),
        ),
        ("add(y, add(y, exp(yhat)))", Some(TargetIndependentGradient)),
        ("square(add(exp(yhat), exp(y)))", None),
        ("max_pool3x3(add(exp(yhat), exp(y)))", None),
        ("add(mul(y, exp(yhat)), exp(y))", None),
        // Terms that cancel.
        ("add(y, add(yhat, neg(yhat)))", Some(GradientCut)),
        (
            "exp(mul(y, add(neg(log(yhat)), log(yhat))))",
            Some(GradientCut),
        ),
        ("add(mul(y, exp(yhat)), tanh(add(yhat, neg(yhat))))", None),
        (
            "add(exp(yhat), mul(y, add(y, neg(y))))",
            Some(TargetIndependentGradient),
        ),
    ] {
        assert_eq!(check(text, &Signature::dense()), reason, "{text}");
    }
}

#[test]
fn mixed_inputs_are_inseparable() {
    assert_eq!(check("i", &Signature::boxes()), None);
    assert_eq!(check("add(i, neg(u))", &Signature::boxes()), None);
    assert_eq!(
        check("exp(1)", &Signature::boxes()),
        Some(StaticReason::NoPrediction)
    );
}

#[test]
fn a_sigmoid_keeps_its_channel_mean() {
    let sigmoid =
        Signature::new(vec![InputInfo::prediction("yhat"), InputInfo::target("y")]).unwrap();
    assert_eq!(check("mul(exp(y), mean_c(yhat))", &sigmoid), None);
}

#[test]
fn inputs_of_neither_kind_vary_but_do_not_couple() {
    let mut inputs = Signature::dense().inputs().to_vec();
    inputs.push(InputInfo::constant("w"));
    let signature = Signature::new(inputs).unwrap();
    let separable = Some(StaticReason::TargetIndependentGradient);
    assert_eq!(
        check("mul(w, add(exp(yhat), exp(y)))", &signature),
        separable
    );
    assert_eq!(check("add(mul(w, yhat), exp(y))", &signature), separable);
    assert_eq!(check("mul(exp(y), mean_c(mul(w, yhat)))", &signature), None);
    assert_eq!(
        check("mul(exp(y), mean_c(mul(mean_c(w), yhat)))", &signature),
        Some(StaticReason::ConstantChannelMean)
    );
}

#[test]
fn code_names_differ() {
    let mut names = StaticReason::ALL.map(StaticReason::as_str).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), StaticReason::ALL.len());
}
