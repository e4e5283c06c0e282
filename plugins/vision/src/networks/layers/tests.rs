use super::*;
use tch::{Device, Kind};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn names(weights: &Weights) -> (Vec<String>, Vec<String>) {
    let parameters = weights.parameters().into_iter().map(|own| own.name);
    let buffers = weights.buffers();
    (
        parameters.collect(),
        buffers.names().map(str::to_owned).collect(),
    )
}

fn set(weights: &Weights, name: &str, values: &[f32]) {
    let (_, tensor) = weights.iter().find(|(own, _)| *own == name).unwrap();
    tch::no_grad(|| tensor.shallow_clone().copy_(&Tensor::from_slice(values)));
}

#[test]
fn a_frozen_normalisation_has_nothing_to_train_or_count() {
    let mut weights = Weights::new(Device::Cpu);
    let made = |weights: &mut Weights, name: &str| BatchNorm::new(weights, name, 2, EPSILON);
    made(&mut weights, "before").unwrap();
    weights.freeze_norms(true);
    made(&mut weights, "frozen").unwrap();
    weights.freeze_norms(false);
    made(&mut weights, "after").unwrap();
    weights.finish().unwrap();
    let (parameters, buffers) = names(&weights);
    assert_eq!(
        parameters,
        ["before.weight", "before.bias", "after.weight", "after.bias"]
    );
    assert_eq!(
        buffers,
        [
            "before.running_mean",
            "before.running_var",
            "frozen.weight",
            "frozen.bias",
            "frozen.running_mean",
            "frozen.running_var",
            "after.running_mean",
            "after.running_var",
            "before.num_batches_tracked",
            "after.num_batches_tracked",
        ]
    );
}

#[test]
fn a_frozen_normalisation_is_the_same_in_training() {
    let mut weights = Weights::new(Device::Cpu);
    weights.freeze_norms(true);
    let epsilon = 0.25;
    let norm = BatchNorm::new(&mut weights, "n", 2, epsilon).unwrap();
    for (name, values) in [
        ("n.weight", [2.0, 3.0]),
        ("n.bias", [1.0, -1.0]),
        ("n.running_mean", [4.0, 5.0]),
        ("n.running_var", [0.75, 3.75]),
    ] {
        set(&weights, name, &values);
    }
    // One value a channel is no reason to refuse where no statistics are taken.
    let input = Tensor::from_slice(&[6.0_f32, 9.0]).view([1, 2, 1, 1]);
    let input = input.set_requires_grad(true);
    let output = norm.forward(&input, true).unwrap();
    let found = Vec::<f32>::try_from(output.flatten(0, -1)).unwrap();
    // (6 − 4)/√(0.75 + 0.25)·2 + 1 and (9 − 5)/√(3.75 + 0.25)·3 − 1
    assert_eq!(found, [5.0, 5.0]);
    assert_eq!(norm.forward(&input, false).unwrap(), output);
    output.sum(Kind::Float).backward();
    let gradient = Vec::<f32>::try_from(input.grad().flatten(0, -1)).unwrap();
    assert_eq!(gradient, [2.0, 1.5]);
    for (name, tensor) in weights.iter() {
        assert!(!tensor.requires_grad(), "{name}");
    }
    let (_, mean) = weights.iter().nth(2).unwrap();
    assert_eq!(Vec::<f32>::try_from(mean).unwrap(), [4.0, 5.0]);
}

#[test]
fn a_normalisation_that_is_not_frozen_moves_its_statistics_in_training_alone() {
    let mut weights = Weights::new(Device::Cpu);
    let norm = BatchNorm::new(&mut weights, "n", 2, EPSILON).unwrap();
    let mean = |weights: &Weights| weights.buffers().get("n.running_mean").unwrap().copy();
    let start = mean(&weights);
    let input = Tensor::randn([2, 2, 3, 3], CPU) + 1.0;
    let _ = norm.forward(&input, false).unwrap();
    assert_eq!(mean(&weights), start);
    let _ = norm.forward(&input, true).unwrap();
    assert_ne!(mean(&weights), start);
    let single = Tensor::zeros([1, 2, 1, 1], CPU);
    let message = norm.forward(&single, true).unwrap_err().to_string();
    assert!(message.contains("[1, 2, 1, 1]"), "{message}");
}

#[test]
fn a_dense_layer_multiplies_by_rows_and_adds_its_bias() {
    let mut weights = Weights::new(Device::Cpu);
    let dense = Dense::new(&mut weights, "fc", [3, 2], Start::PlainUniform).unwrap();
    let parameters = weights.parameters();
    let shapes: Vec<_> = parameters
        .iter()
        .map(|own| (own.name.as_str(), own.tensor.size(), own.decay))
        .collect();
    assert_eq!(
        shapes,
        [("fc.weight", vec![2, 3], true), ("fc.bias", vec![2], false)]
    );
    tch::no_grad(|| {
        let rows = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 0.0, -1.0, 0.5]).view([2, 3]);
        parameters[0].tensor.shallow_clone().copy_(&rows);
    });
    set(&weights, "fc.bias", &[10.0, 20.0]);
    let input = Tensor::from_slice(&[1.0_f32, 1.0, 1.0, 2.0, 0.0, -2.0]).view([2, 3]);
    let output = dense.forward(&input).unwrap();
    let found = Vec::<f32>::try_from(output.flatten(0, -1)).unwrap();
    assert_eq!(found, [16.0, 19.5, 6.0, 19.0]);
    let none = dense.forward(&Tensor::zeros([0, 3], CPU)).unwrap();
    assert_eq!(none.size(), [0, 2]);
    assert!(dense.forward(&Tensor::zeros([2, 4], CPU)).is_err());
    assert!(Dense::new(&mut weights, "fc", [0, 2], Start::Linear).is_err());
}

#[test]
fn plans_that_make_no_convolution_are_refused_by_name() {
    let plan = |channels, kernel| Plan::new(channels, kernel, Start::Linear);
    for wrong in [
        plan([0, 4], 3),
        plan([0, 4], 3).depthwise(),
        plan([4, -1], 3),
        plan([4, 4], 0),
        plan([4, 4], 2),
        plan([4, 6], 3).depthwise(),
        plan([4, 4], 3).stride(0),
        plan([4, 4], i64::MAX).dilation(i64::MAX),
    ] {
        let mut weights = Weights::new(Device::Cpu);
        let refused = Conv::new(&mut weights, "stem", wrong).unwrap_err();
        assert!(refused.to_string().contains("'stem'"), "{refused}");
        assert_eq!(weights.iter().count(), 0, "{wrong:?}");
    }
}

#[test]
fn what_is_no_map_is_an_error() {
    let mut weights = Weights::new(Device::Cpu);
    let plan = Plan::new([2, 2], 3, Start::Linear).stride(2);
    let plain = Conv::new(&mut weights, "a", plan).unwrap();
    let same = Conv::new(&mut weights, "b", plan.same()).unwrap();
    let batch = BatchNorm::new(&mut weights, "c", 2, EPSILON).unwrap();
    let group = GroupNorm::new(&mut weights, "d", 2, 1).unwrap();
    assert!(GroupNorm::new(&mut weights, "e", 3, 2).is_err());
    assert!(GroupNorm::new(&mut weights, "e", 3, 0).is_err());
    for shape in [vec![], vec![2], vec![2, 8, 8], vec![1, 3, 8, 8]] {
        let input = Tensor::zeros(shape.as_slice(), CPU);
        let outcomes = [
            plain.forward(&input),
            same.forward(&input),
            batch.forward(&input, true),
            batch.forward(&input, false),
            group.forward(&input),
        ];
        for (index, outcome) in outcomes.iter().enumerate() {
            assert!(outcome.is_err(), "{index}: {shape:?}");
        }
        if shape.len() < 4 {
            assert!(enlarge(&input, 2).is_err() && resize(&input, [4, 4]).is_err());
        }
    }
    let map = Tensor::zeros([1, 2, 4, 4], CPU);
    for factor in [0, -1, i64::MAX] {
        assert!(enlarge(&map, factor).is_err(), "{factor}");
    }
    assert_eq!(enlarge(&map, 2).unwrap().size(), [1, 2, 8, 8]);
}

#[test]
fn outputs_have_the_size_that_the_stride_leaves() {
    for (height, width) in [(8, 8), (7, 9), (1, 2)] {
        for kernel in [1, 3, 5] {
            let mut weights = Weights::new(Device::Cpu);
            let plan = Plan::new([2, 3], kernel, Start::Linear).stride(2);
            for plan in [plan, plan.same()] {
                let conv = Conv::new(&mut weights, "c", plan).unwrap();
                let output = conv.forward(&Tensor::zeros([1, 2, height, width], CPU));
                let expected = [1, 3, (height + 1) / 2, (width + 1) / 2];
                assert_eq!(output.unwrap().size(), expected, "{plan:?}");
            }
        }
    }
}
