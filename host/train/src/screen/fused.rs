//! Screening through the fused engine: the samples of a branch laid out for it.

use super::{Branch, LrpTrace};
use crate::{Result, TrainError};
use autoloss_engine::{Input, Machine, Problem, Program, Shape};
use autoloss_graph::LossGraph;
use autoloss_search::{EarlyStopper, Gain, Probe, ScreeningConfig};
use autoloss_spec::{Activation, TARGET_BOXES};
use std::ops::ControlFlow;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Values of a sample from which on the metric takes its prediction alone. Fixed: it bounds memory and
/// changes no result.
const LARGE: usize = 1 << 16;

/// What the engine needs of a branch.
pub(super) struct Fused {
    problem: Arc<Problem>,
    /// The probe comes before the protocol, often on the same worker.
    last: Option<Compiled>,
}

/// A compiled graph.
struct Compiled {
    graph: LossGraph,
    program: Program,
    /// Whether its first gradient leads towards the targets, once that is known.
    aligned: Option<bool>,
}

impl Fused {
    /// Lays out samples and first predictions.
    ///
    /// # Errors
    /// An input that the samples lack, or that does not have their shape.
    pub(super) fn new(branch: &Branch) -> Result<Self> {
        let (info, samples, raw) = (&branch.info, &branch.samples, &branch.raw);
        let wrong = |what: String| TrainError::Declaration {
            task: "the screened task".into(),
            what,
        };
        let fixed = |name: &str| {
            let found = samples.fixed.get(name);
            values(found.map_err(|missing| wrong(missing.to_string()))?)
        };
        let inputs = info.inputs.iter().map(|input| {
            if input.prediction {
                return Ok(Input::Prediction);
            }
            Ok(Input::Fixed(fixed(&input.name)?))
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let [n, c, height, width] = samples.shape;
        let size = |size: i64| usize::try_from(size).unwrap_or(0);
        let shape = Shape {
            samples: size(n),
            channels: size(c),
            height: size(height),
            width: size(width),
        };
        let valid = samples.valid.as_ref().map(values).transpose()?;
        let (raw, valid) = (values(raw)?, valid.as_deref());
        let problem = match info.activation {
            activation @ (Activation::Softmax | Activation::Sigmoid | Activation::Identity) => {
                Problem::new(shape, activation, &inputs, &raw, valid)
            }
            Activation::Boxes => {
                let shape = Shape {
                    channels: 1,
                    ..shape
                };
                Problem::boxes(shape, &inputs, &raw, &fixed(TARGET_BOXES)?, valid)
            }
        };
        Ok(Self {
            problem: Arc::new(
                problem
                    .map_err(|error| wrong(error.to_string()))?
                    .with_target(branch.target()),
            ),
            last: None,
        })
    }

    /// Another one for the same branch.
    pub(super) fn twin(&self) -> Self {
        Self {
            problem: Arc::clone(&self.problem),
            last: None,
        }
    }

    /// ∂L/∂x at the first predictions.
    pub(super) fn gradient(&mut self, machine: &mut Machine, graph: &LossGraph) -> Vec<f32> {
        let (problem, compiled) = self.compiled(graph);
        machine.reset(problem);
        let mut gradient = Vec::new();
        machine.raw_gradient(problem, &compiled.program, &mut gradient);
        gradient
    }

    pub(super) fn probe(
        &mut self,
        machine: &mut Machine,
        branch: &Branch,
        graph: &LossGraph,
        config: &ScreeningConfig,
    ) -> Probe {
        let (problem, compiled) = self.compiled(graph);
        machine.reset(problem);
        let found = machine.gradient(problem, &compiled.program);
        compiled.aligned = Some(found.alignments.iter().sum::<f64>() > 0.0);
        let mut sketch = Vec::new();
        if branch.sketch.wanted() {
            let mut gradient = Vec::new();
            machine.raw_gradient(problem, &compiled.program, &mut gradient);
            sketch = branch.sketch.of(&gradient);
        }
        Probe {
            losses: found.losses,
            norms: found.norms,
            alignments: found.alignments,
            sketch,
            rounding_scale: config.rounding * found.term_norm,
        }
    }

    /// The protocol, ended early where the configuration allows and the verdict is certain.
    pub(super) fn reject(
        &mut self,
        machine: &mut Machine,
        branch: &Branch,
        graph: &LossGraph,
        config: &ScreeningConfig,
    ) -> Result<Gain> {
        if !super::goes_early(config) {
            return Ok(self.optimise(machine, branch, graph, config, None)?.0);
        }
        if self.compiled(graph).1.aligned.is_none() {
            self.probe(machine, branch, graph, config);
        }
        let aligned = self.compiled(graph).1.aligned == Some(true);
        let rule = &config.early_stopping;
        let mut stopper = EarlyStopper::new(rule, config.threshold, aligned);
        let mut run = Run::new(self, machine, branch, graph);
        while let Some(step) = stopper.next_reading().filter(|step| *step < config.steps) {
            if let Some(ended) = run.advance(step, config)? {
                return Ok(ended);
            }
            let reached = run.score()?;
            if stopper.read(reached - branch.initial) {
                return Ok(run.finished(reached));
            }
        }
        run.finish(config)
    }

    /// The whole protocol, with the metric of `branch` read every `every` steps.
    pub(super) fn optimise(
        &mut self,
        machine: &mut Machine,
        branch: &Branch,
        graph: &LossGraph,
        config: &ScreeningConfig,
        every: Option<usize>,
    ) -> Result<(Gain, LrpTrace)> {
        let mut trace = LrpTrace {
            points: vec![(0, branch.initial)],
        };
        let mut run = Run::new(self, machine, branch, graph);
        let readings = every
            .into_iter()
            .flat_map(|every| (every..=config.steps).step_by(every));
        for step in readings {
            if let Some(ended) = run.advance(step, config)? {
                return Ok((ended, trace));
            }
            trace.points.push((step, run.score()?));
        }
        Ok((run.finish(config)?, trace))
    }

    /// The problem, and the graph compiled for it.
    fn compiled(&mut self, graph: &LossGraph) -> (&Problem, &mut Compiled) {
        let known = self.last.take().filter(|last| last.graph == *graph);
        let compiled = known.unwrap_or_else(|| Compiled {
            graph: graph.clone(),
            program: self.problem.compile(graph),
            aligned: None,
        });
        (&self.problem, self.last.insert(compiled))
    }
}

/// One run of the protocol, from the first predictions on.
struct Run<'a> {
    machine: &'a mut Machine,
    problem: &'a Problem,
    program: &'a Program,
    branch: &'a Branch,
    values: Vec<f32>,
}

impl<'a> Run<'a> {
    fn new(
        fused: &'a mut Fused,
        machine: &'a mut Machine,
        branch: &'a Branch,
        graph: &LossGraph,
    ) -> Self {
        let (problem, compiled) = fused.compiled(graph);
        machine.reset(problem);
        Self {
            machine,
            problem,
            program: &compiled.program,
            branch,
            values: Vec::new(),
        }
    }

    /// Optimises up to a step; a verdict where that cannot be.
    fn advance(&mut self, step: usize, config: &ScreeningConfig) -> Result<Option<Gain>> {
        if !self.program.has_gradient() {
            // Nothing depends on the prediction, so nothing would ever move.
            return Ok(Some(self.finished(self.branch.initial)));
        }
        let count = step.saturating_sub(self.machine.steps());
        let moved = self
            .machine
            .descend(self.problem, self.program, count, config.learning_rate);
        Ok(match moved {
            ControlFlow::Break(step) => Some(Gain::not_finite(step)),
            ControlFlow::Continue(()) if self.machine.is_finite() => None,
            ControlFlow::Continue(()) => Some(Gain::not_finite(step)),
        })
    }

    fn finish(&mut self, config: &ScreeningConfig) -> Result<Gain> {
        if let Some(ended) = self.advance(config.steps, config)? {
            return Ok(ended);
        }
        let reached = self.score()?;
        Ok(self.finished(reached))
    }

    fn score(&mut self) -> Result<f64> {
        let Shape {
            samples,
            channels,
            height,
            width,
        } = self.problem.shape();
        // A metric copies what it is given a few times over; large maps are handed to it one by one.
        let at_once = match channels * height * width {
            ..LARGE => samples,
            _ => 1,
        };
        let mut sum = 0.0;
        for first in (0..samples).step_by(at_once.max(1)) {
            let numbers = first..first + at_once;
            let shape = [at_once, channels, height, width].map(|size| size as i64);
            let mut parts = Vec::new();
            for part in 0..self.branch.info.activation.parts() {
                self.values.clear();
                for number in numbers.clone() {
                    let values = &mut self.values;
                    self.machine
                        .add_predictions(self.problem, part as u8, number, values);
                }
                parts.push(Tensor::f_from_slice(&self.values)?.f_view(shape)?);
            }
            sum += self.branch.metric_of(&parts, numbers)?.iter().sum::<f64>();
        }
        Ok(sum / samples.max(1) as f64)
    }

    fn finished(&self, reached: f64) -> Gain {
        let initial = self.branch.initial;
        Gain {
            gain: reached - initial,
            initial,
            reached,
            steps: self.machine.steps(),
        }
    }
}

/// The values of a tensor in order.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor
        .f_to_kind(Kind::Float)?
        .f_contiguous()?
        .f_view(-1i64)?;
    Ok(Vec::<f32>::try_from(&flat)?)
}
