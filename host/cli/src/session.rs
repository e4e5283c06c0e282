//! A session: plugins loaded, a task opened, the configuration composed.

use crate::args::{AUTO, TaskArgs};
use crate::interrupt::{self, Asked};
use crate::settings::{Overrides, compose};
use crate::terminal::logging;
use crate::terminal::samples::{FileProgress, SampleProgress};
use anyhow::{Context, Result, bail};
use autoloss_plugin_api::{Split, TaskOptions};
use autoloss_run::{Contents, Fingerprints, MachineUse, RunSpec, files_in};
use autoloss_search::{PluginIdentity, Provenance, SearchConfig, TrainingBudget};
use autoloss_train::plugin::{Registry, find_weights};
use autoloss_train::{Caching, Choice, Device, Scaling, TrainError, Workbench, runtime};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Losses by the branches that are frozen at them.
fn frozen(fixed: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut frozen = BTreeMap::new();
    for (branch, loss) in fixed {
        if frozen.insert(branch.clone(), loss.clone()).is_some() {
            bail!("--fix names branch '{branch}' twice");
        }
    }
    Ok(frozen)
}

/// An open session.
pub(crate) struct Session {
    pub(crate) workbench: Workbench,
    pub(crate) config: SearchConfig,
    pub(crate) spec: RunSpec,
    pub(crate) stop: Arc<AtomicBool>,
    /// Raised where a long training is to leave a checkpoint.
    pub(crate) save: Arc<AtomicBool>,
    /// Those that workers share, this process's own first; never empty.
    devices: Vec<Device>,
    loaders: Option<usize>,
    /// Keys of the configuration that the user set.
    chosen: Vec<String>,
}

impl Session {
    /// Opens what the command line names. `adjust` adds a command's own flags to the settings.
    pub(crate) fn open(
        args: &TaskArgs,
        adjust: impl FnOnce(&mut Overrides) -> Result<()>,
    ) -> Result<Self> {
        let registry = Registry::load(&args.plugins.plugins)?;
        let (_, info) = registry.task(args.task.as_deref())?;
        let mut overrides = Overrides::parse(&args.set)?;
        if let Some(seed) = args.seed {
            let seed = i64::try_from(seed).context("--seed: at most 9223372036854775807")?;
            overrides.push("seed", seed);
        }
        adjust(&mut overrides)?;
        let named = args.network.as_deref();
        let network = registry.choose_network(&info, named, args.weights.as_deref())?;
        if let Some(remark) = &network.remark {
            tracing::warn!("{remark}");
        }
        let (config, chosen) = compose(&info, &network.info, args.config.as_deref(), &overrides)?;
        let plugins = registry
            .plugins()
            .iter()
            .map(|plugin| plugin.path().to_owned())
            .collect();
        let spec = RunSpec {
            plugins,
            task: info.name.clone(),
            network: network.info.name,
            score: args.score.clone().unwrap_or(info.default_score),
            data: args.data.as_deref().map(absolute),
            data_contents: None,
            weights: network.weights.as_deref().map(absolute),
            weights_contents: None,
            settings: overrides.task().clone(),
            fixed: frozen(&args.fixed)?,
            network_settings: overrides.network().clone(),
            skip_bad: args.skip_bad,
            machine: args.machine(),
        };
        let mut session = Self::with(registry, spec, config)?;
        session.chosen = chosen;
        Ok(session)
    }

    /// Opens what a run folder names; `plugins`, where given, stand for the recorded paths.
    pub(crate) fn reopen(spec: RunSpec, config: SearchConfig, plugins: &[PathBuf]) -> Result<Self> {
        let registry = Registry::load(if plugins.is_empty() {
            &spec.plugins
        } else {
            plugins
        })?;
        Self::with(registry, spec, config)
    }

    fn with(registry: Registry, spec: RunSpec, config: SearchConfig) -> Result<Self> {
        if config.workers <= 1 && threads_of(&spec.machine) > 1 {
            wait_patiently();
        }
        let machine = begin(&spec.machine)?;
        let Asked { stop, save } = interrupt::watched()?;
        let mut session = Self::on(registry, spec, config, machine, BTreeMap::new(), stop)?;
        session.save = save;
        Ok(session)
    }

    /// Opens what a worker's host has open, with the worker's own flag; `verified` as in [`Caching`].
    pub(crate) fn of_worker(
        spec: RunSpec,
        config: SearchConfig,
        plugins: &[PathBuf],
        machine: &MachineUse,
        verified: BTreeMap<Split, Vec<u8>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let registry = Registry::load(plugins)?;
        Self::on(registry, spec, config, begin(machine)?, verified, stop)
    }

    /// The devices that workers share, as `--device` names them.
    pub(crate) fn device_names(&self) -> Vec<String> {
        let devices = self.devices.iter();
        devices
            .map(|device| runtime::device_name(*device))
            .collect()
    }

    /// Whether trainings run on a GPU.
    pub(crate) fn on_gpu(&self) -> bool {
        self.devices[0].is_cuda()
    }

    /// Threads that load batches, where the user said how many.
    pub(crate) fn loaders(&self) -> Option<u16> {
        self.loaders.and_then(|loaders| loaders.try_into().ok())
    }

    fn on(
        registry: Registry,
        spec: RunSpec,
        config: SearchConfig,
        (devices, loaders): (Vec<Device>, Option<usize>),
        verified: BTreeMap<Split, Vec<u8>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let choice = Choice {
            task: Some(spec.task.clone()),
            network: Some(spec.network.clone()),
            score: Some(spec.score.clone()),
            options: TaskOptions {
                data: spec.data.clone(),
                seed: config.seed,
                skip_bad: spec.skip_bad,
                settings: spec.settings.clone().into(),
            },
            weights: spec.weights.clone(),
            fixed: spec.fixed.clone(),
            network_settings: spec.network_settings.clone(),
            loaders,
            scaling: config.normalised.then(|| Scaling {
                screening: config.screening.clone(),
                seed: config.seed,
            }),
            caching: Caching {
                bytes: config.proxy.features_mb << 20,
                folder: cache_folder().map(|folder| folder.join("autoloss/features")),
                verified,
            },
        };
        let workbench = Workbench::open(
            registry,
            &choice,
            devices[0],
            config.limits,
            Arc::clone(&stop),
        )?;
        Ok(Self {
            workbench,
            config,
            spec,
            stop,
            devices,
            loaders,
            chosen: Vec::new(),
            save: Arc::default(),
        })
    }

    /// The budget of the proxy outside of a search, where all of a split is scored if the user does not say how many
    /// of its images.
    pub(crate) fn proxy_budget(&self) -> TrainingBudget {
        let mut budget = self.config.proxy.budget.clone();
        if !self
            .chosen
            .iter()
            .any(|key| key == "proxy.budget.eval_images")
        {
            budget.eval_images = 0;
        }
        budget
    }

    /// A session on the same data for a longer training of the same losses: with another network, the weights
    /// that it starts from, if not an empty text, and settings as with `--set`, those of the task over this
    /// session's own, all others over the defaults.
    pub(crate) fn longer(&self, network: &str, weights: &str, set: &[String]) -> Result<Self> {
        let plugins = self.workbench.registry().plugins().iter();
        let plugins: Vec<PathBuf> = plugins.map(|plugin| plugin.opened().to_owned()).collect();
        let registry = Registry::load(&plugins)?;
        let (_, info) = registry.task(Some(&self.spec.task))?;
        let mut overrides = Overrides::parse(set)?;
        overrides.push("seed", i64::try_from(self.config.seed)?);
        let weights = match weights {
            "" => None,
            file => Some(find_weights(network, file)?),
        };
        let network = registry.choose_network(&info, Some(network), weights.as_deref())?;
        let (mut config, chosen) = compose(&info, &network.info, None, &overrides)?;
        config.limits = self.config.limits;
        config.normalised = self.config.normalised;
        config.workers = self.config.workers;
        let mut spec = self.spec.clone();
        spec.network = network.info.name;
        spec.weights = network.weights.as_deref().map(absolute);
        spec.weights_contents = self.contents_of_weights(&spec);
        spec.settings.extend(overrides.task().clone());
        spec.network_settings = overrides.network().clone();
        let stop = Arc::clone(&self.stop);
        let machine = (self.devices.clone(), self.loaders);
        let mut session = Self::on(registry, spec, config, machine, BTreeMap::new(), stop)?;
        session.chosen = chosen;
        Ok(session)
    }

    /// The session of the second stage, where the configuration asks for one.
    pub(crate) fn second_stage(&self) -> Result<Option<Self>> {
        let promotion = &self.config.promotion;
        if !promotion.is_on(self.workbench.score()) {
            return Ok(None);
        }
        let session = self.longer(&promotion.network, &promotion.weights, &promotion.set);
        session.map(Some).context("the second stage ([promotion])")
    }

    /// Looks at the splits that a command will use, before it writes or trains anything, and prints what the user
    /// should know of them.
    pub(crate) fn check(&self, splits: &[Split]) -> Result<()> {
        let mut each = splits.to_vec();
        each.sort_unstable();
        each.dedup();
        Ok(self.workbench.check(&each)?)
    }

    /// Finds out what the data and the weights hold, which results are stored with. A command that stores results calls
    /// this before it trains anything.
    pub(crate) fn identify(&mut self) -> Result<()> {
        self.spec.weights_contents = self.contents_of_weights(&self.spec);
        if let Some(data) = &self.spec.data {
            let mut groups = Vec::new();
            for split in Split::ALL {
                groups.push((split.name(), self.workbench.files(split)?));
            }
            if groups.iter().all(|(_, files)| files.is_empty()) {
                groups = vec![("data", files_in(data))];
            }
            let mut progress = FileProgress::default();
            let mut watch = |done, of| progress.at(done, of);
            self.spec.data_contents = fingerprints().of(data, &groups, &self.stop, &mut watch);
            progress.finish();
        }
        match self.stop.load(Ordering::Relaxed) {
            true => Err(TrainError::Interrupted.into()),
            false => Ok(()),
        }
    }

    fn contents_of_weights(&self, spec: &RunSpec) -> Option<Contents> {
        fingerprints().of_file(spec.weights.as_deref()?, &self.stop)
    }

    /// Computes the features of a network's frozen part, where it has one, before the first training
    /// does, and says what that took.
    pub(crate) fn prepare(&self, splits: &[Split]) -> Result<()> {
        let mut progress = SampleProgress::default();
        let mut watch = |split, done, of| progress.at(split, done, of);
        let kept = self.workbench.prepare(splits, &mut watch);
        let seconds = progress.finish();
        if let Some(bytes) = kept?.filter(|_| seconds >= 1.0) {
            let network = &self.workbench.network().name;
            let megabytes = bytes as f64 / f64::from(1 << 20);
            logging::line(&format!(
                "features of network {network}: {megabytes:.0} MB in {seconds:.0} s"
            ));
        }
        Ok(())
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

/// Sets libtorch up for a machine; the devices, and the threads that load batches.
fn begin(machine: &MachineUse) -> Result<(Vec<Device>, Option<usize>)> {
    let devices = runtime::devices(device_of(machine))?;
    runtime::keep_freed_memory();
    runtime::set_threads(threads_of(machine));
    Ok((devices, machine.loaders.map(usize::from)))
}

/// Begins this program once more, so that threads of libtorch that wait for one another go to sleep soon. By default they
/// spin, and beside other busy processes a training takes several times as long (docs/benchmarks.md). The variable is read
/// before `main`, and what the user set in its place stays.
fn wait_patiently() {
    let set = |name: &&str| std::env::var_os(name).is_some();
    if [SPIN.0, "OMP_WAIT_POLICY"].iter().any(set) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(SPIN.0, SPIN.1).exec();
    tracing::debug!("threads spin while they wait: {error}");
}

/// How often a waiting thread looks before it sleeps; without it 300,000 times.
const SPIN: (&str, &str) = ("GOMP_SPINCOUNT", "1000");

/// Threads of libtorch.
fn threads_of(machine: &MachineUse) -> usize {
    machine.threads.map_or_else(own_threads, usize::from)
}

/// The device as `--device` names it.
pub(crate) fn device_of(machine: &MachineUse) -> &str {
    machine.device.as_deref().unwrap_or(AUTO)
}

/// Threads where nobody says how many: as OpenMP's variable has it, or one for each core that may be used.
fn own_threads() -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    threads_of_environment().unwrap_or_else(cores)
}

/// Threads as OpenMP's variable has it.
pub(crate) fn threads_of_environment() -> Option<usize> {
    let named = std::env::var("OMP_NUM_THREADS").ok()?;
    let threads = named.split(',').next()?.trim().parse().ok();
    threads.filter(|&threads| threads > 0)
}

/// Fingerprints of files, with what is known of them from one command to the next.
fn fingerprints() -> Fingerprints {
    Fingerprints::new(cache_folder().map(|folder| folder.join("autoloss/contents")))
}

/// The user's folder for what can be made again, as the XDG base directories have it.
fn cache_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    named
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
}

/// Makes `runs/PREFIX-YYYYMMDD-HHMMSS`, the time in UTC; where another has that one, with `-2`, `-3` … behind it.
pub(crate) fn dated_folder(prefix: &str) -> Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let time = autoloss_run::timestamp(seconds).strftime("%Y%m%d-%H%M%S");
    unused(&Path::new("runs").join(format!("{prefix}-{time}")))
}

/// Makes a folder of this name, or with a number behind it, that nobody else has made.
fn unused(named: &Path) -> Result<PathBuf> {
    let failed = |folder: &Path| format!("cannot create {}", folder.display());
    if let Some(parent) = named.parent() {
        fs::create_dir_all(parent).with_context(|| failed(parent))?;
    }
    let mut folder = named.to_owned();
    for number in 2.. {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let mut name = named.as_os_str().to_owned();
                name.push(format!("-{number}"));
                folder = name.into();
            }
            made => {
                made.with_context(|| failed(&folder))?;
                break;
            }
        }
    }
    Ok(folder)
}

/// The path, whatever the working folder becomes.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_second_have_names_of_their_own() {
        let place = tempfile::tempdir().unwrap();
        let named = place.path().join("runs/a-20261130-120000");
        let made: Vec<PathBuf> = (0..3).map(|_| unused(&named).unwrap()).collect();
        let names = made
            .iter()
            .map(|folder| folder.file_name().unwrap().to_str().unwrap());
        let expected = [
            "a-20261130-120000",
            "a-20261130-120000-2",
            "a-20261130-120000-3",
        ];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
}
