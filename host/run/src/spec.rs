//! The run spec: what must be known, beside the configuration, to open a run's task again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contents::Contents;
use crate::error::StoreError;
use crate::files::read_json;

/// The file that held the spec before it was part of the database.
const FILE: &str = "session.json";

/// Settings of a plugin by name.
pub type OwnSettings = BTreeMap<String, serde_json::Value>;

/// What a run, or a training, was opened with.
///
/// ```
/// use autoloss_run::RunSpec;
///
/// let here = RunSpec { plugins: vec!["/a/libvoc_seg.so".into()], task: "voc_seg".into(), ..RunSpec::default() };
/// let moved = RunSpec { plugins: vec!["/b/libvoc_seg.so".into()], ..here.clone() };
/// assert_eq!(here.hash(), moved.hash());
/// let other = RunSpec { skip_bad: true, ..here.clone() };
/// assert_ne!(here.hash(), other.hash());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Paths of the plugins, in the order they were loaded.
    pub plugins: Vec<PathBuf>,
    /// Name of the task.
    pub task: String,
    /// Name of the network.
    pub network: String,
    /// Name of the target score.
    pub score: String,
    /// The data folder; absent for the task's embedded data.
    pub data: Option<PathBuf>,
    /// What that folder held; absent for embedded data and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_contents: Option<Contents>,
    /// Pretrained weights.
    pub weights: Option<PathBuf>,
    /// What that file held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_contents: Option<Contents>,
    /// Settings of the task.
    pub settings: OwnSettings,
    /// Losses of the branches that are not searched, by branch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
    /// Settings of the network.
    #[serde(default)]
    pub network_settings: OwnSettings,
    /// Whether samples that cannot be read are skipped.
    #[serde(default)]
    pub skip_bad: bool,
    /// What of the machine is used.
    #[serde(default)]
    pub machine: MachineUse,
}

/// What of a machine is used, where the user said so; it decides nothing but how long things take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineUse {
    /// Device of trainings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Threads of libtorch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u16>,
    /// Threads that load batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaders: Option<u16>,
}

impl RunSpec {
    /// Everything but where plugins lie, by the names under which it is set.
    #[must_use]
    pub fn by_flag(&self) -> BTreeMap<String, serde_json::Value> {
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

    /// What of it decides how a training with a given loss ends; where plugins lie, what of the machine is used and which
    /// score is raised do not, nor do paths of data and weights whose contents are known.
    #[must_use]
    pub fn identity(&self) -> serde_json::Value {
        // Names, paths and JSON values always serialise.
        let mut identity = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = identity.as_object_mut() {
            fields.remove("plugins");
            fields.remove("score");
            fields.remove("machine");
            for input in ["data", "weights"] {
                if fields.contains_key(&format!("{input}_contents")) {
                    fields.remove(input);
                }
            }
        }
        identity
    }

    /// Which of data and weights hold something else than they did, as a sentence; none where neither does or nothing is
    /// known of them.
    ///
    /// ```
    /// use autoloss_run::{Contents, RunSpec};
    ///
    /// let of = |files, sha256: &str| RunSpec {
    ///     data: Some("/sets/voc".into()),
    ///     data_contents: Some(Contents { files, sha256: sha256.into() }),
    ///     ..RunSpec::default()
    /// };
    /// assert_eq!(of(3, "a").changed_contents(&of(3, "a")), None);
    /// assert_eq!(
    ///     of(3, "a").changed_contents(&of(4, "b")).unwrap(),
    ///     "the data in /sets/voc are not those that were there: they were read from 3 files and are from 4"
    /// );
    /// ```
    #[must_use]
    pub fn changed_contents(&self, now: &Self) -> Option<String> {
        let change = |then: &Option<Contents>, now: &Option<Contents>| match (then, now) {
            (Some(then), Some(now)) => then.change(now),
            _ => None,
        };
        let shown = |path: &Option<PathBuf>| {
            path.as_deref()
                .unwrap_or(Path::new(""))
                .display()
                .to_string()
        };
        let data = change(&self.data_contents, &now.data_contents).map(|change| {
            format!(
                "the data in {} are not those that were there: they {change}",
                shown(&now.data)
            )
        });
        data.or_else(|| {
            change(&self.weights_contents, &now.weights_contents)?;
            let weights = shown(&now.weights);
            Some(format!("{weights} does not hold the weights that it held"))
        })
    }

    /// SHA-256 of the [identity](Self::identity), in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.identity().to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The spec of a run of an earlier version.
    pub(crate) fn read_file(folder: &Path) -> Result<Self, StoreError> {
        read_json(&folder.join(FILE))?.ok_or_else(|| StoreError::NoSpec {
            folder: folder.to_path_buf(),
        })
    }

    /// The text of that file, where there is one.
    pub(crate) fn text_of_file(folder: &Path) -> Result<Option<String>, StoreError> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read
                .map(Some)
                .map_err(|error| StoreError::io(folder, &path, error)),
        }
    }
}
