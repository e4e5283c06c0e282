//! Exported modules, and those that the Python package makes of loss files, against the reference
//! interpreter: values and gradients with respect to raw outputs, in f64. The Python side is
//! `python/tests/export_equality.py`, which says what else it compares.
#![allow(clippy::unwrap_used, reason = "tests")]

mod raw;
#[path = "../src/testing.rs"]
mod testing;

use autoloss_export::{Format, Loss, Options, render};
use autoloss_graph::{
    Activation, BranchName, Convention, InputInfo, Limits, LossFile, LossGraph, Signature, Values,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use raw::{Answer, Raw};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const CE: &str = "neg(mul(y, log(yhat)))";
const WCE: &str = "neg(mul(mul(mul(y, inv(mean_nhw(y))), mul(mean_c(y), \
     inv(mean_c(mul(mean_nhw(y), inv(mean_nhw(y))))))), log(yhat)))";
const DICE: &str = "mul(mul(mul(y, inv(mean_nhw(y))), mul(mean_c(y), \
     inv(mean_c(mul(mean_nhw(y), inv(mean_nhw(y))))))), \
     add(1, neg(mul(mean_nhw(mul(add(y, y), yhat)), inv(mean_nhw(add(y, yhat)))))))";
const FOCAL: &str = "neg(mul(mul(y, square(add(1, neg(yhat)))), log(yhat)))";
const IOU: &str = "add(1, neg(mul(i, inv(u))))";
const GIOU: &str = "add(add(1, neg(mul(i, inv(u)))), mul(add(e, neg(u)), inv(e)))";
const CSE_AUTO_A: &str =
    "add(add(1, neg(mul(i, inv(u)))), mul(add(e, neg(add(i, add(1, 1)))), inv(e)))";

/// A kind of branch with the losses that are tried on it.
struct Kind {
    name: &'static str,
    convention: Convention,
    raw: Raw,
    formulas: &'static [&'static str],
    random: usize,
}

fn kinds(rng: &mut ChaCha8Rng) -> Vec<Kind> {
    let convention = |inputs, activation, void_label| Convention {
        inputs,
        activation,
        void_label,
    };
    let values = |values| {
        let inputs = vec![
            InputInfo::prediction("p").with_values(values),
            InputInfo::target("lambda"),
        ];
        Signature::new(inputs).unwrap()
    };
    let list = Signature::dense().set_valued();
    let boxes = Signature::boxes().set_valued();
    vec![
        Kind {
            name: "dense",
            convention: convention(Signature::dense(), Activation::Softmax, Some(255)),
            raw: Raw::labels(rng, [2, 4, 5, 6], Some(255)),
            formulas: &[CE, WCE, DICE, FOCAL],
            random: 190,
        },
        Kind {
            name: "list",
            convention: convention(list, Activation::Softmax, None),
            raw: Raw::labels(rng, [9, 5, 1, 1], None),
            formulas: &[CE, FOCAL],
            random: 40,
        },
        Kind {
            name: "boxes",
            convention: convention(boxes, Activation::Boxes, None),
            raw: Raw::boxes(rng, 12),
            formulas: &[IOU, GIOU, CSE_AUTO_A],
            random: 40,
        },
        Kind {
            name: "sigmoid",
            convention: convention(values(Values::Nonnegative), Activation::Sigmoid, None),
            raw: Raw::values(rng, [2, 3, 4, 1]),
            formulas: &["square(add(p, neg(lambda)))"],
            random: 20,
        },
        Kind {
            name: "identity",
            convention: convention(values(Values::Any), Activation::Identity, None),
            raw: Raw::values(rng, [2, 3, 4, 4]),
            formulas: &["square(add(p, neg(lambda)))"],
            random: 20,
        },
    ]
}

/// A loss of one branch, trained at a scale.
fn loss(text: &str, convention: &Convention, scale: f64) -> Loss {
    let branches = BTreeMap::from([("seg".to_owned(), text.to_owned())]);
    let mut file = LossFile::new("task", branches);
    file.conventions
        .insert("seg".to_owned(), convention.clone());
    file.scales.insert("seg".to_owned(), scale);
    Loss::from_file(&file, &BTreeMap::new()).unwrap()
}

/// Writes a case; what is said of it in the list of all.
fn write_case(folder: &Path, name: &str, kind: &Kind, loss: &Loss) -> serde_json::Value {
    let branch = &loss.branches[&BranchName::new("seg").unwrap()];
    let Answer {
        value,
        gradient,
        value_scale,
        gradient_scale,
    } = kind.raw.answer(&branch.graph, kind.convention.activation);
    let scale = branch.scale;
    let gradient: Vec<f64> = gradient.iter().map(|value| scale * value).collect();
    let [value, value_scale, gradient_scale] =
        [value, value_scale, gradient_scale].map(|number| scale * number);
    for (suffix, simplify) in [("simple", true), ("raw", false)] {
        for (format, extension) in [(Format::Pytorch, "py"), (Format::Json, "json")] {
            let text = render(loss, format, &Options { simplify }).unwrap();
            std::fs::write(folder.join(format!("{name}_{suffix}.{extension}")), text).unwrap();
        }
    }
    raw::write(&folder.join(format!("{name}.f64")), &gradient);
    json!({
        "name": name,
        "kind": kind.name,
        "text": branch.graph.display(&kind.convention.inputs).to_string(),
        // Numbers that JSON has no name for are told by their absence.
        "value": value.is_finite().then_some(value),
        "value_scale": value_scale.min(f64::MAX),
        "gradient_scale": gradient_scale.min(f64::MAX),
    })
}

fn write_cases(folder: &Path) {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let (mut cases, mut inputs) = (Vec::new(), BTreeMap::new());
    for kind in kinds(&mut rng) {
        let signature = &kind.convention.inputs;
        let parse = |text: &str| LossGraph::parse(text, signature, &Limits::default()).unwrap();
        let mut graphs: Vec<LossGraph> = kind.formulas.iter().map(|text| parse(text)).collect();
        graphs.extend((0..kind.random).map(|_| testing::random_loss(&mut rng, signature)));
        for (at, graph) in graphs.iter().enumerate() {
            // Every third is trained at a scale of its own, a power of two, which rounds nothing.
            let scale = if at % 3 == 1 { 0.25 } else { 1.0 };
            let loss = loss(
                &graph.display(signature).to_string(),
                &kind.convention,
                scale,
            );
            let name = format!("{}_{at}", kind.name);
            cases.push(write_case(folder, &name, &kind, &loss));
        }
        inputs.insert(kind.name, kind.raw.write(folder, kind.name));
    }
    let all = json!({ "inputs": inputs, "cases": cases });
    std::fs::write(folder.join("cases.json"), all.to_string()).unwrap();
}

/// A loss of several branches whose file says everything that one should not believe.
fn write_hostile(folder: &Path) {
    let hostile = "\"\"\"\nraise SystemExit(3)\\\u{202e}<script>-->\u{2028}'''{x}";
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let kinds = kinds(&mut rng);
    let texts = [
        ("class", CE),
        ("train", FOCAL),
        ("forward", CE),
        ("DOCS", CE),
        ("__init__", CE),
    ];
    let branches = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut file = LossFile::new(hostile, branches.into());
    for (name, _) in texts {
        let convention = kinds[0].convention.clone();
        file.conventions.insert(name.to_owned(), convention);
    }
    file.name = Some(hostile.to_owned());
    file.provenance.insert(hostile.to_owned(), hostile.into());
    let loss = Loss::from_file(&file, &BTreeMap::new()).unwrap();
    for (format, extension) in [(Format::Pytorch, "py"), (Format::Json, "json")] {
        let text = render(&loss, format, &Options::default()).unwrap();
        std::fs::write(folder.join(format!("hostile.{extension}")), text).unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn exported_losses_are_the_hosts() {
    let python = root().join(".venv/tests/bin/python");
    assert!(
        python.exists(),
        "{} is missing: `cargo xtask test` installs it",
        python.display()
    );
    let folder = tempfile::tempdir().unwrap();
    write_cases(folder.path());
    write_hostile(folder.path());
    let output = Command::new(python)
        .arg(root().join("python/tests/export_equality.py"))
        .arg(folder.path())
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}
