//! `evaluate`: train with one loss and show every score.

use crate::Outcome;
use crate::args::EvaluateArgs;
use crate::compare::{Contender, measure, table};
use crate::loss_input;
use crate::session::Session;
use anyhow::Result;
use autoloss_train::split;

/// Trains and prints.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let session = Session::open(&args.task, |_| ())?;
    let (workbench, config) = (&session.workbench, &session.config);
    let split = split(&args.split)?;
    let texts = loss_input::read(workbench, &args.loss, &config.limits)?;
    let contender = Contender {
        name: args.loss.clone(),
        texts,
    };
    let seeds = config.seed..config.seed + u64::from(args.seeds);
    let row = measure(workbench, &contender, &config.proxy.budget, seeds, split)?;
    if args.task.json {
        println!("{}", serde_json::to_string_pretty(&row)?);
    } else {
        println!("{}", table(&[row], &workbench.scores()));
        println!(
            "{} seed(s), {} split, {} steps",
            args.seeds, split, config.proxy.budget.steps
        );
    }
    Ok(Outcome::Done)
}
