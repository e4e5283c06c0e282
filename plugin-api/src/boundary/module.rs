//! The stable-ABI module itself. Its layout is frozen: new abilities are new requests, or
//! interfaces behind `query_interface`.

#![allow(
    unsafe_code,
    missing_docs,
    clippy::undocumented_unsafe_blocks,
    non_camel_case_types,
    non_local_definitions,
    reason = "what abi_stable's derive expands to"
)]

use super::handles::TensorHandle;
use super::serve;
use abi_stable::StableAbi;
use abi_stable::library::{__call_root_module_loader, RootModule, RootModuleResult};
use abi_stable::package_version_strings;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
use std::sync::OnceLock;

/// Receives a plugin's log events.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TraceSink {
    /// Called with level (1 error … 5 trace), target and message.
    pub emit: for<'a, 'b> extern "C" fn(u8, RStr<'a>, RStr<'b>),
}

/// Why a call failed.
#[repr(u8)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The plugin returned an error.
    Error,
    /// The plugin panicked; the object it happened in is lost.
    Panic,
    /// The message was not understood.
    Protocol,
}

/// A failed call.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// One line.
    pub message: RString,
    /// Place and backtrace of a panic; the full text of an error.
    pub detail: RString,
}

/// A successful call: a message and the tensors it names, owned by the receiver.
#[repr(C)]
#[derive(StableAbi)]
pub struct Answer {
    /// JSON.
    pub message: RVec<u8>,
    /// In the order the message names them.
    pub tensors: RVec<TensorHandle>,
}

/// The functions of a plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    /// All that the plugin offers, as JSON of [`PluginInfo`](crate::PluginInfo).
    pub describe: extern "C" fn() -> RResult<RVec<u8>, Failure>,
    /// Makes an object from JSON of [`Create`](super::Create) and returns its number.
    pub create: for<'a> extern "C" fn(RSlice<'a, u8>) -> RResult<u64, Failure>,
    /// Calls an object with JSON of [`Request`](super::Request) and borrowed tensors.
    pub call: for<'a, 'b> extern "C" fn(
        u64,
        RSlice<'a, u8>,
        RSlice<'b, TensorHandle>,
    ) -> RResult<Answer, Failure>,
    /// Forgets an object.
    pub destroy: extern "C" fn(u64),
    /// Sends log events up to a level to the host.
    pub connect: extern "C" fn(TraceSink, u8),
    /// A further interface by name, or null.
    #[sabi(last_prefix_field)]
    pub query_interface: for<'a> extern "C" fn(RStr<'a>) -> *const u8,
}

impl RootModule for PluginModule_Ref {
    abi_stable::declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "autoloss_plugin";
    const NAME: &'static str = "autoloss_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

static IDENTITY: OnceLock<(&'static str, &'static str)> = OnceLock::new();

/// Name and version the plugin was exported under.
pub(super) fn identity() -> (&'static str, &'static str) {
    IDENTITY.get().copied().unwrap_or(("unknown", "0"))
}

/// Called by [`export_plugin!`](crate::export_plugin) when a host loads the library.
pub fn load_root_module(name: &'static str, version: &'static str) -> RootModuleResult {
    IDENTITY.get_or_init(|| (name, version));
    __call_root_module_loader(module)
}

fn module() -> PluginModule_Ref {
    PluginModule {
        describe: serve::describe,
        create: serve::create,
        call: serve::call,
        destroy: serve::destroy,
        connect: super::trace::connect,
        query_interface: serve::query_interface,
    }
    .leak_into_prefix()
}
