//! The vocabulary that host and plugins share: names, splits, activations, value kinds, branches,
//! tasks, networks, metrics, training budgets, objectives.
//!
//! Plain serde values without tensors and without I/O, each declared here once: a plugin author sees
//! them through `autoloss-plugin-api`, the host's crates use them directly, and nothing translates
//! between two declarations of one thing.

mod budget;
mod name;
mod split;

pub use budget::{MemoryFormat, Optimizer, Precision, Schedule, TrainingBudget};
pub use name::UnknownName;
pub use split::Split;
