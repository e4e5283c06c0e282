//! `search` and `resume`.

use crate::Outcome;
use crate::args::{BudgetArgs, ResumeArgs, SearchArgs};
use crate::commands::findings;
use crate::commands::report;
use crate::measure::Exhibit;
use crate::pictures::Album;
use crate::session::{Machine, Session, dated_folder};
use crate::settings::Overrides;
use crate::terminal::bar::clock;
use crate::terminal::logging;
use crate::terminal::progress::Progress;
use anyhow::Result;
use autoloss_jobs::InProcess;
use autoloss_plugin_api::Split;
use autoloss_run::{Findings, Store};
use autoloss_search::{Event, Observer, Outcome as Ended, Search, SearchError};
use autoloss_train::{KnownLosses, TaskScreener};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Begins a run.
pub(crate) fn search(args: &SearchArgs) -> Result<Outcome> {
    let session = Session::open(&args.task, |overrides| adjust(overrides, args))?;
    let spec = session.workbench.spec()?;
    // A split without samples is better known now than after hours.
    for split in Split::ALL {
        session.workbench.len(split)?;
    }
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| dated_folder(&session.workbench.info().name));
    let store = Store::create(&folder)?.with_spec(session.spec.clone());
    let search = Search::new(spec, session.config.clone(), session.provenance(), store)?;
    drive(session, search, &args.budget, args.task.json)
}

/// Goes on with a run.
pub(crate) fn resume(args: &ResumeArgs) -> Result<Outcome> {
    let store = Store::open(&args.run)?;
    let header = store.reader().header()?;
    let spec = store.reader().spec()?;
    let mut config = header.config;
    change_budget(&mut config.budget, &args.budget);
    let machine = Machine {
        device: &args.device,
        threads: args.threads,
        loaders: None,
    };
    let session = Session::reopen(spec, config, &args.plugins, machine)?;
    if let Some(change) = header.provenance.change(&session.provenance()) {
        tracing::warn!("{change}: scores from before and after may not be comparable");
    }
    let search = Search::resume(
        &session.workbench.spec()?,
        Some(session.config.clone()),
        store,
    )?;
    drive(session, search, &args.budget, args.json)
}

fn adjust(overrides: &mut Overrides, args: &SearchArgs) {
    let budget = &args.budget;
    if let Some(limit) = budget.max_explored {
        overrides.push(
            "budget.max_explored",
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
    }
    if let Some(limit) = budget.max_proxies {
        overrides.push(
            "budget.max_proxies",
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
    }
    if let Some(limit) = budget.max_seconds {
        overrides.push("budget.max_seconds", limit);
    }
    if args.random {
        overrides.push("evolution.strategy", "random");
    }
    for (off, key) in [
        (args.no_lrp, "screening.lrp"),
        (args.no_gec, "equivalence.enabled"),
        (args.no_stop, "proxy.stop_invalid"),
        (args.no_stop, "proxy.pruning.enabled"),
    ] {
        if off {
            overrides.push(key, false);
        }
    }
}

fn change_budget(budget: &mut autoloss_search::Budget, args: &BudgetArgs) {
    budget.max_explored = args.max_explored.or(budget.max_explored);
    budget.max_proxies = args.max_proxies.or(budget.max_proxies);
    budget.max_seconds = args.max_seconds.or(budget.max_seconds);
}

/// Searches, measures the best again, compares on the test split, and prints.
fn drive(
    mut session: Session,
    search: Search<Store>,
    args: &BudgetArgs,
    json: bool,
) -> Result<Outcome> {
    let mut search = search.with_run_spec(session.spec.hash());
    let folder = search.journal().folder().to_owned();
    let config = search.config().clone();
    logging::line(&format!(
        "task {}, network {}, score {}, run folder {}",
        session.workbench.info().name,
        session.workbench.network().name,
        session.workbench.score(),
        folder.display()
    ));
    session.prepare(&[Split::Train, config.proxy.split.parse()?])?;
    let mut screener = session.workbench.screener(
        &config.screening,
        config.equivalence.sketched(),
        config.seed,
    )?;
    let best = search.best().map(|best| best.fitness.score());
    let score = session.workbench.score().to_owned();
    let before = search.elapsed();
    let mut progress = Progress::new(config.budget, &score, best, before);
    let stop = session.stop.clone();
    let mut executor = InProcess::new(&mut session.workbench);
    let summary = search.run(&mut screener, &mut executor, &mut progress, &stop);
    progress.finish();
    let summary = match summary {
        Err(error) => return Err(failed(error, &folder)),
        Ok(summary) => summary,
    };
    if stop.load(Ordering::Relaxed) {
        return Ok(interrupted(&folder));
    }
    logging::line(&format!(
        "search ended after {}: {}",
        clock(summary.elapsed_seconds),
        summary.end
    ));
    let mut findings = Findings::of_search(search.journal(), &summary, &score)?;
    if !args.no_final && !conclude(&mut session, &mut search, &mut screener, &mut findings)? {
        return Ok(interrupted(&folder));
    }
    findings.write(&folder)?;
    findings::print(&session, &findings, json)?;
    // Gives the run folder back, so that the report does not say that the run goes on.
    drop(search);
    report::leave(&folder);
    Ok(Outcome::Done)
}

fn failed(error: SearchError, folder: &Path) -> anyhow::Error {
    let hint = format!(
        "the run can be resumed: autoloss-host resume {}",
        folder.display()
    );
    logging::line(&hint);
    anyhow::Error::new(error)
}

fn interrupted(folder: &Path) -> Outcome {
    logging::line(&format!(
        "interrupted; go on with: autoloss-host resume {}",
        folder.display()
    ));
    Outcome::Interrupted
}

/// Measures the best losses again on the selection split, then compares the chosen one with the
/// reference loss on the test split. False where it was interrupted.
fn conclude(
    session: &mut Session,
    search: &mut Search<Store>,
    screener: &mut TaskScreener,
    findings: &mut Findings,
) -> Result<bool> {
    let stop = session.stop.clone();
    let settings = search.config().confirmation.clone();
    if settings.top == 0 {
        return Ok(true);
    }
    logging::line(&format!(
        "measuring the best {} again with {} seeds on the {} split …",
        settings.top, settings.seeds, settings.split
    ));
    let median = search.journal().reader().random_median()?;
    let mut table = session
        .workbench
        .final_table(median.map(|(_, losses)| losses))?;
    let wanted = settings.top.max(search.config().keep_best);
    let best = search.journal().reader().best(wanted)?;
    let known = KnownLosses::new(&session.workbench, screener)?;
    let branches = session.workbench.searched().count();
    for loss in best {
        let names = known.of(screener, &loss.losses)?;
        if names.len() < branches && table.new.is_none() {
            table.new = Some(loss.clone());
        }
        table.known.insert(loss.id, names);
    }
    let mut album = Album::default();
    let mut exhibit = Exhibit {
        workbench: &mut session.workbench,
        table: &table,
        keep: |name, network| album.keep(name, network),
    };
    let mut executor = InProcess::new(&mut exhibit);
    let concluded = search.conclude(&table, &mut executor, &mut Narrator::default(), &stop);
    let concluded = match concluded {
        Err(error) => return Err(failed(error, search.journal().folder())),
        Ok(concluded) => concluded,
    };
    let Some(conclusion) = concluded else {
        return Ok(false);
    };
    if conclusion.chosen.is_none() {
        logging::line("no loss trained with every seed; nothing to compare");
        return Ok(true);
    }
    findings.conclude(search.journal(), conclusion, &table)?;
    album.write(&session.workbench, Split::Test, search.journal().folder());
    Ok(true)
}

/// Tells what the trainings of the final table come to.
#[derive(Default)]
struct Narrator {
    /// Row, trainings of it so far, and their seconds.
    row: Option<(String, usize, f64)>,
}

impl Observer for Narrator {
    fn observe(&mut self, event: &Event<'_>) {
        let Event::Compared {
            name,
            evaluation,
            last,
            ..
        } = event
        else {
            return;
        };
        if let Ended::Failed { reason } = &evaluation.outcome {
            tracing::warn!("a training with {name} failed: {reason}");
        }
        let (_, trainings, seconds) = match self.row.take() {
            Some(row) if row.0 == *name => row,
            _ => ((*name).to_owned(), 0, 0.0),
        };
        let seconds = seconds + evaluation.train_seconds + evaluation.eval_seconds;
        let trainings = trainings + 1;
        if *last {
            let each = seconds / trainings as f64;
            logging::line(&format!(
                "test split: {name} ({trainings} trainings, {each:.1} s each with evaluation)"
            ));
        }
        self.row = Some(((*name).to_owned(), trainings, seconds));
    }
}
