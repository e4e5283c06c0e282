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
use autoloss_plugin_api::{Activation, BranchInfo, InputInfo, Tensors, Values, brief};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use tch::{Kind, Tensor};

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

    /// The error about an answer that breaks the interface's rules.
    fn broke(&self, request: &R, message: impl Into<String>) -> PluginError {
        broke(&self.plugin.info().name, request.method(), message)
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

    /// Values as the branch's input declares them; see [`undeclared`].
    fn declared(
        &self,
        branch: &BranchInfo,
        input: &InputInfo,
        tensor: &Tensor,
        activated: bool,
    ) -> Result<()> {
        let wrong = undeclared(branch, input, tensor, activated);
        match wrong.map_err(|error| self.broke(brief(&error)))? {
            None => Ok(()),
            Some(sentence) => Err(self.broke(sentence)),
        }
    }

    fn finite(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let finite = !tensor.is_floating_point()
            || is_finite(tensor).map_err(|error| self.broke(brief(&error)))?;
        finite
            .then_some(())
            .ok_or_else(|| self.broke(format!("'{name}' is not finite")))
    }
}

/// How the values of a branch's input are others than it declares, as a sentence; `activated` where the host has not
/// applied the activation itself. Positions where all channels are 0 do not count, and say nothing.
fn undeclared(
    branch: &BranchInfo,
    input: &InputInfo,
    tensor: &Tensor,
    activated: bool,
) -> tch::Result<Option<String>> {
    let tensor = tensor.f_detach()?.f_to_kind(Kind::Float)?;
    let range = || -> tch::Result<(f64, f64)> {
        Ok((
            tensor.f_min()?.f_double_value(&[])?,
            tensor.f_max()?.f_double_value(&[])?,
        ))
    };
    let (least, most) = range()?;
    let name = format!("input '{}' of branch '{}'", input.name, branch.name);
    let below = least < -ROUNDING;
    match input.values {
        Values::Any => {}
        Values::Nonnegative if below => {
            return Ok(Some(format!(
                "{name} is declared at least 0 and holds {least:.4}"
            )));
        }
        Values::Nonnegative => {}
        Values::Binary => {
            // 0 at 0 and at 1 alone.
            let off = tensor.f_mul(&tensor.f_sub_scalar(1.0)?)?.f_abs()?;
            if off.f_max()?.f_double_value(&[])? > ROUNDING {
                return Ok(Some(format!(
                    "{name} is declared 0 or 1 and holds other values, from {least:.4} to {most:.4}"
                )));
            }
        }
    }
    let predicted = activated && input.prediction && !input.target;
    let probability = match branch.activation {
        Activation::Softmax | Activation::Sigmoid => predicted,
        Activation::Identity | Activation::Boxes => false,
    };
    if probability && (below || most > 1.0 + ROUNDING) {
        return Ok(Some(format!(
            "{name} is to be what a {} makes of raw predictions, from 0 to 1, and is from {least:.4} to {most:.4}: \
             is the activation missing in forward?",
            branch.activation.name()
        )));
    }
    let sums_to_one = probability && branch.activation == Activation::Softmax;
    if !input.channel_mean_constant && !sums_to_one {
        return Ok(None);
    }
    let counts = tensor.f_abs()?.f_amax([1], true)?.f_gt(0.0)?;
    let sums = tensor.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?;
    let sums = sums.f_masked_select(&counts)?;
    if sums.numel() == 0 {
        return Ok(None);
    }
    let (least, most) = (
        sums.f_min()?.f_double_value(&[])?,
        sums.f_max()?.f_double_value(&[])?,
    );
    let spread = SPREAD * least.abs().max(most.abs()).max(1e-6);
    Ok(if most - least > spread {
        Some(format!(
            "{name}: the sum over its channels is declared the same everywhere and is from {least:.4} to {most:.4}"
        ))
    } else if sums_to_one && (most - 1.0).abs() > SPREAD {
        Some(format!(
            "{name} is to be what a softmax makes of raw predictions, and its channels sum to {most:.4}"
        ))
    } else {
        None
    })
}

/// What rounding may make of 0 and 1, also in half precision.
const ROUNDING: f64 = 1e-3;
/// Half precision sums of many channels to this share.
const SPREAD: f64 = 0.02;

fn names(tensors: &Tensors) -> Names {
    tensors.names().map(str::to_owned).collect()
}

fn all<'a>(groups: impl IntoIterator<Item = &'a Tensors>) -> Vec<&'a Tensor> {
    groups
        .into_iter()
        .flat_map(|group| group.iter().map(|(_, tensor)| tensor))
        .collect()
}
