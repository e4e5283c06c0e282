//! A metric on the plugin's side.

use super::{Object, Result, all, names};
use crate::plugin::Plugin;
use autoloss_plugin_api::boundary::{Create, Request, Response};
use autoloss_plugin_api::{MetricInfo, MetricOptions, Scores, Tensors};
use std::sync::Arc;

/// A metric of a plugin.
pub struct RemoteMetric {
    object: Object,
    name: String,
    /// The scores that must be there.
    scores: Vec<String>,
}

impl RemoteMetric {
    /// Creates the metric.
    ///
    /// # Errors
    /// Whatever the plugin says.
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
    /// Whatever the plugin says.
    pub fn update(&self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        let request = Request::Update {
            predictions: names(predictions),
            targets: names(targets),
        };
        self.object
            .call(&request, &all([predictions, targets]))
            .map(|_| ())
    }

    /// The scores of all that was counted: every declared one but optional ones, each finite.
    ///
    /// # Errors
    /// Whatever the plugin says, or which score is not finite.
    pub fn compute(&self) -> Result<Scores> {
        let (response, sent) = self.object.call(&Request::Compute, &[])?;
        let Response::Scores(scores) = response else {
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

    /// One score for each optimised sample.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn screen(
        &self,
        score: &str,
        predictions: &Tensors,
        targets: &Tensors,
        samples: usize,
    ) -> Result<Vec<f64>> {
        let request = Request::Screen {
            score: score.to_owned(),
            predictions: names(predictions),
            targets: names(targets),
        };
        let (response, sent) = self.object.call(&request, &all([predictions, targets]))?;
        let Response::SampleScores(scores) = response else {
            return Err(sent.unexpected(&response));
        };
        if scores.len() != samples {
            return Err(sent.broke(format!("{} scores for {samples} samples", scores.len())));
        }
        scores
            .into_iter()
            .map(|known| known.ok_or_else(|| sent.broke(format!("score '{score}' is not finite"))))
            .collect()
    }
}
