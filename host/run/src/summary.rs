//! What a run is and how far it has come, told without waiting for a search that works on it and without
//! reading every candidate, of which there may be millions.

use std::path::{Path, PathBuf};

use autoloss_search::{Purpose, RunHeader};
use serde::{Serialize, Serializer};

use crate::error::StoreError;
use crate::findings::Findings;
use crate::reader::RunReader;
use crate::spec::RunSpec;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process works on it.
    Running,
    /// It came to its end.
    Ended,
    /// It can be resumed.
    Interrupted,
    /// Its last session ended with an error; it can be resumed.
    Failed,
}

impl RunState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// A run in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// The run folder.
    pub folder: PathBuf,
    /// Name of the task.
    pub task: String,
    /// Name of the network.
    pub network: String,
    /// Name of the target score.
    pub score: String,
    /// Name of the search method.
    pub strategy: String,
    /// Seed of the run.
    pub seed: u64,
    /// What it is doing.
    pub state: RunState,
    /// Why its last session failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Candidates explored.
    pub explored: u64,
    /// Trainings of the search, whatever came of them.
    pub proxies: u64,
    /// Candidates that could not be evaluated.
    pub failed: u64,
    /// Worker processes, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
    /// The part of the time that they were busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<f64>,
    /// Target score of the best loss.
    pub best: Option<f64>,
    /// Seconds of searching, over all sessions.
    pub seconds: f64,
    /// When it was started, in seconds since 1970; in JSON as a date and time.
    #[serde(serialize_with = "moment")]
    pub started: u64,
}

/// A run folder that was opened for reading.
#[derive(Debug)]
pub struct Run {
    /// Answers questions about it.
    pub reader: RunReader,
    /// What it is.
    pub header: RunHeader,
    /// What it was opened with.
    pub spec: RunSpec,
    /// It in short.
    pub summary: RunSummary,
    /// What the search found, where it came to its end and has not gone on since.
    pub findings: Option<Findings>,
}

impl Run {
    /// Opens a run folder.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let reader = RunReader::open(folder)?;
        let header = reader.header()?;
        let spec = reader.spec()?;
        let explored = reader.explored()?;
        let findings = Findings::read(folder)?.filter(|found| found.explored == explored);
        let failure = reader.failure();
        let state = match (reader.in_use(), &findings, &failure) {
            (true, ..) => RunState::Running,
            (false, _, Some(_)) => RunState::Failed,
            (false, Some(_), None) => RunState::Ended,
            (false, None, None) => RunState::Interrupted,
        };
        let busy = reader.busy()?;
        let summary = RunSummary {
            folder: folder.to_owned(),
            task: header.task.task.clone(),
            network: header.task.network.clone(),
            score: spec.score.clone(),
            strategy: header.config.evolution.strategy.name().to_owned(),
            seed: header.config.seed,
            state,
            failure,
            explored,
            proxies: reader.effort(Purpose::Search)?.trainings,
            failed: reader.failures()?,
            workers: busy.map(|busy| busy.0),
            busy: busy.map(|busy| busy.1),
            best: reader.best(1)?.first().map(|best| best.fitness.score()),
            seconds: reader.elapsed_seconds()?,
            started: header.created,
        };
        Ok(Self {
            reader,
            header,
            spec,
            summary,
            findings,
        })
    }
}

/// The folders in a folder that hold a run, be it damaged, by name.
///
/// # Errors
/// What the system says of the folder.
pub fn run_folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
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
#[must_use]
pub fn is_run(folder: &Path) -> bool {
    ["run.db", "session.json"]
        .iter()
        .any(|file| folder.join(file).exists())
}

/// A moment in UTC, for people.
#[must_use]
pub fn date(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%d %H:%M").to_string()
}

fn moment<S: Serializer>(seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp(*seconds))
}

/// A moment by its seconds since 1970; what lies beyond the calendar becomes its end.
#[must_use]
pub fn timestamp(seconds: u64) -> jiff::Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
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
    fn a_folder_with_files_of_a_run_holds_one() {
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
