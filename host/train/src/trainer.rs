//! The training loop, one for every task: batch → forward → loss of each branch → backward → step.

use crate::features::Feed;
use crate::loader::{Loading, with_batches};
use crate::network::Network;
use crate::plugin::RemoteTask;
use crate::{Optimizer, OptimizerSettings, Result, Scope, TrainError, learning_rate, loss_of};
use autoloss_graph::LossGraph;
use autoloss_graph::hash::{GOLDEN, finalize};
use autoloss_plugin_api::{Batch, BatchRequest, BranchInfo, Split, Tensors};
use autoloss_search::TrainingBudget;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tch::Tensor;

/// What trains a branch.
#[derive(Clone, Debug)]
pub enum BranchLoss {
    /// A loss graph, and what its value is multiplied by.
    Graph(LossGraph, f64),
    /// A reference loss that the task itself computes.
    Reference(String),
}

/// A finished training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// The step (from 0) at which the loss or its gradient was not finite, where one ended it.
    pub invalid_at: Option<usize>,
    /// Steps made: all, or as many as the caller wanted.
    pub steps: usize,
    /// Loss of the last step that had a finite one.
    pub final_loss: Option<f64>,
    /// Seconds from the first to the last step.
    pub seconds: f64,
    /// Seconds of these in which the training waited for a batch.
    pub waited_seconds: f64,
}

/// A step that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Steps made so far, this one included.
    pub done: usize,
    /// Its loss.
    pub loss: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Whether the caller asked for an end and the training is abandoned after this step.
    pub interrupted: bool,
}

/// What is told of each step, and may end the training.
pub(crate) type After<'a> = &'a mut dyn FnMut(Step, &Optimizer) -> Result<ControlFlow<()>>;

/// How work ends that its caller no longer wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    /// Raised by the caller.
    pub(crate) stop: &'a AtomicBool,
    /// Work that would be done sooner than this is done.
    pub(crate) patience: Duration,
}

impl Ending<'_> {
    /// Whether the caller asked for an end.
    pub(crate) fn is_asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether work is abandoned of which `made` of `all` equal pieces were done since it began.
    pub(crate) fn is_abandoned(&self, began: Instant, made: usize, all: usize) -> bool {
        self.is_asked() && {
            let left = all.saturating_sub(made) as f64 / made.max(1) as f64;
            began.elapsed().as_secs_f64() * left > self.patience.as_secs_f64()
        }
    }
}

/// One training.
pub(crate) struct Training<'a> {
    pub(crate) feed: Feed<'a>,
    pub(crate) network: &'a Network,
    pub(crate) branches: &'a [BranchInfo],
    pub(crate) losses: &'a BTreeMap<String, BranchLoss>,
    pub(crate) budget: &'a TrainingBudget,
    pub(crate) seed: u64,
    pub(crate) stop_invalid: bool,
    pub(crate) loading: Loading,
    pub(crate) ending: Ending<'a>,
}

impl Training<'_> {
    /// The optimiser of the network's parameters that has made no step.
    pub(crate) fn optimizer(&self) -> Result<Optimizer> {
        let settings = OptimizerSettings {
            kind: self.budget.optimizer,
            momentum: self.budget.momentum,
            weight_decay: self.budget.weight_decay,
        };
        Optimizer::new(settings, self.network.parameters()?)
    }

    /// Runs the steps from `first` on; `after` sees each with the optimiser as it left it, and may end the
    /// training. The same seed gives the same batches in the same order, however they are loaded.
    pub(crate) fn run_from(
        &self,
        first: usize,
        optimizer: &mut Optimizer,
        after: After<'_>,
    ) -> Result<Trained> {
        let requests = self.requests(first)?;
        let device = self.network.compute().device;
        let started = Instant::now();
        let mut trained = Trained {
            invalid_at: None,
            steps: first,
            final_loss: None,
            seconds: 0.0,
            waited_seconds: 0.0,
        };
        with_batches(&self.feed, device, self.loading, requests, |batches| {
            let mut interrupted = self.ending.is_asked();
            let mut wanted = ControlFlow::Continue(());
            while trained.steps < self.budget.steps
                && trained.invalid_at.is_none()
                && wanted.is_continue()
            {
                if interrupted {
                    return Err(TrainError::Interrupted);
                }
                let batch = batches.next()?;
                let made = (first, started);
                (interrupted, wanted) = self.step(&mut trained, &batch, optimizer, made, after)?;
            }
            trained.waited_seconds = batches.waited().as_secs_f64();
            Ok(())
        })?;
        trained.seconds = started.elapsed().as_secs_f64();
        Ok(trained)
    }

    /// One step of a training that began at step `first`, at a moment. Whether it is abandoned, as `after` was told,
    /// and what `after` said.
    fn step(
        &self,
        trained: &mut Trained,
        batch: &Batch,
        optimizer: &mut Optimizer,
        (first, started): (usize, Instant),
        after: After<'_>,
    ) -> Result<(bool, ControlFlow<()>)> {
        let (budget, step) = (self.budget, trained.steps);
        // Dropout and the like then depend on the step alone, and a resumed training is the same.
        tch::manual_seed(i64::from_ne_bytes(
            mix(self.seed, step as u64).to_ne_bytes(),
        ));
        optimizer.drop_gradients()?;
        let loss = self.loss(batch)?;
        // A loss that depends on no prediction has the gradient zero.
        if loss.requires_grad() {
            loss.f_backward()?;
            if step == first && !optimizer.has_gradients() {
                return Err(self.network.parameters_are_apart());
            }
        }
        // Read only now: on a GPU reading waits for all that was started.
        let norm = optimizer.gradient_norm()?;
        let value = loss.f_double_value(&[])?;
        if value.is_finite() {
            trained.final_loss = Some(value);
        }
        if self.stop_invalid && !(value.is_finite() && norm.is_finite()) {
            trained.invalid_at = Some(step);
            return Ok((false, ControlFlow::Continue(())));
        }
        let scale = match budget.clip_norm {
            Some(most) if norm > most => most / norm,
            _ => 1.0,
        };
        let learning_rate = learning_rate(budget, step);
        optimizer.step(learning_rate, scale)?;
        trained.steps = step + 1;
        let made = Step {
            done: trained.steps,
            loss: value,
            learning_rate,
            interrupted: self
                .ending
                .is_abandoned(started, step + 1 - first, budget.steps - first),
        };
        let wanted = after(made, optimizer)?;
        Ok((made.interrupted, wanted))
    }

    /// What the steps from `first` on are to be given.
    fn requests(&self, first: usize) -> Result<impl Iterator<Item = BatchRequest> + Send + use<>> {
        let groups = self.feed.task.groups(Split::Train)?;
        let mut order = Order::new(self.feed.task.len(Split::Train)?, groups, self.seed);
        let (size, seed) = (self.budget.batch_size, self.seed);
        for _ in 0..first {
            order.take(size);
        }
        let request = move |step: usize| BatchRequest {
            split: Split::Train,
            indices: order.take(size),
            augment: Some(mix(seed, step as u64)),
            view: None,
        };
        Ok((first..self.budget.steps).map(request))
    }

    /// Σ of the branches' losses.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let inputs = self.network.forward(self.branches, batch)?;
        let mut total: Option<Tensor> = None;
        for (branch, inputs) in &inputs {
            let loss = self
                .losses
                .get(branch)
                .ok_or_else(|| TrainError::MissingLoss(branch.clone()))?;
            let loss = branch_loss(self.feed.task, branch, loss, inputs)?;
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
        BranchLoss::Graph(graph, scale) => {
            // What is beyond the declared inputs has no name in a graph.
            let inputs: Vec<&Tensor> = inputs.iter().map(|(_, tensor)| tensor).collect();
            let loss = loss_of(graph, &inputs, Scope::Batch)?;
            match *scale {
                1.0 => Ok(loss),
                scale => Ok(loss.f_mul_scalar(scale)?),
            }
        }
    }
}

/// Sample numbers, each once an epoch, shuffled anew every epoch.
struct Order {
    rng: ChaCha8Rng,
    epoch: Vec<u64>,
    next: usize,
    /// By sample; empty where all go together.
    groups: Vec<u32>,
    /// Samples of each group that wait for a batch to be full.
    waiting: BTreeMap<u32, Vec<u64>>,
}

impl Order {
    fn new(len: u64, groups: Vec<u32>, seed: u64) -> Self {
        let epoch: Vec<u64> = (0..len).collect();
        let next = epoch.len();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            epoch,
            next,
            groups,
            waiting: BTreeMap::new(),
        }
    }

    /// The samples of the next batch, all of one group.
    fn take(&mut self, count: usize) -> Vec<u64> {
        while let Some(sample) = self.draw() {
            let group = self.groups.get(sample as usize).copied();
            let waiting = self.waiting.entry(group.unwrap_or_default()).or_default();
            waiting.push(sample);
            if waiting.len() >= count {
                return std::mem::take(waiting);
            }
        }
        Vec::new()
    }

    fn draw(&mut self) -> Option<u64> {
        if self.next == self.epoch.len() {
            self.epoch.shuffle(&mut self.rng);
            self.next = 0;
        }
        let sample = self.epoch.get(self.next).copied();
        self.next += 1;
        sample
    }
}

/// A number that depends on both, evenly spread (the finaliser of SplitMix64).
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    finalize(seed ^ number.wrapping_add(1).wrapping_mul(GOLDEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_done_is_done() {
        let stop = AtomicBool::new(false);
        let ending = Ending {
            stop: &stop,
            patience: Duration::from_secs(5),
        };
        let began = Instant::now().checked_sub(Duration::from_secs(60));
        let began = began.unwrap_or_else(Instant::now);
        assert!(!ending.is_abandoned(began, 1, 1000));
        stop.store(true, Ordering::Relaxed);
        // A minute for 100 pieces: 8 more take 4.8 s, 9 more 5.4 s.
        assert!(!ending.is_abandoned(began, 100, 108));
        assert!(ending.is_abandoned(began, 100, 109));
        assert!(!ending.is_abandoned(began, 100, 100));
    }

    #[test]
    fn every_epoch_holds_each_sample_once() {
        let mut order = Order::new(7, Vec::new(), 3);
        for _ in 0..3 {
            let mut epoch = [order.take(4), order.take(3)].concat();
            epoch.sort_unstable();
            assert_eq!(epoch, (0..7).collect::<Vec<u64>>());
        }
        let first = |seed| Order::new(50, Vec::new(), seed).take(50);
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
        assert!(Order::new(0, Vec::new(), 1).take(5).is_empty());
    }

    #[test]
    fn batches_are_of_one_group_and_no_sample_is_forgotten() {
        let groups: Vec<u32> = (0..30).map(|sample| u32::from(sample % 3 == 0)).collect();
        let mut order = Order::new(30, groups.clone(), 2);
        let mut seen = [0; 30];
        for _ in 0..75 {
            let batch = order.take(4);
            assert_eq!(batch.len(), 4);
            assert!(
                batch
                    .iter()
                    .all(|&s| groups[s as usize] == groups[batch[0] as usize])
            );
            batch.iter().for_each(|&sample| seen[sample as usize] += 1);
        }
        // Ten epochs, less what still waits.
        assert!(
            seen.iter().all(|count| (9..=11).contains(count)),
            "{seen:?}"
        );
    }
}
