//! What lies between host and plugin. Plugin authors never need this module; hosts do.
//!
//! A library is admitted in two steps. First the *preflight*: one plain record behind one plain
//! symbol, frozen in layout, from which the host can say in a sentence what does not fit. Only then
//! abi_stable's layout check of the [`PluginModule`], whose own message runs to hundreds of lines.
//!
//! The module has six functions and stays that small for good: everything else is a [`Request`] or
//! a [`Response`] in JSON, and tensors as handles in the order the message names them. Objects live
//! on the plugin's side under a number, so a stale reference is an error, never a dangling pointer.

mod guard;
mod handles;
mod module;
mod preflight;
mod serve;
mod trace;
mod wire;

pub use handles::{TensorHandle, borrow, give, take};
pub use module::{
    Answer, Failure, FailureKind, PluginModule, PluginModule_Ref, TraceSink, load_root_module,
};
pub use preflight::{PREFLIGHT_SYMBOL, Preflight};
pub use wire::{Create, Names, Request, Response};

#[doc(hidden)]
pub use abi_stable;

/// Name of the symbol behind which a plugin keeps its abi_stable header.
pub const ROOT_MODULE_SYMBOL: &[u8] = b"AUTOLOSS_ROOT_MODULE\0";

/// Publishes all that the library registered. Call it once, at the top level of the plugin crate.
#[macro_export]
macro_rules! export_plugin {
    () => {
        const _: () = {
            use $crate::boundary::abi_stable::library::{
                CheckTypeLayout, LibHeader, RootModuleResult,
            };

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

            extern "C" fn load() -> RootModuleResult {
                $crate::boundary::load_root_module(
                    ::core::env!("CARGO_PKG_NAME"),
                    ::core::env!("CARGO_PKG_VERSION"),
                )
            }

            #[allow(
                unsafe_code,
                reason = "the two symbols by which a host finds the plugin"
            )]
            #[unsafe(no_mangle)]
            // SAFETY: `load` returns a `PluginModule_Ref`, the type named here.
            pub static AUTOLOSS_ROOT_MODULE: LibHeader = unsafe {
                LibHeader::from_constructor::<$crate::boundary::PluginModule_Ref>(
                    load,
                    CheckTypeLayout::Yes,
                )
            };
        };
    };
}
