//! `runs`: the runs in a folder, newest first; a damaged one is listed with what is wrong.

use crate::args::RunsArgs;
use crate::terminal::bar::clock;

use crate::Outcome;
use crate::terminal::{output, table};
use anyhow::{Context, Result};
use autoloss_plugin_api::brief;
use autoloss_run::{Run, RunSummary, date, is_run, run_folders};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where searches put their runs.
const RUNS: &str = "runs";

/// What is listed.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Run(Box<RunSummary>),
    Damaged { folder: PathBuf, damaged: String },
}

/// Lists them.
pub(crate) fn run(args: &RunsArgs) -> Result<Outcome> {
    let folder = args.folder.as_deref();
    let listed = list(folder)?;
    if args.json {
        output::json(&listed)?;
    } else {
        output::print(&text(folder.unwrap_or(Path::new(RUNS)), &listed)?)?;
    }
    Ok(Outcome::Done)
}

fn list(folder: Option<&Path>) -> Result<Vec<Listed>> {
    let named = folder.unwrap_or(Path::new(RUNS));
    let folders = if is_run(named) {
        vec![named.to_owned()]
    } else {
        match run_folders(named) {
            // No search was ever begun here.
            Err(_) if folder.is_none() && !named.exists() => Vec::new(),
            read => read.with_context(|| format!("cannot list the folder {}", named.display()))?,
        }
    };
    let mut listed: Vec<Listed> = folders.into_iter().map(look).collect();
    listed.sort_by_key(|entry| match entry {
        Listed::Run(run) => (0, u64::MAX - run.started),
        Listed::Damaged { .. } => (1, 0),
    });
    Ok(listed)
}

fn look(folder: PathBuf) -> Listed {
    match Run::open(&folder) {
        Ok(run) => Listed::Run(Box::new(run.summary)),
        Err(error) => Listed::Damaged {
            folder,
            damaged: brief(&error),
        },
    }
}

fn text(folder: &Path, listed: &[Listed]) -> Result<String> {
    let mut text = String::new();
    let runs = listed.iter().filter_map(|entry| match entry {
        Listed::Run(run) => Some(row(run)),
        Listed::Damaged { .. } => None,
    });
    let rows: Vec<Vec<String>> = runs.collect();
    if listed.is_empty() {
        writeln!(text, "no runs in {}", folder.display())?;
    }
    if !rows.is_empty() {
        let header = [
            "run",
            "task",
            "network",
            "strategy",
            "state",
            "explored",
            "proxies",
            "workers busy",
            "best",
            "time",
            "started (UTC)",
        ];
        writeln!(text, "{}", table::plain(&header, rows))?;
    }
    for entry in listed {
        match entry {
            Listed::Damaged { folder, damaged } => {
                writeln!(text, "damaged: {}: {damaged}", folder.display())?;
            }
            Listed::Run(run) => {
                if let Some(failure) = &run.failure {
                    writeln!(text, "failed: {}: {failure}", run.folder.display())?;
                }
            }
        }
    }
    Ok(text)
}

fn row(run: &RunSummary) -> Vec<String> {
    let name = run.folder.file_name();
    let name = name.map_or_else(
        || run.folder.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    vec![
        name,
        run.task.clone(),
        run.network.clone(),
        run.strategy.clone(),
        run.state.name().to_owned(),
        run.explored.to_string(),
        match run.failed {
            0 => run.proxies.to_string(),
            failed => format!("{} ({failed} failed)", run.proxies),
        },
        match run.workers.zip(run.busy) {
            None => "–".to_owned(),
            Some((workers, busy)) => format!("{workers}, {:.0} %", 100.0 * busy),
        },
        run.best
            .map_or("–".to_owned(), |best| format!("{} {best:.4}", run.score)),
        clock(run.seconds),
        date(run.started),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_run::RunState;

    fn summary(folder: &str, state: RunState, best: Option<f64>) -> Listed {
        Listed::Run(Box::new(RunSummary {
            folder: folder.into(),
            task: "voc_seg".into(),
            network: "unet_tiny".into(),
            score: "mIoU".into(),
            strategy: "evolution".into(),
            seed: 0,
            state,
            failure: (state == RunState::Failed).then(|| "the disk of runs/d is full".into()),
            explored: 1_500_000,
            proxies: 1380,
            failed: 0,
            workers: best.map(|_| 4),
            busy: best.map(|_| 0.934),
            best,
            seconds: 3725.0,
            started: 1_795_503_661,
        }))
    }

    #[test]
    fn runs_are_a_table_and_damaged_ones_a_line_each() {
        let listed = [
            summary("runs/a", RunState::Running, Some(0.1909)),
            summary("runs/b", RunState::Interrupted, None),
            summary("runs/d", RunState::Failed, None),
            Listed::Damaged {
                folder: "runs/c".into(),
                damaged: "runs/c/session.json is damaged".into(),
            },
        ];
        insta::assert_snapshot!(text(Path::new("runs"), &listed).unwrap());
    }

    #[test]
    fn a_folder_without_runs_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let listed = list(Some(folder.path())).unwrap();
        assert!(text(Path::new("here"), &listed).unwrap() == "no runs in here\n");
        let none = folder.path().join("none");
        let message = format!("{:#}", list(Some(&none)).err().unwrap());
        assert!(message.contains("none: No such file"), "{message}");
    }

    #[test]
    fn a_damaged_run_is_listed_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join("run.db"), "no database").unwrap();
        for named in [folder.path(), &run] {
            let listed = list(Some(named)).unwrap();
            let [Listed::Damaged { damaged, .. }] = &listed[..] else {
                panic!("one damaged run");
            };
            assert!(
                damaged.contains("is damaged (file is not a database"),
                "{damaged}"
            );
        }
    }
}
