//! One library: admission, and the raw calls.

#![allow(unsafe_code, reason = "opening libraries and reading their symbols")]

use super::copy::{is_unchanging, unchanging};
use super::{LoadError, PluginError, Trouble};
use autoloss_plugin_api::boundary::{
    Call, Create, Failure, FailureKind, Header, Module, PREFLIGHT_SYMBOL, Preflight,
    ROOT_MODULE_SYMBOL, Request, capabilities,
};
use autoloss_plugin_api::{PluginInfo, brief, tch::Tensor};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSegment};
use serde_json::Value;
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A loaded plugin. Its library stays loaded until the process ends: tensors, hooks and thread-local
/// values of it may outlive every object.
pub struct Plugin {
    info: PluginInfo,
    path: PathBuf,
    opened: PathBuf,
    sha256: String,
    module: Module,
}

/// SHA-256 of a plugin's file in hexadecimal, without loading it.
///
/// # Errors
/// [`LoadError::Unloadable`] where it cannot be read.
pub fn file_sha256(path: &Path) -> Result<String, LoadError> {
    let bytes = std::fs::read(path).map_err(|error| LoadError::Unloadable {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    Ok(hexadecimal(&Sha256::digest(bytes)))
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        let copy = match is_unchanging(path) {
            true => None,
            false => unchanging(&bytes, &sha256),
        };
        drop(bytes);
        // SAFETY: running a library's initialisers is what loading a plugin means; the user named
        // it. A hostile library can do all that the user can, and the manual says so.
        let open = |path: &Path| unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let copied = copy.and_then(|copy| Some((open(&copy).ok()?, copy)));
        let (library, opened) = match copied {
            Some((library, copy)) => (library, copy),
            // Also for the message, which names the file where it fails.
            None => {
                let library = open(path).map_err(|error| unloadable(brief(&error)))?;
                (library, path.to_owned())
            }
        };
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
        module.connect();
        let describe = |failure: Failure| plugin_error(&preflight.name(), "registration", failure);
        let info = read_info(&module.describe().map_err(describe)?)
            .map_err(|message| broke(&preflight.name(), "registration", message))?;
        let mut required = info.requires.iter();
        if let Some(unknown) = required.find(|name| !capabilities().any(|known| known == **name)) {
            return Err(incompatible(format!(
                "it requires '{unknown}', which this host does not know: update autoloss-host"
            )));
        }
        Ok(Self {
            info,
            path: path.to_owned(),
            opened,
            sha256,
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

    /// Where other processes find the library as it was loaded, while this one lives: its file may have been changed
    /// since.
    pub fn opened(&self) -> &Path {
        &self.opened
    }

    /// SHA-256 of its file in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether it can be asked for a method, by the name of [`Request::method`].
    pub(super) fn answers(&self, method: &str) -> bool {
        self.info.capabilities.iter().any(|known| known == method)
    }

    /// Makes an object and returns its number.
    pub(super) fn create(&self, what: &Create) -> Result<u64, PluginError> {
        let call = what.method();
        let message = self.encode(call, what)?;
        let number = self.module.create(&message);
        number.map_err(|failure| plugin_error(&self.info.name, call, failure))
    }

    /// Calls an object of the request's kind.
    pub(super) fn call<R: Request + Into<Call>>(
        &self,
        object: u64,
        request: R,
        tensors: &[&Tensor],
    ) -> Result<(R::Response, Vec<Tensor>), PluginError> {
        let call = request.method();
        if !self.answers(call) {
            let message = "it is older than this method; rebuild it with this host's \
                           autoloss-plugin-api";
            return Err(broke(&self.info.name, call, message));
        }
        let request: Call = request.into();
        let message = self.encode(call, &request)?;
        let answer = self.module.call(object, &message, tensors);
        let (answer, tensors) =
            answer.map_err(|failure| plugin_error(&self.info.name, call, failure))?;
        let response = serde_json::from_slice(&answer)
            .map_err(|error| broke(&self.info.name, call, format!("its answer: {error}")))?;
        Ok((response, tensors))
    }

    /// Forgets an object.
    pub(super) fn destroy(&self, object: u64) {
        self.module.destroy(object);
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
        Err(error) => return Some(format!("it is not a 64-bit ELF library ({error})")),
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

fn read_module(library: &Library) -> Result<Module, String> {
    // SAFETY: the symbol is the header that `export_plugin!` wrote; abi_stable checks its own magic
    // and version, then the layout of the module.
    let header = unsafe {
        let symbol = library
            .get::<Header>(ROOT_MODULE_SYMBOL)
            .map_err(|error| error.to_string())?;
        *symbol
    };
    Module::admit(header)
}

/// A plugin's description. A value that this host does not know is refused by its place: something
/// else in its stead could change what a task means.
fn read_info(message: &[u8]) -> Result<PluginInfo, String> {
    let mut json = serde_json::Deserializer::from_slice(message);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let root: Value = serde_json::from_slice(message).unwrap_or_default();
        let (mut at, mut key, mut place) = (&root, "", String::new());
        for segment in error.path() {
            match segment {
                Segment::Map { key: next } => (at, key) = (&at[next.as_str()], next),
                Segment::Seq { index } => {
                    at = &at[*index];
                    let name = at["name"].as_str().unwrap_or("without a name");
                    let kind = match key {
                        "tasks" => "task",
                        "branches" => "branch",
                        "inputs" => "input",
                        "networks" => "network",
                        "metrics" => "metric",
                        "screening_metrics" => "screening metric",
                        other => other,
                    };
                    place += &format!("{kind} '{name}', ");
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let why = error.inner().to_string();
        let (why, _) = why.split_once(" at line ").unwrap_or((&why, ""));
        let remedy = match why.starts_with("unknown ") {
            true => "; it needs a newer host",
            false => "",
        };
        format!("{place}{key}: {why}{remedy}")
    })
}

fn plugin_error(plugin: &str, call: &str, failure: Failure) -> PluginError {
    tracing::debug!(plugin, call, detail = failure.detail, "plugin failure");
    let trouble = match failure.kind {
        FailureKind::Error => Trouble::Failed,
        FailureKind::Panic => Trouble::Panicked,
        FailureKind::Protocol => Trouble::Broke,
    };
    PluginError {
        plugin: plugin.to_owned(),
        call: call.to_owned(),
        trouble,
        message: failure.message,
        unknown: failure.unknown,
    }
}

pub(super) fn broke(plugin: &str, call: &str, message: impl Into<String>) -> PluginError {
    PluginError {
        plugin: plugin.to_owned(),
        call: call.to_owned(),
        trouble: Trouble::Broke,
        message: message.into(),
        unknown: None,
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_newer_interface_are_refused_by_their_place() {
        let refusal = |branch: &str| {
            let json = format!(
                r#"{{"name": "p", "version": "1", "networks": [], "metrics": [], "tasks": [{{
                "name": "t", "title": "", "default_network": "n", "default_score": "s",
                "reference_losses": [], "branches": [{{"name": "b", "screening_score": "s", {branch}}}]
                }}]}}"#
            );
            read_info(json.as_bytes()).unwrap_err()
        };
        assert_eq!(
            refusal(r#""activation": "tanh", "inputs": []"#),
            "task 't', branch 'b', activation: unknown variant `tanh`, expected one of `softmax`, \
             `sigmoid`, `identity`, `boxes`; it needs a newer host"
        );
        assert_eq!(
            refusal(r#""activation": "softmax", "inputs": [{"name": "y", "values": "whole"}]"#),
            "task 't', branch 'b', input 'y', values: unknown variant `whole`, expected one of \
             `any`, `nonnegative`, `binary`; it needs a newer host"
        );
        assert_eq!(
            refusal(r#""activation": "softmax", "inputs": {}"#),
            "task 't', branch 'b', inputs: invalid type: map, expected a sequence"
        );
    }
}
