//! The settings of a pretrainable network, checked before anything is built.

use super::segmenter::Design;
use autoloss_plugin_api::{Result, serde_json::Value};
use autoloss_vision::Setting;
use std::collections::BTreeMap;

/// The settings of `[network]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Share of the decoder's values, or channels, set to zero in training: 0 to below 1.
    pub(crate) dropout: f64,
    /// Image pixels to a position of the loss, per axis: 1 or the head's own stride.
    pub(crate) loss_stride: i64,
}

impl Settings {
    /// Reads the settings by name; those that are not named keep the design's default.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn read(design: &Design, named: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = Self {
            dropout: design.dropout,
            loss_stride: design.stride,
        };
        for (name, value) in named {
            let setting = Setting::new(name, value);
            match name.as_str() {
                "dropout" => {
                    let good = |share| (0.0..1.0).contains(&share);
                    let expected = "a number from 0 to below 1";
                    settings.dropout = setting.number(good, expected)?;
                }
                "loss_stride" => {
                    let head = design.stride;
                    let good = |stride| [1, head].contains(&(stride as i64));
                    let expected = format!("1 (every pixel) or {head} (every logit)");
                    settings.loss_stride = setting.whole(good, &expected)? as i64;
                }
                _ => {
                    return Err(format!(
                        "network '{}' has no setting '{name}' (there are: dropout, loss_stride)",
                        design.name
                    )
                    .into());
                }
            }
        }
        Ok(settings)
    }
}
