//! A network and a metric for a task of another plugin: what they know of it is what the task says of
//! itself and the names of its tensors.

use autoloss_plugin_api::{
    Batch, Metric, MetricInfo, MetricOptions, Mode, NetworkInfo, NetworkOptions, Parameter,
    ProxyNetwork, Result, Scores, Tensors,
};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// The task both serve.
const HOST_TASK: &str = "voc_seg";
/// Image pixels to a logit, per axis.
const STRIDE: i64 = 4;

/// One strided convolution from image to classes.
#[derive(Debug)]
pub(crate) struct Guest {
    weight: Tensor,
    classes: i64,
    branch: String,
}

impl ProxyNetwork for Guest {
    fn info() -> NetworkInfo {
        let title = "One strided convolution for another plugin's task";
        NetworkInfo::new("guest", title, [HOST_TASK])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        let classes = options.task.whole("num_classes")?;
        let branch = options
            .task
            .branches
            .first()
            .ok_or("a task without branch")?;
        let shape = [classes, 3, STRIDE, STRIDE];
        let weight = Tensor::f_randn(shape, (Kind::Float, options.device()?))?;
        Ok(Self {
            weight: weight.f_mul_scalar(0.01)?.f_set_requires_grad(true)?,
            classes,
            branch: branch.name.clone(),
        })
    }

    fn forward(&mut self, batch: &Batch, _mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        let yhat = self.logits(&batch.inputs)?.f_softmax(1, None)?;
        let labels = batch.targets.get("labels")?;
        let reduced = labels
            .f_slice(1, 0, None, STRIDE)?
            .f_slice(2, 0, None, STRIDE)?;
        let labels = reduced.f_to_kind(Kind::Int64)?;
        let counted = labels.f_lt(self.classes)?;
        let y = labels
            .f_mul(&counted)?
            .f_one_hot(self.classes)?
            .f_permute([0, 3, 1, 2])?;
        let counted = counted.f_unsqueeze(1)?.f_to_kind(Kind::Float)?;
        let inputs = Tensors::new()
            .with("yhat", yhat.f_mul(&counted)?)
            .with("y", y.f_mul(&counted)?);
        Ok(BTreeMap::from([(self.branch.clone(), inputs)]))
    }

    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors> {
        let labels = self.logits(inputs)?.f_argmax(1, false)?;
        let labels = labels
            .f_repeat_interleave_self_int(STRIDE, 1, None)?
            .f_repeat_interleave_self_int(STRIDE, 2, None)?;
        Ok(Tensors::new().with("labels", labels.f_to_kind(Kind::Uint8)?))
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter {
            name: "weight".to_owned(),
            tensor: self.weight.shallow_clone(),
            decay: true,
        }]
    }
}

impl Guest {
    fn logits(&self, inputs: &Tensors) -> Result<Tensor> {
        let image = inputs.get("image")?;
        Ok(image.f_conv2d(&self.weight, None::<&Tensor>, STRIDE, 0, 1, 1)?)
    }
}

/// Share of pixels whose class is right, void pixels counted as wrong.
#[derive(Debug)]
pub(crate) struct GuestAccuracy {
    right: f64,
    all: f64,
}

impl Metric for GuestAccuracy {
    fn info() -> MetricInfo {
        MetricInfo::new("guest_accuracy", ["guestAcc"]).tasks([HOST_TASK])
    }

    fn create(_options: &MetricOptions) -> Result<Self> {
        Ok(Self {
            right: 0.0,
            all: 0.0,
        })
    }

    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        let right = predictions
            .get("labels")?
            .f_eq_tensor(targets.get("labels")?)?;
        self.right += right.f_sum(Kind::Double)?.f_double_value(&[])?;
        self.all += right.numel() as f64;
        Ok(())
    }

    fn compute(&mut self) -> Result<Scores> {
        Ok(Scores::from([(
            "guestAcc".to_owned(),
            self.right / self.all,
        )]))
    }
}
