//! All loaded plugins, and what is found in them by name.

use super::{LoadError, Plugin};
use crate::{Result, TrainError};
use autoloss_spec::{MetricInfo, NetworkInfo, ScreeningMetricInfo, TaskInfo, UnknownName};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Finds a plugin's file: the path itself, then beside the running binary, then in the folders of
/// `$AUTOLOSS_PLUGIN_PATH` (separated by colons).
///
/// # Errors
/// [`LoadError::NotFound`] with the places tried.
pub fn locate(name: &Path) -> Result<PathBuf, LoadError> {
    let mut places = vec![name.to_owned()];
    // A name with a folder in it means that folder.
    if name.components().count() == 1 {
        let binary = std::env::current_exe().ok();
        places.extend(
            binary
                .as_deref()
                .and_then(Path::parent)
                .map(|folder| folder.join(name)),
        );
        let listed = std::env::var_os("AUTOLOSS_PLUGIN_PATH").unwrap_or_default();
        let folders =
            std::env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty());
        places.extend(folders.map(|folder| folder.join(name)));
    }
    places.iter().find(|place| place.is_file()).map_or_else(
        || {
            let places: Vec<String> = places
                .iter()
                .map(|place| place.display().to_string())
                .collect();
            Err(LoadError::NotFound {
                name: name.display().to_string(),
                places: places.join(", "),
            })
        },
        |place| Ok(std::path::absolute(place).unwrap_or_else(|_| place.clone())),
    )
}

/// The loaded plugins.
#[derive(Default)]
pub struct Registry {
    plugins: Vec<Arc<Plugin>>,
}

impl Registry {
    /// Loads plugins in the order given.
    ///
    /// # Errors
    /// The first one that cannot be found, admitted, or offers a name that is taken.
    pub fn load(names: &[PathBuf]) -> Result<Self, LoadError> {
        let mut registry = Self::default();
        for name in names {
            registry.add(Plugin::load(&locate(name)?)?)?;
        }
        Ok(registry)
    }

    /// The plugins in the order they were loaded.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    fn add(&mut self, plugin: Plugin) -> Result<(), LoadError> {
        for (kind, name) in offers(&plugin) {
            let taken = self
                .plugins
                .iter()
                .find(|other| offers(other).any(|offer| offer == (kind, name)));
            if let Some(first) = taken {
                return Err(LoadError::Duplicate {
                    kind,
                    name: name.to_owned(),
                    first: first.path().display().to_string(),
                    second: plugin.path().display().to_string(),
                });
            }
        }
        self.plugins.push(Arc::new(plugin));
        Ok(())
    }

    /// The task of this name, or the only one.
    ///
    /// # Errors
    /// [`TrainError::Unknown`], [`TrainError::NoTask`] or [`TrainError::Ambiguous`].
    pub fn task(&self, name: Option<&str>) -> Result<(Arc<Plugin>, TaskInfo)> {
        let tasks = || self.each(|plugin| &plugin.info().tasks);
        let Some(name) = name else {
            let mut all = tasks();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(TrainError::NoTask),
                _ => Err(TrainError::Ambiguous {
                    kind: "task",
                    known: join(tasks().map(|(_, task)| task.name)),
                }),
            };
        };
        tasks().find(|(_, task)| task.name == name).ok_or_else(|| {
            let known = tasks().map(|(_, task)| task.name);
            UnknownName::new("task", name, known).into()
        })
    }

    /// The network of this name, which must serve the task.
    ///
    /// # Errors
    /// [`TrainError::Unknown`] or [`TrainError::WrongTask`].
    pub fn network(&self, name: &str, task: &str) -> Result<(Arc<Plugin>, NetworkInfo)> {
        let networks = || self.each(|plugin| &plugin.info().networks);
        let found = networks()
            .find(|(_, network)| network.name == name)
            .ok_or_else(|| {
                let serving = networks().filter(|(_, network)| network.serves(task));
                UnknownName::new("network", name, serving.map(|(_, network)| network.name))
            })?;
        if !found.1.serves(task) {
            return Err(TrainError::WrongTask {
                network: name.to_owned(),
                serves: join(found.1.tasks.iter()),
                task: task.to_owned(),
            });
        }
        Ok(found)
    }

    /// Every metric that can evaluate the task.
    pub fn metrics(&self, task: &str) -> Vec<(Arc<Plugin>, MetricInfo)> {
        self.each(|plugin| &plugin.info().metrics)
            .filter(|(_, metric)| metric.serves(task))
            .collect()
    }

    /// Every screening metric that can evaluate the task.
    pub fn screening_metrics(&self, task: &str) -> Vec<(Arc<Plugin>, ScreeningMetricInfo)> {
        self.each(|plugin| &plugin.info().screening_metrics)
            .filter(|(_, metric)| metric.serves(task))
            .collect()
    }

    fn each<'a, T: Clone + 'a>(
        &'a self,
        items: impl Fn(&'a Plugin) -> &'a Vec<T> + 'a,
    ) -> impl Iterator<Item = (Arc<Plugin>, T)> + 'a {
        self.plugins.iter().flat_map(move |plugin| {
            items(plugin)
                .iter()
                .map(move |item| (Arc::clone(plugin), item.clone()))
        })
    }
}

fn offers(plugin: &Plugin) -> impl Iterator<Item = (&'static str, &str)> {
    let info = plugin.info();
    let tasks = info.tasks.iter().map(|task| ("task", task.name.as_str()));
    let networks = info
        .networks
        .iter()
        .map(|network| ("network", network.name.as_str()));
    let metrics = info
        .metrics
        .iter()
        .map(|metric| ("metric", metric.name.as_str()));
    let screening = info.screening_metrics.iter();
    let screening = screening.map(|metric| ("screening metric", metric.name.as_str()));
    std::iter::once(("the name", info.name.as_str()))
        .chain(tasks)
        .chain(networks)
        .chain(metrics)
        .chain(screening)
}

pub(super) fn join<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    names.join(", ")
}
