//! What detectors are made of against torchvision, values and gradients.
//!
//! `python/oracles/detection.py` wrote the fixture and says what is compared. Gradients are of the sum of
//! a result times numbers that both sides draw from a name.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_vision::detection::{
    AnchorGenerator, BalancedSampler, BoxCoder, Matcher, MultiScaleRoiAlign, Overlap, RoiAlign,
    batched_nms, box_areas, clip_boxes, large_boxes, nms, pairwise_iou,
};
use serde_json::Value;
use std::sync::LazyLock;
use tch::{Device, Kind, Tensor};

/// Largest difference, of numbers above 1 by their share.
const TOLERANCE: f64 = 1e-5;
const IMAGE: [i64; 2] = [120, 160];

static FIXTURE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("fixtures/detection.json");
    serde_json::from_str(text).unwrap()
});

/// Numbers from −1 to below 1, of a name and an index.
fn drawn(name: &str, shape: &[i64]) -> Tensor {
    let start = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let number = |index: i64| {
        let mut x = (index as u32).wrapping_mul(0x9E37_79B9).wrapping_add(start);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        (f64::from(x ^ (x >> 16)) / f64::from(1_u32 << 31) - 1.0) as f32
    };
    let numbers: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_slice(&numbers).view(shape)
}

fn numbers(values: &Value) -> Vec<f64> {
    serde_json::from_value(values.clone()).unwrap()
}

fn whole(values: &Value) -> Vec<i64> {
    serde_json::from_value(values.clone()).unwrap()
}

/// Single precision, of rows of `width`.
fn matrix(values: &Value, width: i64) -> Tensor {
    let flat: Vec<f32> = numbers(values).into_iter().map(|x| x as f32).collect();
    Tensor::from_slice(&flat).view([-1, width])
}

fn boxes(values: &Value) -> Tensor {
    matrix(values, 4)
}

fn indices(found: &Tensor) -> Vec<i64> {
    Vec::try_from(found).unwrap()
}

/// The largest difference of all elements; infinite unless all are there.
fn difference(found: &Tensor, expected: &Value) -> f64 {
    let found = found.detach().to_kind(Kind::Double).reshape([-1]);
    let (found, expected) = (Vec::<f64>::try_from(found).unwrap(), numbers(expected));
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let share = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(1.0);
    // A NaN is no agreement, and a maximum would pass over it.
    let share = |pair| Some(share(pair)).filter(|share| !share.is_nan());
    let pairs = found.iter().zip(&expected).map(share);
    pairs.fold(0.0, |most, next| next.unwrap_or(f64::INFINITY).max(most))
}

/// The same of the gradient with respect to `wanted`, of a result times numbers drawn from `name`.
fn slope_difference(result: &Tensor, name: &str, wanted: &Tensor, expected: &Value) -> f64 {
    let sum = (result * drawn(name, &result.size())).sum(Kind::Float);
    let gradient = Tensor::run_backward(&[sum], &[wanted], true, false);
    difference(&gradient[0], expected)
}

fn agrees(what: &str, differences: &[(&str, f64)]) {
    let shown = differences
        .iter()
        .map(|(part, most)| format!("{part} {most:.2e}"));
    let shown: Vec<_> = shown.collect();
    println!("{what}: largest differences: {}", shown.join(", "));
    for (part, difference) in differences {
        assert!(*difference <= TOLERANCE, "{what}, {part}: {difference:e}");
    }
}

fn cases(name: &str) -> &'static Vec<Value> {
    FIXTURE[name].as_array().unwrap()
}

#[test]
fn coding_agrees() {
    for case in cases("coding") {
        let weights = numbers(&case["weights"]);
        let coder = BoxCoder::new(weights.clone().try_into().unwrap()).unwrap();
        let [anchors, targets] = ["anchors", "targets"].map(|name| boxes(&case[name]));
        let count = anchors.size()[0];
        let groups = numbers(&case["deltas"]).len() as i64 / count;
        let deltas = matrix(&case["deltas"], groups).set_requires_grad(true);
        let encoded = coder.encode(&targets, &anchors).unwrap();
        let decoded = coder.decode(&deltas, &anchors).unwrap();
        assert_eq!(decoded.size(), [count, groups]);
        let clipped = clip_boxes(&decoded.view([count, -1, 4]), IMAGE).unwrap();
        let clipped = clipped.view([count, groups]);
        let slope = |result, name, field| slope_difference(result, name, &deltas, &case[field]);
        let found = [
            ("encoded", difference(&encoded, &case["encoded"])),
            ("decoded", difference(&decoded, &case["decoded"])),
            ("gradient", slope(&decoded, "decoded", "gradient")),
            ("clipped", difference(&clipped, &case["clipped"])),
            (
                "its gradient",
                slope(&clipped, "clipped", "clipped_gradient"),
            ),
        ];
        agrees(&format!("coding with weights {weights:?}"), &found);
    }
}

#[test]
fn overlaps_agree() {
    let oracle = &FIXTURE["overlaps"];
    let first = boxes(&oracle["first"]).set_requires_grad(true);
    let second = boxes(&oracle["second"]);
    let iou = pairwise_iou(&first, &second).unwrap();
    let areas = box_areas(&first).unwrap();
    let pairwise = [
        ("pairwise", difference(&iou, &oracle["pairwise_iou"])),
        ("areas", difference(&areas, &oracle["areas"])),
    ];
    agrees("boxes", &pairwise);
    let overlap = Overlap::of(&first, &second).unwrap();
    let loss = 1.0 - overlap.giou().unwrap();
    let iou = overlap.iou().unwrap();
    for (name, part) in [
        ("intersection", &overlap.intersection),
        ("union", &overlap.union),
        ("enclosing", &overlap.enclosing),
        ("iou", &iou),
        ("giou_loss", &loss),
    ] {
        let slope = slope_difference(part, name, &first, &oracle["gradients"][name]);
        let value = difference(part, &oracle["values"][name]);
        agrees(name, &[("value", value), ("gradient", slope)]);
    }
}

#[test]
fn anchors_agree() {
    for case in cases("anchors") {
        let levels = |name: &str| -> Vec<Vec<f64>> {
            let levels = case[name].as_array().unwrap().iter();
            levels.map(numbers).collect()
        };
        let maps: Vec<[i64; 2]> = serde_json::from_value(case["maps"].clone()).unwrap();
        let image = whole(&case["image"]).try_into().unwrap();
        let generator = AnchorGenerator::new(&levels("sizes"), &levels("ratios")).unwrap();
        let found = generator.anchors(&maps, image, Device::Cpu).unwrap();
        let all = difference(&Tensor::cat(&found, 0), &case["anchors"]);
        println!("anchors of {maps:?}: largest difference {all:.2e}");
        assert_eq!(all, 0.0);
    }
}

#[test]
fn matching_agrees() {
    for case in cases("matching") {
        let [low, high] = numbers(&case["thresholds"]).try_into().unwrap();
        let low_quality = case["low_quality"].as_bool().unwrap();
        let matcher = Matcher::new(low, high, low_quality).unwrap();
        let [truth, candidates] = ["truth", "candidates"].map(|name| boxes(&case[name]));
        let found = matcher.assign(&truth, &candidates, None).unwrap();
        assert_eq!(indices(&found), whole(&case["matches"]), "{low}, {high}");
    }
}

/// The only test here that draws from libtorch's generator, which all tests of a program share.
#[test]
fn sampling_agrees_and_follows_the_seed() {
    for case in cases("sampling") {
        let [seed, batch] = ["seed", "batch"].map(|name| case[name].as_i64().unwrap());
        let sampler = BalancedSampler::new(batch, case["fraction"].as_f64().unwrap()).unwrap();
        let matches = Tensor::from_slice(&whole(&case["matches"]));
        let draw = |seed| {
            tch::manual_seed(seed);
            let sampled = sampler.sample(&matches).unwrap();
            [sampled.positive, sampled.negative].map(|found| indices(&found))
        };
        let expected = ["positive", "negative"].map(|name| whole(&case[name]));
        assert_eq!(draw(seed), expected, "seed {seed}");
        assert_ne!(draw(seed + 100), expected, "seed {}", seed + 100);
        assert_eq!(draw(seed), expected, "seed {seed}, again");
    }
}

#[test]
fn suppression_agrees() {
    let oracle = &FIXTURE["suppression"];
    let all = boxes(&oracle["boxes"]);
    let scores = matrix(&oracle["scores"], 1).view([-1]);
    let groups = Tensor::from_slice(&whole(&oracle["groups"]));
    let thresholds = numbers(&oracle["thresholds"]);
    for (at, threshold) in thresholds.into_iter().enumerate() {
        let kept = nms(&all, &scores, threshold).unwrap();
        assert_eq!(indices(&kept), whole(&oracle["kept"][at]), "{threshold}");
        let kept = batched_nms(&all, &scores, &groups, threshold).unwrap();
        assert_eq!(indices(&kept), whole(&oracle["batched"][at]), "{threshold}");
    }
    let large = large_boxes(&all, 8.0).unwrap().nonzero().view([-1]);
    assert_eq!(indices(&large), whole(&oracle["large"]));
}

/// The boxes of every image.
fn regions(oracle: &Value) -> Vec<Tensor> {
    let images = oracle["boxes"].as_array().unwrap().iter();
    images.map(boxes).collect()
}

#[test]
fn alignment_of_regions_agrees() {
    let oracle = &FIXTURE["roi_align"];
    let features = drawn("features", &whole(&oracle["features"])) * 2.0;
    let features = features.set_requires_grad(true);
    let regions = regions(oracle);
    for case in oracle["cases"].as_array().unwrap() {
        let [scale, ratio] = ["scale", "ratio"].map(|name| case[name].as_f64().unwrap());
        let output = whole(&case["output"]).try_into().unwrap();
        let align = RoiAlign::new(output, ratio as i64).unwrap();
        let shifted = case["aligned"].as_bool().unwrap();
        let align = if shifted { align.aligned() } else { align };
        let pooled = align.pool(&features, &regions, scale).unwrap();
        let slope = slope_difference(&pooled, "pooled", &features, &case["gradient"]);
        let value = difference(&pooled, &case["pooled"]);
        let what = format!("regions at {output:?}, scale {scale}, ratio {ratio}, {shifted}");
        agrees(&what, &[("value", value), ("gradient", slope)]);
    }
}

#[test]
fn pooling_from_a_pyramid_agrees() {
    let oracle = &FIXTURE["multi_scale"];
    let shapes = oracle["shapes"].as_array().unwrap().iter().enumerate();
    let level = |(index, shape): (usize, &Value)| {
        let level = drawn(&format!("level {index}"), &whole(shape));
        level.set_requires_grad(true)
    };
    let pyramid: Vec<_> = shapes.map(level).collect();
    let regions = regions(oracle);
    let align = RoiAlign::new([2, 2], 2).unwrap();
    let pooling = MultiScaleRoiAlign::new(align, &[4, 8, 16, 32]).unwrap();
    let sized = pooling.levels(&boxes(&oracle["sized"])).unwrap();
    assert_eq!(
        sized,
        numbers(&oracle["levels"])
            .iter()
            .map(|x| *x as usize)
            .collect::<Vec<_>>()
    );
    let pooling = pooling.canonical(24.0, 4).unwrap();
    let used = pooling.levels(&Tensor::cat(&regions, 0)).unwrap();
    assert_eq!(
        used,
        numbers(&oracle["used"])
            .iter()
            .map(|x| *x as usize)
            .collect::<Vec<_>>()
    );
    let pooled = pooling.pool(&pyramid, &regions).unwrap();
    agrees(
        "a pyramid",
        &[("value", difference(&pooled, &oracle["pooled"]))],
    );
    for (index, level) in pyramid.iter().enumerate() {
        let expected = &oracle["gradients"][index];
        let slope = slope_difference(&pooled, "pooled", level, expected);
        agrees(&format!("level {index}"), &[("gradient", slope)]);
    }
}
