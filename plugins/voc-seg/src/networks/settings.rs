//! The settings of a pretrainable network, checked before anything is built.

use super::segmenter::Design;
use autoloss_plugin_api::{Result, serde_json::Value};
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
            match name.as_str() {
                "dropout" => settings.dropout = dropout(value)?,
                "loss_stride" => settings.loss_stride = loss_stride(value, design.stride)?,
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

fn dropout(value: &Value) -> Result<f64> {
    value
        .as_f64()
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| {
            format!("setting 'dropout' is {value}, expected a number from 0 to below 1").into()
        })
}

fn loss_stride(value: &Value, head: i64) -> Result<i64> {
    value
        .as_i64()
        .filter(|stride| [1, head].contains(stride))
        .ok_or_else(|| {
            format!(
                "setting 'loss_stride' is {value}, expected 1 (every pixel) or {head} (every logit)"
            )
            .into()
        })
}
