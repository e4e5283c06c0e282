//! What goes wrong with plugins, said in one sentence.

use autoloss_spec::UnknownName;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// A library that was not admitted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No such file anywhere.
    #[error("plugin '{name}' was not found (looked in: {places})")]
    NotFound {
        /// The path or name given.
        name: String,
        /// The places tried.
        places: String,
    },
    /// The dynamic loader refused the file.
    #[error("{} cannot be loaded as a library: {why}", .path.display())]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        why: String,
    },
    /// A library without our symbol.
    #[error(
        "{} is a library but not an autoloss plugin: it has no preflight record (does it call \
         export_plugin!()?)",
        .path.display()
    )]
    NotAPlugin {
        /// The file.
        path: PathBuf,
    },
    /// A plugin built for something else.
    #[error("plugin '{name}' {version} ({}) does not fit: {why}", .path.display())]
    Incompatible {
        /// The file.
        path: PathBuf,
        /// Its package name.
        name: String,
        /// Its package version.
        version: String,
        /// Both sides' values, and what to do.
        why: String,
    },
    /// Its description could not be read.
    #[error(transparent)]
    Describe(#[from] PluginError),
    /// A name that an earlier plugin has taken.
    #[error("plugins '{first}' and '{second}' both offer {kind} '{name}'; load only one of them")]
    Duplicate {
        /// Plugin, task, network or metric.
        kind: &'static str,
        /// The name.
        name: String,
        /// The plugin that has it.
        first: String,
        /// The plugin that wants it.
        second: String,
    },
}

/// A call into a plugin that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginError {
    /// The plugin's name.
    pub plugin: String,
    /// The method.
    pub call: String,
    /// What kind of failure.
    pub trouble: Trouble,
    /// One line.
    pub message: String,
    /// The name that the plugin does not know, where that is what failed.
    pub unknown: Option<Box<UnknownName>>,
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            plugin,
            call,
            trouble,
            message,
            ..
        } = self;
        write!(f, "plugin '{plugin}' {trouble} in {call}: {message}")
    }
}

impl std::error::Error for PluginError {
    /// The unknown name itself, so that who prints the error finds it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.unknown.as_deref().map(|name| name as _)
    }
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The plugin returned an error.
    #[error("failed")]
    Failed,
    /// The plugin panicked.
    #[error("panicked")]
    Panicked,
    /// The plugin's answer breaks the interface's rules.
    #[error("broke the interface")]
    Broke,
}
