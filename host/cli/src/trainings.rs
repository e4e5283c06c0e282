//! Trainings of several losses with the same seeds, each recorded when it ends, so that hours of them that are
//! stopped go on where they were.

use crate::loss_input;
use crate::measure::{Measured, once};
use crate::session::Session;
use crate::terminal::logging;
use anyhow::{Context, Result};
use autoloss_plugin_api::Split;
use autoloss_run::{RunLock, write_whole};
use autoloss_search::{Contender, Row, TrainingBudget};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the file that holds finished trainings, one JSON object a line.
const FILE: &str = "trainings.jsonl";

/// The task's reference losses, where `references` says so, then those that are named; none twice.
pub(crate) fn contenders(
    session: &Session,
    named: &[String],
    references: bool,
) -> Result<Vec<Contender>> {
    let workbench = &session.workbench;
    let mut contenders = match references {
        true => workbench.whole_references(usize::MAX)?,
        false => Vec::new(),
    };
    for named in named {
        let losses = loss_input::read(workbench, named, &session.config.limits)?;
        // Now, not after the trainings of those before it.
        workbench.losses(&losses)?;
        let name = loss_input::title(workbench, named);
        add(&mut contenders, Contender { name, losses });
    }
    Ok(contenders)
}

/// Adds a loss that is not there yet.
pub(crate) fn add(contenders: &mut Vec<Contender>, contender: Contender) {
    if contenders
        .iter()
        .all(|known| known.losses != contender.losses)
    {
        contenders.push(contender);
    }
}

/// A row's mean of a score, with the deviation where there are several seeds.
pub(crate) fn shown(row: &Row, score: &str) -> String {
    match row.summary(score) {
        Some((mean, _)) if row.scores.len() == 1 => format!("{mean:.3}"),
        Some((mean, deviation)) => format!("{mean:.3} ± {deviation:.3}"),
        None => "invalid".to_owned(),
    }
}

/// Writes the files of a result into its folder.
pub(crate) fn write_results<const N: usize>(
    folder: &Path,
    files: [(&str, String); N],
) -> Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    logging::line(&format!("written to {}", folder.display()));
    Ok(())
}

/// How every row is measured.
pub(crate) struct Plan {
    pub(crate) budget: TrainingBudget,
    pub(crate) seeds: Vec<u64>,
    pub(crate) split: Split,
}

impl Plan {
    /// Trainings with this budget and so many seeds, from the session's own on.
    pub(crate) fn new(
        session: &Session,
        budget: &TrainingBudget,
        seeds: u16,
        split: Split,
    ) -> Self {
        let first = session.config.seed;
        Self {
            budget: budget.clone(),
            seeds: (first..first + u64::from(seeds)).collect(),
            split,
        }
    }

    /// Trains a loss with every seed; what is recorded is not trained again.
    pub(crate) fn row(
        &self,
        session: &Session,
        contender: &Contender,
        mut records: Option<&mut Records>,
    ) -> Result<Row> {
        let workbench = &session.workbench;
        let mut scores = Vec::new();
        for &seed in &self.seeds {
            let setting = self.setting(session, contender, seed);
            let known = records.as_ref().and_then(|records| records.find(&setting));
            let measured = match known {
                Some(measured) => measured,
                None => {
                    let (measured, _) = once(workbench, contender, &self.budget, seed, self.split)?;
                    let score = measured
                        .scores
                        .as_ref()
                        .and_then(|s| s.get(workbench.score()));
                    logging::line(&format!(
                        "{}, seed {seed}: {} in {:.0} s ({:.1} % waiting for data)",
                        contender.name,
                        match (score, &measured.scores) {
                            (Some(score), _) => format!("{} {score:.4}", workbench.score()),
                            (None, Some(_)) => format!("{} –", workbench.score()),
                            (None, None) => "invalid".to_owned(),
                        },
                        measured.train_seconds,
                        100.0 * measured.waited_seconds / measured.train_seconds.max(1e-9)
                    ));
                    if let Some(records) = &mut records {
                        records.add(setting, &measured)?;
                    }
                    measured
                }
            };
            scores.push(measured.scores);
        }
        Ok(contender.row(scores))
    }

    /// Everything that decides the outcome of a training.
    fn setting(&self, session: &Session, contender: &Contender, seed: u64) -> serde_json::Value {
        serde_json::json!({
            "recipe": session.spec.identity(),
            "made_by": session.provenance(),
            "losses": contender.losses,
            "budget": self.budget,
            "data_seed": session.config.seed,
            "seed": seed,
            "split": self.split,
            "normalised": session.config.normalised,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    setting: serde_json::Value,
    measured: Measured,
}

/// Finished trainings of an output folder.
pub(crate) struct Records {
    path: PathBuf,
    file: File,
    known: BTreeMap<String, Measured>,
    _lock: RunLock,
}

impl Records {
    /// Those that a folder holds, which is made where it is missing.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = RunLock::take(folder)?;
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mut known = BTreeMap::new();
        // A line cut short by a kill is a training to repeat.
        for line in text.lines() {
            if let Ok(record) = serde_json::from_str::<Record>(line) {
                known.insert(record.setting.to_string(), record.measured);
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Self {
            path,
            file,
            known,
            _lock: lock,
        })
    }

    fn find(&self, setting: &serde_json::Value) -> Option<Measured> {
        self.known.get(&setting.to_string()).cloned()
    }

    fn add(&mut self, setting: serde_json::Value, measured: &Measured) -> Result<()> {
        let record = Record {
            setting,
            measured: measured.clone(),
        };
        let line = serde_json::to_string(&record)?;
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
