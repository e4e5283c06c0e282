//! The messages of metrics and of screening metrics.

use super::message::{Answer, Inside, Names, finite, requests};
use crate::{Metric, ScreeningMetric};
use serde::{Deserialize, Serialize};

requests! {
    /// Calls a method of a metric.
    MetricRequest of "Metric", answered by MetricResponse {
        /// [`Metric::update`]
        Update {
            /// Names of the predictions.
            predictions: Names,
            /// Names of the targets.
            targets: Names,
        } = "update",
        /// [`Metric::compute`]
        Compute = "compute",
    }
}

/// What a metric answers, by the request's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricResponse {
    /// The batch was counted.
    Update,
    /// Scores by name, null for one that is not finite.
    Compute(Vec<(String, Option<f64>)>),
}

impl MetricRequest {
    /// Calls the method.
    pub(super) fn serve(
        self,
        metric: &mut dyn Metric,
        inside: &mut Inside,
    ) -> Answer<MetricResponse> {
        let response = match self {
            Self::Update {
                predictions,
                targets,
            } => {
                let (predictions, targets) = (inside.take(predictions)?, inside.take(targets)?);
                metric.update(&predictions, &targets)?;
                MetricResponse::Update
            }
            Self::Compute => {
                let scores = metric.compute()?.into_iter();
                MetricResponse::Compute(scores.map(|(name, score)| (name, finite(score))).collect())
            }
        };
        Ok((response, Vec::new()))
    }
}

requests! {
    /// Calls a method of a screening metric.
    ScreeningMetricRequest of "ScreeningMetric", answered by ScreeningMetricResponse {
        /// [`ScreeningMetric::screen`]
        Screen {
            /// The score.
            score: String,
            /// Names of the predictions.
            predictions: Names,
            /// Names of the targets.
            targets: Names,
        } = "screen",
    }
}

/// What a screening metric answers, by the request's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreeningMetricResponse {
    /// One score per sample, null for one that is not finite.
    Screen(Vec<Option<f64>>),
}

impl ScreeningMetricRequest {
    /// Calls the method.
    pub(super) fn serve(
        self,
        metric: &mut dyn ScreeningMetric,
        inside: &mut Inside,
    ) -> Answer<ScreeningMetricResponse> {
        let Self::Screen {
            score,
            predictions,
            targets,
        } = self;
        let (predictions, targets) = (inside.take(predictions)?, inside.take(targets)?);
        let scores = metric.screen(&score, &predictions, &targets)?.into_iter();
        let scores = ScreeningMetricResponse::Screen(scores.map(finite).collect());
        Ok((scores, Vec::new()))
    }
}
