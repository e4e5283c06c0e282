//! Trainings of several losses with the same seeds, each recorded when it ends, so that hours of them that are
//! stopped go on where they were.

use crate::loss_input;
use crate::measure::{Measured, job, once};
use crate::session::Session;
use crate::terminal::logging;
use crate::terminal::workers::{LOOK_EVERY, PoolProgress};
use anyhow::{Context, Result, bail};
use autoloss_jobs::ProcessPool;
use autoloss_plugin_api::Split;
use autoloss_run::{RunLock, write_whole};
use autoloss_search::{
    Contender, Evaluation, Executor, Fault, Job, Outcome, Row, Ticket, TrainingBudget,
};
use autoloss_train::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

    /// Trains losses with every seed; see [`rows`].
    pub(crate) fn rows(
        &self,
        session: &Session,
        contenders: &[Contender],
        records: Option<&mut Records>,
        pool: Option<&mut ProcessPool>,
    ) -> Result<Vec<Row>> {
        let wanted: Vec<(&Plan, &Contender)> = contenders
            .iter()
            .map(|contender| (self, contender))
            .collect();
        rows(session, &wanted, records, pool)
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

/// Trains each loss as its plan says, in this process or in a pool's; what is recorded is not trained again.
pub(crate) fn rows(
    session: &Session,
    wanted: &[(&Plan, &Contender)],
    mut records: Option<&mut Records>,
    pool: Option<&mut ProcessPool>,
) -> Result<Vec<Row>> {
    let mut measured: Vec<Vec<Option<Measured>>> = Vec::new();
    let mut open = Vec::new();
    for (row, (plan, contender)) in wanted.iter().enumerate() {
        let mut known = Vec::new();
        for (column, &seed) in plan.seeds.iter().enumerate() {
            let setting = plan.setting(session, contender, seed);
            let found = records.as_ref().and_then(|records| records.find(&setting));
            if found.is_none() {
                open.push(Open {
                    place: (row, column),
                    plan,
                    contender,
                    seed,
                    setting,
                });
            }
            known.push(found);
        }
        measured.push(known);
    }
    let mut ended = |open: &Open<'_>, result: Measured| {
        tell(session, open, &result);
        if let Some(records) = &mut records {
            records.add(&open.setting, &result)?;
        }
        let (row, column) = open.place;
        measured[row][column] = Some(result);
        Ok(())
    };
    match pool {
        Some(pool) => {
            let job = |open: &Open<'_>| {
                let (plan, workbench) = (open.plan, &session.workbench);
                let mut job = job(
                    workbench,
                    open.contender,
                    &plan.budget,
                    open.seed,
                    plan.split,
                );
                job.run_spec = session.spec.hash();
                (format!("{}, seed {}", open.contender.name, open.seed), job)
            };
            let jobs: Vec<(String, Job)> = open.iter().map(job).collect();
            in_pool(&jobs, pool, &mut |index, evaluation| {
                let open = &open[index];
                ended(open, Measured::of(open.seed, evaluation))
            })?;
        }
        None => {
            for open in &open {
                let (plan, workbench) = (open.plan, &session.workbench);
                let (budget, split) = (&plan.budget, plan.split);
                let (result, _) = once(workbench, open.contender, budget, open.seed, split)?;
                ended(open, result)?;
            }
        }
    }
    let rows = wanted.iter().zip(measured).map(|((_, contender), row)| {
        let scores = row.into_iter().flatten().map(|measured| measured.scores);
        contender.row(scores.collect())
    });
    Ok(rows.collect())
}

/// A training that is still to be run.
struct Open<'a> {
    /// Its row and its place there.
    place: (usize, usize),
    plan: &'a Plan,
    contender: &'a Contender,
    seed: u64,
    /// What it is recorded under.
    setting: serde_json::Value,
}

fn tell(session: &Session, open: &Open<'_>, measured: &Measured) {
    let target = session.workbench.score();
    let score = measured.scores.as_ref().and_then(|s| s.get(target));
    logging::line(&format!(
        "{}, seed {}: {} in {:.0} s ({:.1} % waiting for data)",
        open.contender.name,
        open.seed,
        match (score, &measured.scores) {
            (Some(score), _) => format!("{target} {score:.4}"),
            (None, Some(_)) => format!("{target} –"),
            (None, None) => "invalid".to_owned(),
        },
        measured.train_seconds,
        100.0 * measured.waited_seconds / measured.train_seconds.max(1e-9)
    ));
}

/// Runs jobs in a pool under their names, in the order in which workers get free; `ended` is told of each by its
/// place. The first that fails ends it all.
pub(crate) fn in_pool(
    jobs: &[(String, Job)],
    pool: &mut ProcessPool,
    ended: &mut dyn FnMut(usize, Evaluation) -> Result<()>,
) -> Result<()> {
    let name = |ticket: Ticket| jobs[ticket.0 as usize].0.clone();
    let mut progress = PoolProgress::new();
    let (mut next, mut done) = (0, 0);
    // What is at work then ends, or leaves a checkpoint, before the pool does.
    let mut interrupted = false;
    while done < next || (!interrupted && next < jobs.len()) {
        while !interrupted && next < jobs.len() && next - done < pool.capacity() {
            pool.submit(Ticket(next as u64), &jobs[next].1);
            next += 1;
        }
        let result = pool.wait(Some(Instant::now() + LOOK_EVERY));
        progress.draw((done, Some(jobs.len())), &pool.status(), &name);
        let Some((ticket, result)) = result else {
            continue;
        };
        done += 1;
        let evaluation = match result {
            Ok(evaluation) => evaluation,
            Err(Fault::Interrupted) => {
                interrupted = true;
                continue;
            }
            Err(Fault::Failed(reason) | Fault::Fatal(reason)) => {
                bail!("the training with {}: {reason}", name(ticket))
            }
        };
        if let Outcome::Failed { reason } = &evaluation.outcome {
            bail!("the training with {}: {reason}", name(ticket));
        }
        ended(ticket.0 as usize, evaluation)?;
    }
    progress.finish();
    match interrupted {
        true => Err(TrainError::Interrupted.into()),
        false => Ok(()),
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

    fn add(&mut self, setting: &serde_json::Value, measured: &Measured) -> Result<()> {
        let record = Record {
            setting: setting.clone(),
            measured: measured.clone(),
        };
        let line = serde_json::to_string(&record)?;
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
