//! Screening: the probe gradient and the loss-rejection protocol (AutoLoss-Zero, arXiv 2103.14026) on
//! predictions that are optimised directly.
//!
//! Gradients are taken with respect to the raw predictions x, before the activation: what a network
//! receives is ∂L/∂x, and a loss that only shifts a softmax has ∂L/∂ŷ ≠ 0 yet trains nothing. The B
//! samples are independent problems. Both are computed by the fused engine or by libtorch, as
//! [`ScreeningConfig::engine`] says.

mod activation;
mod fused;
mod pool;
mod sketch;
mod torch;

use crate::plugin::{RemoteScreeningMetric, RemoteTask};
use crate::{Result, TrainError};
use autoloss_engine::Machine;
use autoloss_graph::LossGraph;
use autoloss_plugin_api::{BranchInfo, ScreeningRequest, ScreeningSamples, Tensors};
use autoloss_search::{
    Fault, Gain, Probe, Screener, ScreeningConfig, ScreeningEngine, ScreeningMode, Timed, Work,
};
use fused::Fused;
use pool::WorkerPool;
use sketch::Sketch;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The metric over the course of one protocol run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LrpTrace {
    /// Step and mean metric, the first before any step.
    pub points: Vec<(usize, f64)>,
}

struct Branch {
    info: BranchInfo,
    samples: ScreeningSamples,
    metric: RemoteScreeningMetric,
    /// Raw predictions every protocol run starts from.
    raw: Tensor,
    initial: f64,
    sketch: Sketch,
}

/// The branches of a task with samples and metrics of its own.
struct Worker {
    branches: Vec<Screen>,
    /// Memory for one loss at a time, whatever its branch.
    machine: Machine,
    config: ScreeningConfig,
}

/// A branch and what computes its screens.
struct Screen {
    branch: Branch,
    /// None where libtorch does.
    fused: Option<Fused>,
    /// Smaller maps of the same branch, to reject on at less cost.
    coarse: Option<(Branch, Fused)>,
}

/// Screens graphs on samples fixed at its making.
pub struct TaskScreener {
    workers: WorkerPool,
}

impl TaskScreener {
    /// Takes samples of every branch from the task. Probes tell `sketched` projections of their gradients.
    /// `metric` finds the metric that computes a score
    /// in screening form. The fused engine works on as many losses at a time as libtorch has threads.
    ///
    /// # Errors
    /// Whatever task or metric say.
    pub fn new(
        task: &RemoteTask,
        branches: &[BranchInfo],
        mut metric: impl FnMut(&str) -> Result<RemoteScreeningMetric>,
        config: &ScreeningConfig,
        sketched: usize,
        seed: u64,
    ) -> Result<Self> {
        let first = Worker::new(task, branches, &mut metric, config, (sketched, seed))?;
        let threads = match config.engine {
            ScreeningEngine::Fused => usize::try_from(tch::get_num_threads()).unwrap_or(1),
            // It takes all cores for one loss.
            ScreeningEngine::Libtorch => 1,
        };
        let rest = (1..threads).map(|_| first.twin(&mut metric));
        let rest = rest.collect::<Result<_>>()?;
        Ok(Self {
            workers: WorkerPool::new(first, rest)?,
        })
    }

    /// Shape (B, C, H, W) of a branch's predictions.
    pub fn shape(&mut self, branch: usize) -> [i64; 4] {
        self.workers.first().branches[branch].branch.samples.shape
    }

    /// The gradient that a probe is of, by the raw predictions (B, C, H, W).
    ///
    /// # Errors
    /// Whatever libtorch says.
    pub fn gradient(&mut self, branch: usize, graph: &LossGraph) -> Result<Vec<f32>> {
        let worker = self.workers.first();
        let Screen { branch, fused, .. } = &mut worker.branches[branch];
        match fused {
            Some(fused) => Ok(fused.gradient(&mut worker.machine, graph)),
            None => branch.gradient_by_libtorch(graph),
        }
    }

    /// The protocol with the metric read every `every` steps.
    ///
    /// # Errors
    /// Whatever libtorch or the metric say.
    pub fn trace(
        &mut self,
        branch: usize,
        graph: &LossGraph,
        every: usize,
    ) -> Result<(Gain, LrpTrace)> {
        let worker = self.workers.first();
        let Screen { branch, fused, .. } = &mut worker.branches[branch];
        let every = Some(every.max(1));
        let machine = &mut worker.machine;
        match fused {
            Some(fused) => fused.optimise(machine, branch, graph, &worker.config, every),
            None => branch.optimise_by_libtorch(graph, &worker.config, every),
        }
    }
}

impl Screener for TaskScreener {
    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        self.workers.first().probe(branch, graph)
    }

    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Gain, Fault> {
        self.workers.first().reject(branch, graph)
    }

    fn width(&self) -> usize {
        self.workers.len()
    }

    fn probe_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Probe>>, Fault> {
        self.workers
            .all(work, |worker, work| worker.probe(work.branch, &work.graph))
    }

    fn reject_all(&mut self, work: &[Work]) -> Result<Vec<Timed<Gain>>, Fault> {
        self.workers
            .all(work, |worker, work| worker.reject(work.branch, &work.graph))
    }
}

impl Worker {
    fn new(
        task: &RemoteTask,
        branches: &[BranchInfo],
        metric: &mut impl FnMut(&str) -> Result<RemoteScreeningMetric>,
        config: &ScreeningConfig,
        fixed: (usize, u64),
    ) -> Result<Self> {
        let branches = branches
            .iter()
            .map(|info| Screen::new(task, info, metric, config, fixed))
            .collect::<Result<_>>()?;
        Ok(Self {
            branches,
            machine: Machine::default(),
            config: config.clone(),
        })
    }

    /// Another one on the same samples, with metrics of its own.
    fn twin(&self, metric: &mut impl FnMut(&str) -> Result<RemoteScreeningMetric>) -> Result<Self> {
        let branches = self.branches.iter().map(|screen| screen.twin(metric));
        Ok(Self {
            branches: branches.collect::<Result<_>>()?,
            machine: Machine::default(),
            config: self.config.clone(),
        })
    }

    fn probe(&mut self, branch: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        let Screen { branch, fused, .. } = &mut self.branches[branch];
        match fused {
            Some(fused) => Ok(fused.probe(&mut self.machine, branch, graph, &self.config)),
            None => branch.probe_by_libtorch(graph, &self.config).map_err(fault),
        }
    }

    fn reject(&mut self, branch: usize, graph: &LossGraph) -> Result<Gain, Fault> {
        let screen = &mut self.branches[branch];
        let gain = screen.reject(&mut self.machine, graph, &self.config);
        gain.map_err(fault)
    }
}

impl Screen {
    fn new(
        task: &RemoteTask,
        info: &BranchInfo,
        metric: &mut impl FnMut(&str) -> Result<RemoteScreeningMetric>,
        config: &ScreeningConfig,
        (sketched, seed): (usize, u64),
    ) -> Result<Self> {
        let mut branch = |config: &ScreeningConfig| {
            let metric = metric(&info.screening_score)?;
            Branch::new(task, info, metric, config, (sketched, seed))
        };
        let mut screen = Self {
            branch: branch(config)?,
            fused: None,
            coarse: None,
        };
        if config.engine == ScreeningEngine::Fused {
            screen.fused = Some(Fused::new(&screen.branch)?);
            let size = (config.size as f64 * config.coarse_scale) as usize;
            if goes_early(config) && config.coarse && size >= config.coarse_min_size {
                let config = ScreeningConfig {
                    size,
                    ..config.clone()
                };
                match branch(&config) {
                    Ok(coarse) if coarse.positions() < screen.branch.positions() => {
                        let fused = Fused::new(&coarse)?;
                        screen.coarse = Some((coarse, fused));
                    }
                    // Samples that know no size.
                    Ok(_) => {}
                    Err(error) => tracing::debug!("no smaller maps to screen on first: {error}"),
                }
            }
        }
        Ok(screen)
    }

    /// Another one on the same samples, with metrics of its own.
    fn twin(&self, metric: &mut impl FnMut(&str) -> Result<RemoteScreeningMetric>) -> Result<Self> {
        let mut twin = |branch: &Branch| branch.twin(metric(&branch.info.screening_score)?);
        let coarse = self.coarse.as_ref();
        Ok(Self {
            branch: twin(&self.branch)?,
            fused: self.fused.as_ref().map(Fused::twin),
            coarse: coarse
                .map(|(branch, fused)| Ok::<_, TrainError>((twin(branch)?, fused.twin())))
                .transpose()?,
        })
    }

    fn reject(
        &mut self,
        machine: &mut Machine,
        graph: &LossGraph,
        config: &ScreeningConfig,
    ) -> Result<Gain> {
        let Some(fused) = &mut self.fused else {
            let (gain, _) = self.branch.optimise_by_libtorch(graph, config, None)?;
            return Ok(gain);
        };
        if let Some((branch, fused)) = &mut self.coarse {
            let found = fused.reject(machine, branch, graph, config)?;
            if found.gain < config.coarse_share * config.threshold {
                return Ok(found);
            }
        }
        fused.reject(machine, &self.branch, graph, config)
    }
}

/// Whether the protocol may end before its last step.
fn goes_early(config: &ScreeningConfig) -> bool {
    config.early && config.mode == ScreeningMode::Threshold && config.threshold > 0.0
}

/// An error of this crate as the search sees it: whether it concerns one candidate or all.
pub(crate) fn fault(error: TrainError) -> Fault {
    match error {
        TrainError::Interrupted => Fault::Interrupted,
        // What the task does not offer or define it does for no candidate.
        TrainError::Undefined { .. } | TrainError::Unknown { .. } | TrainError::MissingLoss(_) => {
            Fault::Fatal(error.to_string())
        }
        other => Fault::Failed(other.to_string()),
    }
}

impl Branch {
    fn new(
        task: &RemoteTask,
        info: &BranchInfo,
        metric: RemoteScreeningMetric,
        config: &ScreeningConfig,
        (sketched, seed): (usize, u64),
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
            .f_mul_scalar(config.initial_deviation)?;
        let mut branch = Self {
            info: info.clone(),
            samples,
            metric,
            sketch: Sketch::new(sketched, raw.numel()),
            raw,
            initial: 0.0,
        };
        branch.initial = branch.score(&branch.raw)?;
        Ok(branch)
    }

    /// The same samples, shared, with another metric.
    fn twin(&self, metric: RemoteScreeningMetric) -> Result<Self> {
        let samples = ScreeningSamples {
            shape: self.samples.shape,
            fixed: self.samples.fixed.to_device(Device::Cpu)?,
            valid: self.samples.valid.as_ref().map(Tensor::shallow_clone),
            targets: self.samples.targets.to_device(Device::Cpu)?,
        };
        Ok(Self {
            info: self.info.clone(),
            samples,
            metric,
            raw: self.raw.shallow_clone(),
            initial: self.initial,
            sketch: self.sketch.clone(),
        })
    }

    /// H·W.
    fn positions(&self) -> i64 {
        let [_, _, height, width] = self.samples.shape;
        height * width
    }

    /// The input that tells what ŷ should become: the first that is the target alone.
    fn target(&self) -> Option<usize> {
        let mut inputs = self.info.inputs.iter();
        inputs.position(|input| input.target && !input.prediction)
    }

    /// Which part of the prediction each input is, in order; none where it is fixed.
    fn parts(&self) -> impl Iterator<Item = Option<usize>> {
        let last = self.info.activation.parts() - 1;
        let mut next = 0;
        self.info.inputs.iter().map(move |input| {
            let part = next.min(last);
            next += usize::from(input.prediction);
            input.prediction.then_some(part)
        })
    }

    /// The branch's inputs in order: parts of ŷ where they depend on the prediction, else the fixed.
    fn inputs<'a>(&'a self, prediction: &'a [Tensor]) -> Result<Vec<&'a Tensor>> {
        let inputs = self.info.inputs.iter().zip(self.parts());
        let inputs = inputs.map(|(input, part)| match part {
            Some(part) => Ok(&prediction[part]),
            None => self.fixed(&input.name),
        });
        inputs.collect()
    }

    fn fixed(&self, name: &str) -> Result<&Tensor> {
        let found = self.samples.fixed.get(name);
        found.map_err(|missing| TrainError::Declaration {
            task: "the screened task".into(),
            what: missing.to_string(),
        })
    }

    fn score(&self, raw: &Tensor) -> Result<f64> {
        let samples = usize::try_from(self.samples.shape[0]).unwrap_or(0);
        let scores = self.metric_of(&tch::no_grad(|| self.activate(raw))?, 0..samples)?;
        Ok(scores.iter().sum::<f64>() / samples.max(1) as f64)
    }

    /// The metric of each of these samples, which the prediction is of.
    fn metric_of(&self, prediction: &[Tensor], samples: Range<usize>) -> Result<Vec<f64>> {
        let mut predictions = Tensors::new();
        for (input, part) in self.info.inputs.iter().zip(self.parts()) {
            if let Some(part) = part {
                predictions = predictions.with(&input.name, prediction[part].shallow_clone());
            }
        }
        let (first, count) = (samples.start as i64, samples.len() as i64);
        let targets = &self.samples.targets;
        let targets = targets.try_map(|target| target.f_narrow(0, first, count))?;
        let score = &self.info.screening_score;
        Ok(self
            .metric
            .screen(score, &predictions, &targets, samples.len())?)
    }
}
