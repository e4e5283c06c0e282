//! What lies between host and plugin. Plugin authors never need this module; hosts do.
//!
//! A library is admitted in two steps. First the *preflight*: one plain record behind one plain
//! symbol, frozen in layout, from which the host can say in a sentence what does not fit. Only then
//! abi_stable's layout check of the [`Module`], whose own message runs to hundreds of lines.
//!
//! The module has five functions and keeps them: everything else is JSON, and tensors as handles in
//! the order the message names them. [`Create`] makes an object, [`Call`] calls it; each kind of
//! object has requests and responses of its own, so that a request to an object of another kind does
//! not compile. Objects live on the plugin's side under a number, so a stale reference is an error,
//! never a dangling pointer.
//!
//! A plugin's description lists its [`capabilities`]: every method that it can be asked for. A host
//! asks an older plugin only for what it lists and takes the default in place of the rest; it ignores
//! what a newer plugin lists beyond its own, unless the plugin requires it.

mod failure;
mod message;
mod metric;
mod module;
mod network;
mod preflight;
mod serve;
mod task;
mod trace;
mod wire;

pub use failure::{Failure, FailureKind};
pub use message::{Names, Request};
pub use metric::{MetricRequest, MetricResponse, ScreeningMetricRequest, ScreeningMetricResponse};
pub use module::{Header, Module};
#[doc(hidden)]
pub use module::{LibHeader, RootModuleResult, header, load_root_module};
pub use network::{NetworkRequest, NetworkResponse};
pub use preflight::{PREFLIGHT_SYMBOL, Preflight};
pub use serve::Export;
pub use task::{TaskRequest, TaskResponse};
pub use wire::{Call, Create, capabilities};

/// Name of the symbol behind which a plugin keeps its abi_stable header.
pub const ROOT_MODULE_SYMBOL: &[u8] = b"AUTOLOSS_ROOT_MODULE\0";

/// Publishes all that the library registered. Call it once, at the top level of the plugin crate.
///
/// `export_plugin!(requires: ["Task::groups"])` has hosts refuse the plugin that do not know all of
/// these [`capabilities`](crate::boundary::capabilities).
#[macro_export]
macro_rules! export_plugin {
    () => {
        $crate::export_plugin!(requires: []);
    };
    (requires: [$($capability:literal),* $(,)?]) => {
        $crate::export_plugin!(@export [$($capability),*], ::core::option::Option::None);
    };
    // For tests of hosts: `rewrite` changes the description as JSON.
    (@rewritten_by $rewrite:path) => {
        $crate::export_plugin!(@export [], ::core::option::Option::Some($rewrite));
    };
    (@export [$($capability:literal),*], $rewrite:expr) => {
        const _: () = {
            #[allow(
                unsafe_code,
                reason = "the two symbols by which a host finds the plugin"
            )]
            #[unsafe(no_mangle)]
            pub static AUTOLOSS_PREFLIGHT: $crate::boundary::Preflight =
                $crate::boundary::Preflight::of_plugin(
                    ::core::env!("CARGO_PKG_NAME"),
                    ::core::env!("CARGO_PKG_VERSION"),
                    ::core::cfg!(panic = "unwind"),
                );

            extern "C" fn load() -> $crate::boundary::RootModuleResult {
                $crate::boundary::load_root_module($crate::boundary::Export {
                    name: ::core::env!("CARGO_PKG_NAME"),
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    requires: &[$($capability),*],
                    rewrite: $rewrite,
                })
            }

            #[allow(
                unsafe_code,
                reason = "the two symbols by which a host finds the plugin"
            )]
            #[unsafe(no_mangle)]
            pub static AUTOLOSS_ROOT_MODULE: $crate::boundary::LibHeader =
                $crate::boundary::header(load);
        };
    };
}
