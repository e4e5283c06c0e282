//! Everything a report draws from, opened once: the database and `final.json`.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use autoloss_run::{Findings, RunReader, StoreError};
use autoloss_search::{CandidateId, RunHeader};

use crate::branches::{Branches, Known};
use crate::error::ReportError;

/// Most folders beside a run that are looked at for a random search.
const MOST_SIBLINGS: usize = 200;

/// A run folder open for a report.
pub(crate) struct Source {
    pub(crate) reader: RunReader,
    pub(crate) header: RunHeader,
    pub(crate) findings: Option<Findings>,
    /// Name of the target score.
    pub(crate) score: String,
    pub(crate) branches: Branches,
    /// What could not be read, in sentences.
    pub(crate) notes: Vec<String>,
    random: OnceCell<bool>,
}

impl Source {
    /// Opens a run folder with the formulas that are known of it.
    pub(crate) fn open(run: &Path, known: &Known) -> Result<Self, ReportError> {
        let reader = RunReader::open(run)?;
        let header = reader.header()?;
        let mut notes = Vec::new();
        let findings = noted(Findings::read(run), &mut notes).flatten();
        let spec = noted(reader.spec(), &mut notes);
        notes.extend(
            reader
                .failure()
                .map(|failure| format!("The last session ended with an error: {failure}")),
        );
        let score = spec
            .map(|spec| spec.score)
            .filter(|score| !score.is_empty());
        let told = findings.as_ref().and_then(|found| found.score.clone());
        Ok(Self {
            branches: Branches::new(&header, known),
            score: score.or(told).unwrap_or_else(|| "score".to_owned()),
            reader,
            header,
            findings,
            notes,
            random: OnceCell::new(),
        })
    }

    /// The folder's own name.
    pub(crate) fn name(&self) -> String {
        let folder = self.reader.folder();
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The loss that the report is about: the chosen one, else the best so far.
    pub(crate) fn best(&self) -> Result<Option<CandidateId>, ReportError> {
        let chosen = self.findings.as_ref().and_then(|found| found.best.as_ref());
        let chosen = chosen
            .and_then(|best| best.candidate.parse().ok())
            .map(CandidateId);
        if let Some(id) = chosen
            && self.reader.candidate(id).is_ok()
        {
            return Ok(Some(id));
        }
        Ok(self.reader.best(1)?.first().map(|best| best.id))
    }

    /// A random search to compare with: the one named, else the largest of the same task, network and score in a
    /// folder beside this one. None for a random search itself.
    pub(crate) fn beside(&self, named: Option<&Path>) -> Result<Option<Self>, ReportError> {
        if let Some(folder) = named {
            return Self::open(folder, &Known::default()).map(Some);
        }
        if self.is_random()? {
            return Ok(None);
        }
        let mut found: Option<(u64, Self)> = None;
        for folder in siblings(self.reader.folder()) {
            // What cannot be read is no run to compare with.
            let Ok(other) = Self::open(&folder, &Known::default()) else {
                continue;
            };
            if !self.is_comparable(&other) || !other.is_random()? {
                continue;
            }
            let explored = other.reader.explored()?;
            if found.as_ref().is_none_or(|(most, _)| explored > *most) {
                found = Some((explored, other));
            }
        }
        Ok(found.map(|(_, other)| other))
    }

    /// Whether every candidate was drawn at random, from no other, as in a random search.
    pub(crate) fn is_random(&self) -> Result<bool, ReportError> {
        if let Some(random) = self.random.get() {
            return Ok(*random);
        }
        let random = !self.reader.has_children()?;
        Ok(*self.random.get_or_init(|| random))
    }

    /// Whether scores of another run mean the same.
    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        other.header.task.task == self.header.task.task
            && other.header.task.network == self.header.task.network
            && other.score == self.score
            && other.header.config.proxy == self.header.config.proxy
    }
}

/// What was read; what is wrong with it goes into the notes, since a report of the rest beats none.
pub(crate) fn noted<T>(read: Result<T, StoreError>, notes: &mut Vec<String>) -> Option<T> {
    read.inspect_err(|error| notes.push(format!("{error}.")))
        .ok()
}

/// The other folders in a run's folder that hold a database, by name.
fn siblings(run: &Path) -> Vec<PathBuf> {
    let Ok(run) = run.canonicalize() else {
        return Vec::new();
    };
    let entries = run
        .parent()
        .and_then(|parent| std::fs::read_dir(parent).ok());
    let folders = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = folders
        .filter(|path| *path != run && path.join("run.db").is_file())
        .take(MOST_SIBLINGS)
        .collect();
    folders.sort();
    folders
}
