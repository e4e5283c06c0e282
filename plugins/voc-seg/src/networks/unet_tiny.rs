//! The proxy network: an encoder-decoder that trains from scratch in seconds.
//!
//! A search trains it anew for every candidate, so it is measured by what it learns in a given time
//! on two CPU cores. The result: a first convolution that goes to a quarter of the resolution
//! at once, since most of the time would otherwise go into the finest scale; only two scales, as
//! deeper networks learn too little in so few steps; one skip connection that adds rather than
//! concatenates; residual blocks. Logits stay at the quarter resolution and are interpolated for
//! predictions.

use crate::inputs::{branch_inputs, predicted, upsample};
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
};
use autoloss_vision::networks::layers::{EPSILON, batch_norm};
use autoloss_vision::networks::pretrained::{self, Names};
use autoloss_vision::networks::weights::Weights;
use autoloss_vision::networks::{image_sides, num_classes};
use autoloss_vision::read_settings;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Image pixels to a logit, per axis.
const STRIDE: i64 = 4;
/// Channels at a quarter and at an eighth of the resolution.
const WIDTHS: [i64; 2] = [48, 64];
/// Residual blocks at these scales.
const BLOCKS: [usize; 2] = [1, 2];

/// The parts in which a file of weights may differ from the network.
const NAMES: Names = Names {
    network: "unet_tiny",
    encoder: "encoder.",
    head: &["decoder.head."],
    bare: &[],
};

/// The network `unet_tiny`: images (N, 3, H, W), H and W multiples of 8, to logits
/// (N, C, H/4, W/4).
#[derive(Debug)]
pub struct UnetTiny {
    weights: Weights,
    stem: ConvNorm,
    fine: Vec<ConvNorm>,
    down: ConvNorm,
    coarse: Vec<ConvNorm>,
    up: ConvNorm,
    head: Pointwise,
}

impl ProxyNetwork for UnetTiny {
    fn info() -> NetworkInfo {
        let title = "Two-scale encoder-decoder, trained from scratch in seconds";
        NetworkInfo::new("unet_tiny", title, [crate::TASK])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        read_settings("network 'unet_tiny'", &[], options.settings.all(), |_| {
            Ok(false)
        })?;
        // Labels are bytes.
        let classes = num_classes(&options.task, 255)?;
        let network = Self::fresh(Weights::new(options.device()?), classes)?;
        if let Some(file) = &options.weights {
            pretrained::load(&network.weights, file, &NAMES)?;
        }
        Ok(network)
    }

    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        let logits = self.logits(batch.inputs.get("image")?, mode == Mode::Train)?;
        let inputs = branch_inputs(&logits, batch.targets.get("labels")?)?;
        Ok(BTreeMap::from([(crate::BRANCH.to_owned(), inputs)]))
    }

    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors> {
        let logits = self.logits(inputs.get("image")?, false)?;
        predicted(&upsample(&logits, STRIDE)?)
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.weights.parameters()
    }

    fn buffers(&self) -> Tensors {
        self.weights.buffers()
    }
}

impl UnetTiny {
    fn fresh(mut weights: Weights, classes: i64) -> Result<Self> {
        let w = &mut weights;
        let [fine, coarse] = WIDTHS;
        Ok(Self {
            stem: ConvNorm::new(w, "encoder.stem", [3, fine], 7, STRIDE)?,
            fine: blocks(w, "encoder.fine", fine, BLOCKS[0])?,
            down: ConvNorm::new(w, "encoder.down", [fine, coarse], 3, 2)?,
            coarse: blocks(w, "encoder.coarse", coarse, BLOCKS[1])?,
            up: ConvNorm::new(w, "decoder.up", [coarse, fine], 1, 1)?,
            head: Pointwise::new(w, "decoder.head", fine, classes)?,
            weights,
        })
    }

    fn logits(&self, image: &Tensor, training: bool) -> Result<Tensor> {
        image_sides(NAMES.network, image, 2 * STRIDE)?;
        let fine = residual(&self.fine, self.stem.forward(image, training)?, training)?;
        let coarse = residual(&self.coarse, self.down.forward(&fine, training)?, training)?;
        let back = self.up.forward(&coarse, training)?;
        let back = back.f_upsample_nearest2d(&fine.size()[2..], None, None)?;
        self.head.forward(&back.f_add(&fine)?)
    }
}

fn blocks(weights: &mut Weights, name: &str, width: i64, count: usize) -> Result<Vec<ConvNorm>> {
    (0..count)
        .map(|index| ConvNorm::new(weights, &format!("{name}.{index}"), [width, width], 3, 1))
        .collect()
}

fn residual(blocks: &[ConvNorm], input: Tensor, training: bool) -> Result<Tensor> {
    blocks.iter().try_fold(input, |input, block| {
        Ok(block.forward(&input, training)?.f_add(&input)?)
    })
}

/// Normally distributed, of the variance that keeps a signal's size (He et al. 2015).
fn kernel(weights: &mut Weights, name: String, shape: [i64; 4], gain: f64) -> Result<Tensor> {
    let inputs = shape[1] * shape[2] * shape[3];
    let values = Tensor::f_randn(shape, (Kind::Float, weights.device()))?;
    let values = values.f_mul_scalar((gain / inputs as f64).sqrt())?;
    weights.parameter(name, &values, true)
}

/// A 1×1 convolution with bias: the last layer.
#[derive(Debug)]
struct Pointwise {
    weight: Tensor,
    bias: Tensor,
}

impl Pointwise {
    fn new(weights: &mut Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        let zeros = Tensor::f_zeros([outputs], (Kind::Float, weights.device()))?;
        Ok(Self {
            weight: kernel(
                weights,
                format!("{name}.weight"),
                [outputs, inputs, 1, 1],
                1.0,
            )?,
            bias: weights.parameter(format!("{name}.bias"), &zeros, false)?,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_conv2d(&self.weight, Some(&self.bias), 1, 0, 1, 1)?)
    }
}

/// A convolution, batch normalisation and rectification. Normalisation is over the batch: with the few
/// hundred steps of a proxy training it reached a clearly higher score than over groups of channels.
#[derive(Debug)]
struct ConvNorm {
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    stride: i64,
}

impl ConvNorm {
    /// A layer from `inputs` to `outputs` channels with a `kernel`² window moved by `stride`.
    fn new(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        stride: i64,
    ) -> Result<Self> {
        let options = (Kind::Float, weights.device());
        let zeros = || Tensor::f_zeros([outputs], options);
        let ones = || Tensor::f_ones([outputs], options);
        let [mean, variance] = weights.statistics(&format!("{name}.norm"), outputs)?;
        let shape = [outputs, inputs, kernel, kernel];
        Ok(Self {
            weight: self::kernel(weights, format!("{name}.conv.weight"), shape, 2.0)?,
            scale: weights.parameter(format!("{name}.norm.weight"), &ones()?, false)?,
            shift: weights.parameter(format!("{name}.norm.bias"), &zeros()?, false)?,
            mean,
            variance,
            stride,
        })
    }

    /// (N, inputs, H, W) → (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉). With `training` the batch's own
    /// statistics normalise and move the running ones.
    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let padding = self.weight.size()[2] / 2;
        let convolved =
            input.f_conv2d(&self.weight, None::<&Tensor>, self.stride, padding, 1, 1)?;
        let tensors = [&self.scale, &self.shift, &self.mean, &self.variance];
        let normalised = batch_norm(&convolved, tensors, training, EPSILON)?;
        Ok(normalised.f_relu()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocSeg;
    use autoloss_plugin_api::{BatchRequest, Split, Task, TaskOptions};

    fn options() -> NetworkOptions {
        NetworkOptions {
            task: VocSeg::info(),
            device: "cpu".to_owned(),
            seed: 0,
            weights: None,
            settings: autoloss_plugin_api::Settings::default(),
        }
    }

    fn batch() -> Batch {
        let task = VocSeg::open(&TaskOptions::default()).unwrap();
        task.batch(&BatchRequest::new(Split::Train, vec![0, 1, 2]))
            .unwrap()
    }

    #[test]
    fn inputs_and_predictions_have_their_shapes() {
        let (mut network, batch) = (UnetTiny::build(&options()).unwrap(), batch());
        let labels = batch.targets.get("labels").unwrap();
        let side = labels.size()[1];
        let branches = network.forward(&batch, Mode::Train).unwrap();
        assert_eq!(branches.keys().collect::<Vec<_>>(), ["seg"]);
        let seg = &branches["seg"];
        let counted = seg
            .get("y")
            .unwrap()
            .sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        assert!(
            counted.min().double_value(&[]) == 0.0,
            "no void position was tried"
        );
        for (name, tensor) in seg.iter() {
            assert_eq!(
                tensor.size(),
                [3, 11, side / STRIDE, side / STRIDE],
                "{name}"
            );
            let sums = tensor.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
            assert!(
                (sums - &counted).abs().max().double_value(&[]) < 1e-5,
                "{name}"
            );
        }
        let predicted = network.predict(&batch.inputs).unwrap();
        assert_eq!(predicted.get("labels").unwrap().size(), labels.size());
        assert!(predicted.get("labels").unwrap().max().int64_value(&[]) < 11);
    }

    #[test]
    fn the_gradient_reaches_every_parameter_and_there_are_few() {
        let mut network = UnetTiny::build(&options()).unwrap();
        let branches = network.forward(&batch(), Mode::Train).unwrap();
        let seg = &branches["seg"];
        let loss = seg.get("y").unwrap() * (seg.get("yhat").unwrap() + 1e-12).log();
        (-loss.sum(Kind::Float)).backward();
        let parameters = network.parameters();
        for parameter in &parameters {
            let largest = parameter.tensor.grad().abs().max().double_value(&[]);
            assert!(largest > 0.0 && largest.is_finite(), "{}", parameter.name);
            assert_eq!(
                parameter.decay,
                parameter.tensor.dim() > 1,
                "{}",
                parameter.name
            );
        }
        assert!(
            parameters
                .iter()
                .map(|own| own.tensor.numel())
                .sum::<usize>()
                < 300_000
        );
        let mut names: Vec<_> = parameters.into_iter().map(|own| own.name).collect();
        names.extend(network.buffers().names().map(str::to_owned));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "names repeat");
    }

    #[test]
    fn only_training_moves_the_statistics_and_evaluation_is_deterministic() {
        let (mut network, batch) = (UnetTiny::build(&options()).unwrap(), batch());
        let mean = |network: &UnetTiny| {
            network
                .buffers()
                .get("encoder.stem.norm.running_mean")
                .unwrap()
                .copy()
        };
        let evaluate = |network: &mut UnetTiny| {
            network.forward(&batch, Mode::Evaluate).unwrap()["seg"]
                .get("yhat")
                .unwrap()
                .copy()
        };
        let (start, first) = (mean(&network), evaluate(&mut network));
        assert_eq!(evaluate(&mut network), first);
        assert_eq!(mean(&network), start);
        network.forward(&batch, Mode::Train).unwrap();
        assert_ne!(mean(&network), start);
        assert_ne!(evaluate(&mut network), first);
    }

    #[test]
    fn weights_are_read_back_by_name() {
        let (network, other) = (
            UnetTiny::build(&options()).unwrap(),
            UnetTiny::build(&options()).unwrap(),
        );
        let folder = std::env::temp_dir().join(format!("voc-seg-weights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("unet.safetensors");
        let parameters = network.parameters();
        let mut named: Vec<_> = parameters
            .iter()
            .map(|own| (own.name.as_str(), &own.tensor))
            .collect();
        let buffers = network.buffers();
        named.extend(buffers.iter());
        Tensor::write_safetensors(&named, &file).unwrap();
        let loaded = UnetTiny::build(&NetworkOptions {
            weights: Some(file.clone()),
            ..options()
        })
        .unwrap();
        Tensor::write_safetensors(&named[1..], &file).unwrap();
        let lacking = UnetTiny::build(&NetworkOptions {
            weights: Some(file),
            ..options()
        });
        std::fs::remove_dir_all(&folder).unwrap();
        for ((own, new), fresh) in parameters
            .iter()
            .zip(loaded.parameters())
            .zip(other.parameters())
        {
            assert_eq!(own.tensor, new.tensor, "{}", own.name);
            assert!(new.tensor.requires_grad());
            assert_eq!(fresh.decay, own.tensor != fresh.tensor, "{}", own.name);
        }
        assert!(
            lacking
                .unwrap_err()
                .to_string()
                .contains("encoder.stem.conv.weight")
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut network = UnetTiny::build(&options()).unwrap();
        for shape in [
            vec![1, 3, 60, 64],
            vec![1, 4, 64, 64],
            vec![3, 64, 64],
            vec![0, 3, 64, 64],
        ] {
            let image = Tensor::zeros(shape.as_slice(), (Kind::Float, tch::Device::Cpu));
            let error = network
                .predict(&Tensors::new().with("image", image))
                .unwrap_err();
            assert!(error.to_string().contains(&format!("{shape:?}")), "{error}");
        }
        let settings = BTreeMap::from([("depth".to_owned(), 3.into())]);
        assert!(
            UnetTiny::build(&NetworkOptions {
                settings: settings.into(),
                ..options()
            })
            .is_err()
        );
        assert!(
            UnetTiny::build(&NetworkOptions {
                device: "tpu".to_owned(),
                ..options()
            })
            .is_err()
        );
    }
}
