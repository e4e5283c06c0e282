//! Objects on the plugin's side, called from the host's.
//!
//! Answers are checked here, once, so that the rest of the host can rely on them: every branch and
//! input that the task declared is there, tensors of a branch share one (N, C, H, W) shape, batches
//! have as many samples as were asked for, numbers that must be finite are.

mod metric;
mod network;
mod task;

pub use metric::{RemoteMetric, RemoteScreeningMetric};
pub use network::RemoteNetwork;
pub use task::RemoteTask;

use super::library::broke;
use super::{Plugin, PluginError};
use crate::graph_eval::is_finite;
use autoloss_plugin_api::boundary::{Call, Create, Names, Request};
use autoloss_plugin_api::{Tensors, brief};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use tch::Tensor;

type Result<T> = std::result::Result<T, PluginError>;

/// An object that answers requests of one kind, destroyed when dropped.
struct Object<R> {
    plugin: Arc<Plugin>,
    number: u64,
    kind: PhantomData<fn(R)>,
}

impl<R: Request + Into<Call>> Object<R> {
    fn new(plugin: &Arc<Plugin>, what: &Create) -> Result<Self> {
        let number = plugin.create(what)?;
        Ok(Self {
            plugin: Arc::clone(plugin),
            number,
            kind: PhantomData,
        })
    }

    fn call(&self, request: R, tensors: &[&Tensor]) -> Result<(R::Response, Sent<'_>)> {
        let call = request.method();
        let (response, tensors) = self.plugin.call(self.number, request, tensors)?;
        let sent = Sent {
            plugin: &self.plugin.info().name,
            call,
            tensors: tensors.into_iter(),
        };
        Ok((response, sent))
    }

    /// Calls a method that an older plugin may lack; None if this one does.
    fn call_if_offered(
        &self,
        request: R,
        tensors: &[&Tensor],
    ) -> Result<Option<(R::Response, Sent<'_>)>> {
        match self.plugin.answers(request.method()) {
            true => self.call(request, tensors).map(Some),
            false => Ok(None),
        }
    }
}

impl<R> Drop for Object<R> {
    fn drop(&mut self) {
        self.plugin.destroy(self.number);
    }
}

/// The tensors of an answer, taken in the order it names them.
struct Sent<'a> {
    plugin: &'a str,
    call: &'static str,
    tensors: std::vec::IntoIter<Tensor>,
}

impl Sent<'_> {
    fn broke(&self, message: impl Into<String>) -> PluginError {
        broke(self.plugin, self.call, message)
    }

    fn unexpected(&self, response: &impl Debug) -> PluginError {
        self.broke(format!("an answer of another kind: {response:?}"))
    }

    fn one(&mut self) -> Result<Tensor> {
        let next = self.tensors.next();
        let next = next.ok_or_else(|| self.broke("it named more tensors than it sent"))?;
        if !next.defined() {
            return Err(self.broke("it sent an undefined tensor"));
        }
        Ok(next)
    }

    fn named(&mut self, names: Names) -> Result<Tensors> {
        names
            .into_iter()
            .map(|name| Ok((name, self.one()?)))
            .collect()
    }

    fn finite(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let finite = !tensor.is_floating_point()
            || is_finite(tensor).map_err(|error| self.broke(brief(&error)))?;
        finite
            .then_some(())
            .ok_or_else(|| self.broke(format!("'{name}' is not finite")))
    }
}

fn names(tensors: &Tensors) -> Names {
    tensors.names().map(str::to_owned).collect()
}

fn all<'a>(groups: impl IntoIterator<Item = &'a Tensors>) -> Vec<&'a Tensor> {
    groups
        .into_iter()
        .flat_map(|group| group.iter().map(|(_, tensor)| tensor))
        .collect()
}
