//! `search` and `resume`.

use crate::Outcome;
use crate::args::{BudgetArgs, ResumeArgs, SearchArgs};
use crate::bar::clock;
use crate::findings::{Findings, Found, publish};
use crate::interrupt;
use crate::logging;
use crate::measure::{Contender, Row, measure};
use crate::pictures::Album;
use crate::progress::Progress;
use crate::report;
use crate::session::{Machine, Recipe, Session, dated_folder};
use crate::settings::Overrides;
use anyhow::Result;
use autoloss_graph::{LossFile, LossGraph};
use autoloss_plugin_api::Split;
use autoloss_search::store::RunReader;
use autoloss_search::{
    Confirmed, Origin, Search, SearchError, Store, Summary, Verdict, VerdictKind,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

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
    let store = Store::create(&folder)?;
    session.recipe.write(&folder)?;
    let search = Search::new(spec, session.config.clone(), session.provenance(), store)?;
    drive(session, search, &args.budget, args.task.json)
}

/// Goes on with a run.
pub(crate) fn resume(args: &ResumeArgs) -> Result<Outcome> {
    let store = Store::open(&args.run)?;
    let header = store.reader().header()?;
    let recipe = Recipe::read(&args.run)?;
    let mut config = header.config;
    change_budget(&mut config.budget, &args.budget);
    let machine = Machine {
        device: &args.device,
        threads: args.threads,
        loaders: None,
    };
    let session = Session::reopen(recipe, config, &args.plugins, machine)?;
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
    mut search: Search,
    args: &BudgetArgs,
    json: bool,
) -> Result<Outcome> {
    let folder = search.store().folder().to_owned();
    let config = search.config().clone();
    logging::line(&format!(
        "task {}, network {}, score {}, run folder {}",
        session.workbench.info().name,
        session.workbench.network().name,
        session.workbench.score(),
        folder.display()
    ));
    let mut screener = session.workbench.screener(&config.screening, config.seed)?;
    let best = search
        .store()
        .reader()
        .best(1)?
        .first()
        .map(|best| best.score);
    let score = session.workbench.score().to_owned();
    let mut progress = Progress::new(config.budget, &score, best, search.store().elapsed());
    let stop = session.stop.clone();
    let summary = search.run(&mut screener, &mut session.workbench, &mut progress, &stop);
    progress.finish();
    let summary = match summary {
        Err(error) => return Err(failed(error, &folder)),
        Ok(summary) => summary,
    };
    if stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(interrupted(&folder));
    }
    logging::line(&format!(
        "search ended after {}: {}",
        clock(summary.elapsed_seconds),
        summary.end
    ));
    let mut findings = findings(&session, &search, &summary)?;
    if !args.no_final && !conclude(&mut session, &mut search, &mut findings)? {
        return Ok(interrupted(&folder));
    }
    publish(&session, &findings, &folder, json)?;
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

fn findings(session: &Session, search: &Search, summary: &Summary) -> Result<Findings> {
    let counts = &summary.counts;
    let verdicts = VerdictKind::ALL
        .into_iter()
        .map(|kind| (kind.code(), counts.of(kind)))
        .filter(|(_, count)| *count > 0);
    let (random_accepted_median, median_random) = random_median(search.store().reader())?.unzip();
    Ok(Findings {
        run: search.store().folder().to_owned(),
        explored: counts.explored(),
        proxies: counts.proxies(),
        verdicts: verdicts.collect(),
        search_seconds: summary.elapsed_seconds,
        store_seconds: summary.store_seconds,
        score: session.workbench.score().to_owned(),
        best: None,
        random_accepted_median,
        median_random,
        test: Vec::new(),
        noise_floor: None,
    })
}

/// Score and losses of the median among the random losses that were accepted and scored before any
/// training was given up, since what remains after that is no random choice: what the search had before
/// it evolved anything.
fn random_median(reader: &RunReader) -> Result<Option<(f64, BTreeMap<String, String>)>> {
    let mut scored = Vec::new();
    let mut chosen = false;
    reader.for_each_candidate(|record| {
        chosen |= matches!(record.verdict, Verdict::StoppedEarly { .. });
        let random = record.parent.is_none()
            && record
                .origins
                .iter()
                .all(|origin| matches!(origin, Origin::Fresh));
        if let Verdict::Scored { score } = record.verdict
            && random
            && !chosen
        {
            scored.push((score, record.losses));
        }
    })?;
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = scored.len().saturating_sub(1) / 2;
    Ok(scored.into_iter().nth(middle))
}

/// Re-measures the best losses on the selection split, then compares the chosen one with the
/// reference loss on the test split. False where it was interrupted.
fn conclude(session: &mut Session, search: &mut Search, findings: &mut Findings) -> Result<bool> {
    let stop = session.stop.clone();
    let settings = search.config().confirmation.clone();
    if settings.top == 0 {
        return Ok(true);
    }
    logging::line(&format!(
        "measuring the best {} again with {} seeds on the {} split …",
        settings.top, settings.seeds, settings.split
    ));
    let confirmed = search.confirm(&mut session.workbench, &mut (), &stop)?;
    let Some(confirmed) = confirmed else {
        return Ok(false);
    };
    let Some(chosen) = confirmed.iter().find(|known| known.mean().is_some()) else {
        logging::line("no loss trained with every seed; nothing to compare");
        return Ok(true);
    };
    findings.best = Some(found(session, search, chosen)?);
    match test_rows(session, search, chosen, findings.median_random.clone()) {
        Ok(rows) => findings.test = rows,
        Err(error) if interrupt::caused(&error) => return Ok(false),
        Err(error) => return Err(error),
    }
    let spreads: Vec<f64> = findings
        .test
        .iter()
        .filter_map(|row| row.summary(&findings.score).map(|(_, spread)| spread))
        .collect();
    let mean_square = spreads.iter().map(|s| s * s).sum::<f64>() / spreads.len().max(1) as f64;
    findings.noise_floor = (!spreads.is_empty()).then(|| mean_square.sqrt());
    Ok(true)
}

fn found(session: &Session, search: &Search, chosen: &Confirmed) -> Result<Found> {
    let losses = &chosen.loss.losses;
    let config = search.config();
    let mut formulas = BTreeMap::new();
    for (name, signature) in session.workbench.signatures() {
        if let Some(text) = losses.get(name.as_str()) {
            let graph = LossGraph::parse(text, signature, &config.limits)?;
            let canonical = graph.canonical(signature);
            formulas.insert(
                name.as_str().to_owned(),
                canonical.formula(signature).to_string(),
            );
        }
    }
    let mut whole = losses.clone();
    whole.extend(session.workbench.fixed().clone());
    let mut file = LossFile::new(&session.workbench.info().name, whole);
    file.conventions = session.workbench.conventions();
    file.name = Some(format!(
        "candidate {} of {}",
        chosen.loss.id,
        search.store().folder().display()
    ));
    let mean = chosen.mean();
    let provenance = [
        ("candidate", serde_json::json!(chosen.loss.id.0)),
        ("network", session.workbench.network().name.clone().into()),
        ("score", session.workbench.score().into()),
        ("search_score", chosen.loss.score.into()),
        ("selection_mean", serde_json::json!(mean)),
        ("selection_sd", serde_json::json!(chosen.deviation())),
        ("seed", config.seed.into()),
    ];
    file.provenance = provenance
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
    let path = search.store().folder().join("best.json");
    autoloss_search::store::write_loss_file(&path, &file)?;
    Ok(Found {
        candidate: chosen.loss.id.to_string(),
        losses: losses.clone(),
        formulas,
        search_score: chosen.loss.score,
        selection: mean.map(|mean| (mean, chosen.deviation().unwrap_or(0.0))),
        file: path,
    })
}

/// The chosen loss, the reference loss and the median random loss on the test split, under the
/// search's own budget with the same seeds.
fn test_rows(
    session: &Session,
    search: &Search,
    chosen: &Confirmed,
    median_random: Option<BTreeMap<String, String>>,
) -> Result<Vec<Row>> {
    let workbench = &session.workbench;
    let config = search.config();
    let with_held = |texts: &BTreeMap<String, String>| {
        let mut texts = texts.clone();
        texts.extend(workbench.fixed().clone());
        texts
    };
    let mut contenders = vec![Contender {
        name: "found".into(),
        texts: with_held(&chosen.loss.losses),
    }];
    let mut references = workbench.info().reference_losses.iter();
    if let Some(reference) = references.find(|loss| loss.only.is_empty()) {
        let texts = workbench.reference(&reference.name)?;
        contenders.push(Contender {
            name: reference.title.clone(),
            texts,
        });
    }
    if let Some(texts) = median_random {
        contenders.push(Contender {
            name: "median random".into(),
            texts: with_held(&texts),
        });
    }
    let first = config.seed + 1;
    let seeds = config.confirmation.seeds as u64;
    let mut album = Album::default();
    let rows = contenders
        .iter()
        .map(|contender| {
            let started = Instant::now();
            let budget = &config.proxy.budget;
            let row = measure(
                workbench,
                contender,
                budget,
                first..first + seeds,
                Split::Test,
                |network| album.keep(&contender.name, network),
            )?;
            let each = started.elapsed().as_secs_f64() / seeds.max(1) as f64;
            logging::line(&format!(
                "test split: {} ({seeds} trainings, {each:.1} s each with evaluation)",
                contender.name
            ));
            Ok(row)
        })
        .collect::<Result<Vec<Row>>>()?;
    album.write(workbench, Split::Test, search.store().folder());
    Ok(rows)
}
