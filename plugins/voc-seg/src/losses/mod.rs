//! The reference losses of the task, which searched losses are compared with.
//!
//! Cross entropy, its weighted form and Dice are also loss graphs, so the host trains with their
//! formulas like with any candidate; the rest (a sort, a distance transform, a sliding window, a
//! curve) is computed here. Those with a formula are computed here too, under `@NAME`: two
//! independent ways to the same number check each other.
//!
//! Inputs of all of them are ŷ and y, both (N, C, h, w). Void has no input of its own: it is
//! where y is zero in every channel, and each loss documents what it does there. A batch that is void
//! throughout has the loss 0 and no gradient.

mod asl;
mod dice;
mod distance;
mod entropy;
mod lovasz;
mod maps;
mod ssim;

pub use asl::{Asl, AslMetric, Curve};

use autoloss_plugin_api::{ReferenceLoss, Result, Tensors};
use autoloss_vision::unknown_name;
use maps::Maps;
use tch::Tensor;

type Compute = fn(&Maps) -> Result<Tensor>;

/// A loss without parameters.
struct Entry {
    name: &'static str,
    title: &'static str,
    formula: Option<&'static str>,
    compute: Compute,
}

/// All but `asl`, in the order of the tables.
const ENTRIES: [Entry; 6] = [
    Entry {
        name: "ce",
        title: "cross entropy",
        formula: Some(entropy::CE_FORMULA),
        compute: entropy::cross_entropy,
    },
    Entry {
        name: "wce",
        title: "class-weighted cross entropy",
        formula: Some(entropy::WCE_FORMULA),
        compute: entropy::weighted_cross_entropy,
    },
    Entry {
        name: "dice",
        title: "soft Dice",
        formula: Some(dice::FORMULA),
        compute: dice::dice,
    },
    Entry {
        name: "lovasz",
        title: "Lovász-softmax",
        formula: None,
        compute: lovasz::lovasz_softmax,
    },
    Entry {
        name: "dpce",
        title: "distance-penalised cross entropy",
        formula: None,
        compute: entropy::distance_penalised_cross_entropy,
    },
    Entry {
        name: "ssim",
        title: "structural similarity",
        formula: None,
        compute: ssim::dissimilarity,
    },
];

const ASL: &str = "asl";

/// The reference losses that the task declares: `ce`, `wce`, `dice`, `lovasz`, `dpce`, `ssim`, `asl`. The first three
/// have a formula.
pub fn reference_losses() -> Vec<ReferenceLoss> {
    let declared = |entry: &Entry| {
        let loss = ReferenceLoss::new(entry.name, entry.title);
        match entry.formula {
            Some(text) => loss.formula(crate::BRANCH, text),
            None => loss,
        }
    };
    let asl = ReferenceLoss::new(ASL, "Auto-Seg-Loss surrogate");
    ENTRIES.iter().map(declared).chain([asl]).collect()
}

/// The value of the reference loss `name`, a scalar with gradient with respect to ŷ, of the kind
/// and on the device of ŷ. `inputs` are `yhat` and `y`, both (N, C, h, w); `asl` holds the
/// parameters of the loss of that name.
///
/// ```
/// use autoloss_plugin_api::Tensors;
/// use tch::{Kind, Tensor};
/// use voc_seg::losses::{Asl, reference_loss};
/// use voc_seg::one_hot;
///
/// let labels = Tensor::from_slice(&[0u8, 2, 255, 1]).view([1, 2, 2]);
/// let (y, valid) = one_hot(&labels, 3)?;
/// // Every class is as likely as the others: the cross entropy is ln 3 at three pixels of four.
/// let inputs = Tensors::new().with("yhat", valid.expand([1, 3, 2, 2], false) / 3.0).with("y", y);
/// let loss = reference_loss("ce", "seg", &inputs, &Asl::default())?;
/// assert!((loss.double_value(&[]) - 0.75 * 3f64.ln()).abs() < 1e-6);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
///
/// # Errors
/// An unknown branch or name, shapes that do not fit each other or the loss, or libtorch's own.
pub fn reference_loss(name: &str, branch: &str, inputs: &Tensors, asl: &Asl) -> Result<Tensor> {
    crate::check_branch(branch)?;
    let maps = Maps::new(inputs.get("yhat")?, inputs.get("y")?)?;
    if name == ASL {
        return asl.loss(&maps);
    }
    match ENTRIES.iter().find(|entry| entry.name == name) {
        Some(entry) => (entry.compute)(&maps),
        None => {
            let known = ENTRIES.iter().map(|entry| entry.name).chain([ASL]);
            Err(unknown_name("task 'voc_seg'", "reference loss", name, known).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn inputs(yhat: &Tensor, labels: &Tensor, classes: i64) -> Tensors {
        let (y, _) = crate::one_hot(labels, classes).unwrap();
        Tensors::new()
            .with("yhat", yhat.shallow_clone())
            .with("y", y)
    }

    fn names() -> Vec<String> {
        let losses = reference_losses();
        losses.into_iter().map(|loss| loss.name).collect()
    }

    fn gradient(name: &str, yhat: &Tensor, labels: &Tensor, classes: i64) -> (f64, Tensor) {
        let yhat = yhat.detach().set_requires_grad(true);
        let inputs = inputs(&yhat, labels, classes);
        let loss = reference_loss(name, "seg", &inputs, &Asl::default()).unwrap();
        loss.backward();
        (loss.double_value(&[]), yhat.grad())
    }

    #[test]
    fn a_batch_of_void_alone_has_no_loss_and_no_gradient() {
        let labels = Tensor::full([2, 8, 8], 255, (Kind::Uint8, Device::Cpu));
        let yhat = Tensor::zeros([2, 4, 8, 8], (Kind::Float, Device::Cpu));
        for name in names() {
            let (loss, gradient) = gradient(&name, &yhat, &labels, 4);
            assert_eq!(loss, 0.0, "{name}");
            assert_eq!(gradient.abs().max().double_value(&[]), 0.0, "{name}");
        }
    }

    #[test]
    fn predictions_of_exactly_zero_and_one_have_finite_gradients() {
        tch::manual_seed(3);
        let labels = Tensor::randint(4, [2, 9, 9], (Kind::Int64, Device::Cpu));
        let _ = labels.narrow(1, 0, 2).fill_(255);
        let guess = Tensor::randint(4, [2, 9, 9], (Kind::Int64, Device::Cpu));
        let (hard, _) = crate::one_hot(&guess, 4).unwrap();
        let yhat = hard * labels.lt(4).unsqueeze(1).to_kind(Kind::Float);
        for name in names() {
            let (loss, gradient) = gradient(&name, &yhat, &labels, 4);
            assert!(loss.is_finite() && loss > 0.0, "{name}: {loss}");
            let size = gradient.abs().sum(Kind::Double).double_value(&[]);
            assert!(size.is_finite() && size > 0.0, "{name}: {size}");
        }
    }

    #[test]
    fn a_perfect_prediction_is_the_least_loss() {
        tch::manual_seed(5);
        let labels = Tensor::randint(3, [2, 8, 8], (Kind::Int64, Device::Cpu));
        let (perfect, _) = crate::one_hot(&labels, 3).unwrap();
        let poor = Tensor::randn([2, 3, 8, 8], (Kind::Float, Device::Cpu)).softmax(1, None);
        for name in names() {
            let (least, _) = gradient(&name, &perfect, &labels, 3);
            let (more, _) = gradient(&name, &poor, &labels, 3);
            assert!(least.abs() < 1e-5, "{name}: {least}");
            assert!(more > 0.1, "{name}: {more}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_named() {
        let zeros = |shape: [i64; 4]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let message = |name, branch, yhat: [i64; 4], y: [i64; 4]| {
            let inputs = Tensors::new().with("yhat", zeros(yhat)).with("y", zeros(y));
            let loss = reference_loss(name, branch, &inputs, &Asl::default());
            loss.unwrap_err().to_string()
        };
        let (good, small) = ([1, 3, 8, 8], [1, 3, 4, 8]);
        assert!(message("ce", "mask", good, good).contains("no branch 'mask'"));
        let unknown = message("focal", "seg", good, good);
        assert!(unknown.contains("'focal'") && unknown.contains("dpce, ssim, asl"));
        let shapes = message("ce", "seg", good, small);
        assert!(shapes.contains("[1, 3, 8, 8]") && shapes.contains("[1, 3, 4, 8]"));
        assert!(message("ssim", "seg", small, small).contains("4x8"));
    }
}
