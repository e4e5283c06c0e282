//! The stable-ABI module: every use of abi_stable, and the plain functions around it.
//!
//! abi_stable checks, when a host loads a plugin, that both lay these types out alike. Its types end
//! here: the rest of the boundary sees slices, vectors and tensors. The layout is frozen for a major
//! number of the interface; a new ability is a new message.

#![allow(
    unsafe_code,
    missing_docs,
    clippy::undocumented_unsafe_blocks,
    non_camel_case_types,
    unreachable_pub,
    non_local_definitions,
    reason = "what abi_stable's derive expands to"
)]

use super::failure::{Failure, FailureKind};
use super::serve::{self, Export};
use super::trace;
use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, CheckTypeLayout, RootModule};
pub use abi_stable::library::{LibHeader, RootModuleResult};
use abi_stable::package_version_strings;
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
use tch::Tensor;

/// What the symbol [`ROOT_MODULE_SYMBOL`](super::ROOT_MODULE_SYMBOL) holds.
pub type Header = AbiHeaderRef;

/// A tensor on its way: a pointer to the heap object that a [`Tensor`] owns. Nothing is copied and
/// gradients stay attached, since both sides use the one libtorch of the process. As an argument it
/// is borrowed for the length of the call; in an answer it is owned by the receiver.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct TensorHandle(*mut u8);

/// Receives a plugin's log events: level (1 error … 5 trace), target and message.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct TraceSink(for<'a, 'b> extern "C" fn(u8, RStr<'a>, RStr<'b>));

#[repr(C)]
#[derive(StableAbi)]
pub struct RawFailure {
    /// As [`FailureKind`] numbers them.
    kind: u8,
    message: RString,
    detail: RString,
    /// JSON of the name that was not known; empty for other failures.
    unknown: RString,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct RawAnswer {
    message: RVec<u8>,
    /// In the order the message names them, owned by the receiver.
    tensors: RVec<TensorHandle>,
}

/// The functions of a plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    describe: extern "C" fn() -> RResult<RVec<u8>, RawFailure>,
    create: for<'a> extern "C" fn(RSlice<'a, u8>) -> RResult<u64, RawFailure>,
    call: for<'a, 'b> extern "C" fn(
        u64,
        RSlice<'a, u8>,
        RSlice<'b, TensorHandle>,
    ) -> RResult<RawAnswer, RawFailure>,
    destroy: extern "C" fn(u64),
    #[sabi(last_prefix_field)]
    connect: extern "C" fn(TraceSink, u8),
}

impl RootModule for PluginModule_Ref {
    abi_stable::declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "autoloss_plugin";
    const NAME: &'static str = "autoloss_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The header of a plugin's module, for [`export_plugin!`](crate::export_plugin).
pub const fn header(load: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: `load` is `load_root_module`, which returns the module named here.
    unsafe { LibHeader::from_constructor::<PluginModule_Ref>(load, CheckTypeLayout::Yes) }
}

/// Called when a host loads the library.
pub fn load_root_module(export: Export) -> RootModuleResult {
    serve::publish(export);
    let module = PluginModule {
        describe,
        create,
        call,
        destroy,
        connect,
    };
    // SAFETY: hosts turn the prefix back into the type that the header names.
    RResult::ROk(unsafe { module.leak_into_prefix().to_prefix_ref().cast() })
}

extern "C" fn describe() -> RResult<RVec<u8>, RawFailure> {
    raw(serve::describe().map(RVec::from))
}

extern "C" fn create(what: RSlice<'_, u8>) -> RResult<u64, RawFailure> {
    raw(serve::create(what.as_slice()))
}

extern "C" fn call(
    number: u64,
    message: RSlice<'_, u8>,
    tensors: RSlice<'_, TensorHandle>,
) -> RResult<RawAnswer, RawFailure> {
    // SAFETY: the host borrows its tensors for the length of this call.
    let tensors = tensors.iter().map(|handle| unsafe { share(*handle) });
    let answer = serve::call(number, message.as_slice(), tensors.collect());
    raw(answer.map(|(message, tensors)| RawAnswer {
        message: message.into(),
        tensors: tensors.into_iter().map(give).collect(),
    }))
}

extern "C" fn destroy(number: u64) {
    serve::destroy(number);
}

extern "C" fn connect(sink: TraceSink, most: u8) {
    trace::forward(
        move |level, target, text| (sink.0)(level, target.into(), text.into()),
        most,
    );
}

extern "C" fn emit(level: u8, target: RStr<'_>, message: RStr<'_>) {
    trace::emit(level, target.as_str(), message.as_str());
}

/// A handle that carries ownership.
fn give(mut tensor: Tensor) -> TensorHandle {
    let pointer = tensor.as_mut_ptr();
    std::mem::forget(tensor);
    TensorHandle(pointer.cast())
}

/// The tensor of a handle that carries ownership.
///
/// # Safety
/// The handle must come from [`give`] and be taken only once.
unsafe fn take(handle: TensorHandle) -> Tensor {
    // SAFETY: by this function's contract the pointer is an owned tensor of this process's libtorch.
    unsafe { Tensor::from_ptr(handle.0.cast()) }
}

/// A handle for an argument. The tensor must outlive the call.
fn borrow(tensor: &Tensor) -> TensorHandle {
    TensorHandle(tensor.as_ptr().cast_mut().cast())
}

/// A tensor of its own that shares the data of a borrowed handle.
///
/// # Safety
/// The handle must come from [`borrow`] of a tensor that is still alive.
unsafe fn share(handle: TensorHandle) -> Tensor {
    // SAFETY: by this function's contract the pointer is a live tensor; cloning leaves it untouched.
    unsafe { Tensor::clone_from_ptr(handle.0.cast()) }
}

fn raw<T>(outcome: Result<T, Failure>) -> RResult<T, RawFailure> {
    let raw = |failure: Failure| RawFailure {
        kind: failure.kind as u8,
        message: failure.message.into(),
        detail: failure.detail.into(),
        // A name and its alternatives always serialise.
        unknown: failure
            .unknown
            .and_then(|name| serde_json::to_string(&name).ok())
            .unwrap_or_default()
            .into(),
    };
    outcome.map_err(raw).into()
}

fn plain<T>(outcome: RResult<T, RawFailure>) -> Result<T, Failure> {
    let plain = |raw: RawFailure| Failure {
        kind: match raw.kind {
            kind if kind == FailureKind::Error as u8 => FailureKind::Error,
            kind if kind == FailureKind::Panic as u8 => FailureKind::Panic,
            _ => FailureKind::Protocol,
        },
        message: raw.message.into(),
        detail: raw.detail.into(),
        unknown: serde_json::from_str(&raw.unknown).ok(),
    };
    outcome.into_result().map_err(plain)
}

/// A plugin's module, as the host calls it.
#[derive(Clone, Copy)]
pub struct Module(PluginModule_Ref);

impl Module {
    /// Admits a module whose types are laid out as this host's.
    ///
    /// # Errors
    /// What is laid out differently, in hundreds of lines.
    pub fn admit(header: Header) -> Result<Self, String> {
        let header = header.upgrade().map_err(|error| error.to_string())?;
        let module = header.init_root_module::<PluginModule_Ref>();
        module.map(Self).map_err(|error| error.to_string())
    }

    /// All that the plugin offers, as JSON of [`PluginInfo`](crate::PluginInfo).
    ///
    /// # Errors
    /// The plugin's own.
    pub fn describe(self) -> Result<Vec<u8>, Failure> {
        plain(self.0.describe()()).map(Vec::from)
    }

    /// Makes an object from JSON of [`Create`](super::Create) and returns its number.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn create(self, what: &[u8]) -> Result<u64, Failure> {
        plain(self.0.create()(RSlice::from_slice(what)))
    }

    /// Calls an object with JSON of [`Call`](super::Call) and the tensors that it names. The answer
    /// is JSON of the kind's response and the tensors that it names.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn call(
        self,
        number: u64,
        message: &[u8],
        tensors: &[&Tensor],
    ) -> Result<(Vec<u8>, Vec<Tensor>), Failure> {
        let handles: Vec<TensorHandle> = tensors.iter().map(|tensor| borrow(tensor)).collect();
        let (message, handles) = (RSlice::from_slice(message), RSlice::from_slice(&handles));
        let answer = plain(self.0.call()(number, message, handles))?;
        // SAFETY: an answer's handles are owned by the receiver, and each is taken once.
        let tensors = answer.tensors.iter().map(|handle| unsafe { take(*handle) });
        Ok((answer.message.to_vec(), tensors.collect()))
    }

    /// Destroys an object.
    pub fn destroy(self, number: u64) {
        self.0.destroy()(number);
    }

    /// Sends the plugin's log events to this library's subscriber, up to its level.
    pub fn connect(self) {
        self.0.connect()(TraceSink(emit), trace::wanted());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_flow_through_handles() {
        let x = Tensor::from_slice(&[2.0f64, 3.0]).set_requires_grad(true);
        let handle = borrow(&x);
        // SAFETY: `x` lives to the end of the test, and the given handle is taken once.
        let (shared, squared) = unsafe {
            let shared = share(handle);
            let squared = take(give(shared.square()));
            (shared, squared)
        };
        squared.sum(tch::Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [4.0, 6.0]);
        drop(shared);
        assert_eq!(Vec::<f64>::try_from(x.detach()).unwrap(), [2.0, 3.0]);
    }
}
