//! What one look at a run folder tells, without waiting for a search that works on it and without
//! reading every candidate, of which there may be millions.

use crate::session::Recipe;
use anyhow::{Context, Result};
use autoloss_search::store::{Purpose, RunHeader, RunReader};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A process works on it.
    Running,
    /// It came to its end.
    Ended,
    /// It can be resumed.
    Interrupted,
}

impl State {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Ended => "ended",
            State::Interrupted => "interrupted",
        }
    }
}

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct Glance {
    pub(crate) folder: PathBuf,
    pub(crate) task: String,
    pub(crate) network: String,
    pub(crate) score: String,
    pub(crate) strategy: String,
    pub(crate) seed: u64,
    pub(crate) state: State,
    pub(crate) explored: u64,
    pub(crate) proxies: u64,
    pub(crate) best: Option<f64>,
    /// Of searching, over all sessions.
    pub(crate) seconds: f64,
    #[serde(serialize_with = "moment")]
    pub(crate) started: u64,
}

/// A run folder that was opened for reading.
pub(crate) struct Run {
    pub(crate) reader: RunReader,
    pub(crate) header: RunHeader,
    pub(crate) recipe: Recipe,
    pub(crate) glance: Glance,
    /// What the search said at its end, where it came to one and has not gone on since.
    pub(crate) findings: Option<Value>,
}

impl Run {
    /// Opens a run folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let reader = RunReader::open(folder)?;
        let header = reader.header()?;
        let recipe = Recipe::read(folder)?;
        let explored = reader.explored()?;
        let findings = findings(folder)?.filter(|found| found["explored"] == explored);
        let state = match (reader.in_use(), &findings) {
            (true, _) => State::Running,
            (false, Some(_)) => State::Ended,
            (false, None) => State::Interrupted,
        };
        let glance = Glance {
            folder: folder.to_owned(),
            task: header.task.task.clone(),
            network: header.task.network.clone(),
            score: recipe.score().to_owned(),
            strategy: name(&header.config.evolution.strategy)?,
            seed: header.config.seed,
            state,
            explored,
            proxies: reader.effort(Purpose::Search)?.trainings,
            best: reader.best(1)?.first().map(|best| best.score),
            seconds: reader.elapsed_seconds()?,
            started: header.created,
        };
        Ok(Self {
            reader,
            header,
            recipe,
            glance,
            findings,
        })
    }
}

/// The folders in a folder that hold a run, be it damaged, by name.
pub(crate) fn run_folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_run(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a folder holds a run, be it damaged.
pub(crate) fn is_run(folder: &Path) -> bool {
    ["run.db", "session.json"]
        .iter()
        .any(|file| folder.join(file).exists())
}

/// A moment in UTC, for people.
pub(crate) fn date(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%d %H:%M").to_string()
}

fn moment<S: Serializer>(seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp(*seconds))
}

/// What lies beyond the calendar becomes its end.
pub(crate) fn timestamp(seconds: u64) -> jiff::Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

fn findings(folder: &Path) -> Result<Option<Value>> {
    let path = folder.join("final.json");
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => {
            let text = read.with_context(|| format!("cannot read {}", path.display()))?;
            let value = serde_json::from_str(&text);
            value.with_context(|| format!("{} is damaged", path.display()))
        }
    }
}

/// A setting's name as it is written in a configuration.
fn name(setting: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(setting)?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_civil() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(timestamp(1_795_503_661).to_string(), "2026-11-24T07:01:01Z");
        assert!(date(u64::MAX).starts_with("9999"));
    }

    #[test]
    fn what_has_no_files_of_a_run_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [
            ("a", "run.db"),
            ("b", "retrain.json"),
            ("c", "session.json"),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(file), "").unwrap();
        }
        let found = run_folders(folder.path()).unwrap();
        assert_eq!(found, [folder.path().join("a"), folder.path().join("c")]);
        assert!(run_folders(&folder.path().join("none")).is_err());
    }
}
