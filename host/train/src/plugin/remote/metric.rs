//! Metrics and screening metrics on the plugin's side.

use super::{Object, Result, all, names};
use crate::plugin::Plugin;
use autoloss_plugin_api::boundary::{
    Create, MetricRequest, MetricResponse, ScreeningMetricRequest, ScreeningMetricResponse,
};
use autoloss_plugin_api::{MetricInfo, MetricOptions, Scores, Tensors};
use std::sync::Arc;

/// A metric of a plugin.
pub struct RemoteMetric {
    object: Object<MetricRequest>,
    name: String,
    /// The scores that must be there.
    scores: Vec<String>,
}

impl RemoteMetric {
    /// Creates the metric.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn create(plugin: &Arc<Plugin>, info: &MetricInfo, options: MetricOptions) -> Result<Self> {
        let what = Create::Metric(info.name.clone(), Box::new(options));
        Ok(Self {
            object: Object::new(plugin, &what)?,
            name: info.name.clone(),
            scores: info
                .scores
                .iter()
                .filter(|score| !info.optional_scores.contains(score))
                .cloned()
                .collect(),
        })
    }

    /// Counts a batch.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn update(&self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        let request = MetricRequest::Update {
            predictions: names(predictions),
            targets: names(targets),
        };
        self.object
            .call(request, &all([predictions, targets]))
            .map(|_| ())
    }

    /// The scores of all that was counted: every declared one but optional ones, each finite.
    ///
    /// # Errors
    /// The plugin's own, or which score is not finite.
    pub fn compute(&self) -> Result<Scores> {
        let (response, sent) = self.object.call(MetricRequest::Compute, &[])?;
        let MetricResponse::Compute(scores) = response else {
            return Err(sent.unexpected(&response));
        };
        let missing = self
            .scores
            .iter()
            .find(|name| !scores.iter().any(|(known, _)| known == *name));
        if let Some(name) = missing {
            return Err(sent.broke(format!("score '{name}' of '{}' is missing", self.name)));
        }
        scores
            .into_iter()
            .map(|(name, score)| match score {
                Some(score) => Ok((name, score)),
                None => Err(sent.broke(format!("score '{name}' of '{}' is not finite", self.name))),
            })
            .collect()
    }
}

/// A screening metric of a plugin.
pub struct RemoteScreeningMetric {
    object: Object<ScreeningMetricRequest>,
}

impl RemoteScreeningMetric {
    /// Creates the screening metric of this name.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn create(plugin: &Arc<Plugin>, name: &str, options: MetricOptions) -> Result<Self> {
        let what = Create::ScreeningMetric(name.to_owned(), Box::new(options));
        Ok(Self {
            object: Object::new(plugin, &what)?,
        })
    }

    /// One finite score for each optimised sample.
    ///
    /// # Errors
    /// The plugin's own, or how its answer breaks the rules.
    pub fn screen(
        &self,
        score: &str,
        predictions: &Tensors,
        targets: &Tensors,
        samples: usize,
    ) -> Result<Vec<f64>> {
        let request = ScreeningMetricRequest::Screen {
            score: score.to_owned(),
            predictions: names(predictions),
            targets: names(targets),
        };
        let (response, sent) = self.object.call(request, &all([predictions, targets]))?;
        let ScreeningMetricResponse::Screen(scores) = response;
        if scores.len() != samples {
            return Err(sent.broke(format!("{} scores for {samples} samples", scores.len())));
        }
        scores
            .into_iter()
            .map(|known| known.ok_or_else(|| sent.broke(format!("score '{score}' is not finite"))))
            .collect()
    }
}
