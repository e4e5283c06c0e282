//! What the tests of networks against PyTorch have in common, in several packages: tensors that both
//! sides compute from their names, digests, and how far a tensor is from its summary.
//!
//! `python/oracles/shared/weights.py` is the other side and says why.

use autoloss_plugin_api::serde_json::{self, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Every tensor of a network by name.
pub(crate) type State = BTreeMap<String, Tensor>;

/// Numbers from −1 to below 1, of a name and an index.
pub(crate) fn drawn(name: &str, count: usize) -> Vec<f64> {
    let start = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let number = |index: usize| {
        let mut x = (index as u32).wrapping_mul(0x9E37_79B9).wrapping_add(start);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        f64::from(x ^ (x >> 16)) / f64::from(1_u32 << 31) - 1.0
    };
    (0..count).map(number).collect()
}

fn values(name: &str, shape: &[i64]) -> Tensor {
    let drawn = drawn(name, shape.iter().product::<i64>() as usize);
    let [scale, shift] = if let [_, inputs, height, width] = shape {
        [(6.0 / (inputs * height * width) as f64).sqrt(), 0.0]
    } else if name.ends_with(".running_var") {
        [0.5, 1.0]
    } else if name.ends_with(".weight") {
        [0.25, 0.5]
    } else {
        [0.2, 0.0]
    };
    let values: Vec<f32> = drawn.iter().map(|u| (u * scale + shift) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// An image, or a map, from −2 to below 2 in double precision.
pub(crate) fn picture(shape: &Value, name: &str) -> Tensor {
    let shape: Vec<i64> = serde_json::from_value(shape.clone()).unwrap();
    let count: i64 = shape.iter().product();
    Tensor::from_slice(&drawn(name, count as usize)).view(shape.as_slice()) * 2.0
}

/// A number to take gradients of: the output's values, each times a drawn one, summed.
pub(crate) fn probed(output: &Tensor, name: &str) -> Tensor {
    let probe = Tensor::from_slice(&drawn(name, output.numel()));
    (output * probe.view(output.size().as_slice())).sum(Kind::Double)
}

/// Overwrites all weights with those of their names.
pub(crate) fn fill(state: &State) {
    let _no_gradients = tch::no_grad_guard();
    for (name, tensor) in state {
        if !name.ends_with("num_batches_tracked") {
            tensor.shallow_clone().copy_(&values(name, &tensor.size()));
        }
    }
}

/// Puts all weights in double precision, as rounding would hide errors.
pub(crate) fn widen(state: &State) {
    for tensor in state.values() {
        if tensor.kind() == Kind::Float {
            let exact = tensor.detach().to_kind(Kind::Double);
            tensor.shallow_clone().set_data(&exact);
        }
    }
}

/// The lines `name kind shape` by their first three parts: how many, and their digest.
pub(crate) fn inventory(state: &State) -> BTreeMap<String, Value> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, tensor) in state {
        let kind = match tensor.kind() {
            Kind::Float => "float32",
            Kind::Int64 => "int64",
            _ => "other",
        };
        let shape: Vec<_> = tensor.size().iter().map(i64::to_string).collect();
        let group = name.splitn(4, '.').take(3).collect::<Vec<_>>().join(".");
        let line = format!("{name} {kind} {}\n", shape.join("x"));
        groups.entry(group).or_default().push(line);
    }
    let digest = |mut lines: Vec<String>| {
        lines.sort();
        let digest = Sha256::digest(lines.concat());
        let hex: String = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!([lines.len(), hex])
    };
    groups
        .into_iter()
        .map(|(group, lines)| (group, digest(lines)))
        .collect()
}

/// The largest difference of the values that a summary holds.
pub(crate) fn differ(tensor: &Tensor, summary: &Value) -> f64 {
    let expected: Vec<i64> = serde_json::from_value(summary["shape"].clone()).unwrap();
    assert_eq!(tensor.size(), expected);
    let flat = tensor.detach().to_kind(Kind::Double).flatten(0, -1);
    let flat = Vec::<f64>::try_from(flat).unwrap();
    let samples: Vec<f64> = serde_json::from_value(summary["samples"].clone()).unwrap();
    let place = |index: usize| index * (flat.len() - 1) / (samples.len() - 1);
    let mean = flat.iter().sum::<f64>() / flat.len() as f64;
    let variance = flat.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / flat.len() as f64;
    let mut differences: Vec<_> = (samples.iter().enumerate())
        .map(|(index, sample)| (flat[place(index)] - sample).abs())
        .collect();
    differences.push((mean - summary["mean"].as_f64().unwrap()).abs());
    differences.push((variance.sqrt() - summary["deviation"].as_f64().unwrap()).abs());
    differences.into_iter().fold(0.0, f64::max)
}

/// The largest relative difference of squared sums by name.
pub(crate) fn sums_differ(sums: &Value, tensor: impl Fn(&str) -> Tensor) -> f64 {
    let relative = |(name, expected): (&String, &Value)| {
        let found = tensor(name)
            .to_kind(Kind::Double)
            .square()
            .sum(Kind::Double);
        (found.double_value(&[]) / expected.as_f64().unwrap() - 1.0).abs()
    };
    sums.as_object()
        .unwrap()
        .iter()
        .map(relative)
        .fold(0.0, f64::max)
}
