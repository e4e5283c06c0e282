//! Everything that touches tensors: loss graphs on them, screening, training, evaluation, and the
//! plugins that bring tasks, networks and metrics.
//!
//! The decision behind the shape: one [`Workbench`] composes a task, a network and metrics of
//! whatever plugins offer them, and owns the one training loop that serves them all. It implements
//! the search's `Evaluator`; [`TaskScreener`] implements its `Screener`. Neither the search nor the
//! plugins know of each other.

mod alike;
mod branches;
mod draw;
mod error;
mod features;
mod graph_eval;
mod known;
mod loader;
mod network;
mod optimizer;
pub mod plugin;
mod retrain;
pub mod runtime;
mod scale;
mod schedule;
mod screen;
mod shim;
mod trainer;
mod workbench;

pub use branches::{conventions_of, reference_texts};
pub use draw::{Picture, Sample};
pub use error::{Result, TrainError};
pub use features::Caching;
pub use tch::Device;

pub use graph_eval::{Scope, evaluate_graph, loss_of};
pub use known::{KnownFormula, KnownLosses, known_formulas};
pub use loader::Loading;
pub use network::{Compute, Network};
pub use optimizer::{Optimizer, OptimizerSettings, OptimizerState};
pub use retrain::Retraining;
pub use scale::Scaling;
pub use schedule::learning_rate;
pub use screen::{LrpTrace, TaskScreener};
pub use trainer::{BranchLoss, Step, Trained};
pub use workbench::{Choice, Trial, Workbench};
