//! The messages of all kinds of objects together.

use super::message::Request;
use super::{MetricRequest, NetworkRequest, ScreeningMetricRequest, TaskRequest};
use crate::{MetricOptions, NetworkOptions, TaskOptions};
use serde::{Deserialize, Serialize};

/// Makes an object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// A task by name.
    Task(String, TaskOptions),
    /// A network by name.
    Network(String, Box<NetworkOptions>),
    /// A metric by name.
    Metric(String, Box<MetricOptions>),
    /// A screening metric by name.
    ScreeningMetric(String, Box<MetricOptions>),
}

impl Create {
    /// The method's name, for messages.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Task(..) => "Task::open",
            Self::Network(..) => "ProxyNetwork::build",
            Self::Metric(..) => "Metric::create",
            Self::ScreeningMetric(..) => "ScreeningMetric::create",
        }
    }
}

/// Calls a method of an object. Each kind of object has a registry of its own on the plugin's side, so
/// that a number of another kind finds nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Of a task.
    Task(TaskRequest),
    /// Of a network.
    Network(NetworkRequest),
    /// Of a metric.
    Metric(MetricRequest),
    /// Of a screening metric.
    ScreeningMetric(ScreeningMetricRequest),
}

impl From<TaskRequest> for Call {
    fn from(request: TaskRequest) -> Self {
        Self::Task(request)
    }
}

impl From<NetworkRequest> for Call {
    fn from(request: NetworkRequest) -> Self {
        Self::Network(request)
    }
}

impl From<MetricRequest> for Call {
    fn from(request: MetricRequest) -> Self {
        Self::Metric(request)
    }
}

impl From<ScreeningMetricRequest> for Call {
    fn from(request: ScreeningMetricRequest) -> Self {
        Self::ScreeningMetric(request)
    }
}

/// What this version of the interface can be asked for: the methods of every kind of object.
pub fn capabilities() -> impl Iterator<Item = &'static str> {
    [
        TaskRequest::METHODS,
        NetworkRequest::METHODS,
        MetricRequest::METHODS,
        ScreeningMetricRequest::METHODS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
