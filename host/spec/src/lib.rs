//! The vocabulary that host and plugins share: names, splits, activations, value kinds, branches,
//! tasks, networks, metrics, training budgets, objectives.
//!
//! Plain serde values without tensors and without I/O, each declared here once: a plugin author sees
//! them through `autoloss-plugin-api`, the host's crates use them directly, and nothing translates
//! between two declarations of one thing.
//!
//! Enums are matched exhaustively, and reading refuses a value that this version does not know: a
//! default in its place would change what a loss or a task means. Structs of declarations are
//! non-exhaustive, with a builder each, so that a later field breaks no plugin's source.

mod activation;
mod branch;
mod budget;
mod error;
mod name;
mod plugin;
mod signature;
mod split;
mod task;
mod text;
mod wrapped;

pub use activation::{Activation, TARGET_BOXES};
pub use branch::{BranchInfo, Convention};
pub use budget::{MemoryFormat, Optimizer, Precision, Schedule, TrainingBudget};
pub use error::SpecError;
pub use name::{BranchName, UnknownName};
pub use plugin::{MetricInfo, NetworkInfo, PluginInfo, ScreeningMetricInfo};
pub use signature::{InputId, InputInfo, MAX_INPUTS, Signature, Values};
pub use split::Split;
pub use task::{ReferenceLoss, TaskInfo};
pub use text::{text, without_mark};
pub use wrapped::unwrapped;
