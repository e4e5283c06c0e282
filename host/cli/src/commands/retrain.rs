//! `retrain`: one loss at full length, with checkpoints; saying it again goes on.

use crate::Outcome;
use crate::args::RetrainArgs;
use crate::formats::{Comparison, Format};
use crate::interrupt;
use crate::loss_input;
use crate::session::Session;
use crate::terminal::logging;
use crate::terminal::steps::StepProgress;
use anyhow::{Context, Result, bail};
use autoloss_plugin_api::Split;
use autoloss_run::RunLock;
use autoloss_search::{Difference, Row, difference};
use autoloss_train::{Retraining, Trained};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder is the training of.
const IDENTITY: &str = "retrain.json";
/// Whether losses are trained at one scale.
const NORMALISED: &str = "normalised";
const CHECKPOINTS: &str = "checkpoints";
const NETWORK: &str = "network.safetensors";

/// Trains, saves the network, scores it, prints.
pub(crate) fn run(args: &RetrainArgs) -> Result<Outcome> {
    let session = Session::open(&args.task, |_| ())?;
    let workbench = &session.workbench;
    let config = &session.config.retrain;
    let split = config.split.parse()?;
    let texts = loss_input::read(workbench, &args.loss, &session.config.limits)?;
    let folder = args.out.clone().unwrap_or_else(|| default_folder(&session));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = RunLock::take(&folder)?;
    claim(&folder, &identity(&session, &texts))?;
    logging::line(&format!(
        "task {}, network {}, {} steps of {} images, folder {}",
        workbench.info().name,
        workbench.network().name,
        config.budget.steps,
        config.budget.batch_size,
        folder.display()
    ));
    let losses = workbench.losses(&texts)?;
    let retraining = Retraining {
        losses: &losses,
        budget: &config.budget,
        seed: session.config.seed,
        folder: &folder.join(CHECKPOINTS),
        every: config.checkpoint_every,
    };
    session.prepare(&[Split::Train])?;
    let trained = train(&retraining, &session);
    let (network, trained) = match trained {
        Err(error) if interrupt::caused(&error) => {
            logging::line("interrupted; the same command goes on from the last checkpoint");
            return Ok(Outcome::Interrupted);
        }
        other => other?,
    };
    if let Some(step) = trained.invalid_at {
        bail!("loss or gradient was not finite at step {step}");
    }
    let scores = workbench.scores_on(&network, split, config.budget.eval_images)?;
    let file = folder.join(NETWORK);
    network.save(&file)?;
    let row = Row {
        name: loss_input::title(workbench, &args.loss),
        losses: texts,
        scores: vec![Some(scores)],
    };
    let seeds = vec![session.config.seed];
    let comparison = Comparison::new(&session, split, Some(&config.budget), seeds, vec![row]);
    comparison.write(&folder)?;
    comparison.print(args.task.json, Format::Text)?;
    report(&trained, &file);
    Ok(Outcome::Done)
}

fn train(
    retraining: &Retraining<'_>,
    session: &Session,
) -> Result<(autoloss_train::Network, Trained)> {
    let mut first = 0;
    let mut progress = None;
    let outcome = retraining.run(
        &session.workbench,
        &mut |steps| {
            first = steps;
            logging::line(&format!("going on after {steps} steps"));
        },
        &mut |step| {
            let begin = || StepProgress::new("retraining", step.done - 1, retraining.budget);
            progress.get_or_insert_with(begin).step(step);
        },
    );
    if let Some(progress) = &progress {
        progress.finish();
    }
    Ok(outcome?)
}

fn report(trained: &Trained, file: &Path) {
    logging::line(&format!(
        "trained {:.0} s ({:.1} % waiting for data); the network is in {}",
        trained.seconds,
        100.0 * trained.waited_seconds / trained.seconds.max(1e-9),
        file.display()
    ));
}

/// Everything that decides the outcome.
fn identity(session: &Session, texts: &BTreeMap<String, String>) -> Value {
    json!({
        "schema": 1,
        "recipe": session.spec.identity(),
        "losses": texts,
        "budget": session.config.retrain.budget,
        "seed": session.config.seed,
        NORMALISED: session.config.normalised,
    })
}

/// Makes the folder that of this training, or refuses one of another.
fn claim(folder: &Path, identity: &Value) -> Result<()> {
    let path = folder.join(IDENTITY);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::write(&path, serde_json::to_string_pretty(identity)?)
                .with_context(|| format!("cannot write {}", path.display()))
        }
        read => {
            let text = read.with_context(|| format!("cannot read {}", path.display()))?;
            let mut before: Value = serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged", path.display()))?;
            if let Some(before) = before.as_object_mut() {
                // Earlier versions trained losses as they are.
                before.entry(NORMALISED).or_insert(false.into());
            }
            match difference(&before, identity) {
                None => Ok(()),
                Some(Difference { key, before, now }) => bail!(
                    "{} is the folder of another training: its {key} is {before}, not {now}. \
                     Name another with --out",
                    folder.display()
                ),
            }
        }
    }
}

fn default_folder(session: &Session) -> PathBuf {
    let (task, network) = (session.workbench.info(), session.workbench.network());
    crate::session::dated_folder(&format!("retrain-{}-{}", task.name, network.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_training_is_refused_with_the_difference() {
        let folder = tempfile::tempdir().unwrap();
        let identity =
            |steps: u64| json!({"budget": {"steps": steps}, "seed": 0, "normalised": false});
        claim(folder.path(), &identity(5)).unwrap();
        claim(folder.path(), &identity(5)).unwrap();
        let message = claim(folder.path(), &identity(6)).unwrap_err().to_string();
        assert!(message.contains("budget.steps is 5, not 6"), "{message}");

        // A folder of an earlier version goes on as it was begun.
        let mut older = identity(5);
        older.as_object_mut().unwrap().remove(NORMALISED);
        fs::write(folder.path().join(IDENTITY), older.to_string()).unwrap();
        claim(folder.path(), &identity(5)).unwrap();
    }
}
