//! `compare`: reference losses and loss files side by side, on every score, under one budget.

use crate::Outcome;
use crate::args::CompareArgs;
use crate::formats::Comparison;
use crate::terminal::logging;
use crate::trainings::{Plan, Records, contenders};
use crate::workers;
use anyhow::{Result, bail};
use autoloss_plugin_api::Split;

/// Trains, scores, prints.
pub(crate) fn run(args: &CompareArgs) -> Result<Outcome> {
    let mut session = workers::session(&args.task, args.workers)?;
    session.check(&[Split::Train, args.split])?;
    let budget = match args.full {
        true => session.config.retrain.budget.clone(),
        false => session.proxy_budget(),
    };
    let plan = Plan::new(&session, &budget, args.seeds, args.split);
    let contenders = contenders(&session, &args.losses, !args.only)?;
    if contenders.is_empty() {
        bail!("--only leaves nothing to compare: name losses too");
    }
    if args.out.is_some() {
        session.identify()?;
    }
    let mut records = args.out.as_deref().map(Records::open).transpose()?;
    session.prepare(&[Split::Train, plan.split])?;
    let mut pool = workers::of(&session, contenders.len() * plan.seeds.len())?;
    let rows = plan.rows(&session, &contenders, records.as_mut(), pool.as_mut())?;
    let seeds = plan.seeds.clone();
    let comparison = Comparison::new(&session, plan.split, Some(&plan.budget), seeds, rows);
    if let Some(folder) = &args.out {
        comparison.write(folder)?;
        logging::line(&format!("written to {}", folder.display()));
    }
    comparison.print(args.task.json, args.format)?;
    Ok(Outcome::Done)
}
