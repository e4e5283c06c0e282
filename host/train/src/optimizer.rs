//! SGD with momentum and Adam, on tensors.
//!
//! tch's own optimisers can neither save nor restore their state, and a resumed training must equal
//! an uninterrupted one. Both follow PyTorch's definitions (SGD with L2 decay and dampening 0; Adam
//! with decoupled decay, as AdamW).

use crate::Result;
use crate::shim::{self, AdamStep};
use autoloss_plugin_api::{Parameter, Tensors};
use autoloss_search::Optimizer as Kind;
use tch::Tensor;

/// Settings that stay the same through a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    /// Which rule.
    pub kind: Kind,
    /// Momentum of SGD or β₁ of Adam.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// β₂ of Adam. Fixed like the next: both are the published values, and PyTorch's defaults.
const BETA2: f64 = 0.999;
/// The term that keeps Adam's quotient finite.
const ADAM_EPSILON: f64 = 1e-8;

/// What an optimiser must keep between steps.
#[derive(Debug)]
pub struct OptimizerState {
    /// Steps made.
    pub steps: u64,
    /// Averages by name: `first.NAME`, and `second.NAME` for Adam.
    pub averages: Tensors,
}

struct Slot {
    parameter: Parameter,
    first: Tensor,
    second: Option<Tensor>,
}

impl Slot {
    /// Parameter and both averages; none of SGD, which has but one.
    fn averages(&self) -> Option<(&Tensor, &Tensor, &Tensor)> {
        let second = self.second.as_ref()?;
        Some((&self.parameter.tensor, &self.first, second))
    }
}

/// Updates parameters in place.
pub struct Optimizer {
    settings: OptimizerSettings,
    slots: Vec<Slot>,
    steps: u64,
}

impl Optimizer {
    /// An optimiser that has made no step.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn new(settings: OptimizerSettings, parameters: Vec<Parameter>) -> Result<Self> {
        let slot = |parameter: Parameter| {
            let first = parameter.tensor.f_detach()?.f_zeros_like()?;
            let second = match settings.kind {
                Kind::Adam => Some(first.f_zeros_like()?),
                Kind::Sgd => None,
            };
            Ok(Slot {
                parameter,
                first,
                second,
            })
        };
        let slots = parameters.into_iter().map(slot).collect::<Result<_>>()?;
        Ok(Self {
            settings,
            slots,
            steps: 0,
        })
    }

    /// Forgets the gradients.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn drop_gradients(&mut self) -> Result<()> {
        shim::drop_gradients(self.slots.iter().map(|slot| &slot.parameter.tensor))
    }

    /// Whether any parameter has a gradient.
    pub fn has_gradients(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| slot.parameter.tensor.grad().defined())
    }

    /// The norm of all gradients together; not finite where one of them is not.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn gradient_norm(&self) -> Result<f64> {
        shim::gradient_norm(self.slots.iter().map(|slot| &slot.parameter.tensor))
    }

    /// One step with the gradients that are there, scaled by `scale`.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn step(&mut self, learning_rate: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        for decays in [true, false] {
            let slots = self.slots.iter().filter(|slot| {
                slot.parameter.decay == decays && slot.parameter.tensor.grad().defined()
            });
            let decay = if decays {
                self.settings.weight_decay
            } else {
                0.0
            };
            let momentum = self.settings.momentum;
            match self.settings.kind {
                Kind::Sgd => {
                    let pairs: Vec<_> = slots
                        .map(|slot| (&slot.parameter.tensor, &slot.first))
                        .collect();
                    shim::sgd(&pairs, learning_rate, momentum, decay, scale)?;
                }
                Kind::Adam => {
                    let slots: Vec<_> = slots.filter_map(Slot::averages).collect();
                    let step = AdamStep {
                        rate: learning_rate,
                        beta1: momentum,
                        beta2: BETA2,
                        epsilon: ADAM_EPSILON,
                        decay,
                        scale,
                        step: i64::try_from(self.steps).unwrap_or(i64::MAX),
                    };
                    shim::adamw(&slots, step)?;
                }
            }
        }
        Ok(())
    }

    /// What must be saved for a later training to go on exactly.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn state(&self) -> Result<OptimizerState> {
        let mut averages = Tensors::new();
        for slot in &self.slots {
            averages.insert(
                format!("first.{}", slot.parameter.name),
                copied(&slot.first)?,
            );
            if let Some(second) = &slot.second {
                averages.insert(format!("second.{}", slot.parameter.name), copied(second)?);
            }
        }
        Ok(OptimizerState {
            steps: self.steps,
            averages,
        })
    }

    /// Goes back to a saved state of the same parameters.
    ///
    /// # Errors
    /// A name that is missing, or a shape that does not fit.
    pub fn restore(&mut self, state: &OptimizerState) -> Result<(), autoloss_plugin_api::Error> {
        let _guard = tch::no_grad_guard();
        for slot in &mut self.slots {
            let name = &slot.parameter.name;
            slot.first
                .f_copy_(state.averages.get(&format!("first.{name}"))?)?;
            if let Some(second) = &mut slot.second {
                second.f_copy_(state.averages.get(&format!("second.{name}"))?)?;
            }
        }
        self.steps = state.steps;
        Ok(())
    }
}

/// A tensor of its own with the same values.
pub(crate) fn copied(tensor: &Tensor) -> Result<Tensor> {
    let source = tensor.f_detach()?;
    let mut copy = source.f_empty_like()?;
    copy.f_copy_(&source)?;
    Ok(copy)
}

/// The update of Adam (Kingma and Ba, 2015) in place; `beta1_and_step` counts steps from 1.
pub(crate) fn adam_update(
    values: &mut Tensor,
    gradient: &Tensor,
    (first, second): (&mut Tensor, &mut Tensor),
    rate: f64,
    (beta1, step): (f64, i32),
) -> Result<()> {
    let _ = first.f_lerp_(gradient, 1.0 - beta1)?;
    let _ = second
        .f_mul_scalar_(BETA2)?
        .f_addcmul_(&gradient.f_mul_scalar(1.0 - BETA2)?, gradient)?;
    let correction = (1.0 - BETA2.powi(step)).sqrt();
    let denominator = second
        .f_sqrt()?
        .f_div_scalar_(correction)?
        .f_add_scalar_(ADAM_EPSILON)?;
    let rate = rate / (1.0 - beta1.powi(step));
    let change = first.f_div(&denominator)?.f_mul_scalar_(rate)?;
    let _ = values.f_sub_(&change)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(values: &[f64]) -> Parameter {
        let tensor = Tensor::from_slice(values).set_requires_grad(true);
        Parameter {
            name: "w".into(),
            tensor,
            decay: true,
        }
    }

    fn settings(kind: Kind) -> OptimizerSettings {
        OptimizerSettings {
            kind,
            momentum: 0.9,
            weight_decay: 0.01,
        }
    }

    /// One step on Σ w³, whose gradient depends on the state.
    fn step(optimizer: &mut Optimizer, weights: &Tensor) {
        optimizer.drop_gradients().unwrap();
        weights
            .pow_tensor_scalar(3)
            .sum(tch::Kind::Double)
            .backward();
        optimizer.step(0.05, 1.0).unwrap();
    }

    #[test]
    fn sgd_follows_its_definition() {
        for momentum in [0.9, 0.0] {
            let parameter = parameter(&[1.0]);
            let weights = parameter.tensor.shallow_clone();
            let settings = OptimizerSettings {
                momentum,
                ..settings(Kind::Sgd)
            };
            let mut optimizer = Optimizer::new(settings, vec![parameter]).unwrap();
            let (mut w, mut v) = (1.0f64, 0.0f64);
            for _ in 0..5 {
                step(&mut optimizer, &weights);
                v = momentum * v + (3.0 * w * w + 0.01 * w);
                w -= 0.05 * v;
            }
            assert!((weights.double_value(&[0]) - w).abs() < 1e-12);
        }
    }

    #[test]
    fn adam_follows_its_definition() {
        let parameter = parameter(&[1.0]);
        let weights = parameter.tensor.shallow_clone();
        let mut optimizer = Optimizer::new(settings(Kind::Adam), vec![parameter]).unwrap();
        let (mut w, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for t in 1..6 {
            step(&mut optimizer, &weights);
            let g = 3.0 * w * w;
            w *= 1.0 - 0.05 * 0.01;
            m = 0.9 * m + 0.1 * g;
            v = BETA2 * v + (1.0 - BETA2) * g * g;
            let (mh, vh) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - BETA2.powi(t)));
            w -= 0.05 * mh / (vh.sqrt() + ADAM_EPSILON);
        }
        assert!((weights.double_value(&[0]) - w).abs() < 1e-9);
    }

    #[test]
    fn a_restored_state_goes_on_exactly() {
        for kind in [Kind::Sgd, Kind::Adam] {
            let first = parameter(&[0.3, -1.2, 2.0]);
            let weights = first.tensor.shallow_clone();
            let mut optimizer = Optimizer::new(settings(kind), vec![first]).unwrap();
            (0..3).for_each(|_| step(&mut optimizer, &weights));
            let (saved, state) = (weights.detach().copy(), optimizer.state().unwrap());
            (0..4).for_each(|_| step(&mut optimizer, &weights));
            let second = parameter(&Vec::<f64>::try_from(&saved).unwrap());
            let resumed = second.tensor.shallow_clone();
            let mut optimizer = Optimizer::new(settings(kind), vec![second]).unwrap();
            optimizer.restore(&state).unwrap();
            (0..4).for_each(|_| step(&mut optimizer, &resumed));
            assert_eq!(
                Vec::<f64>::try_from(&weights.detach()).unwrap(),
                Vec::<f64>::try_from(&resumed.detach()).unwrap()
            );
        }
    }
}
