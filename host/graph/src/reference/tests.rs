use super::*;
use crate::{Limits, Signature};

fn field(shape: [usize; 4], data: &[f64]) -> Field {
    Field::new(shape, data.to_vec()).unwrap()
}

fn run(text: &str, yhat: &Field, y: &Field) -> Evaluation {
    let graph = LossGraph::parse(text, &Signature::dense(), &Limits::default()).unwrap();
    evaluate(&graph, &[yhat.clone(), y.clone()]).unwrap()
}

/// Value and derivative of a unary operator at one number.
fn at(op: UnaryOp, x: f64) -> (f64, f64) {
    let x = field([1; 4], &[x]);
    let result = run(&format!("{}(yhat)", op.name()), &x, &x);
    (result.value, result.gradients[0].data()[0])
}

#[test]
fn pointwise_operators_at_special_numbers() {
    assert_eq!(at(UnaryOp::Abs, 0.0), (0.0, 0.0));
    assert_eq!(at(UnaryOp::Abs, -2.0), (2.0, -1.0));
    assert_eq!(at(UnaryOp::Log, 0.0), (0.0, 0.0));
    assert_eq!(at(UnaryOp::Sqrt, 0.0), (0.0, 0.0));
    assert_eq!(at(UnaryOp::Inv, 0.0), (1e12, -1e24));
    assert_eq!(at(UnaryOp::Square, -3.0), (9.0, -6.0));
    // sign(x)·ln(|x| + ε) at −½ is ln 2, and its slope is positive on both sides.
    let (value, slope) = at(UnaryOp::Log, -0.5);
    assert!((value - 2f64.ln()).abs() < 1e-11 && (slope - 2.0).abs() < 1e-11);
    let (value, slope) = at(UnaryOp::Sqrt, -4.0);
    assert!((value + 2.0).abs() < 1e-12 && (slope - 0.25).abs() < 1e-12);
    for op in UnaryOp::ALL {
        assert!(at(op, f64::NAN).0.is_nan(), "{} hides NaN", op.name());
    }
}

#[test]
fn means_are_over_the_right_axes() {
    // N 2, C 2, H 1, W 2.
    let shape = [2, 2, 1, 2];
    let x = field(shape, &[1.0, 2.0, 10.0, 20.0, 3.0, 6.0, 30.0, 100.0]);
    let means = run("mean_nhw(yhat)", &x, &x).root;
    assert_eq!(means.data(), [3.0, 3.0, 40.0, 40.0, 3.0, 3.0, 40.0, 40.0]);
    let means = run("mean_c(yhat)", &x, &x).root;
    assert_eq!(means.data(), [5.5, 11.0, 5.5, 11.0, 16.5, 53.0, 16.5, 53.0]);
}

#[test]
fn the_loss_is_a_mean_over_positions_and_a_sum_over_channels() {
    let x = field([2, 3, 1, 2], &[1.0; 12]);
    let result = run("yhat", &x, &x);
    assert_eq!(result.value, 3.0);
    assert!(result.gradients[0].data().iter().all(|g| *g == 0.25));
}

#[test]
fn pools_reach_one_neighbour_and_prefer_the_first_of_equals() {
    let x = field([1, 1, 3, 3], &[5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 7.0]);
    let result = run("max_pool3x3(yhat)", &x, &x);
    assert_eq!(
        result.root.data(),
        [5.0, 5.0, 1.0, 5.0, 7.0, 7.0, 1.0, 7.0, 7.0]
    );
    let ninths = result.gradients[0].map(|g| (g * 9.0).round());
    // Top right and bottom left windows hold only ones: their first members are 1 and 3.
    assert_eq!(ninths.data(), [3.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 4.0]);
    let result = run("min_pool3x3(yhat)", &x, &x);
    assert!(result.root.data().iter().all(|value| *value == 1.0));
    let ninths = result.gradients[0].map(|g| (g * 9.0).round());
    assert_eq!(ninths.data(), [0.0, 6.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn pools_spread_nan_and_survive_negative_infinity() {
    let low = f64::NEG_INFINITY;
    let x = field([1, 1, 1, 4], &[low, low, f64::NAN, 2.0]);
    let pooled = run("max_pool3x3(yhat)", &x, &x).root;
    assert_eq!(pooled.data()[0], low);
    assert!(pooled.data()[1..].iter().all(|value| value.is_nan()));
}

#[test]
fn gradients_agree_with_differences() {
    let shape = [2, 2, 2, 3];
    let noise = |seed: f64| {
        let wave = |at: usize| ((at as f64 + seed) * 12.9898).sin() * 0.8 + 1.0;
        field(shape, &(0..24).map(wave).collect::<Vec<_>>())
    };
    let (yhat, y) = (noise(0.0), noise(77.0));
    for text in [
        "neg(mul(y, log(yhat)))",
        "mul(inv(mean_nhw(yhat)), sqrt(add(yhat, neg(y))))",
        "tanh(max_pool3x3(mul(yhat, yhat)))",
        "mul(min_pool3x3(exp(yhat)), mean_c(mul(y, yhat)))",
        "abs(add(square(yhat), neg(mean_c(mean_nhw(exp(yhat))))))",
        "mul(add(yhat, 1), add(yhat, 1))",
    ] {
        let result = run(text, &yhat, &y);
        for (input, gradient) in result.gradients.iter().enumerate() {
            for at in 0..24 {
                let moved = |step: f64| {
                    let mut fields = [yhat.clone(), y.clone()];
                    fields[input].data_mut()[at] += step;
                    run(text, &fields[0], &fields[1]).value
                };
                let step = 1e-6;
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                let exact = gradient.data()[at];
                let tolerance = 1e-7 * (1.0 + exact.abs());
                assert!(
                    (difference - exact).abs() < tolerance,
                    "{text}: {difference} {exact}"
                );
            }
        }
    }
}

#[test]
fn fields_that_do_not_fit_are_errors() {
    assert!(Field::new([1, 2, 1, 1], vec![1.0]).is_err());
    assert!(Field::new([0, 2, 1, 1], Vec::new()).is_err());
    assert!(Field::new([usize::MAX, 2, 1, 1], vec![1.0; 4]).is_err());
    let graph = LossGraph::parse("y", &Signature::dense(), &Limits::default()).unwrap();
    let (small, large) = (field([1; 4], &[1.0]), field([1, 2, 1, 1], &[1.0; 2]));
    assert!(matches!(evaluate(&graph, &[]), Err(FieldError::NoInput)));
    assert!(matches!(
        evaluate(&graph, std::slice::from_ref(&small)),
        Err(FieldError::MissingInput { input: 1, count: 1 })
    ));
    assert!(matches!(
        evaluate(&graph, &[small, large]),
        Err(FieldError::Shape { input: 1, .. })
    ));
}
