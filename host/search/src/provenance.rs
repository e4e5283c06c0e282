//! What a run was made with, so that a result can be traced and a resumed run can say what changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A plugin that took part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its library in hexadecimal.
    pub sha256: String,
}

/// What a run was made with.
///
/// ```
/// use autoloss_search::{PluginIdentity, Provenance};
///
/// let plugin = |sha256: &str| PluginIdentity {
///     name: "voc_seg".into(),
///     version: "0.1.0".into(),
///     sha256: sha256.into(),
/// };
/// let then = Provenance { plugins: vec![plugin("aa")], ..Provenance::default() };
/// let now = Provenance { plugins: vec![plugin("bb")], ..Provenance::default() };
/// assert_eq!(
///     then.change(&now).as_deref(),
///     Some("plugin voc_seg was 0.1.0 (aa) and is now 0.1.0 (bb)")
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The plugins in the order they were loaded.
    pub plugins: Vec<PluginIdentity>,
    /// Versions by name: the host, libtorch, …
    pub versions: BTreeMap<String, String>,
}

impl Provenance {
    /// The first difference to what there is now, as a sentence; none where all is the same.
    #[must_use]
    pub fn change(&self, now: &Self) -> Option<String> {
        let plugin = |plugins: &[PluginIdentity], name: &str| {
            plugins
                .iter()
                .find(|plugin| plugin.name == name)
                .map_or("absent".to_owned(), |p| {
                    format!("{} ({})", p.version, p.sha256)
                })
        };
        let names = self.plugins.iter().chain(&now.plugins).map(|p| &p.name);
        for name in names {
            let (then, now) = (plugin(&self.plugins, name), plugin(&now.plugins, name));
            if then != now {
                return Some(format!("plugin {name} was {then} and is now {now}"));
            }
        }
        let absent = "absent".to_owned();
        for name in self.versions.keys().chain(now.versions.keys()) {
            let then = self.versions.get(name).unwrap_or(&absent);
            let now = now.versions.get(name).unwrap_or(&absent);
            if then != now {
                return Some(format!("{name} was {then} and is now {now}"));
            }
        }
        None
    }
}
