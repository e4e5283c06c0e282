//! Loss files of the best losses, so that a result can be picked up without a database. Each is
//! written beside its place and renamed into it: a reader never sees half a file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use autoloss_graph::LossFile;

use super::error::StoreError;
use super::reader::BestLoss;
use super::{Store, best_folder};
use crate::task::TaskSpec;

/// Writes a loss file so that it appears whole or not at all.
///
/// # Errors
///
/// [`StoreError::Io`], [`StoreError::ReadOnly`] or [`StoreError::DiskFull`].
pub fn write_loss_file(path: &Path, file: &LossFile) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut text = file.to_json_pretty();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // A half-written file would only confuse; that it may not go either changes nothing.
        let _ = fs::remove_file(&temporary);
        StoreError::io(folder, path, error)
    })
}

impl Store {
    /// Makes `best/` hold exactly the given losses.
    pub(crate) fn write_best(
        &self,
        task: &TaskSpec,
        seed: u64,
        best: &[BestLoss],
    ) -> Result<(), StoreError> {
        let folder = best_folder(self.folder());
        let failed = |error| StoreError::io(self.folder(), &folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut names = BTreeSet::new();
        for loss in best {
            let name = format!("candidate-{:08}.json", loss.id.0);
            let path = folder.join(&name);
            if !path.exists() {
                write_loss_file(&path, &loss_file(task, seed, loss))?;
            }
            names.insert(name);
        }
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.starts_with("candidate-");
            if ours && !names.contains(&name) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn loss_file(task: &TaskSpec, seed: u64, loss: &BestLoss) -> LossFile {
    let mut file = LossFile::new(&task.task, loss.losses.clone());
    file.conventions = task.conventions.clone();
    file.name = Some(format!("candidate {}", loss.id));
    for (key, value) in [
        ("candidate", serde_json::json!(loss.id.0)),
        ("score", serde_json::json!(loss.score)),
        ("seed", serde_json::json!(seed)),
    ] {
        file.provenance.insert(key.to_owned(), value);
    }
    file
}
