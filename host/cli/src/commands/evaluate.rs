//! `evaluate`: every score of one loss, by training with it, or of one trained network.

use crate::Outcome;
use crate::args::EvaluateArgs;
use crate::formats::{Comparison, Format};
use crate::loss_input;
use crate::session::Session;
use crate::trainings::Plan;
use crate::workers;
use anyhow::Result;
use autoloss_plugin_api::Split;
use autoloss_search::{Contender, Row};
use std::collections::BTreeMap;
use std::path::Path;

/// Trains where it must, scores and prints.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let session = workers::session(&args.task, args.workers)?;
    let (workbench, config) = (&session.workbench, &session.config);
    let split = args.split;
    match args.trained {
        Some(_) => session.check(&[split])?,
        None => session.check(&[Split::Train, split])?,
    }
    let budget = &session.proxy_budget();
    let plan = Plan::new(&session, budget, args.seeds, split);
    let comparison = match (&args.trained, &args.loss) {
        (Some(file), _) => {
            let row = scored(&session, file, split)?;
            Comparison::new(&session, split, None, vec![config.seed], vec![row])
        }
        (None, loss) => {
            let named = loss.as_deref().unwrap_or_default();
            let contender = Contender {
                name: loss_input::title(workbench, named),
                losses: loss_input::read(workbench, named, &config.limits)?,
            };
            session.prepare(&[Split::Train, split])?;
            let mut pool = workers::of(&session, plan.seeds.len())?;
            let rows = plan.rows(&session, &[contender], None, pool.as_mut())?;
            Comparison::new(&session, split, Some(budget), plan.seeds, rows)
        }
    };
    comparison.print(args.task.json, Format::Text)?;
    Ok(Outcome::Done)
}

/// The scores of a network as it lies on disk.
fn scored(session: &Session, file: &Path, split: Split) -> Result<Row> {
    let workbench = &session.workbench;
    let budget = session.proxy_budget();
    let network = workbench.build(&budget, session.config.seed)?;
    network.restore(file)?;
    Ok(Row {
        name: file.display().to_string(),
        losses: BTreeMap::new(),
        scores: vec![Some(workbench.scores_on(
            &network,
            split,
            budget.eval_images,
        )?)],
    })
}
