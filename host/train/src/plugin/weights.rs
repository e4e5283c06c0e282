//! The network that trains, and the file of weights that it cannot do without.

use super::{Plugin, Registry};
use crate::{Result, TrainError};
use autoloss_plugin_api::{NetworkInfo, TaskInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the only folder that is searched for weights.
const VARIABLE: &str = "AUTOLOSS_WEIGHTS";

/// A network and its weights.
#[derive(Clone)]
pub struct ChosenNetwork {
    /// The plugin that offers it.
    pub plugin: Arc<Plugin>,
    /// The network.
    pub info: NetworkInfo,
    /// The file that it starts from, if it does.
    pub weights: Option<PathBuf>,
    /// What the user should know of the choice.
    pub remark: Option<String>,
}

impl Registry {
    /// The named network, or the task's default one; where that needs weights that are not there, the
    /// one that the task names for this case.
    ///
    /// # Errors
    /// [`TrainError::Unknown`], [`TrainError::WrongTask`], or [`TrainError::NoWeights`].
    pub fn choose_network(
        &self,
        task: &TaskInfo,
        named: Option<&str>,
        weights: Option<&Path>,
    ) -> Result<ChosenNetwork> {
        let chosen = |(plugin, info), weights: Option<&Path>, remark| ChosenNetwork {
            plugin,
            info,
            weights: weights.map(Path::to_owned),
            remark,
        };
        let name = named.unwrap_or(&task.default_network);
        let network = self.network(name, &task.name)?;
        let Some(file) = network.1.weights.clone().filter(|_| weights.is_none()) else {
            return Ok(chosen(network, weights, None));
        };
        match (find_weights(name, &file), named) {
            (Ok(found), _) => Ok(chosen(network, Some(&found), None)),
            (Err(missing), None) => match &task.network_without_weights {
                Some(other) => {
                    let remark = format!("network '{other}' trains instead: {missing}");
                    Ok(chosen(self.network(other, &task.name)?, None, Some(remark)))
                }
                None => Err(missing),
            },
            (Err(missing), Some(_)) => Err(missing),
        }
    }
}

/// A file of weights for a network: the file itself, or one of this name where weights are searched for.
///
/// # Errors
/// [`TrainError::NoWeights`] with the places.
pub fn find_weights(network: &str, file: &str) -> Result<PathBuf> {
    let folders = folders();
    let places = folders.iter().map(|folder| folder.join(file));
    let mut places = [PathBuf::from(file)].into_iter().chain(places);
    places
        .find(|path| path.is_file())
        .ok_or_else(|| TrainError::NoWeights {
            network: network.to_owned(),
            folders: super::registry::join(folders.iter().map(|folder| folder.to_string_lossy())),
            file: file.to_owned(),
        })
}

/// Where weights are searched for: what [`VARIABLE`] names, or else `.weights` here, beside an installed
/// program, and in the repository that the program was built in.
fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return vec![folder.into()];
    }
    let mut folders = vec![PathBuf::from(".weights")];
    let program = std::env::current_exe().ok();
    let place = program.as_deref().and_then(Path::parent);
    if let Some(place) = place {
        folders.extend(place.parent().map(|root| root.join("share/autoloss")));
        let built = place.ancestors().find(|folder| folder.ends_with("target"));
        let root = built.and_then(Path::parent);
        folders.extend(root.map(|root| root.join(".weights")));
    }
    folders
}
