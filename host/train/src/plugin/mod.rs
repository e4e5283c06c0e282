//! Loading plugins, and calling them as if they were ordinary values.
//!
//! [`Plugin`] admits one library; [`Registry`] holds all that were loaded and finds tasks, networks
//! and metrics in them by name, and the weights that a network needs; [`RemoteTask`], [`RemoteNetwork`], [`RemoteMetric`] and
//! [`RemoteScreeningMetric`] turn method calls into messages and check every answer before the host believes it.

mod copy;
mod error;
mod library;
mod registry;
mod remote;
mod weights;

pub use error::{LoadError, PluginError, Trouble};
pub(crate) use library::hexadecimal;
pub use library::{Plugin, file_sha256};
pub use registry::{Registry, locate};
pub use remote::{RemoteMetric, RemoteNetwork, RemoteScreeningMetric, RemoteTask};
pub use weights::{ChosenNetwork, find_weights};
