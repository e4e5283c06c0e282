use crate::loss::tests::{areas, dense, loss};
use crate::{ExportError, Format, Options, render};
use autoloss_graph::{Activation, Convention, InputInfo, Signature, Values};

fn python(loss: &crate::Loss) -> String {
    render(loss, Format::Pytorch, &Options::default()).unwrap()
}

#[test]
fn a_file_reads_like_one_written_by_hand() {
    let mut loss = loss(&[("seg", "neg(mul(square(y), log(yhat)))", dense())]);
    loss.name = Some("found".into());
    loss.provenance.insert("selection_mean".into(), 0.71.into());
    let expected = include_str!("tests/seg.py");
    assert_eq!(python(&loss), expected, "{}", python(&loss));
}

#[test]
fn several_branches_share_helpers_and_have_a_container() {
    let loss = loss(&[
        ("rpn_cls", "neg(mul(y, log(yhat)))", dense()),
        ("rpnCls", "neg(mul(y, log(yhat)))", dense()),
        ("rpn_reg", "add(1, neg(mul(i, inv(u))))", areas()),
    ]);
    let file = python(&loss);
    for line in [
        "class RpnClsLoss(nn.Module):",
        "class RpnClsLoss_2(nn.Module):",
        "class RpnRegLoss(nn.Module):",
        "class VocSegLoss(nn.Module):",
        "        self, reduction: str = \"mean\", check_target: Optional[bool] = None",
        "        self.loss_rpn_cls = RpnClsLoss_2(reduction=reduction, check_target=check_target)",
        "        self.loss_rpn_reg = RpnRegLoss(reduction=reduction)",
    ] {
        assert!(file.contains(line), "{line}\n{file}");
    }
    assert_eq!(file.matches("def _log(").count(), 1);
}

#[test]
fn targets_are_checked_where_they_are_known() {
    let convention = |activation, values| {
        let target = InputInfo::target("y").with_values(values);
        Convention {
            inputs: Signature::new(vec![InputInfo::prediction("yhat"), target]).unwrap(),
            activation,
            void_label: None,
        }
    };
    for (activation, values, unit, two_classes) in [
        (Activation::Softmax, Values::Any, "True", true),
        (Activation::Sigmoid, Values::Binary, "True", false),
        (Activation::Sigmoid, Values::Any, "False", false),
        (Activation::Identity, Values::Binary, "True", false),
        (Activation::Identity, Values::Any, "False", false),
    ] {
        let file = python(&loss(&[(
            "seg",
            "neg(yhat)",
            convention(activation, values),
        )]));
        let argument = format!("            scores,\n            {unit},\n");
        assert!(file.contains(&argument), "{file}");
        assert_eq!(file.contains("_two_classes("), two_classes, "{file}");
        let words: Vec<&str> = file.split_whitespace().collect();
        let bounded = words.join(" ").contains("what to predict, from 0 to 1.");
        assert_eq!(bounded, unit == "True", "{file}");
    }
    let file = python(&loss(&[("reg", "neg(i)", areas())]));
    for name in ["Optional", "check_target", "_coded"] {
        assert!(!file.contains(name), "{file}");
    }
}

#[test]
fn hostile_text_stays_in_strings() {
    let hostile = "\"\"\"\nimport os\\\u{202e}<script>-->\u{2028}'''";
    let mut loss = loss(&[("DOCS", "neg(y)", dense())]);
    loss.name = Some(hostile.into());
    loss.task = hostile.into();
    loss.left_out.insert(hostile.into(), format!("@{hostile}"));
    loss.provenance.insert(hostile.into(), hostile.into());
    let file = python(&loss);
    assert!(file.lines().all(|line| !line.starts_with("import os")));
    assert!(!file.contains('\u{202e}') && !file.contains('\u{2028}'));
    assert!(file.contains("class DOCSLoss(nn.Module):\n    \"\"\"The loss of branch DOCS."));
    // Two docstrings of three quotes each, and those of helpers.
    let quotes = file.matches("\"\"\"").count();
    assert_eq!(
        quotes,
        2 * file.matches("\ndef _").count() + 2 + 2 + 2,
        "{file}"
    );
}

#[test]
fn inputs_that_nobody_knows_are_refused() {
    let convention = Convention {
        inputs: Signature::new(["a", "b", "c"].map(InputInfo::target).to_vec()).unwrap(),
        activation: Activation::Softmax,
        void_label: None,
    };
    let loss = loss(&[("seg", "neg(a)", convention)]);
    let refused = render(&loss, Format::Pytorch, &Options::default());
    assert!(matches!(refused, Err(ExportError::Inputs { .. })));
    assert!(refused.unwrap_err().to_string().contains("a, b, c"));
}
