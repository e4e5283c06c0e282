//! The common part of the pretrainable networks: encoder and decoder, a head, its two resolutions.
//!
//! The head gives logits at a quarter or an eighth of the resolution and enlarges them bilinearly,
//! corners on corners. Predictions are always the enlarged ones. The loss is taken of the others
//! unless `loss_stride` is 1: losses under search are graphs of element-wise operators, whose cost
//! grows with the number of positions. Each logit then has the label of the pixel that enlarging
//! puts it on ([`labels_at`]).

use crate::inputs::{branch_inputs, predicted};
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
    serde_json::Value,
};
use autoloss_vision::networks::layers::{Conv, Plan, enlarge};
use autoloss_vision::networks::normalisation::{Normalisation, Pretraining};
use autoloss_vision::networks::pretrained::{self, Names};
use autoloss_vision::networks::weights::{Start, Weights};
use autoloss_vision::networks::{image_sides, num_classes};
use autoloss_vision::read_settings;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use tch::Tensor;

/// The name of the head's convolution in checkpoints.
pub(crate) const HEAD: &str = "segmentation_head.0";

/// Encoder and decoder of a network.
pub(crate) trait Body: fmt::Debug + Send {
    /// Normalised images (N, 3, H, W) to maps (N, channels, H/stride, W/stride).
    fn forward(&self, image: &Tensor, training: bool) -> Result<Tensor>;
}

/// The parts and sizes in which pretrainable networks differ.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The encoder's tensors begin with it.
    pub(crate) encoder: &'static str,
    pub(crate) pretraining: Pretraining,
    /// H and W are multiples of it.
    pub(crate) step: i64,
    /// Image pixels to a logit, per axis.
    pub(crate) stride: i64,
    /// Channels that the head takes.
    pub(crate) channels: i64,
    /// Side of the head's window.
    pub(crate) kernel: i64,
    /// Default of the setting `dropout`.
    pub(crate) dropout: f64,
    pub(crate) body: fn(&mut Weights, f64) -> Result<Box<dyn Body>>,
}

/// Chooses a design at compile time: plugins register types.
pub trait Choice: Send + 'static {
    /// The design.
    #[doc(hidden)]
    const DESIGN: Design;
}

/// The settings of `[network]`, checked before anything is built.
struct NetworkSettings {
    /// Share of the decoder's values, or channels, set to zero in training: 0 to below 1.
    dropout: f64,
    /// Image pixels to a position of the loss, per axis: 1 or the head's own stride.
    loss_stride: i64,
}

impl NetworkSettings {
    /// The settings by name; those that are not named have the design's default.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    fn read(design: &Design, named: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = Self {
            dropout: design.dropout,
            loss_stride: design.stride,
        };
        let owner = format!("network '{}'", design.name);
        read_settings(owner, &["dropout", "loss_stride"], named, |setting| {
            match setting.name() {
                "dropout" => {
                    let good = |share| (0.0..1.0).contains(&share);
                    let expected = "a number from 0 to below 1";
                    settings.dropout = setting.number_where(good, expected)?;
                }
                "loss_stride" => {
                    let head = design.stride;
                    let good = |stride| [1, head].contains(&(stride as i64));
                    let expected = format!("1 (every pixel) or {head} (every logit)");
                    settings.loss_stride = setting.whole_where(good, &expected)? as i64;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(settings)
    }
}

/// A published network: images (N, 3, H, W), normalised as the task does, to
/// logits (N, classes, H, W).
///
/// Names and shapes of its tensors are those of segmentation-models-pytorch 0.5.0, so a checkpoint
/// of either loads in the other; published encoder weights load too. Settings are `dropout` (0 to
/// below 1) and `loss_stride` (1, or the stride of the logits, which is the default).
///
/// ```
/// use autoloss_plugin_api::{NetworkOptions, ProxyNetwork, Task};
/// use voc_seg::{FpnLite0, VocSeg};
///
/// let network = FpnLite0::build(&NetworkOptions {
///     task: VocSeg::info(),
///     device: "cpu".to_owned(),
///     seed: 0,
///     weights: None,
///     settings: Default::default(),
/// })?;
/// let first = &network.parameters()[0];
/// assert_eq!(first.name, "encoder.model.conv_stem.weight");
/// assert_eq!(first.tensor.size(), [32, 3, 3, 3]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct Segmenter<C> {
    weights: Weights,
    normalisation: Normalisation,
    body: Box<dyn Body>,
    head: Conv,
    loss_stride: i64,
    choice: PhantomData<fn() -> C>,
}

impl<C: Choice> ProxyNetwork for Segmenter<C> {
    fn info() -> NetworkInfo {
        NetworkInfo::new(C::DESIGN.name, C::DESIGN.title, [crate::TASK])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        let design = C::DESIGN;
        let settings = NetworkSettings::read(&design, options.settings.all())?;
        // Labels are bytes.
        let classes = num_classes(&options.task, 255)?;
        let mut weights = Weights::new(options.device()?);
        let body = (design.body)(&mut weights, settings.dropout)?;
        let plan = Plan::new([design.channels, classes], design.kernel, Start::Linear).bias();
        let head = Conv::new(&mut weights, HEAD, plan)?;
        let names = Names {
            network: design.name,
            encoder: design.encoder,
            head: &[HEAD],
            bare: &[],
        };
        pretrained::finish(&mut weights, options.weights.as_deref(), &names)?;
        Ok(Self {
            normalisation: Normalisation::new(&design.pretraining, weights.device())?,
            weights,
            body,
            head,
            loss_stride: settings.loss_stride,
            choice: PhantomData,
        })
    }

    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        let image = self.normalisation.apply(batch.inputs.get("image")?)?;
        let logits = self.small_logits(&image, mode)?;
        let labels = batch.targets.get("labels")?;
        let inputs = if self.loss_stride == 1 {
            branch_inputs(&enlarge(&logits, C::DESIGN.stride)?, labels)?
        } else {
            branch_inputs(&logits, &labels_at(labels, &logits.size())?)?
        };
        Ok(BTreeMap::from([(crate::BRANCH.to_owned(), inputs)]))
    }

    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors> {
        predicted(&self.logits(inputs.get("image")?, Mode::Evaluate)?)
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.weights.parameters()
    }

    fn buffers(&self) -> Tensors {
        self.weights.buffers()
    }
}

impl<C: Choice> Segmenter<C> {
    /// Logits (N, classes, H, W) of images (N, 3, H, W) as the task normalises them.
    ///
    /// # Errors
    /// A shape that does not fit: H and W must be multiples of the design's step.
    pub fn logits(&self, image: &Tensor, mode: Mode) -> Result<Tensor> {
        self.logits_of_normalised(&self.normalisation.apply(image)?, mode)
    }

    /// Logits (N, classes, H, W) of images (N, 3, H, W) normalised as the encoder's weights expect
    /// it, as segmentation-models-pytorch computes them from the same input.
    ///
    /// # Errors
    /// As [`Segmenter::logits`].
    pub fn logits_of_normalised(&self, image: &Tensor, mode: Mode) -> Result<Tensor> {
        enlarge(&self.small_logits(image, mode)?, C::DESIGN.stride)
    }

    fn small_logits(&self, image: &Tensor, mode: Mode) -> Result<Tensor> {
        image_sides(C::DESIGN.name, image, C::DESIGN.step)?;
        let training = mode == Mode::Train;
        let logits = self.head.forward(&self.body.forward(image, training)?)?;
        if training {
            self.weights.count_batch()?;
        }
        Ok(logits)
    }
}

/// The labels (N, H, W) of the pixels that logits (N, C, h, w) are enlarged onto, (N, h, w). With
/// corners on corners, logit i falls on pixel i·(H − 1)/(h − 1), rounded.
pub(super) fn labels_at(labels: &Tensor, logits: &[i64]) -> Result<Tensor> {
    let size = labels.size();
    let (&[n, height, width], &[m, _, h, w]) = (&size[..], logits) else {
        return Err(format!("labels have shape {size:?}, expected (N, H, W)").into());
    };
    if n != m || h < 1 || w < 1 || height < h || width < w {
        return Err(format!("labels {size:?} and logits {logits:?} do not fit").into());
    }
    let pick = |pixels: i64, positions: i64| -> Result<Tensor> {
        let pixel = |i: i64| match positions {
            1 => pixels / 2,
            _ => (2 * i * (pixels - 1) + positions - 1) / (2 * (positions - 1)),
        };
        let chosen: Vec<i64> = (0..positions).map(pixel).collect();
        Ok(Tensor::f_from_slice(&chosen)?.f_to_device(labels.device())?)
    };
    Ok(labels
        .f_index_select(1, &pick(height, h)?)?
        .f_index_select(2, &pick(width, w)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn labels_are_taken_where_logits_are_enlarged_onto() {
        let cpu = (Kind::Float, Device::Cpu);
        // Here every logit falls on a whole pixel: 15/3 and 20/4 apart.
        let logits = Tensor::randn([2, 1, 4, 5], cpu);
        let full = Tensor::empty([2, 1, 16, 21], cpu);
        let full = logits.upsample_bilinear2d(&full.size()[2..], true, None, None);
        let taken = labels_at(&full.squeeze_dim(1), &logits.size()).unwrap();
        let difference = (taken - logits.squeeze_dim(1)).abs().max();
        assert!(difference.double_value(&[]) < 1e-6);
    }

    #[test]
    fn labels_are_at_most_half_a_pixel_away() {
        for (pixels, positions) in [(64, 16), (64, 8), (512, 128), (32, 1), (7, 7)] {
            let rows = Tensor::arange(pixels, (Kind::Int64, Device::Cpu));
            let labels = rows.view([1, pixels, 1]).expand([1, pixels, pixels], false);
            let taken = labels_at(&labels, &[1, 3, positions, positions]).unwrap();
            for i in 0..positions {
                let exact = match positions {
                    1 => pixels as f64 / 2.0,
                    _ => (i * (pixels - 1)) as f64 / (positions - 1) as f64,
                };
                let found = taken.int64_value(&[0, i, 0]) as f64;
                assert!((found - exact).abs() <= 0.5, "{pixels}, {positions}: {i}");
            }
        }
    }

    #[test]
    fn labels_that_do_not_fit_are_named() {
        let labels = Tensor::zeros([2, 8, 8], (Kind::Uint8, Device::Cpu));
        for logits in [[3, 5, 2, 2], [2, 5, 9, 2], [2, 5, 0, 2]] {
            let message = labels_at(&labels, &logits).unwrap_err().to_string();
            assert!(message.contains("[2, 8, 8]"), "{message}");
        }
        let flat = Tensor::zeros([8, 8], (Kind::Uint8, Device::Cpu));
        assert!(labels_at(&flat, &[2, 5, 2, 2]).is_err());
    }
}
