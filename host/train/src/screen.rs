//! Screening through libtorch: the probe gradient and the loss-rejection protocol (AutoLoss-Zero,
//! arXiv 2103.14026) on predictions that are optimised directly.
//!
//! Gradients are taken with respect to the raw predictions x, before the activation: what a network
//! receives is ∂L/∂x, and a loss that only shifts a softmax has ∂L/∂ŷ ≠ 0 yet trains nothing. The B
//! samples are independent problems ([`Scope::Sample`]) in one tensor, which is B times fewer calls.

use crate::graph_eval::{Scope, loss_of};
use crate::optimizer::{adam_update, copied};
use crate::plugin::{RemoteMetric, RemoteTask};
use crate::{Result, TrainError};
use autoloss_graph::LossGraph;
use autoloss_plugin_api::{Activation, BranchInfo, ScreeningRequest, ScreeningSamples, Tensors};
use autoloss_search::{BackendError, Probe, Rejection, Screener, ScreeningConfig};
use tch::{Device, Kind, Tensor};

/// Adam's β₁ in the protocol.
const BETA1: f64 = 0.9;
/// A gradient below this share of the terms it is summed from is rounding (single precision).
const ROUNDING: f64 = 1e-5;
/// Standard deviation of the random raw predictions the protocol starts from.
const INITIAL_SPREAD: f64 = 1.0;

/// The metric over the course of one protocol run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LrpTrace {
    /// Step and mean metric, the first before any step.
    pub points: Vec<(usize, f64)>,
}

struct Branch {
    info: BranchInfo,
    samples: ScreeningSamples,
    metric: RemoteMetric,
    /// Raw predictions every protocol run starts from.
    raw: Tensor,
    initial: f64,
}

/// Screens graphs on samples fixed at its making.
pub struct TorchScreener {
    branches: Vec<Branch>,
    config: ScreeningConfig,
}

impl TorchScreener {
    /// Takes samples of every branch from the task. `metric` finds the metric that computes a score
    /// in screening form.
    ///
    /// # Errors
    /// Whatever task or metric say.
    pub fn new(
        task: &RemoteTask,
        branches: &[BranchInfo],
        mut metric: impl FnMut(&str) -> Result<RemoteMetric>,
        config: &ScreeningConfig,
        seed: u64,
    ) -> Result<Self> {
        let branches = branches
            .iter()
            .map(|info| {
                let metric = metric(&info.screening_score)?;
                Branch::new(task, info, metric, config, seed)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            branches,
            config: config.clone(),
        })
    }

    /// The protocol with the metric read every `every` steps.
    ///
    /// # Errors
    /// Whatever libtorch or the metric say.
    pub fn trace(
        &self,
        branch: usize,
        graph: &LossGraph,
        every: usize,
    ) -> Result<(Rejection, LrpTrace)> {
        self.branches[branch].optimise(graph, &self.config, Some(every.max(1)))
    }
}

impl Screener for TorchScreener {
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, BackendError> {
        self.branches[branch].probe(graph).map_err(backend)
    }

    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Rejection, BackendError> {
        let outcome = self.branches[branch].optimise(graph, &self.config, None);
        outcome.map(|(rejection, _)| rejection).map_err(backend)
    }
}

/// An error of this crate as the search's own kind.
pub(crate) fn backend(error: TrainError) -> BackendError {
    match error {
        TrainError::Interrupted => BackendError::interrupted(),
        other => BackendError::new(other.to_string()),
    }
}

impl Branch {
    fn new(
        task: &RemoteTask,
        info: &BranchInfo,
        metric: RemoteMetric,
        config: &ScreeningConfig,
        seed: u64,
    ) -> Result<Self> {
        let request = ScreeningRequest {
            branch: info.name.clone(),
            samples: config.samples,
            size: config.size,
            seed,
        };
        let samples = task.screening_samples(info, request)?;
        tch::manual_seed(i64::from_ne_bytes(seed.to_ne_bytes()));
        let raw = Tensor::f_randn(samples.shape, (Kind::Float, Device::Cpu))?
            .f_mul_scalar(INITIAL_SPREAD)?;
        let mut branch = Self {
            info: info.clone(),
            samples,
            metric,
            raw,
            initial: 0.0,
        };
        branch.initial = branch.score(&branch.raw)?;
        Ok(branch)
    }

    /// The prediction ŷ of raw values x.
    fn activate(&self, raw: &Tensor) -> Result<Tensor> {
        let active = match self.info.activation {
            Activation::Softmax => raw.f_softmax(1, None)?,
            Activation::Sigmoid => raw.f_sigmoid()?,
            _ => raw.shallow_clone(),
        };
        Ok(match &self.samples.valid {
            Some(valid) => active.f_mul(valid)?,
            None => active,
        })
    }

    /// The branch's inputs in order: ŷ where the input depends on the prediction, else the fixed.
    fn inputs<'a>(&'a self, prediction: &'a Tensor) -> Result<Vec<&'a Tensor>> {
        self.info
            .inputs
            .iter()
            .map(|input| match input.prediction {
                true => Ok(prediction),
                false => {
                    self.samples
                        .fixed
                        .get(&input.name)
                        .map_err(|missing| TrainError::Declaration {
                            task: "the screened task".into(),
                            what: missing.to_string(),
                        })
                }
            })
            .collect()
    }

    /// The value that ŷ should become: the first input that is the target alone.
    fn target(&self) -> Option<&Tensor> {
        let input = self
            .info
            .inputs
            .iter()
            .find(|input| input.target && !input.prediction)?;
        self.samples.fixed.get(&input.name).ok()
    }

    fn score(&self, raw: &Tensor) -> Result<f64> {
        let prediction = tch::no_grad(|| self.activate(raw))?;
        let name = self.info.inputs.iter().find(|input| input.prediction);
        let name = name.map_or("yhat", |input| &input.name);
        let predictions = Tensors::new().with(name, prediction);
        let samples = usize::try_from(self.samples.shape[0]).unwrap_or(0);
        let scores = self.metric.screen(
            &self.info.screening_score,
            &predictions,
            &self.samples.targets,
            samples,
        )?;
        Ok(scores.iter().sum::<f64>() / scores.len().max(1) as f64)
    }

    fn probe(&self, graph: &LossGraph) -> Result<Probe> {
        let raw = self.raw.f_detach()?.f_set_requires_grad(true)?;
        let prediction = self.activate(&raw)?;
        let inputs = self.inputs(&prediction)?;
        let root = crate::evaluate_graph(graph, &inputs, Scope::Sample)?;
        let [_, _, height, width] = self.samples.shape;
        let per_sample =
            |tensor: &Tensor| tensor.f_sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Double);
        let losses = per_sample(&root)?.f_div_scalar(height * width)?;
        let total = root.f_sum(Kind::Float)?.f_div_scalar(height * width)?;
        if !total.requires_grad() {
            return self.no_gradient(&losses);
        }
        let gradients = Tensor::f_run_backward(&[total], &[&raw, &prediction], false, false)?;
        let (by_raw, by_prediction) = (&gradients[0], &gradients[1]);
        let norm = |tensor: &Tensor| -> Result<Vec<f64>> {
            let squares = per_sample(&tensor.f_to_kind(Kind::Double)?.f_square()?)?;
            values(&squares.f_sqrt()?)
        };
        let prediction = prediction.f_detach()?;
        let away = match self.target() {
            Some(target) => prediction.f_sub(target)?,
            None => prediction.f_ones_like()?,
        };
        let terms = norm(&by_prediction.f_mul(&prediction)?)?;
        Ok(Probe {
            losses: values(&losses)?,
            norms: norm(by_raw)?,
            alignments: values(&per_sample(&by_raw.f_mul(&away)?.f_to_kind(Kind::Double)?)?)?,
            rounding_scale: ROUNDING * terms.iter().copied().fold(0.0, f64::max),
        })
    }

    fn no_gradient(&self, losses: &Tensor) -> Result<Probe> {
        let losses = values(losses)?;
        let zeros = vec![0.0; losses.len()];
        Ok(Probe {
            losses,
            norms: zeros.clone(),
            alignments: zeros,
            rounding_scale: 0.0,
        })
    }

    fn optimise(
        &self,
        graph: &LossGraph,
        config: &ScreeningConfig,
        every: Option<usize>,
    ) -> Result<(Rejection, LrpTrace)> {
        let mut trace = LrpTrace {
            points: vec![(0, self.initial)],
        };
        let mut raw = copied(&self.raw)?.f_set_requires_grad(true)?;
        let (mut first, mut second) = (self.raw.f_zeros_like()?, self.raw.f_zeros_like()?);
        for step in 0..config.steps {
            let prediction = self.activate(&raw)?;
            let loss = loss_of(graph, &self.inputs(&prediction)?, Scope::Sample)?;
            if !loss.requires_grad() {
                // Nothing depends on the prediction, so nothing would ever move.
                let (initial, gain) = (self.initial, 0.0);
                let outcome = Rejection::Finished {
                    gain,
                    initial,
                    reached: initial,
                    steps: step,
                };
                return Ok((outcome, trace));
            }
            let gradient = Tensor::f_run_backward(&[&loss], &[&raw], false, false)?;
            let gradient = &gradient[0];
            let finite = loss.f_double_value(&[])?.is_finite()
                && gradient
                    .f_sum(Kind::Double)?
                    .f_double_value(&[])?
                    .is_finite();
            if !finite {
                return Ok((Rejection::NonFinite { step }, trace));
            }
            let _guard = tch::no_grad_guard();
            let counted = (BETA1, i32::try_from(step + 1).unwrap_or(i32::MAX));
            let averages = (&mut first, &mut second);
            adam_update(&mut raw, gradient, averages, config.learning_rate, counted)?;
            if every.is_some_and(|every| (step + 1) % every == 0) {
                trace.points.push((step + 1, self.score(&raw.f_detach()?)?));
            }
        }
        let raw = raw.f_detach()?;
        if !crate::graph_eval::is_finite(&raw)? {
            return Ok((Rejection::NonFinite { step: config.steps }, trace));
        }
        let reached = self.score(&raw)?;
        let gain = reached - self.initial;
        let steps = config.steps;
        Ok((
            Rejection::Finished {
                gain,
                initial: self.initial,
                reached,
                steps,
            },
            trace,
        ))
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::<f64>::try_from(
        &tensor.f_to_kind(Kind::Double)?.f_contiguous()?,
    )?)
}
