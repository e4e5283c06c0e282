//! Screening through libtorch: for what the engine does not cover, and to hold it against.
//!
//! The B samples are independent problems ([`Scope::Sample`]) in one tensor, which is B times fewer calls.

use super::{Branch, LrpTrace};
use crate::Result;
use crate::graph_eval::{Scope, loss_of};
use crate::optimizer::{adam_update, copied};
use autoloss_graph::LossGraph;
use autoloss_search::{Gain, Probe, ScreeningConfig};
use tch::{Kind, Tensor};

/// Adam's β₁ in the protocol. Fixed: the published constants of Adam are compiled into the engine's
/// kernels, and both paths must take the same step.
const BETA1: f64 = 0.9;

impl Branch {
    /// ∂L/∂x at the first predictions; zeros where the loss does not depend on them.
    pub(super) fn gradient_by_libtorch(&self, graph: &LossGraph) -> Result<Vec<f32>> {
        let raw = self.raw.f_detach()?.f_set_requires_grad(true)?;
        let prediction = self.activate(&raw)?;
        let loss = loss_of(graph, &self.inputs(&prediction)?, Scope::Sample)?;
        if !loss.requires_grad() {
            return Ok(vec![0.0; raw.numel()]);
        }
        let gradient = Tensor::f_run_backward(&[&loss], &[&raw], false, false)?;
        singles(&gradient[0])
    }

    pub(super) fn probe_by_libtorch(
        &self,
        graph: &LossGraph,
        config: &ScreeningConfig,
    ) -> Result<Probe> {
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
        // Parts of the prediction that the loss does not use have no gradient.
        let wanted: Vec<&Tensor> = std::iter::once(&raw).chain(&prediction).collect();
        let gradients = Tensor::f_run_backward(&[total], &wanted, false, false)?;
        let (by_raw, by_prediction) = (&gradients[0], &gradients[1..]);
        let norm = |tensor: &Tensor| -> Result<Vec<f64>> {
            let squares = per_sample(&tensor.f_to_kind(Kind::Double)?.f_square()?)?;
            values(&squares.f_sqrt()?)
        };
        let _guard = tch::no_grad_guard();
        let away = self.away(&raw, &prediction)?;
        let mut terms = vec![0.0; losses.numel()];
        for (part, by_part) in prediction.iter().zip(by_prediction) {
            if by_part.defined() {
                let of_part = norm(&by_part.f_mul(part)?)?;
                terms
                    .iter_mut()
                    .zip(of_part)
                    .for_each(|(sum, of)| *sum += of * of);
            }
        }
        Ok(Probe {
            losses: values(&losses)?,
            norms: norm(by_raw)?,
            alignments: values(&per_sample(&by_raw.f_mul(&away)?.f_to_kind(Kind::Double)?)?)?,
            sketch: self.sketch.of(&singles(by_raw)?),
            rounding_scale: config.rounding * terms.into_iter().fold(0.0, f64::max).sqrt(),
        })
    }

    fn no_gradient(&self, losses: &Tensor) -> Result<Probe> {
        let losses = values(losses)?;
        let zeros = vec![0.0; losses.len()];
        Ok(Probe {
            losses,
            norms: zeros.clone(),
            alignments: zeros,
            sketch: self.sketch.of(&vec![0.0; self.raw.numel()]),
            rounding_scale: 0.0,
        })
    }

    pub(super) fn optimise_by_libtorch(
        &self,
        graph: &LossGraph,
        config: &ScreeningConfig,
        every: Option<usize>,
    ) -> Result<(Gain, LrpTrace)> {
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
                let outcome = Gain {
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
                return Ok((Gain::not_finite(step), trace));
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
            return Ok((Gain::not_finite(config.steps), trace));
        }
        let reached = self.score(&raw)?;
        let gain = reached - self.initial;
        let steps = config.steps;
        Ok((
            Gain {
                gain,
                initial: self.initial,
                reached,
                steps,
            },
            trace,
        ))
    }
}

fn singles(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::<f32>::try_from(&tensor.f_contiguous()?.f_view([-1])?)?)
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::<f64>::try_from(
        &tensor.f_to_kind(Kind::Double)?.f_contiguous()?,
    )?)
}
