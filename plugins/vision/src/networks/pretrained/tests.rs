mod detector;

use super::*;
use tch::{Device, Kind};

const NAMES: Names = Names {
    network: "small",
    encoder: "encoder.",
    head: &["head"],
    bare: &[],
};

/// Two encoder tensors, a decoder's, a head's and a counter.
fn weights() -> Weights {
    let mut weights = of_vectors(&ALL);
    weights.counter("encoder.bn1.num_batches_tracked".to_owned());
    weights.finish().unwrap();
    weights
}

/// Names and lengths.
type Stored<'a> = &'a [(&'a str, i64)];

fn of_vectors(held: Stored) -> Weights {
    let mut weights = Weights::new(Device::Cpu);
    for (name, length) in held {
        let _ = weights.vector((*name).to_owned(), *length, 0.0).unwrap();
    }
    weights
}

fn attempt(stored: Stored) -> (Weights, Result<Loaded>) {
    attempt_on(weights(), stored, &NAMES)
}

fn attempt_on(weights: Weights, stored: Stored, names: &Names) -> (Weights, Result<Loaded>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    let tensors: Vec<_> = stored
        .iter()
        .map(|(name, length)| (*name, Tensor::ones([*length], (Kind::Float, Device::Cpu))))
        .collect();
    Tensor::write_safetensors(&tensors, &file).unwrap();
    let outcome = load(&weights, &file, names);
    (weights, outcome)
}

/// Names of the tensors that were overwritten.
fn overwritten(weights: &Weights) -> Vec<&str> {
    let set = |tensor: &Tensor| tensor.sum(Kind::Double).double_value(&[]) != 0.0;
    let named = weights.iter().filter(|(_, tensor)| set(tensor));
    named.map(|(name, _)| name).collect()
}

const ALL: [(&str, i64); 4] = [
    ("encoder.conv1.bias", 3),
    ("encoder.bn1.weight", 4),
    ("decoder.bias", 5),
    ("head.bias", 6),
];

#[test]
fn a_checkpoint_fits_under_its_own_and_wrapped_names() {
    for wrapper in [
        "",
        "module.",
        "model.",
        "module.model.",
        "_orig_mod.",
        "_orig_mod.module.",
        "module._orig_mod.model.",
        "model._orig_mod.module.model.",
    ] {
        let names = ALL.map(|(name, length)| (format!("{wrapper}{name}"), length));
        let stored = names
            .each_ref()
            .map(|(name, length)| (name.as_str(), *length));
        let (weights, outcome) = attempt(&stored);
        let report = outcome.unwrap();
        assert_eq!((report.loaded, report.ignored.len()), (4, 0), "{wrapper}");
        assert_eq!(report.fresh, ["encoder.bn1.num_batches_tracked"]);
        assert_eq!(overwritten(&weights), ALL.map(|(name, _)| name));
    }
}

#[test]
fn a_part_that_was_compiled_fits_too() {
    let names =
        ALL.map(|(name, length)| (name.replace("encoder.", "model.encoder._orig_mod."), length));
    let stored = names
        .each_ref()
        .map(|(name, length)| (name.as_str(), *length));
    let (weights, outcome) = attempt(&stored);
    assert_eq!(outcome.unwrap().loaded, 4);
    assert_eq!(overwritten(&weights), ALL.map(|(name, _)| name));
}

#[test]
fn an_encoder_fits_under_published_names_and_the_rest_stays_fresh() {
    for prefix in ["", "backbone.", "encoder.", "module.encoder."] {
        let conv = format!("{prefix}conv1.bias");
        let norm = format!("{prefix}bn1.weight");
        let (weights, outcome) = attempt(&[(&conv, 3), (&norm, 4), ("fc.bias", 1000)]);
        let report = outcome.unwrap();
        assert_eq!(report.loaded, 2, "{prefix}");
        assert_eq!(report.ignored, ["fc.bias"]);
        assert_eq!(
            overwritten(&weights),
            ["encoder.conv1.bias", "encoder.bn1.weight"]
        );
    }
}

#[test]
fn a_head_of_other_classes_stays_fresh() {
    let mut stored = ALL;
    stored[3].1 = 21;
    let (weights, outcome) = attempt(&stored);
    assert!(outcome.unwrap().fresh.contains(&"head.bias".to_owned()));
    assert_eq!(overwritten(&weights).len(), 3);
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_overwritten() {
    let mut reshaped = ALL;
    reshaped[1].1 = 7;
    let cases: [(Stored, &[&str]); 6] = [
        (
            &[("decoder.bias", 5)],
            &[
                "'encoder.bn1.weight' of shape [4] (and 2 others)",
                "a checkpoint",
            ],
        ),
        (
            &[("stem.bias", 3)],
            &["none of its 1 tensors", "stem.bias", "small"],
        ),
        (
            &ALL[1..],
            &["'encoder.conv1.bias' of shape [3] is not", "a checkpoint"],
        ),
        (
            &[("conv1.bias", 3)],
            &["'encoder.bn1.weight' of shape [4]", "encoder"],
        ),
        (&reshaped, &["'encoder.bn1.weight'", "[7]", "[4]"]),
        (
            &[("conv1.bias", 3), ("encoder.conv1.bias", 3)],
            &["two of its tensors fit 'encoder.conv1.bias'"],
        ),
    ];
    for (stored, words) in cases {
        let (weights, outcome) = attempt(stored);
        let message = outcome.unwrap_err().to_string();
        for word in [&["w.safetensors"], words].concat() {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(overwritten(&weights), [""; 0], "{message}");
    }
}

#[test]
fn an_archive_of_pytorch_is_read_if_libtorch_can() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let refused = load(&weights(), &fixtures.join("small_ordered.pt"), &NAMES).unwrap_err();
    let message = refused.to_string();
    assert!(message.contains("to_safetensors.py"), "{message}");
    let file = fixtures.join("small.pt");
    let weights = weights();
    let report = load(&weights, &file, &NAMES).unwrap();
    assert_eq!(report.loaded, 5);
    let (_, bias) = weights
        .iter()
        .find(|(name, _)| *name == "decoder.bias")
        .unwrap();
    assert_eq!(
        Vec::<f64>::try_from(bias).unwrap(),
        [1.0, 2.0, 3.0, 4.0, 5.0]
    );
    let (_, count) = weights.iter().last().unwrap();
    assert_eq!(count.int64_value(&[]), 7);
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        load(&weights(), &file, &NAMES).unwrap_err().to_string()
    };
    let cases: [(&[u8], &[&str]); 5] = [
        (
            &[0x80, 2, 0x8a, 10],
            &["old format", "python/tools/to_safetensors.py"],
        ),
        (
            b"PK\x03\x04 cut short",
            &["cannot read", "python/tools/to_safetensors.py"],
        ),
        (b"\x40\0\0\0\0\0\0\0{\"cut", &["cannot read"]),
        (b"<html>", &["neither safetensors nor"]),
        (b"", &["neither safetensors nor"]),
    ];
    for (bytes, words) in cases {
        let message = message("bad.bin", bytes);
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(message.contains("bad.bin"), "{message}");
        assert!(!message.contains("Exception raised"), "{message}");
    }
    let missing = load(&weights(), &folder.path().join("none"), &NAMES);
    assert!(missing.unwrap_err().to_string().contains("none"));
}
