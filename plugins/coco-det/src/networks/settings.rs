//! The settings of a detector, checked before anything is built.

use super::detector::Design;
use autoloss_plugin_api::{Result, serde_json::Value};
use autoloss_vision::Setting;
use std::collections::BTreeMap;

const KNOWN: &str = "frozen_norms, norm_epsilon, score_threshold, detections";

/// The settings of `[network]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Whether normalisations over the batch keep their statistics and are not trained.
    pub(crate) frozen_norms: bool,
    /// Added to the variances of a ResNet: 0 for the first weights that torchvision published, else 1e-5.
    pub(crate) norm_epsilon: f64,
    /// Least score of a detection.
    pub(crate) score_threshold: f64,
    /// Most detections of a picture.
    pub(crate) detections: i64,
}

impl Settings {
    /// Reads the settings by name; those that are not named keep the design's default.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn read(design: &Design, named: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = Self {
            frozen_norms: design.frozen_norms,
            norm_epsilon: autoloss_vision::networks::layers::EPSILON,
            score_threshold: 0.05,
            detections: 100,
        };
        for (name, value) in named {
            let setting = Setting::new(name, value);
            let share = || setting.number(|found| (0.0..=1.0).contains(&found), "0 to 1");
            match name.as_str() {
                "frozen_norms" => settings.frozen_norms = setting.switch()?,
                "norm_epsilon" => settings.norm_epsilon = share()?,
                "score_threshold" => settings.score_threshold = share()?,
                "detections" => {
                    let good = |found| (1..=10_000).contains(&found);
                    settings.detections = setting.whole(good, "1 to 10000")? as i64;
                }
                _ => {
                    let network = design.name;
                    return Err(format!(
                        "network '{network}' has no setting '{name}' (there are: {KNOWN})"
                    )
                    .into());
                }
            }
        }
        Ok(settings)
    }
}
