//! Faster R-CNN: backbone, proposals, head, and the samples that it is trained on.

use super::backbone::{Backbone, ENCODER};
use super::design::{Choice, NetworkSettings};
use super::heads::{DetectedBoxes, Head};
use super::inputs::{self, Samples};
use super::proposals::{Proposer, RpnOutput};
use crate::targets::{Truth, truths};
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
};
use autoloss_vision::detection::{BalancedSampler, BoxCoder, Matcher};
use autoloss_vision::networks::normalisation::{IMAGENET, Normalisation};
use autoloss_vision::networks::pretrained::{self, Names};
use autoloss_vision::networks::weights::Weights;
use autoloss_vision::networks::{CANVAS_STEP, image_sides, num_classes};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use tch::{Kind, Tensor};

/// A two-stage detector.
#[derive(Debug)]
pub struct FasterRcnn<C> {
    normalisation: Normalisation,
    weights: Weights,
    backbone: Backbone,
    proposer: Proposer,
    head: Head,
    matchers: [Matcher; 2],
    samplers: [BalancedSampler; 2],
    settings: NetworkSettings,
    choice: PhantomData<fn() -> C>,
}

/// Of a batch of pictures: the levels of the pyramid, the sizes, and the predictions for anchors.
struct Features {
    levels: Vec<Tensor>,
    sizes: Vec<[i64; 2]>,
    rpn: RpnOutput,
}

impl<C: Choice> ProxyNetwork for FasterRcnn<C> {
    fn info() -> NetworkInfo {
        NetworkInfo::new(C::DESIGN.name, C::DESIGN.title, [crate::TASK])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        let design = C::DESIGN;
        let settings = NetworkSettings::read(&design, options.settings.all())?;
        let classes = num_classes(&options.task, 10_000)?;
        let mut weights = Weights::new(options.device()?);
        weights.freeze_norms(settings.frozen_norms);
        let backbone = Backbone::new(&mut weights, &design, settings.norm_epsilon)?;
        let proposer = Proposer::new(&mut weights, &design)?;
        let head = Head::new(&mut weights, &design, classes)?;
        let names = Names {
            network: design.name,
            encoder: ENCODER,
            head: &["roi_heads.box_predictor."],
            bare: &["backbone.fpn.", "rpn.head.conv."],
        };
        pretrained::finish(&mut weights, options.weights.as_deref(), &names)?;
        let [anchors, regions] = design.sampled;
        Ok(Self {
            normalisation: Normalisation::new(&IMAGENET, weights.device())?,
            weights,
            backbone,
            proposer,
            head,
            matchers: [
                Matcher::new(0.3, 0.7, true)?,
                Matcher::new(0.5, 0.5, false)?,
            ],
            samplers: [
                BalancedSampler::new(anchors, 0.5)?,
                BalancedSampler::new(regions, 0.25)?,
            ],
            settings,
            choice: PhantomData,
        })
    }

    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        let features = self.features(&batch.inputs, mode)?;
        let truths = truths(&batch.targets, self.weights.device())?;
        if truths.len() != features.sizes.len() {
            let (pictures, truths) = (features.sizes.len(), truths.len());
            return Err(format!("{pictures} pictures with objects of {truths}").into());
        }
        let anchors = self.sampled_anchors(&features.rpn, &truths)?;
        let regions = self
            .proposer
            .regions(&features.rpn, &features.sizes, mode)?;
        let regions = self.sampled_regions(&features, regions, &truths)?;
        if mode == Mode::Train {
            self.weights.count_batch()?;
        }
        inputs::named(&anchors, &regions)
    }

    fn predict(&mut self, inputs: &Tensors) -> Result<Tensors> {
        let found = self.detect(inputs)?;
        padded(&found)
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.weights.parameters()
    }

    fn buffers(&self) -> Tensors {
        self.weights.buffers()
    }
}

impl<C: Choice> FasterRcnn<C> {
    fn features(&self, inputs: &Tensors, mode: Mode) -> Result<Features> {
        let (image, sizes) = (inputs.get("image")?, inputs.get("size")?);
        let canvas = image_sides(C::DESIGN.name, image, CANVAS_STEP)?;
        let pictures = image.size()[0];
        let rows: Vec<Vec<i64>> = Vec::try_from(&sizes.f_to_device(tch::Device::Cpu)?)?;
        let sizes: Vec<[i64; 2]> = rows
            .iter()
            .filter_map(|row| row[..].try_into().ok())
            .collect();
        if sizes.len() as i64 != pictures {
            let pairs = sizes.len();
            return Err(format!("'size' has {pairs} pairs for {pictures} pictures").into());
        }
        let image = self.normalised(image, &sizes)?;
        let levels = self.backbone.forward(&image, mode == Mode::Train)?;
        let rpn = self.proposer.forward(&levels, canvas)?;
        Ok(Features { levels, sizes, rpn })
    }

    /// The images as published weights expect them, with zeros beside the pictures.
    fn normalised(&self, image: &Tensor, sizes: &[[i64; 2]]) -> Result<Tensor> {
        let normal = self.normalisation.apply(image)?;
        let canvas = [image.size()[2], image.size()[3]];
        for (index, [height, width]) in sizes.iter().enumerate() {
            let own = normal.f_get(index as i64)?;
            for (axis, from) in [(1, *height), (2, *width)] {
                let rest = canvas[axis as usize - 1] - from;
                if rest > 0 && from >= 0 {
                    let _ = own.f_narrow(axis, from, rest)?.f_zero_()?;
                }
            }
        }
        Ok(normal)
    }

    fn detect(&self, inputs: &Tensors) -> Result<Vec<DetectedBoxes>> {
        let features = self.features(inputs, Mode::Evaluate)?;
        let regions = self
            .proposer
            .regions(&features.rpn, &features.sizes, Mode::Evaluate)?;
        let output = self.head.forward(&features.levels, &regions)?;
        let mut start = 0;
        let pictures = regions.iter().zip(&features.sizes);
        let of = |(regions, size): (&Tensor, &[i64; 2])| {
            let count = regions.size()[0];
            let own = super::heads::HeadOutput {
                logits: output.logits.f_narrow(0, start, count)?,
                offsets: output.offsets.f_narrow(0, start, count)?,
            };
            start += count;
            Head::detect(&own, regions, *size, &self.settings)
        };
        pictures.map(of).collect()
    }

    /// Predictions and targets of the sampled anchors of all pictures.
    fn sampled_anchors(&self, rpn: &RpnOutput, truths: &[Truth]) -> Result<Samples> {
        let coder = BoxCoder::of_proposals();
        let mut all = Gathered::default();
        for (index, truth) in truths.iter().enumerate() {
            let ignored = Some(&truth.ignored).filter(|ignored| ignored.size()[0] > 0);
            let matches = self.matchers[0].assign(&truth.boxes, &rpn.anchors, ignored)?;
            let sampled = self.samplers[0].sample(&matches)?;
            let (positive, negative) = (sampled.positive, sampled.negative);
            let chosen = Tensor::f_cat(&[&positive, &negative], 0)?;
            let logits = rpn.logits.f_get(index as i64)?.f_index_select(0, &chosen)?;
            // Background and object.
            let probabilities =
                Tensor::f_stack(&[logits.f_neg()?.f_sigmoid()?, logits.f_sigmoid()?], 1)?;
            let labels = [positive.f_ones_like()?, negative.f_zeros_like()?];
            let predicted = rpn
                .offsets
                .f_get(index as i64)?
                .f_index_select(0, &positive)?;
            let targets = truth
                .boxes
                .f_index_select(0, &matches.f_index_select(0, &positive)?)?;
            let targets = coder.encode(&targets, &rpn.anchors.f_index_select(0, &positive)?)?;
            all.add(
                &probabilities,
                &Tensor::f_cat(&labels, 0)?,
                [predicted, targets],
            )?;
        }
        all.samples(coder)
    }

    /// Predictions and targets of the sampled regions of all pictures, the objects' predicted boxes among them.
    fn sampled_regions(
        &self,
        features: &Features,
        regions: Vec<Tensor>,
        truths: &[Truth],
    ) -> Result<Samples> {
        let mut chosen = Vec::new();
        let mut targets = Vec::new();
        for ((regions, truth), size) in regions.into_iter().zip(truths).zip(&features.sizes) {
            let mut regions = Tensor::f_cat(&[&regions, &truth.boxes], 0)?;
            if regions.size()[0] == 0 {
                // A network without a finite prediction still gets its loss.
                let whole = [0.0, 0.0, size[1] as f32, size[0] as f32];
                let whole = Tensor::f_from_slice(&whole)?.f_view([1, 4])?;
                regions = whole.f_to_device(self.weights.device())?;
            }
            let ignored = Some(&truth.ignored).filter(|ignored| ignored.size()[0] > 0);
            let matches = self.matchers[1].assign(&truth.boxes, &regions, ignored)?;
            let sampled = self.samplers[1].sample(&matches)?;
            let (positive, negative) = (sampled.positive, sampled.negative);
            let objects = matches.f_index_select(0, &positive)?;
            let labels = [
                truth.labels.f_index_select(0, &objects)?,
                negative.f_zeros_like()?,
            ];
            let all = Tensor::f_cat(&[&positive, &negative], 0)?;
            chosen.push(regions.f_index_select(0, &all)?);
            let boxes = truth.boxes.f_index_select(0, &objects)?;
            targets.push((Tensor::f_cat(&labels, 0)?, boxes));
        }
        let output = self.head.forward(&features.levels, &chosen)?;
        let probabilities = output.logits.f_softmax(-1, Kind::Float)?;
        let coder = BoxCoder::of_head();
        let (mut all, mut start) = (Gathered::default(), 0);
        for (regions, (labels, boxes)) in chosen.iter().zip(targets) {
            let (count, positives) = (labels.size()[0], boxes.size()[0]);
            let predicted = output.offsets.f_narrow(0, start, positives)?;
            let predicted = predicted.f_view([positives, output.logits.size()[1], 4])?;
            // The offsets of the object's class alone.
            let class = labels.f_narrow(0, 0, positives)?.f_view([-1, 1, 1])?;
            let predicted =
                predicted.f_gather(1, &class.f_expand([positives, 1, 4], false)?, false)?;
            let targets = coder.encode(&boxes, &regions.f_narrow(0, 0, positives)?)?;
            let probabilities = probabilities.f_narrow(0, start, count)?;
            all.add(
                &probabilities,
                &labels,
                [predicted.f_view([-1, 4])?, targets],
            )?;
            start += count;
        }
        all.samples(coder)
    }
}

/// The samples of pictures, one after the other; positives come first in each picture.
#[derive(Default)]
struct Gathered {
    probabilities: Vec<Tensor>,
    labels: Vec<Tensor>,
    positive: Vec<Tensor>,
    predicted: Vec<Tensor>,
    targets: Vec<Tensor>,
    count: i64,
}

impl Gathered {
    fn add(
        &mut self,
        probabilities: &Tensor,
        labels: &Tensor,
        [predicted, targets]: [Tensor; 2],
    ) -> Result<()> {
        let positives =
            Tensor::f_arange(predicted.size()[0], (Kind::Int64, probabilities.device()))?;
        self.positive.push(positives.f_add_scalar(self.count)?);
        self.count += probabilities.size()[0];
        self.probabilities.push(probabilities.shallow_clone());
        self.labels.push(labels.shallow_clone());
        self.predicted.push(predicted);
        self.targets.push(targets);
        Ok(())
    }

    fn samples(self, coder: BoxCoder) -> Result<Samples> {
        let all = |tensors: &[Tensor]| Tensor::f_cat(tensors, 0);
        Ok(Samples {
            probabilities: all(&self.probabilities)?,
            labels: all(&self.labels)?,
            positive: all(&self.positive)?,
            offsets: [all(&self.predicted)?, all(&self.targets)?],
            coder,
        })
    }
}

/// `boxes` (N, D, 4), `scores` (N, D) and `labels` (N, D), 0 where a picture has fewer.
fn padded(found: &[DetectedBoxes]) -> Result<Tensors> {
    let most = found.iter().map(|found| found.boxes.size()[0]).max();
    let most = most.unwrap_or(0).max(1);
    let (mut boxes, mut scores, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for found in found {
        let rest = most - found.boxes.size()[0];
        boxes.push(found.boxes.f_constant_pad_nd([0, 0, 0, rest])?);
        scores.push(found.scores.f_constant_pad_nd([0, rest])?);
        labels.push(found.labels.f_constant_pad_nd([0, rest])?);
    }
    Ok(Tensors::new()
        .with("boxes", Tensor::f_stack(&boxes, 0)?)
        .with("scores", Tensor::f_stack(&scores, 0)?)
        .with("labels", Tensor::f_stack(&labels, 0)?))
}
