//! The default network of a search: the decoder of `fpn_lite0` on features of its pretrained encoder that
//! never change.
//!
//! The encoder runs in evaluation mode and is no part of what is trained, so the host computes the maps
//! of each picture once. What a loss does to the decoder on pretrained features ranks losses much as long
//! trainings of the whole network do, which small networks from scratch do not.

use super::fpn::{self, Decoder};
use super::segmenter::{HEAD, labels_at};
use crate::inputs::{branch_inputs, predicted};
use autoloss_plugin_api::{
    Batch, Mode, NetworkInfo, NetworkOptions, Parameter, ProxyNetwork, Result, Tensors,
};
use autoloss_vision::networks::efficientnet_lite::Lite0;
use autoloss_vision::networks::layers::{Conv, Plan, enlarge};
use autoloss_vision::networks::normalisation::{Normalisation, SYMMETRIC};
use autoloss_vision::networks::pretrained::{self, Names};
use autoloss_vision::networks::weights::{Start, Weights};
use autoloss_vision::networks::{image_sides, num_classes};
use autoloss_vision::read_settings;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

const NAME: &str = "fpn_lite0_frozen";
/// The encoder's file, as `cargo xtask weights` writes it.
const FILE: &str = "efficientnet_lite0.safetensors";
/// The maps by their strides, the finest first.
const MAPS: [&str; 4] = ["stride4", "stride8", "stride16", "stride32"];
/// How `fpn_lite0` is trained end to end in a search's second stage, on scenes twice as large: at the proxy's size it
/// flatters the losses that the proxy does (docs/results.md).
const SECOND_STAGE: [&str; 6] = [
    "task.enlarge_scenes=2",
    "network.dropout=0",
    "proxy.budget.steps=500",
    "proxy.budget.batch_size=8",
    "proxy.budget.learning_rate=0.01",
    "proxy.budget.weight_decay=0.05",
];
/// Kendall's τ of the ranking of 20 losses with that of long training, by score (docs/results.md).
const FIDELITY: [&str; 6] = [
    "mIoU=0.80",
    "FWIoU=0.61",
    "gAcc=0.75",
    "mAcc=0.78",
    "BIoU=0.80",
    "BF1=0.77",
];
/// Image pixels to a logit, per axis.
const STRIDE: i64 = 4;

/// The network `fpn_lite0_frozen`: features of images (N, 3, H, W), H and W multiples of 32, to logits
/// (N, C, H/4, W/4). Features are the encoder's maps, (N, c, H/s, W/s) with c = 24, 40, 112, 320 for s = 4, 8,
/// 16, 32.
///
/// Its trained tensors have the names that they have in [`FpnLite0`](crate::FpnLite0).
#[derive(Debug)]
pub struct FpnLite0Frozen {
    /// Of decoder and head.
    weights: Weights,
    decoder: Decoder,
    head: Conv,
    /// Made when features are first asked for; trainings never do.
    encoder: Option<Encoder>,
    file: PathBuf,
}

impl ProxyNetwork for FpnLite0Frozen {
    fn info() -> NetworkInfo {
        let title = "The pyramid of fpn_lite0 on frozen pretrained features, computed once";
        NetworkInfo::new(NAME, title, [crate::TASK])
            .frozen_features()
            .weights(FILE)
            .defaults([
                ("proxy.budget.steps", json!(700)),
                ("proxy.budget.batch_size", json!(4)),
                ("proxy.budget.learning_rate", json!(0.01)),
                ("proxy.budget.warmup_steps", json!(140)),
                ("proxy.pruning.after", json!(0.1)),
                ("promotion.network", json!("fpn_lite0")),
                ("promotion.weights", json!(FILE)),
                ("promotion.set", json!(SECOND_STAGE)),
                ("promotion.fidelity", json!(FIDELITY)),
            ])
    }

    fn build(options: &NetworkOptions) -> Result<Self> {
        let mut dropout = 0.0;
        let owner = format!("network '{NAME}'");
        read_settings(owner, &["dropout"], options.settings.all(), |setting| {
            if setting.name() != "dropout" {
                return Ok(false);
            }
            let good = |share| (0.0..1.0).contains(&share);
            dropout = setting.number_where(good, "a number from 0 to below 1")?;
            Ok(true)
        })?;
        let Some(file) = options.weights.clone() else {
            return Err(format!(
                "network '{NAME}' needs the pretrained encoder {FILE}: name it with --weights"
            )
            .into());
        };
        // Labels are bytes.
        let classes = num_classes(&options.task, 255)?;
        let mut weights = Weights::new(options.device()?);
        let decoder = Decoder::new(&mut weights, dropout)?;
        let head = Plan::new([fpn::CHANNELS, classes], 1, Start::Linear).bias();
        let head = Conv::new(&mut weights, HEAD, head)?;
        weights.finish()?;
        Ok(Self {
            weights,
            decoder,
            head,
            encoder: None,
            file,
        })
    }

    fn frozen_features(&mut self, inputs: &Tensors) -> Result<Tensors> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(self.weights.device(), &self.file)?),
        };
        let maps = encoder.maps(inputs.get("image")?)?;
        Ok(MAPS.map(str::to_owned).into_iter().zip(maps).collect())
    }

    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<BTreeMap<String, Tensors>> {
        let logits = self.logits(&batch.inputs, mode)?;
        let labels = labels_at(batch.targets.get("labels")?, &logits.size())?;
        let inputs = branch_inputs(&logits, &labels)?;
        Ok(BTreeMap::from([(crate::BRANCH.to_owned(), inputs)]))
    }

    fn predict(&mut self, features: &Tensors) -> Result<Tensors> {
        predicted(&enlarge(&self.logits(features, Mode::Evaluate)?, STRIDE)?)
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.weights.parameters()
    }

    fn buffers(&self) -> Tensors {
        self.weights.buffers()
    }
}

impl FpnLite0Frozen {
    fn logits(&self, features: &Tensors, mode: Mode) -> Result<Tensor> {
        let map = |name| features.get(name).map(Tensor::shallow_clone);
        let [finest, fine, coarse, coarsest] = MAPS;
        let maps = [map(finest)?, map(fine)?, map(coarse)?, map(coarsest)?];
        let training = mode == Mode::Train;
        self.head.forward(&self.decoder.forward(&maps, training)?)
    }
}

/// The frozen part.
#[derive(Debug)]
struct Encoder {
    normalisation: Normalisation,
    lite: Lite0,
}

impl Encoder {
    fn new(device: Device, file: &Path) -> Result<Self> {
        let mut weights = Weights::new(device);
        let lite = Lite0::new(&mut weights, fpn::ENCODER)?;
        let names = Names {
            network: NAME,
            encoder: fpn::ENCODER,
            head: &[],
            bare: &[],
        };
        pretrained::finish(&mut weights, Some(file), &names)?;
        Ok(Self {
            normalisation: Normalisation::new(&SYMMETRIC, device)?,
            lite,
        })
    }

    fn maps(&self, image: &Tensor) -> Result<[Tensor; 4]> {
        image_sides(NAME, image, fpn::ENCODER_STRIDE)?;
        self.lite.forward(&self.normalisation.apply(image)?, false)
    }
}
