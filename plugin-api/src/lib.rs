//! What a plugin author writes against.
//!
//! A plugin is a `cdylib` that knows its data, its networks and its metrics, and nothing of loss
//! graphs or evolution. It implements up to four traits and publishes each with a macro:
//!
//! * [`Task`]: the branches of a network that are trained by their own loss, the splits, batches of
//!   named tensors and the samples a candidate loss is screened on;
//! * [`ProxyNetwork`]: a network that maps a batch to the named inputs of each branch;
//! * [`Metric`]: scores of a network over a data set;
//! * [`ScreeningMetric`]: scores of predictions that a candidate loss has optimised directly.
//!
//! A plugin may hold any of them: one plugin can add a network or a metric to a task that another
//! plugin owns. The host composes them and owns the loop.
//!
//! The decision behind the shape: authors see safe Rust and [`tch`] tensors only. All that crosses
//! the boundary goes through one small stable-ABI module ([`boundary`]) as JSON plus
//! tensor handles, so that an ability added later never changes a layout, and a panic on the
//! plugin's side becomes an error on the host's. A trait object with a stable layout per trait was
//! rejected: each added method would refuse every older plugin.
//!
//! # A whole plugin
//!
//! ```
//! use autoloss_plugin_api::{
//!     Metric, MetricInfo, MetricOptions, Result, Scores, Tensors, export_plugin, register_metric,
//! };
//!
//! /// Mean absolute error of `prediction` against `target`, as a score that is higher when better.
//! struct NegativeError {
//!     sum: f64,
//!     count: f64,
//! }
//!
//! impl Metric for NegativeError {
//!     fn info() -> MetricInfo {
//!         MetricInfo::new("negative_error", ["nmae"])
//!     }
//!     fn create(_options: &MetricOptions) -> Result<Self> {
//!         Ok(Self { sum: 0.0, count: 0.0 })
//!     }
//!     fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
//!         let difference = predictions.get("prediction")?.f_sub(targets.get("target")?)?;
//!         self.sum += difference.f_abs()?.f_sum(tch::Kind::Double)?.double_value(&[]);
//!         self.count += difference.numel() as f64;
//!         Ok(())
//!     }
//!     fn compute(&mut self) -> Result<Scores> {
//!         Ok(Scores::from([("nmae".to_owned(), -self.sum / self.count)]))
//!     }
//! }
//!
//! register_metric!(NegativeError);
//! export_plugin!();
//! # fn main() {}
//! ```
//!
//! # Networks with a part that never trains
//!
//! A pretrained encoder that stays as it is need not run in every step. A network that declares
//! [`NetworkInfo::frozen_features`] tells in [`ProxyNetwork::frozen_features`] what this part makes of
//! inputs; the host computes it once for each sample and gives `forward` and `predict` the features in the
//! place of inputs. Where training samples are augmented otherwise, [`Task::views`] says how many
//! fixed views of each there are. `libvoc_seg.so` has such a network, `fpn_lite0_frozen`.
//!
//! # What the host checks
//!
//! Mistakes that would only make results worse are errors, in every command, once per opening or per network:
//!
//! * inputs of a branch, on the first batch and in screening samples, have the [`Values`] and the constant sum over
//!   channels that are declared, and a prediction of a softmax or sigmoid branch is one;
//! * [`ProxyNetwork::parameters`] are the tensors that the loss has gradients with respect to, not copies;
//! * a batch that is asked for twice is the same twice;
//! * a setting that nobody asks for ([`Settings`]) is refused, with the names that were asked for;
//! * tensors have the samples, shapes and finite values that their method promises.

pub mod boundary;
mod error;
mod metric;
mod network;
mod register;
mod settings;
mod task;
mod tensors;

pub use autoloss_spec::UnknownName;
pub use autoloss_spec::{
    Activation, BranchInfo, BranchName, Convention, InputInfo, MetricInfo, NetworkInfo, PluginInfo,
    ReferenceLoss, ScreeningMetricInfo, Signature, SpecError, Split, TARGET_BOXES, TaskInfo,
    Values,
};
pub use error::{Error, Result, brief};
pub use metric::{Metric, MetricOptions, Scores, ScreeningMetric};
pub use network::{Mode, NetworkOptions, Parameter, ProxyNetwork};
pub use settings::Settings;
pub use task::{Batch, BatchRequest, ScreeningRequest, ScreeningSamples, Task, TaskOptions};
pub use tensors::{MissingTensor, Tensors};

#[doc(hidden)]
pub use register::{MetricEntry, NetworkEntry, ScreeningMetricEntry, TaskEntry};

// Authors and the macros use exactly the versions the boundary was built with.
pub use {inventory, serde_json, tch, tracing};

/// Version of the libtorch this crate was built with.
pub const LIBTORCH_VERSION: &str = env!("AUTOLOSS_LIBTORCH_VERSION");

/// Number of the plugin interface; host and plugin must have the same. Within a number the two sides
/// agree on abilities by name ([`boundary::capabilities`]).
pub const API_MAJOR: u32 = 2;
