//! The training loop, one for every task: batch → forward → loss of each branch → backward → step.

use crate::plugin::{RemoteNetwork, RemoteTask};
use crate::{Optimizer, OptimizerSettings, Result, Scope, TrainError, learning_rate, loss_of};
use autoloss_graph::LossGraph;
use autoloss_plugin_api::{Batch, BatchRequest, BranchInfo, Mode, Split, Tensors};
use autoloss_search::ProxyBudget;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Tensor};

/// What trains a branch.
#[derive(Clone, Debug)]
pub enum BranchLoss {
    /// A loss graph.
    Graph(LossGraph),
    /// A reference loss that the task itself computes.
    Reference(String),
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// After all its steps.
    Complete,
    /// The loss or its gradient was not finite at this step (from 0).
    Invalid(usize),
}

/// A finished training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// How it ended.
    pub ending: Ending,
    /// Steps made.
    pub steps: usize,
    /// Loss of the last step that had a finite one.
    pub final_loss: Option<f64>,
}

/// One training.
pub(crate) struct Training<'a> {
    pub(crate) task: &'a RemoteTask,
    pub(crate) network: &'a RemoteNetwork,
    pub(crate) branches: &'a [BranchInfo],
    pub(crate) losses: &'a BTreeMap<String, BranchLoss>,
    pub(crate) budget: &'a ProxyBudget,
    pub(crate) seed: u64,
    pub(crate) stop_invalid: bool,
    pub(crate) device: Device,
    pub(crate) stop: &'a AtomicBool,
}

impl Training<'_> {
    /// Runs it. The same seed gives the same batches in the same order.
    pub(crate) fn run(&self) -> Result<Trained> {
        let budget = self.budget;
        let settings = OptimizerSettings {
            kind: budget.optimizer,
            momentum: budget.momentum,
            weight_decay: budget.weight_decay,
        };
        let mut optimizer = Optimizer::new(settings, self.network.parameters()?)?;
        let mut order = Order::new(self.task.len(Split::Train)?, self.seed);
        let mut trained = Trained {
            ending: Ending::Complete,
            steps: 0,
            final_loss: None,
        };
        for step in 0..budget.steps {
            if self.stop.load(Ordering::Relaxed) {
                return Err(TrainError::Interrupted);
            }
            let batch = self.batch(&mut order, step)?;
            optimizer.zero_gradients();
            let loss = self.loss(&batch)?;
            let value = loss.f_double_value(&[])?;
            if value.is_finite() {
                trained.final_loss = Some(value);
            }
            // A loss that depends on no prediction has the gradient zero.
            if loss.requires_grad() {
                loss.f_backward()?;
            }
            let norm = optimizer.gradient_norm()?;
            if self.stop_invalid && !(value.is_finite() && norm.is_finite()) {
                trained.ending = Ending::Invalid(step);
                return Ok(trained);
            }
            let scale = match budget.clip_norm {
                Some(most) if norm > most => most / norm,
                _ => 1.0,
            };
            optimizer.step(learning_rate(budget, step), scale)?;
            trained.steps = step + 1;
        }
        Ok(trained)
    }

    fn batch(&self, order: &mut Order, step: usize) -> Result<Batch> {
        let request = BatchRequest {
            split: Split::Train,
            indices: order.take(self.budget.batch_size),
            augment: Some(mix(self.seed, step as u64)),
        };
        let batch = self.task.batch(request)?;
        Ok(Batch {
            inputs: batch.inputs.to_device(self.device)?,
            targets: batch.targets.to_device(self.device)?,
        })
    }

    /// Σ of the branches' losses.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let inputs = self.network.forward(self.branches, batch, Mode::Train)?;
        let mut total: Option<Tensor> = None;
        for (branch, inputs) in &inputs {
            let loss = self
                .losses
                .get(branch)
                .ok_or_else(|| TrainError::MissingLoss(branch.clone()))?;
            let loss = branch_loss(self.task, branch, loss, inputs)?;
            total = Some(match total {
                None => loss,
                Some(sum) => sum.f_add(&loss)?,
            });
        }
        total.ok_or_else(|| TrainError::MissingLoss("of any name".into()))
    }
}

fn branch_loss(
    task: &RemoteTask,
    branch: &str,
    loss: &BranchLoss,
    inputs: &Tensors,
) -> Result<Tensor> {
    match loss {
        BranchLoss::Reference(name) => Ok(task.reference_loss(name, branch, inputs)?),
        BranchLoss::Graph(graph) => {
            let inputs: Vec<&Tensor> = inputs.iter().map(|(_, tensor)| tensor).collect();
            loss_of(graph, &inputs, Scope::Batch)
        }
    }
}

/// Sample numbers, each once an epoch, shuffled anew every epoch.
struct Order {
    rng: ChaCha8Rng,
    epoch: Vec<u64>,
    next: usize,
}

impl Order {
    fn new(len: u64, seed: u64) -> Self {
        let epoch: Vec<u64> = (0..len).collect();
        let next = epoch.len();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            epoch,
            next,
        }
    }

    fn take(&mut self, count: usize) -> Vec<u64> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count && !self.epoch.is_empty() {
            if self.next == self.epoch.len() {
                self.epoch.shuffle(&mut self.rng);
                self.next = 0;
            }
            taken.push(self.epoch[self.next]);
            self.next += 1;
        }
        taken
    }
}

/// A number that depends on both, evenly spread (the finaliser of SplitMix64).
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_each_sample_once() {
        let mut order = Order::new(7, 3);
        for _ in 0..3 {
            let mut epoch = [order.take(4), order.take(3)].concat();
            epoch.sort_unstable();
            assert_eq!(epoch, (0..7).collect::<Vec<u64>>());
        }
        assert_eq!(Order::new(50, 3).take(50), Order::new(50, 3).take(50));
        assert_ne!(Order::new(50, 3).take(50), Order::new(50, 4).take(50));
        assert!(Order::new(0, 1).take(5).is_empty());
    }
}
