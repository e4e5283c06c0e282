//! A plugin that does what it is told not to, for the host's tests.
//!
//! Without a fault it is a valid task that trains in milliseconds: maps of 8×8 pixels in three
//! classes, which a single 3×3 convolution learns in some twenty steps. The host's own commands are
//! tested on it for that reason.
//!
//! One library with a switch, rather than one library for each fault: there are some sixty faults,
//! and each library would link libtorch anew.

mod data;
mod description;
mod fault;
mod guest;
mod maps;
mod metric;
mod mishap;
mod network;

use data::Misbehaving;
use metric::Agreement;
use network::Pebble;

use autoloss_plugin_api::{
    export_plugin, register_metric, register_network, register_screening_metric, register_task,
};

/// The task's name.
const TASK: &str = "misbehaving";
/// The name of its only branch.
const BRANCH: &str = "map";
/// Number of classes and of image channels.
const CLASSES: i64 = 3;

register_task!(Misbehaving);
register_network!(Pebble);
register_metric!(Agreement);
register_screening_metric!(Agreement);
register_network!(guest::Guest);
register_metric!(guest::GuestAccuracy);
export_plugin!(@rewritten_by description::rewritten);
