//! `fidelity`: whether the proxy ranks losses as a long training does.

use crate::Outcome;
use crate::args::FidelityArgs;
use crate::session::Session;
use crate::terminal::{logging, output, table};
use crate::trainings::{self, Plan, Records, contenders, shown, write_results};
use crate::workers;
use anyhow::{Context, Result, bail};
use autoloss_jobs::ProcessPool;
use autoloss_plugin_api::Split;
use autoloss_report::{Fidelity, TrainedBy};
use autoloss_run::RunReader;
use autoloss_search::{Contender, Purpose, Row};
use std::fmt::Write;
use std::path::Path;

/// Trains every loss both ways, correlates, prints.
pub(crate) fn run(args: &FidelityArgs) -> Result<Outcome> {
    let mut session = workers::session(&args.task, args.workers)?;
    session.check(&[Split::Train, args.split])?;
    session.identify()?;
    let promotion = &session.config.promotion;
    let own = (&*promotion.network, &*promotion.weights, &*promotion.set);
    let (network, weights, set) = match &args.long_network {
        Some(network) => (&**network, "", &[][..]),
        None => own,
    };
    if network.is_empty() {
        bail!(
            "network '{}' names none for long trainings: name one with --long-network",
            session.workbench.network().name
        );
    }
    let weights = args.long_weights.as_deref().unwrap_or(weights);
    let set = [set, &args.long_set].concat();
    let long = session
        .longer(network, weights, &set)
        .context("the long training")?;
    let mut losses = contenders(&session, &args.losses, !args.only)?;
    if let Some(run) = &args.run {
        for contender in of_a_run(&session, run, usize::from(args.count))? {
            trainings::add(&mut losses, contender);
        }
    }
    if losses.len() < 3 {
        bail!(
            "{} losses have no ranking worth the name: name at least three, or a run with --run",
            losses.len()
        );
    }
    let proxy = Trainings::new(&session, args.seeds, args, "proxy")?;
    let long = Trainings::new(&long, args.long_seeds, args, "long")?;
    logging::line(&format!(
        "{} losses, with network {} ({} steps, {} seeds) and with network {} ({} steps, {} seeds)",
        losses.len(),
        proxy.session.workbench.network().name,
        proxy.plan.budget.steps,
        proxy.plan.seeds.len(),
        long.session.workbench.network().name,
        long.plan.budget.steps,
        long.plan.seeds.len(),
    ));
    let fidelity = measure(&losses, proxy, long)?;
    write_results(
        &args.out,
        [
            (
                "fidelity.json",
                serde_json::to_string_pretty(&fidelity)? + "\n",
            ),
            ("fidelity.txt", told(&fidelity)?),
            ("fidelity.html", fidelity.page()),
        ],
    )?;
    match args.task.json {
        true => output::print(&(serde_json::to_string_pretty(&fidelity)? + "\n"))?,
        false => output::print(&told(&fidelity)?)?,
    }
    Ok(Outcome::Done)
}

/// One of the two ways of training.
struct Trainings<'a> {
    session: &'a Session,
    plan: Plan,
    records: Records,
}

impl<'a> Trainings<'a> {
    fn new(session: &'a Session, seeds: u16, args: &FidelityArgs, folder: &str) -> Result<Self> {
        let plan = Plan::new(session, &session.proxy_budget(), seeds, args.split);
        Ok(Self {
            records: Records::open(&args.out.join(folder))?,
            session,
            plan,
        })
    }

    fn rows(&mut self, losses: &[Contender], pool: Option<&mut ProcessPool>) -> Result<Vec<Row>> {
        let records = Some(&mut self.records);
        self.plan.rows(self.session, losses, records, pool)
    }

    fn described(&self) -> TrainedBy {
        let spec = &self.session.spec;
        TrainedBy {
            network: spec.network.clone(),
            steps: self.plan.budget.steps,
            batch_size: self.plan.budget.batch_size,
            seeds: self.plan.seeds.clone(),
            settings: spec.settings.clone(),
        }
    }
}

/// The losses of a run that trained to their end, evenly spaced.
fn of_a_run(session: &Session, run: &Path, count: usize) -> Result<Vec<Contender>> {
    let reader = RunReader::open(run)?;
    let task = reader.header()?.task.task;
    if task != session.workbench.info().name {
        bail!("{} is a run of task '{task}'", run.display());
    }
    let mut scored = reader.evaluations(Purpose::Search)?;
    scored.retain(|record| record.evaluation.fitness().is_some());
    scored.sort_by_key(|record| record.key.candidate);
    let step = scored.len().div_ceil(count).max(1);
    let contender = |record: &autoloss_search::EvaluationRecord| {
        let mut losses = record.losses.clone();
        losses.extend(session.workbench.fixed().clone());
        session.workbench.losses(&losses)?;
        Ok(Contender {
            name: format!("candidate {} of {}", record.key.candidate, run.display()),
            losses,
        })
    };
    scored.iter().step_by(step).map(contender).collect()
}

/// Trains all losses on the proxy, then long.
fn measure(
    losses: &[Contender],
    mut proxy: Trainings<'_>,
    mut long: Trainings<'_>,
) -> Result<Fidelity> {
    let split = proxy.plan.split;
    for trainings in [&proxy, &long] {
        trainings.session.prepare(&[Split::Train, split])?;
    }
    let seeds = proxy.plan.seeds.len() + long.plan.seeds.len();
    let mut pool = workers::of(proxy.session, losses.len() * seeds)?;
    if let Some(pool) = &pool {
        workers::open(pool, long.session)?;
    }
    let on_proxy = proxy.rows(losses, pool.as_mut())?;
    let on_long = long.rows(losses, pool.as_mut())?;
    let workbench = &proxy.session.workbench;
    Ok(Fidelity::new(
        &workbench.info().name,
        workbench.score(),
        split.name(),
        &workbench.scores(),
        (proxy.described(), on_proxy),
        (long.described(), on_long),
    ))
}

fn told(fidelity: &Fidelity) -> Result<String> {
    let score = &fidelity.score;
    let rows = fidelity.proxy.iter().zip(&fidelity.long);
    let rows =
        rows.map(|(proxy, long)| vec![proxy.name.clone(), shown(proxy, score), shown(long, score)]);
    let header = [
        "loss",
        &format!("{score}, proxy"),
        &format!("{score}, long"),
    ];
    let mut text = table::numbers(&header, rows);
    for (name, by) in [("proxy", &fidelity.by_proxy), ("long", &fidelity.by_long)] {
        write!(text, "\n{name}: {by}")?;
    }
    writeln!(text, "; {} split\n", fidelity.split)?;
    let interval = |c: &autoloss_search::Correlation| {
        format!("{:.2} ({:.2} to {:.2})", c.value, c.low, c.high)
    };
    let agreements = fidelity.agreement.iter();
    let rows = agreements.map(|(score, agreement)| match agreement {
        Some(agreement) => vec![
            score.clone(),
            agreement.count.to_string(),
            interval(&agreement.kendall),
            interval(&agreement.spearman),
        ],
        None => vec![score.clone(), "–".into(), "–".into(), "–".into()],
    });
    let header = ["score", "losses", "Kendall's τ", "Spearman's ρ"];
    text += &table::numbers(&header, rows);
    text += "\nin brackets: 95 % interval, by bootstrap of the losses; τ below 0.4: choose in a second stage\n";
    writeln!(
        text,
        "for a search: --set 'promotion.fidelity={}'",
        fidelity.setting()
    )?;
    Ok(text)
}
