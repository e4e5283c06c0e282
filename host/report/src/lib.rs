//! A run as one page that can be sent to a colleague: a single HTML file that needs no network and no
//! other file, with formulas, charts, tables and pictures; the same page served live while the run goes
//! on; its data as JSON; and event files for TensorBoard.
//!
//! Rust renders every word and every table ([maud](https://maud.lambda.xyz) escapes whatever comes from
//! plugins, tasks and files); the page's script only draws charts, sorts tables and fetches what changed.
//! The alternative, a page that a script builds from data, was rejected because it says nothing without
//! its script, and because a live page would need the same texts twice. Everything is aggregated here, so
//! that the page of a run of millions of candidates is no larger than that of a run of thousands.
//!
//! Begin with [`Report`]; [`watch`] serves it, [`tensorboard`] writes events.

mod assets;
mod branches;
mod comparison;
mod content;
mod costs;
mod curve;
mod error;
mod fidelity;
mod funnel;
mod lineage;
mod losses;
mod number;
mod page;
mod pictures;
mod plot;
mod report;
mod sensitivity;
mod setup;
mod shape;
mod source;
mod statistics;
mod summary;
pub mod tensorboard;
pub mod watch;
mod workers;

pub use content::Options;
pub use error::ReportError;
pub use fidelity::{Fidelity, TrainedBy};
pub use report::{Report, summary_json};
pub use sensitivity::{Sensitivity, Variant};
