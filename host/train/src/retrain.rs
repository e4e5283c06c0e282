//! Full-length training with checkpoints that a later process goes on from exactly.
//!
//! A checkpoint is a folder of its own, written beside its place and renamed into it, so that one is
//! whole or not there; the one before is removed only then. What a step needs besides parameters,
//! running statistics and the optimiser's averages is its number: batches, augmentation and dropout
//! follow from seed and step.

use crate::network::{Network, checkpoint, read_tensors, write_tensors};
use crate::trainer::{Step, Trained};
use crate::{BranchLoss, Optimizer, OptimizerState, Result, Workbench};
use autoloss_plugin_api::Split;
use autoloss_search::{Checkpoints, TrainingBudget};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NETWORK: &str = "network.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const PROGRESS: &str = "progress.json";
const PREFIX: &str = "step-";
const PARTIAL: &str = "partial";

/// A long training and where its checkpoints go.
#[derive(Clone, Copy, Debug)]
pub struct Retraining<'a> {
    /// The losses.
    pub losses: &'a BTreeMap<String, BranchLoss>,
    /// Length and shape of the training.
    pub budget: &'a TrainingBudget,
    /// Seed of the training.
    pub seed: u64,
    /// Where they go.
    pub checkpoints: &'a Checkpoints,
    /// Asks for one more after the next step, which lowers it.
    pub save: &'a AtomicBool,
}

/// Where a checkpoint stands.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    schema: u32,
    steps: usize,
    optimizer_steps: u64,
}

impl Retraining<'_> {
    /// Trains to the end, from the last checkpoint where there is one. `watch` is told every step, and
    /// first, where it goes on, from which. An interrupted training leaves a checkpoint of its last step.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, a checkpoint that cannot be used, or
    /// [`TrainError::Interrupted`](crate::TrainError::Interrupted).
    pub fn run(
        &self,
        workbench: &Workbench,
        going_on: &mut dyn FnMut(usize),
        watch: &mut dyn FnMut(Step),
    ) -> Result<(Network, Trained)> {
        workbench.prepare(&[Split::Train], &mut |_, _, _| ())?;
        let network = workbench.build(self.budget, self.seed)?;
        let mut training = workbench.training(&network, self.losses, self.budget, self.seed, true);
        // A checkpoint loses nothing.
        training.ending.patience = Duration::ZERO;
        let mut optimizer = training.optimizer()?;
        let first = match self.latest()? {
            None => 0,
            Some(folder) => {
                let steps = restore(&folder, &network, &mut optimizer)?;
                going_on(steps);
                steps
            }
        };
        if first > self.budget.steps {
            let what = format!("{first} steps were made, {} are wanted", self.budget.steps);
            return Err(checkpoint(&self.checkpoints.folder, what));
        }
        let trained = training.run_from(first, &mut optimizer, &mut |step, optimizer| {
            watch(step);
            let due =
                step.done.is_multiple_of(self.checkpoints.every) || step.done == self.budget.steps;
            let asked = self.save.swap(false, Ordering::Relaxed);
            if asked {
                tracing::info!("a checkpoint after {} steps was asked for", step.done);
            }
            if due || asked || step.interrupted {
                self.save(step.done, &network, optimizer)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((network, trained))
    }

    fn save(&self, steps: usize, network: &Network, optimizer: &Optimizer) -> Result<()> {
        let partial = self.checkpoints.folder.join(PARTIAL);
        let state = optimizer.state()?;
        let progress = Progress {
            schema: 1,
            steps,
            optimizer_steps: state.steps,
        };
        let failed = |error: std::io::Error| checkpoint(&partial, error);
        remove(&partial).map_err(failed)?;
        fs::create_dir_all(&partial).map_err(failed)?;
        network.save(&partial.join(NETWORK))?;
        write_tensors(&partial.join(OPTIMIZER), &state.averages)?;
        let text = serde_json::to_string(&progress).map_err(|error| checkpoint(&partial, error))?;
        fs::write(partial.join(PROGRESS), text).map_err(failed)?;
        for file in [NETWORK, OPTIMIZER, PROGRESS] {
            fs::File::open(partial.join(file))
                .and_then(|file| file.sync_all())
                .map_err(failed)?;
        }
        let before = self.all()?;
        let target = self.checkpoints.folder.join(format!("{PREFIX}{steps:08}"));
        remove(&target).map_err(failed)?;
        fs::rename(&partial, &target).map_err(failed)?;
        for (_, old) in before.iter().filter(|(_, old)| *old != target) {
            remove(old).map_err(|error| checkpoint(old, error))?;
        }
        Ok(())
    }

    /// The checkpoint of the most steps.
    fn latest(&self) -> Result<Option<PathBuf>> {
        Ok(self.all()?.into_iter().max().map(|(_, folder)| folder))
    }

    /// Every checkpoint with its steps.
    fn all(&self) -> Result<Vec<(usize, PathBuf)>> {
        let failed = |error: std::io::Error| checkpoint(&self.checkpoints.folder, error);
        let entries = match fs::read_dir(&self.checkpoints.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let steps = name.and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            found.extend(steps.map(|steps| (steps, path)));
        }
        Ok(found)
    }
}

/// Puts network and optimiser back to a checkpoint and returns its steps.
fn restore(folder: &Path, network: &Network, optimizer: &mut Optimizer) -> Result<usize> {
    let file = folder.join(PROGRESS);
    let text = fs::read_to_string(&file).map_err(|error| checkpoint(&file, error))?;
    let progress: Progress =
        serde_json::from_str(&text).map_err(|error| checkpoint(&file, error))?;
    if progress.schema != 1 {
        let what = format!("schema {}, this version reads 1", progress.schema);
        return Err(checkpoint(&file, what));
    }
    network.restore(&folder.join(NETWORK))?;
    let averages = folder.join(OPTIMIZER);
    let state = OptimizerState {
        steps: progress.optimizer_steps,
        averages: read_tensors(&averages)?,
    };
    let restored = optimizer.restore(&state);
    restored.map_err(|error| checkpoint(&averages, error))?;
    Ok(progress.steps)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
