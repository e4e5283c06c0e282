//! One library: admission, and the raw calls.

#![allow(unsafe_code, reason = "opening libraries and reading their symbols")]

use super::{LoadError, PluginError, Trouble};
use autoloss_plugin_api::boundary::abi_stable::library::AbiHeaderRef;
use autoloss_plugin_api::boundary::abi_stable::std_types::{RResult, RSlice, RStr};
use autoloss_plugin_api::boundary::{
    Create, Failure, FailureKind, PREFLIGHT_SYMBOL, PluginModule_Ref, Preflight,
    ROOT_MODULE_SYMBOL, Request, Response, TensorHandle, TraceSink, borrow, take,
};
use autoloss_plugin_api::{PluginInfo, brief, tch::Tensor};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSegment};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tracing::level_filters::LevelFilter;

/// A loaded plugin. Its library stays loaded until the process ends: tensors, hooks and thread-local
/// values of it may outlive every object.
pub struct Plugin {
    info: PluginInfo,
    path: PathBuf,
    sha256: String,
    api_minor: u32,
    module: PluginModule_Ref,
}

impl Plugin {
    /// Admits a library: preflight, layout check, description.
    ///
    /// # Errors
    /// [`LoadError`] says what does not fit.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let unloadable = |why: String| LoadError::Unloadable {
            path: path.to_owned(),
            why: first_line(&why),
        };
        let bytes = std::fs::read(path).map_err(|error| unloadable(error.to_string()))?;
        if let Some(why) = cut_short(&bytes) {
            return Err(unloadable(why));
        }
        let sha256 = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // SAFETY: running a library's initialisers is what loading a plugin means; the user named
        // it. A hostile library can do all that the user can, and the manual says so.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| unloadable(brief(&error)))?;
        let preflight = read_preflight(&library).ok_or_else(|| LoadError::NotAPlugin {
            path: path.to_owned(),
        })?;
        let incompatible = |why: String| LoadError::Incompatible {
            path: path.to_owned(),
            name: preflight.name(),
            version: preflight.version(),
            why,
        };
        let host = Preflight::of_plugin("autoloss-host", env!("CARGO_PKG_VERSION"), true);
        if let Some(why) = preflight.mismatch(&host) {
            return Err(incompatible(why));
        }
        let module = read_module(&library).map_err(|why| {
            tracing::debug!(%why, "layout check");
            incompatible(format!(
                "its interface is laid out differently: rebuild it with this host's \
                 autoloss-plugin-api ({})",
                first_line(&why)
            ))
        })?;
        std::mem::forget(library);
        connect(&module);
        let describe = |failure: Failure| plugin_error(&preflight.name(), "registration", failure);
        let info = module.describe()().into_result().map_err(describe)?;
        let info = serde_json::from_slice(&info).map_err(|error| {
            broke(
                &preflight.name(),
                "registration",
                format!("its description: {error}"),
            )
        })?;
        Ok(Self {
            info,
            path: path.to_owned(),
            sha256,
            api_minor: preflight.api_minor(),
            module,
        })
    }

    /// What it offers.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of its file in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Minor number of the interface it was built for: what it does not know it is not asked.
    pub(super) fn api_minor(&self) -> u32 {
        self.api_minor
    }

    /// Makes an object and returns its number.
    pub(super) fn create(&self, what: &Create) -> Result<u64, PluginError> {
        let call = match what {
            Create::Task(..) => "Task::open",
            Create::Network(..) => "ProxyNetwork::build",
            Create::Metric(..) => "Metric::create",
        };
        let message = self.encode(call, what)?;
        let number = self.module.create()(RSlice::from_slice(&message));
        number
            .into_result()
            .map_err(|failure| plugin_error(&self.info.name, call, failure))
    }

    /// Calls an object.
    pub(super) fn call(
        &self,
        object: u64,
        request: &Request,
        tensors: &[&Tensor],
    ) -> Result<(Response, Vec<Tensor>), PluginError> {
        let call = request.method();
        let message = self.encode(call, request)?;
        let handles: Vec<TensorHandle> = tensors.iter().map(|tensor| borrow(tensor)).collect();
        let answer = self.module.call()(
            object,
            RSlice::from_slice(&message),
            RSlice::from_slice(&handles),
        );
        let answer = match answer {
            RResult::ROk(answer) => answer,
            RResult::RErr(failure) => return Err(plugin_error(&self.info.name, call, failure)),
        };
        // SAFETY: an answer's handles are owned by the receiver, and each is taken once.
        let tensors = answer
            .tensors
            .iter()
            .map(|handle| unsafe { take(*handle) })
            .collect();
        let response = serde_json::from_slice(&answer.message)
            .map_err(|error| broke(&self.info.name, call, format!("its answer: {error}")))?;
        Ok((response, tensors))
    }

    /// Forgets an object.
    pub(super) fn destroy(&self, object: u64) {
        self.module.destroy()(object);
    }

    fn encode(&self, call: &str, value: &impl serde::Serialize) -> Result<Vec<u8>, PluginError> {
        serde_json::to_vec(value)
            .map_err(|error| broke(&self.info.name, call, format!("the request: {error}")))
    }
}

/// Why the file does not hold what its headers promise. The dynamic loader would map past its end
/// and the process would die of the first access.
fn cut_short(bytes: &[u8]) -> Option<String> {
    let file = match ElfFile64::<Endianness>::parse(bytes) {
        Ok(file) => file,
        Err(error) => return Some(format!("it is no 64-bit ELF library ({error})")),
    };
    let end = file.segments().map(|segment| {
        let (offset, size) = segment.file_range();
        offset.saturating_add(size)
    });
    let (end, length) = (end.max()?, bytes.len() as u64);
    (end > length).then(|| format!("the file is cut short: {length} bytes of at least {end}"))
}

fn read_preflight(library: &Library) -> Option<Preflight> {
    // SAFETY: the symbol's name is ours alone, and what lies behind it begins with a record whose
    // layout is frozen; the size it states is checked before anything else is used.
    let record = unsafe {
        let symbol = library.get::<*const Preflight>(PREFLIGHT_SYMBOL).ok()?;
        std::ptr::read_unaligned(*symbol)
    };
    record.is_genuine().then_some(record)
}

fn read_module(library: &Library) -> Result<PluginModule_Ref, String> {
    // SAFETY: the symbol is the header that `export_plugin!` wrote; abi_stable checks its own magic
    // and version, then the layout of the module.
    let header = unsafe {
        let symbol = library
            .get::<AbiHeaderRef>(ROOT_MODULE_SYMBOL)
            .map_err(|error| error.to_string())?;
        *symbol
    };
    let header = header.upgrade().map_err(|error| error.to_string())?;
    header
        .init_root_module::<PluginModule_Ref>()
        .map_err(|error| error.to_string())
}

/// Asks for the plugin's log events at the level the host's subscriber wants.
fn connect(module: &PluginModule_Ref) {
    let most = match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => 1,
        LevelFilter::WARN => 2,
        LevelFilter::INFO => 3,
        LevelFilter::DEBUG => 4,
        _ => 5,
    };
    module.connect()(TraceSink { emit }, most);
}

extern "C" fn emit(level: u8, target: RStr<'_>, message: RStr<'_>) {
    let (plugin_target, message) = (target.as_str(), message.as_str());
    // The target of an event is fixed at compile time, so the plugin's own becomes a field.
    match level {
        1 => tracing::error!(target: "plugin", "{plugin_target}: {message}"),
        2 => tracing::warn!(target: "plugin", "{plugin_target}: {message}"),
        3 => tracing::info!(target: "plugin", "{plugin_target}: {message}"),
        4 => tracing::debug!(target: "plugin", "{plugin_target}: {message}"),
        _ => tracing::trace!(target: "plugin", "{plugin_target}: {message}"),
    }
}

fn plugin_error(plugin: &str, call: &str, failure: Failure) -> PluginError {
    tracing::debug!(
        plugin,
        call,
        detail = failure.detail.as_str(),
        "plugin failure"
    );
    let trouble = match failure.kind {
        FailureKind::Error => Trouble::Failed,
        FailureKind::Panic => Trouble::Panicked,
        FailureKind::Protocol => Trouble::Broke,
    };
    PluginError {
        plugin: plugin.to_owned(),
        call: call.to_owned(),
        trouble,
        message: failure.message.into_string(),
    }
}

pub(super) fn broke(plugin: &str, call: &str, message: impl Into<String>) -> PluginError {
    PluginError {
        plugin: plugin.to_owned(),
        call: call.to_owned(),
        trouble: Trouble::Broke,
        message: message.into(),
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}
