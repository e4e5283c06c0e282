//! The parts of a detector and its settings.

use autoloss_plugin_api::{Result, serde_json::Value};
use autoloss_vision::networks::layers::EPSILON;
use autoloss_vision::read_settings;
use std::collections::BTreeMap;

/// The encoder of a detector.
#[derive(Debug, Clone, Copy)]
pub enum Encoder {
    /// A ResNet with these numbers of blocks in its stages.
    ResNet([usize; 4]),
    /// Five convolutions.
    Tiny,
}

/// The parts of a detector and their sizes.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    /// Its name.
    pub name: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// The encoder, from images to maps.
    pub encoder: Encoder,
    /// Pixels to a position of the levels that regions are pooled from, each twice the one before.
    pub strides: &'static [i64],
    /// Channels of the levels.
    pub width: i64,
    /// Sides of the anchors of every level, pixels; there is one level more than strides.
    pub anchors: &'static [f64],
    /// A region of this side, in pixels, is pooled from the level of this number.
    pub canonical: [i64; 2],
    /// Bins of a pooled region, per axis.
    pub pooled: i64,
    /// Width of the head's hidden layers.
    pub hidden: i64,
    /// The most regions of a picture, before and after suppression, in training and in evaluation.
    pub proposals: [i64; 2],
    /// The numbers of anchors and of regions of a picture that are trained on.
    pub sampled: [i64; 2],
    /// Whether batch normalisations are frozen, by default.
    pub frozen_norms: bool,
}

/// Chooses a design at compile time: plugins register types.
pub trait Choice: Send + 'static {
    /// The design.
    const DESIGN: Design;
}

/// The name of every setting.
const KNOWN: [&str; 4] = [
    "frozen_norms",
    "norm_epsilon",
    "score_threshold",
    "detections",
];

/// The settings of `[network]`, checked before anything is built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkSettings {
    /// Whether batch normalisations are frozen: with their running statistics, untrained.
    pub(crate) frozen_norms: bool,
    /// Added to the variances of a ResNet: 0 for the first weights that torchvision published, else 1e-5.
    pub(crate) norm_epsilon: f64,
    /// Least score of a detection.
    pub(crate) score_threshold: f64,
    /// Most detections of a picture.
    pub(crate) detections: i64,
}

impl NetworkSettings {
    /// The settings by name; those that are not named have the design's default.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn read(design: &Design, named: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = Self {
            frozen_norms: design.frozen_norms,
            norm_epsilon: EPSILON,
            score_threshold: 0.05,
            detections: 100,
        };
        let owner = format!("network '{}'", design.name);
        read_settings(owner, &KNOWN, named, |setting| {
            match setting.name() {
                "frozen_norms" => settings.frozen_norms = setting.switch()?,
                "norm_epsilon" => settings.norm_epsilon = setting.number(0.0..=1.0)?,
                "score_threshold" => settings.score_threshold = setting.number(0.0..=1.0)?,
                "detections" => {
                    settings.detections = setting.whole(1..=10_000, "detections")? as i64;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(settings)
    }
}
