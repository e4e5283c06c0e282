//! `search` and `resume`.

use crate::Outcome;
use crate::args::{BudgetArgs, ResumeArgs, SearchArgs};
use crate::commands::findings;
use crate::commands::report;
use crate::interrupt;
use crate::loss_input;
use crate::measure::Exhibit;
use crate::pictures::Album;
use crate::session::{Session, absolute, dated_folder};
use crate::settings::Overrides;
use crate::terminal::bar::clock;
use crate::terminal::logging;
use crate::terminal::progress::Progress;
use crate::workers::{self, Gallery};
use anyhow::{Result, bail};
use autoloss_graph::{Limits, LossGraph};
use autoloss_jobs::{InProcess, ProcessPool};
use autoloss_plugin_api::{Split, brief};
use autoloss_run::{Findings, RunSpec, Store, note_failure};
use autoloss_search::{
    Contender, Event, GradientKey, Observer, Outcome as Ended, Screener, Search, SearchError,
    SecondStage, TrainingBudget,
};
use autoloss_train::{KnownLosses, TaskScreener, known_formulas};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Begins a run.
pub(crate) fn search(args: &SearchArgs) -> Result<Outcome> {
    let mut session = Session::open(&args.task, |overrides| adjust(overrides, args))?;
    begin_with(&mut session, &args.guesses)?;
    let spec = session.workbench.spec()?;
    check_splits(&session, &args.budget)?;
    session.identify()?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => dated_folder(&session.workbench.info().name)?,
    };
    let store = Store::create(&folder)?.with_spec(session.spec.clone());
    let search = Search::new(spec, session.config.clone(), session.provenance(), store)?;
    drive(session, search, &args.budget, args.task.json)
}

/// Goes on with a run.
pub(crate) fn resume(args: &ResumeArgs) -> Result<Outcome> {
    let store = Store::open(&args.run)?;
    let header = store.reader().header()?;
    let began = store.reader().spec()?;
    let spec = spec_of_resumed(&began, args)?;
    let mut config = Overrides::parse(&args.set)?.over(&header.config)?;
    change_budget(&mut config.budget, &args.budget);
    if let Some(workers) = workers::asked(args.workers, &spec.machine)? {
        config.workers = workers;
    }
    let mut session = Session::reopen(spec, config, &args.plugins)?;
    if let Some(change) = header.provenance.change(&session.provenance()) {
        tracing::warn!("{change}: scores from before and after may not be comparable");
    }
    session.identify()?;
    if let Some(change) = began.changed_contents(&session.spec) {
        bail!(
            "{change}; the scores so far are of the others. Put those back, or begin a new search"
        );
    }
    store.change_spec(&session.spec)?;
    let search = Search::resume(
        &session.workbench.spec()?,
        Some(session.config.clone()),
        store,
    )?;
    check_splits(&session, &args.budget)?;
    drive(session, search, &args.budget, args.json)
}

/// The spec that a run was begun with, changed as the command line says.
fn spec_of_resumed(began: &RunSpec, args: &ResumeArgs) -> Result<RunSpec> {
    let mut spec = began.clone();
    if let Some(data) = &args.data {
        spec.data = Some(absolute(data));
    }
    if let Some(weights) = &args.weights {
        spec.weights = Some(absolute(weights));
    }
    let machine = &mut spec.machine;
    machine.device = args.device.clone().or(machine.device.take());
    machine.threads = args.threads.or(machine.threads);
    machine.loaders = args.loaders.or(machine.loaders);
    for (flag, path) in [("--data", &spec.data), ("--weights", &spec.weights)] {
        if let Some(path) = path.as_deref().filter(|path| !path.exists()) {
            bail!(
                "{} is not there, which the run is of; where it was moved, name the new place with {flag}",
                path.display()
            );
        }
    }
    Ok(spec)
}

/// A split without samples, or one that cannot be scored, is better known now than after hours.
fn check_splits(session: &Session, args: &BudgetArgs) -> Result<()> {
    let config = &session.config;
    let mut splits = vec![Split::Train, config.proxy.split.parse()?];
    if !args.no_final {
        splits.extend([config.confirmation.split.parse()?, Split::Test]);
    }
    session.check(&splits)?;
    for split in Split::ALL {
        session.workbench.len(split)?;
    }
    Ok(())
}

fn adjust(overrides: &mut Overrides, args: &SearchArgs) -> Result<()> {
    workers::choose(args.workers, &args.task.machine(), overrides)?;
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
    Ok(())
}

/// Writes into the configuration what the population begins with, and what mutations may add.
fn begin_with(session: &mut Session, guesses: &[String]) -> Result<()> {
    let workbench = &session.workbench;
    let searched: Vec<&str> = workbench.searched().map(|b| b.name.as_str()).collect();
    let mut texts = Vec::new();
    for named in guesses {
        let mut losses = loss_input::read(workbench, named, &session.config.limits)?;
        losses.retain(|branch, _| searched.contains(&branch.as_str()));
        if let Some(computed) = losses.values().find(|text| text.starts_with('@')) {
            bail!(
                "--guess {named}: {computed} is computed by the task; a search begins with formulas"
            );
        }
        texts.push(serde_json::to_string(&losses)?);
    }
    let (spec, limits) = (workbench.spec()?, session.config.limits);
    let evolution = &mut session.config.evolution;
    evolution.guesses.extend(texts);
    if evolution.terms.is_empty() && evolution.addition > 0.0 {
        let terms = known_formulas(workbench);
        let terms = terms.into_iter();
        let terms = terms.map(|known| BTreeMap::from([(known.branch, known.formula)]));
        let terms: Result<Vec<String>, _> =
            terms.map(|term| serde_json::to_string(&term)).collect();
        evolution.terms = terms?;
        // Limits of the user's may be too small for some.
        evolution
            .terms
            .retain(|term| spec.written(term, &limits).is_ok());
    }
    Ok(())
}

fn change_budget(budget: &mut autoloss_search::Budget, args: &BudgetArgs) {
    budget.max_explored = args.max_explored.or(budget.max_explored);
    budget.max_proxies = args.max_proxies.or(budget.max_proxies);
    budget.max_seconds = args.max_seconds.or(budget.max_seconds);
}

/// Searches to the end; why it failed stays in the run folder, where it did.
fn drive(
    session: Session,
    search: Search<Store>,
    args: &BudgetArgs,
    json: bool,
) -> Result<Outcome> {
    let folder = search.journal().folder().to_owned();
    note_failure(&folder, None);
    let ended = to_the_end(session, search, args, json);
    if let Err(error) = &ended
        && !interrupt::caused(error)
    {
        note_failure(&folder, Some(&brief(error.as_ref())));
    }
    ended
}

/// Searches, measures the best again, compares on the test split, and prints.
fn to_the_end(
    mut session: Session,
    search: Search<Store>,
    args: &BudgetArgs,
    json: bool,
) -> Result<Outcome> {
    let mut search = search.with_run_spec(session.spec.hash());
    if !args.no_final {
        // The found loss and the best new one have rows too.
        search = search.with_conclusion(2 + session.config.confirmation.references);
    }
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
    let names = names(&session, &search, &mut screener)?;
    let stop = session.stop.clone();
    let mut pool = workers::of(&session, usize::MAX)?;
    let mut progress = Progress::new(config.budget, &score, best, before)
        .with_names(names)
        .with_workers(pool.as_ref().map(ProcessPool::watch));
    let summary = match &mut pool {
        Some(pool) => search.run(&mut screener, pool, &mut progress, &stop),
        None => {
            let mut here = InProcess::new(&mut session.workbench);
            search.run(&mut screener, &mut here, &mut progress, &stop)
        }
    };
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
    // What an earlier session has confirmed stands until that is done again.
    let confirmed = !args.no_final && Findings::read(&folder)?.is_some();
    if let Some(best) = summary.best.first().filter(|_| !confirmed) {
        let mut table = session.workbench.final_table(0, None)?;
        let scales = session.workbench.scales(&best.losses)?;
        table.scales.insert(best.id, scales);
        findings.best_of_search(search.journal(), best, &table)?;
    }
    if !args.no_final {
        let parts = (&mut session, pool.as_mut());
        if !conclude(parts, &mut search, &mut screener, &mut findings)? {
            return Ok(interrupted(&folder));
        }
    }
    findings.write(&folder)?;
    findings::print(&session, &findings, json)?;
    // Gives the run folder back, so that the report does not say that the run goes on.
    drop(search);
    report::leave(&folder);
    Ok(Outcome::Done)
}

/// The names of known losses by what the search tells losses apart by; of a task with one searched branch, whose
/// losses are told apart as a whole.
fn names(
    session: &Session,
    search: &Search<Store>,
    screener: &mut TaskScreener,
) -> Result<HashMap<GradientKey, String>> {
    let spec = session.workbench.spec()?;
    let [branch] = &spec.branches[..] else {
        return Ok(HashMap::new());
    };
    let mut names = HashMap::new();
    for known in known_formulas(&session.workbench) {
        let graph = LossGraph::parse(&known.formula, &branch.signature, &Limits::default());
        let probe = graph
            .ok()
            .map(|graph| screener.probe(0, &graph))
            .transpose();
        // A loss that cannot be probed has no name; the search has its own word for it.
        if let Ok(Some(probe)) = probe
            && let Some(key) = search.key_of(0, &probe)
        {
            names.entry(key).or_insert(known.title);
        }
    }
    Ok(names)
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
    (session, pool): (&mut Session, Option<&mut ProcessPool>),
    search: &mut Search<Store>,
    screener: &mut TaskScreener,
    findings: &mut Findings,
) -> Result<bool> {
    let stop = session.stop.clone();
    let settings = search.config().confirmation.clone();
    if settings.top == 0 {
        return Ok(true);
    }
    let trainings = settings.trainings();
    logging::line(&format!(
        "measuring the best {} again on the {} split, half of them at a time ({trainings} trainings) …",
        settings.top, settings.split
    ));
    let median = match settings.random {
        true => search.journal().reader().random_median()?,
        false => None,
    };
    let median = median.map(|(_, losses)| losses);
    let mut table = session.workbench.final_table(settings.references, median)?;
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
        let scales = session.workbench.scales(&loss.losses)?;
        table.scales.insert(loss.id, scales);
    }
    let mut second = session.second_stage()?;
    if let Some(second) = &second {
        table.second = Some(second_stage(session, second)?);
    }
    let mut album = Album::default();
    let rows = RefCell::new(Vec::new());
    let mut narrator = Narrator {
        rows: &rows,
        row: None,
    };
    let folder = search.journal().folder().to_owned();
    let concluded = match pool {
        Some(pool) => {
            if let Some(second) = &second {
                workers::open(pool, second)?;
            }
            let mut gallery = Gallery::new(pool, &session.workbench, &table, &rows, &folder)?;
            let concluded = search.conclude(&table, &mut gallery, &mut narrator, &stop);
            album = gallery.finish();
            concluded
        }
        None => {
            let mut exhibit = Exhibit {
                workbench: &mut session.workbench,
                table: &table,
                rows: &rows,
                second: second.as_mut(),
                keep: |name, network| album.keep(name, network),
            };
            let mut here = InProcess::new(&mut exhibit);
            search.conclude(&table, &mut here, &mut narrator, &stop)
        }
    };
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

/// How the second stage trains, as the search is to ask for it.
fn second_stage(session: &Session, second: &Session) -> Result<SecondStage> {
    let promotion = &session.config.promotion;
    let score = session.workbench.score();
    if let Some(tau) = promotion
        .tau(score)
        .filter(|_| promotion.is_doubtful(score))
    {
        logging::line(&format!(
            "the proxy's ranking is not to be relied on for {score} (Kendall's τ with long training {tau:.2})"
        ));
    }
    let budget = &second.config.proxy.budget;
    logging::line(&format!(
        "second stage: the best {} and the reference loss with network {}, {} steps of {} images, {} seeds each",
        promotion.top,
        second.workbench.network().name,
        budget.steps,
        budget.batch_size,
        promotion.seeds
    ));
    second.prepare(&[Split::Train])?;
    Ok(SecondStage {
        network: second.spec.network.clone(),
        run_spec: second.spec.hash(),
        budget: TrainingBudget {
            eval_images: 0,
            ..budget.clone()
        },
        top: promotion.top,
        seeds: promotion.seeds,
        references: session
            .workbench
            .whole_references(session.config.confirmation.references)?,
    })
}

/// Tells what the trainings of the final table come to.
struct Narrator<'a> {
    /// The table's rows.
    rows: &'a RefCell<Vec<Contender>>,
    /// Row, trainings of it so far, and their seconds.
    row: Option<(String, usize, f64)>,
}

impl Observer for Narrator<'_> {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Comparing { rows } = event {
            *self.rows.borrow_mut() = rows.to_vec();
        }
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
