//! A session: plugins loaded, a task opened, the configuration composed.

use crate::args::TaskArgs;
use crate::glance;
use crate::interrupt;
use crate::settings::{Overrides, OwnSettings, compose};
use anyhow::{Context, Result, bail};
use autoloss_plugin_api::TaskOptions;
use autoloss_search::{PluginIdentity, Provenance, SearchConfig};
use autoloss_train::plugin::Registry;
use autoloss_train::{Choice, Workbench, runtime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

/// Losses by the branches that are held at them.
fn held(fixed: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut held = BTreeMap::new();
    for (branch, loss) in fixed {
        if held.insert(branch.clone(), loss.clone()).is_some() {
            bail!("--fix names branch '{branch}' twice");
        }
    }
    Ok(held)
}

/// Name of the file in a run folder that tells `resume` what to load.
const FILE: &str = "session.json";

/// What must be known, beside the stored configuration, to open a session again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    plugins: Vec<PathBuf>,
    task: String,
    network: String,
    score: String,
    data: Option<PathBuf>,
    weights: Option<PathBuf>,
    settings: OwnSettings,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fixed: BTreeMap<String, String>,
    #[serde(default)]
    network_settings: OwnSettings,
    #[serde(default)]
    skip_bad: bool,
}

/// What of the machine is used; none of it changes which samples a step is given.
#[derive(Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) device: &'a str,
    pub(crate) threads: Option<u16>,
    pub(crate) loaders: Option<u16>,
}

/// An open session.
pub(crate) struct Session {
    pub(crate) workbench: Workbench,
    pub(crate) config: SearchConfig,
    pub(crate) recipe: Recipe,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Session {
    /// Opens what the command line names. `adjust` adds a command's own flags to the settings.
    pub(crate) fn open(args: &TaskArgs, adjust: impl FnOnce(&mut Overrides)) -> Result<Self> {
        let registry = Registry::load(&args.plugins.plugins)?;
        let (_, info) = registry.task(args.task.as_deref())?;
        let mut overrides = Overrides::parse(&args.set)?;
        if let Some(seed) = args.seed {
            let seed = i64::try_from(seed).context("--seed: at most 9223372036854775807")?;
            overrides.push("seed", seed);
        }
        adjust(&mut overrides);
        let config = compose(&info, args.config.as_deref(), &overrides)?;
        let plugins = registry
            .plugins()
            .iter()
            .map(|plugin| plugin.path().to_owned())
            .collect();
        let recipe = Recipe {
            plugins,
            task: info.name.clone(),
            network: args.network.clone().unwrap_or(info.default_network),
            score: args.score.clone().unwrap_or(info.default_score),
            data: args.data.as_deref().map(absolute),
            weights: args.weights.as_deref().map(absolute),
            settings: overrides.task().clone(),
            fixed: held(&args.fixed)?,
            network_settings: overrides.network().clone(),
            skip_bad: args.skip_bad,
        };
        let machine = Machine {
            device: &args.device,
            threads: args.threads,
            loaders: args.loaders,
        };
        Self::with(registry, recipe, config, machine)
    }

    /// Opens what a run folder names; `plugins`, where given, stand for the recorded paths.
    pub(crate) fn reopen(
        recipe: Recipe,
        config: SearchConfig,
        plugins: &[PathBuf],
        machine: Machine<'_>,
    ) -> Result<Self> {
        let registry = Registry::load(if plugins.is_empty() {
            &recipe.plugins
        } else {
            plugins
        })?;
        Self::with(registry, recipe, config, machine)
    }

    fn with(
        registry: Registry,
        recipe: Recipe,
        config: SearchConfig,
        machine: Machine<'_>,
    ) -> Result<Self> {
        let device = runtime::device(machine.device)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        runtime::keep_freed_memory();
        runtime::set_threads(machine.threads.map_or(cores, usize::from));
        let stop = interrupt::stop_flag()?;
        let choice = Choice {
            task: Some(recipe.task.clone()),
            network: Some(recipe.network.clone()),
            score: Some(recipe.score.clone()),
            options: TaskOptions {
                data: recipe.data.clone(),
                seed: config.seed,
                skip_bad: recipe.skip_bad,
                settings: recipe.settings.clone(),
            },
            weights: recipe.weights.clone(),
            fixed: recipe.fixed.clone(),
            network_settings: recipe.network_settings.clone(),
            loaders: machine.loaders.map(usize::from),
        };
        let workbench =
            Workbench::open(registry, &choice, device, config.limits, Arc::clone(&stop))?;
        Ok(Self {
            workbench,
            config,
            recipe,
            stop,
        })
    }

    /// Plugins and versions, for the run's store.
    pub(crate) fn provenance(&self) -> Provenance {
        let plugins = self
            .workbench
            .registry()
            .plugins()
            .iter()
            .map(|plugin| PluginIdentity {
                name: plugin.info().name.clone(),
                version: plugin.info().version.clone(),
                sha256: plugin.sha256().to_owned(),
            });
        let versions = BTreeMap::from([
            (
                "autoloss-host".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            (
                "libtorch".to_owned(),
                runtime::libtorch_version().to_owned(),
            ),
        ]);
        Provenance {
            plugins: plugins.collect(),
            versions,
        }
    }
}

impl Recipe {
    /// The data folder, where it is not the embedded data.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The score that is raised.
    pub(crate) fn score(&self) -> &str {
        &self.score
    }

    /// Everything but where plugins lie, by the names under which it was set.
    pub(crate) fn settings(&self) -> BTreeMap<String, serde_json::Value> {
        let path = |path: &Option<PathBuf>| serde_json::json!(path);
        let mut settings = BTreeMap::from([
            ("--task".to_owned(), self.task.clone().into()),
            ("--network".to_owned(), self.network.clone().into()),
            ("--score".to_owned(), self.score.clone().into()),
            ("--data".to_owned(), path(&self.data)),
            ("--weights".to_owned(), path(&self.weights)),
            ("--skip-bad".to_owned(), self.skip_bad.into()),
        ]);
        let fixed = self.fixed.iter();
        settings
            .extend(fixed.map(|(branch, loss)| (format!("--fix {branch}"), loss.clone().into())));
        for (section, own) in [
            ("task", &self.settings),
            ("network", &self.network_settings),
        ] {
            let own = own.iter();
            settings.extend(own.map(|(key, value)| (format!("{section}.{key}"), value.clone())));
        }
        settings
    }

    /// What of it decides the outcome of a training; where plugins lie does not.
    pub(crate) fn identity(&self) -> Result<serde_json::Value> {
        let mut identity = serde_json::to_value(self)?;
        if let Some(fields) = identity.as_object_mut() {
            fields.remove("plugins");
            fields.remove("score");
        }
        Ok(identity)
    }

    /// Writes it into a run folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads it from a run folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: is this a run folder?", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

/// `runs/PREFIX-YYYYMMDD-HHMMSS`, the time in UTC.
pub(crate) fn dated_folder(prefix: &str) -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let time = glance::timestamp(seconds).strftime("%Y%m%d-%H%M%S");
    PathBuf::from("runs").join(format!("{prefix}-{time}"))
}

/// The path, whatever the working folder becomes.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
