//! A detector of the catalogue: backbone, proposals, head, and what of it is trained.

use super::backbone::{Backbone, ENCODER, Encoder};
use super::heads::{Found, Head};
use super::inputs::{self, Lists};
use super::proposals::{Proposer, Said};
use super::settings::Settings;
use crate::targets::{Truth, truths};
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
};
use autoloss_vision::detection::{BalancedSampler, BoxCoder, Matcher};
use autoloss_vision::networks::normalisation::{IMAGENET, Normalisation};
use autoloss_vision::networks::pretrained::{self, Names};
use autoloss_vision::networks::weights::Weights;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use tch::{Kind, Tensor};

/// What a detector is made of.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    /// Its name.
    pub name: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// From images to maps.
    pub encoder: Encoder,
    /// Pixels to a position of the levels that regions are pooled from, each twice the one before.
    pub strides: &'static [i64],
    /// Channels of the levels.
    pub width: i64,
    /// Sides of the anchors of every level, pixels; there is one level more than strides.
    pub anchors: &'static [f64],
    /// A region of this side, in pixels, is pooled from this level.
    pub canonical: [i64; 2],
    /// Bins of a pooled region, per axis.
    pub pooled: i64,
    /// Numbers in the head's hidden layers.
    pub hidden: i64,
    /// Regions kept, before and after suppression, in training and in evaluation.
    pub proposals: [i64; 2],
    /// Anchors and regions of a picture that are trained on.
    pub sampled: [i64; 2],
    /// Whether normalisations over the batch are kept as they are.
    pub frozen_norms: bool,
}

/// Chooses a design.
pub trait Choice: Send + 'static {
    /// The design.
    const DESIGN: Design;
}

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
    settings: Settings,
    choice: PhantomData<fn() -> C>,
}

/// Pictures on their way: levels, sizes and what is said of the anchors.
struct Seen {
    levels: Vec<Tensor>,
    sizes: Vec<[i64; 2]>,
    said: Said,
}

impl<C: Choice> ProxyNetwork for FasterRcnn<C> {
    fn info() -> NetworkInfo {
        NetworkInfo::new(C::DESIGN.name, C::DESIGN.title, [crate::TASK])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        let design = C::DESIGN;
        let settings = Settings::read(&design, &options.settings)?;
        let classes = options.task.whole("num_classes")?;
        if !(2..=10_000).contains(&classes) {
            return Err(format!("{classes} classes, expected 2 to 10000").into());
        }
        let mut weights = Weights::new(options.device()?);
        weights.freeze_norms(settings.frozen_norms);
        let backbone = Backbone::new(&mut weights, &design, settings.norm_epsilon)?;
        let proposer = Proposer::new(&mut weights, &design)?;
        let head = Head::new(&mut weights, &design, classes)?;
        weights.finish()?;
        if let Some(file) = &options.weights {
            let names = Names {
                network: design.name,
                encoder: ENCODER,
                head: &["roi_heads.box_predictor."],
                bare: &["backbone.fpn.", "rpn.head.conv."],
            };
            pretrained::load(&weights, file, &names)?;
        }
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
        let seen = self.see(&batch.inputs, mode)?;
        let truths = truths(&batch.targets, self.weights.device())?;
        if truths.len() != seen.sizes.len() {
            let (pictures, truths) = (seen.sizes.len(), truths.len());
            return Err(format!("{pictures} pictures with objects of {truths}").into());
        }
        let anchors = self.sampled_anchors(&seen.said, &truths)?;
        let regions = self.proposer.regions(&seen.said, &seen.sizes, mode)?;
        let regions = self.sampled_regions(&seen, regions, &truths)?;
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
    fn see(&self, inputs: &Tensors, mode: Mode) -> Result<Seen> {
        let (image, sizes) = (inputs.get("image")?, inputs.get("size")?);
        let shape = image.size();
        let canvas = match shape[..] {
            [n, 3, h, w] if n > 0 && h > 0 && w > 0 && h % 32 == 0 && w % 32 == 0 => [h, w],
            _ => {
                let name = C::DESIGN.name;
                return Err(format!(
                    "network '{name}': image has shape {shape:?}, expected (N, 3, H, W) with H and W \
                     multiples of 32"
                )
                .into());
            }
        };
        let rows: Vec<Vec<i64>> = Vec::try_from(&sizes.f_to_device(tch::Device::Cpu)?)?;
        let sizes: Vec<[i64; 2]> = rows
            .iter()
            .filter_map(|row| row[..].try_into().ok())
            .collect();
        if sizes.len() as i64 != shape[0] {
            return Err(
                format!("'size' has {} pairs for {} pictures", sizes.len(), shape[0]).into(),
            );
        }
        let image = self.normalised(image, &sizes)?;
        let levels = self.backbone.forward(&image, mode == Mode::Train)?;
        let said = self.proposer.forward(&levels, canvas)?;
        Ok(Seen {
            levels,
            sizes,
            said,
        })
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

    fn detect(&self, inputs: &Tensors) -> Result<Vec<Found>> {
        let seen = self.see(inputs, Mode::Evaluate)?;
        let regions = self
            .proposer
            .regions(&seen.said, &seen.sizes, Mode::Evaluate)?;
        let verdicts = self.head.forward(&seen.levels, &regions)?;
        let mut start = 0;
        let pictures = regions.iter().zip(&seen.sizes);
        let of = |(regions, size): (&Tensor, &[i64; 2])| {
            let count = regions.size()[0];
            let own = super::heads::Verdicts {
                logits: verdicts.logits.f_narrow(0, start, count)?,
                offsets: verdicts.offsets.f_narrow(0, start, count)?,
            };
            start += count;
            Head::detect(&own, regions, *size, &self.settings)
        };
        pictures.map(of).collect()
    }

    /// What is said of the sampled anchors of all pictures.
    fn sampled_anchors(&self, said: &Said, truths: &[Truth]) -> Result<Lists> {
        let coder = BoxCoder::of_proposals();
        let mut all = Gathered::default();
        for (index, truth) in truths.iter().enumerate() {
            let ignored = Some(&truth.ignored).filter(|ignored| ignored.size()[0] > 0);
            let matches = self.matchers[0].assign(&truth.boxes, &said.anchors, ignored)?;
            let sampled = self.samplers[0].sample(&matches)?;
            let (positive, negative) = (sampled.positive, sampled.negative);
            let chosen = Tensor::f_cat(&[&positive, &negative], 0)?;
            let logits = said
                .logits
                .f_get(index as i64)?
                .f_index_select(0, &chosen)?;
            // Background and object.
            let shares = Tensor::f_stack(&[logits.f_neg()?.f_sigmoid()?, logits.f_sigmoid()?], 1)?;
            let labels = [positive.f_ones_like()?, negative.f_zeros_like()?];
            let own = said
                .offsets
                .f_get(index as i64)?
                .f_index_select(0, &positive)?;
            let due = truth
                .boxes
                .f_index_select(0, &matches.f_index_select(0, &positive)?)?;
            let due = coder.encode(&due, &said.anchors.f_index_select(0, &positive)?)?;
            all.add(&shares, &Tensor::f_cat(&labels, 0)?, [own, due])?;
        }
        all.lists(coder)
    }

    /// What is said of the sampled regions of all pictures, the objects' own boxes among them.
    fn sampled_regions(
        &self,
        seen: &Seen,
        regions: Vec<Tensor>,
        truths: &[Truth],
    ) -> Result<Lists> {
        let mut chosen = Vec::new();
        let mut due = Vec::new();
        for ((regions, truth), size) in regions.into_iter().zip(truths).zip(&seen.sizes) {
            let mut regions = Tensor::f_cat(&[&regions, &truth.boxes], 0)?;
            if regions.size()[0] == 0 {
                // A network that says nothing finite is still to be given its loss.
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
            due.push((Tensor::f_cat(&labels, 0)?, boxes));
        }
        let verdicts = self.head.forward(&seen.levels, &chosen)?;
        let shares = verdicts.logits.f_softmax(-1, Kind::Float)?;
        let coder = BoxCoder::of_head();
        let (mut all, mut start) = (Gathered::default(), 0);
        for (regions, (labels, boxes)) in chosen.iter().zip(due) {
            let (count, positives) = (labels.size()[0], boxes.size()[0]);
            let own = verdicts.offsets.f_narrow(0, start, positives)?;
            let own = own.f_view([positives, verdicts.logits.size()[1], 4])?;
            // Of each class's offsets those of the object's.
            let class = labels.f_narrow(0, 0, positives)?.f_view([-1, 1, 1])?;
            let own = own.f_gather(1, &class.f_expand([positives, 1, 4], false)?, false)?;
            let due = coder.encode(&boxes, &regions.f_narrow(0, 0, positives)?)?;
            let shares = shares.f_narrow(0, start, count)?;
            all.add(&shares, &labels, [own.f_view([-1, 4])?, due])?;
            start += count;
        }
        all.lists(coder)
    }
}

/// The lists of pictures, one after the other. Positives come first in each.
#[derive(Default)]
struct Gathered {
    shares: Vec<Tensor>,
    labels: Vec<Tensor>,
    positive: Vec<Tensor>,
    own: Vec<Tensor>,
    due: Vec<Tensor>,
    count: i64,
}

impl Gathered {
    fn add(&mut self, shares: &Tensor, labels: &Tensor, [own, due]: [Tensor; 2]) -> Result<()> {
        let positives = Tensor::f_arange(own.size()[0], (Kind::Int64, shares.device()))?;
        self.positive.push(positives.f_add_scalar(self.count)?);
        self.count += shares.size()[0];
        self.shares.push(shares.shallow_clone());
        self.labels.push(labels.shallow_clone());
        self.own.push(own);
        self.due.push(due);
        Ok(())
    }

    fn lists(self, coder: BoxCoder) -> Result<Lists> {
        let all = |tensors: &[Tensor]| Tensor::f_cat(tensors, 0);
        Ok(Lists {
            shares: all(&self.shares)?,
            labels: all(&self.labels)?,
            positive: all(&self.positive)?,
            offsets: [all(&self.own)?, all(&self.due)?],
            coder,
        })
    }
}

/// `boxes` (N, D, 4), `scores` (N, D) and `labels` (N, D), 0 where a picture has fewer.
fn padded(found: &[Found]) -> Result<Tensors> {
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
