//! `retrain`: one loss at full length, with checkpoints; saying it again goes on.

use crate::Outcome;
use crate::args::RetrainArgs;
use crate::formats::{Comparison, Format};
use crate::interrupt;
use crate::loss_input;
use crate::measure::job;
use crate::session::{Session, absolute};
use crate::terminal::logging;
use crate::terminal::steps::StepProgress;
use crate::trainings::in_pool;
use crate::workers;
use anyhow::{Context, Result, anyhow, bail};
use autoloss_jobs::ProcessPool;
use autoloss_plugin_api::{Scores, Split};
use autoloss_run::{RunLock, RunSpec};
use autoloss_search::{Checkpoints, Contender, Difference, Job, Outcome as Ended, difference};
use autoloss_train::{Retraining, Trained};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder is the training of.
const IDENTITY: &str = "retrain.json";
/// Whether losses are trained at one scale.
const NORMALISED: &str = "normalised";
const SEED: &str = "seed";
/// The seed of the embedded data.
const DATA_SEED: &str = "data_seed";
const CHECKPOINTS: &str = "checkpoints";
const NETWORK: &str = "network.safetensors";

/// One training of the command.
struct Place {
    seed: u64,
    folder: PathBuf,
    checkpoints: Checkpoints,
}

impl Place {
    fn network(&self) -> PathBuf {
        self.folder.join(NETWORK)
    }
}

/// Trains, saves the networks, scores them, prints.
pub(crate) fn run(args: &RetrainArgs) -> Result<Outcome> {
    let mut session = workers::session(&args.task, args.workers)?;
    let split = session.config.retrain.split.parse()?;
    session.check(&[Split::Train, split])?;
    session.identify()?;
    let workbench = &session.workbench;
    let config = &session.config.retrain;
    let texts = loss_input::read(workbench, &args.loss, &session.config.limits)?;
    // Before a folder is claimed for them.
    workbench.losses(&texts)?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => default_folder(&session)?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = RunLock::take(&folder)?;
    let first = session.config.seed;
    let mut places = Vec::new();
    for seed in first..first + u64::from(args.seeds) {
        let folder = match args.seeds {
            1 => folder.clone(),
            _ => folder.join(format!("seed-{seed}")),
        };
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        claim(&folder, &identity(&session, &texts, seed), &session.spec)?;
        let checkpoints = Checkpoints {
            folder: absolute(&folder.join(CHECKPOINTS)),
            every: config.checkpoint_every,
        };
        places.push(Place {
            seed,
            folder,
            checkpoints,
        });
    }
    logging::line(&format!(
        "task {}, network {}, {} steps of {} images, folder {}",
        workbench.info().name,
        workbench.network().name,
        config.budget.steps,
        config.budget.batch_size,
        folder.display()
    ));
    session.prepare(&[Split::Train])?;
    let contender = Contender {
        name: loss_input::title(workbench, &args.loss),
        losses: texts,
    };
    let mut pool = workers::of(&session, places.len())?;
    let trained = match &mut pool {
        Some(pool) => beside_one_another(&session, &contender, &places, split, pool),
        None => one_by_one(&session, &contender, &places, split),
    };
    let scores = match trained {
        Err(error) if interrupt::caused(&error) => {
            logging::line("interrupted; the same command goes on from the last checkpoint");
            return Ok(Outcome::Interrupted);
        }
        other => other?,
    };
    let row = contender.row(scores);
    let seeds = places.iter().map(|place| place.seed).collect();
    let comparison = Comparison::new(&session, split, Some(&config.budget), seeds, vec![row]);
    comparison.write(&folder)?;
    comparison.print(args.task.json, Format::Text)?;
    let [.., last] = &places[..] else {
        return Ok(Outcome::Done);
    };
    logging::line(&match places.len() {
        1 => format!("the network is in {}", last.network().display()),
        _ => format!("the networks are in {}/seed-N/{NETWORK}", folder.display()),
    });
    Ok(Outcome::Done)
}

/// Trains in this process. A training that became invalid ends it all.
fn one_by_one(
    session: &Session,
    contender: &Contender,
    places: &[Place],
    split: Split,
) -> Result<Vec<Option<Scores>>> {
    let (workbench, config) = (&session.workbench, &session.config.retrain);
    let losses = workbench.losses(&contender.losses)?;
    let mut scores = Vec::new();
    for place in places {
        let retraining = Retraining {
            losses: &losses,
            budget: &config.budget,
            seed: place.seed,
            checkpoints: &place.checkpoints,
            save: &session.save,
        };
        let (network, trained) = train(&retraining, session)?;
        if let Some(step) = trained.invalid_at {
            return Err(invalid(place.seed, step));
        }
        scores.push(Some(workbench.scores_on(
            &network,
            split,
            config.budget.eval_images,
        )?));
        network.save(&place.network())?;
        tell(place.seed, trained.seconds, trained.waited_seconds);
    }
    Ok(scores)
}

/// Trains in worker processes. A training that became invalid ends it all.
fn beside_one_another(
    session: &Session,
    contender: &Contender,
    places: &[Place],
    split: Split,
    pool: &mut ProcessPool,
) -> Result<Vec<Option<Scores>>> {
    let budget = &session.config.retrain.budget;
    let job = |place: &Place| {
        let mut job = job(&session.workbench, contender, budget, place.seed, split);
        job.run_spec = session.spec.hash();
        job.keep = Some(absolute(&place.network()));
        job.checkpoints = Some(place.checkpoints.clone());
        (format!("seed {}", place.seed), job)
    };
    let jobs: Vec<(String, Job)> = places.iter().map(job).collect();
    let mut scores = vec![None; places.len()];
    in_pool(&jobs, pool, &mut |index, evaluation| {
        if let Ended::InvalidTraining { step } = evaluation.outcome {
            return Err(invalid(places[index].seed, step));
        }
        tell(
            places[index].seed,
            evaluation.train_seconds,
            evaluation.waited_seconds,
        );
        scores[index] = Some(evaluation.metrics);
        Ok(())
    })?;
    Ok(scores)
}

fn invalid(seed: u64, step: usize) -> anyhow::Error {
    anyhow!("seed {seed}: loss or gradient was not finite at step {step}")
}

fn train(
    retraining: &Retraining<'_>,
    session: &Session,
) -> Result<(autoloss_train::Network, Trained)> {
    let mut progress = None;
    let outcome = retraining.run(
        &session.workbench,
        &mut |steps| logging::line(&format!("going on after {steps} steps")),
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

fn tell(seed: u64, seconds: f64, waited: f64) {
    logging::line(&format!(
        "seed {seed}: trained {seconds:.0} s ({:.1} % waiting for data)",
        100.0 * waited / seconds.max(1e-9),
    ));
}

/// Everything that decides the outcome.
fn identity(session: &Session, texts: &BTreeMap<String, String>, seed: u64) -> Value {
    json!({
        "schema": 1,
        "recipe": session.spec.identity(),
        "losses": texts,
        "budget": session.config.retrain.budget,
        SEED: seed,
        DATA_SEED: session.config.seed,
        NORMALISED: session.config.normalised,
    })
}

/// Makes the folder that of this training, or refuses one of another.
fn claim(folder: &Path, identity: &Value, spec: &RunSpec) -> Result<()> {
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
                // Earlier versions trained losses as they are, and with one seed for everything.
                before.entry(NORMALISED).or_insert(false.into());
                let seed = before.get(SEED).cloned().unwrap_or_default();
                before.entry(DATA_SEED).or_insert(seed);
            }
            if let Some(recipe) = before.get_mut("recipe") {
                tell_contents(recipe, spec);
            }
            match difference(&before, identity) {
                None => Ok(()),
                Some(Difference { key, .. }) if key.contains(CONTENTS) => bail!(
                    "{} is the folder of a training with other {}: what the files hold has changed since it began. \
                     Put them back, or name another folder with --out",
                    folder.display(),
                    if key.contains("weights") {
                        "weights"
                    } else {
                        "data"
                    }
                ),
                Some(Difference { key, before, now }) => bail!(
                    "{} is the folder of another training: its {key} is {before}, not {now}. \
                     Name another with --out",
                    folder.display()
                ),
            }
        }
    }
}

/// How the keys of contents end.
const CONTENTS: &str = "_contents";

/// Earlier versions knew data and weights by their paths; where these are the same, so is what they hold, for all that is
/// known.
fn tell_contents(before: &mut Value, now: &RunSpec) {
    let inputs = [
        ("data", &now.data, &now.data_contents),
        ("weights", &now.weights, &now.weights_contents),
    ];
    for (input, path, contents) in inputs {
        let key = format!("{input}{CONTENTS}");
        if let (Some(before), Some(path), Some(contents)) = (before.as_object_mut(), path, contents)
            && before.get(input) == Some(&json!(path))
            && !before.contains_key(&key)
        {
            before.remove(input);
            before.insert(key, json!(contents));
        }
    }
}

fn default_folder(session: &Session) -> Result<PathBuf> {
    let (task, network) = (session.workbench.info(), session.workbench.network());
    crate::session::dated_folder(&format!("retrain-{}-{}", task.name, network.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_run::Contents;

    #[test]
    fn a_folder_of_another_training_is_refused_with_the_difference() {
        let folder = tempfile::tempdir().unwrap();
        let identity = |steps: u64| json!({"budget": {"steps": steps}, "seed": 0, "data_seed": 0, "normalised": false});
        let spec = RunSpec::default();
        claim(folder.path(), &identity(5), &spec).unwrap();
        claim(folder.path(), &identity(5), &spec).unwrap();
        let message = claim(folder.path(), &identity(6), &spec)
            .unwrap_err()
            .to_string();
        assert!(message.contains("budget.steps is 5, not 6"), "{message}");

        // A folder of an earlier version goes on as it was begun.
        let mut older = identity(5);
        older.as_object_mut().unwrap().remove(NORMALISED);
        older.as_object_mut().unwrap().remove(DATA_SEED);
        fs::write(folder.path().join(IDENTITY), older.to_string()).unwrap();
        claim(folder.path(), &identity(5), &spec).unwrap();
    }

    #[test]
    fn a_folder_goes_on_with_what_files_held_wherever_they_are() {
        let place = tempfile::tempdir().unwrap();
        let spec = |data: &str, sha256: &str| RunSpec {
            data: Some(data.into()),
            data_contents: Some(Contents {
                files: 3,
                sha256: sha256.into(),
            }),
            ..RunSpec::default()
        };
        let identity = |spec: &RunSpec| json!({"recipe": spec.identity(), "seed": 0, "data_seed": 0, "normalised": true});
        let claim = |spec: &RunSpec| claim(place.path(), &identity(spec), spec);
        claim(&spec("/here", "aa")).unwrap();
        claim(&spec("/there", "aa")).unwrap();
        let message = claim(&spec("/here", "bb")).unwrap_err().to_string();
        assert!(message.contains("a training with other data"), "{message}");

        // An earlier version wrote the path.
        let mut older = spec("/here", "aa");
        older.data_contents = None;
        fs::write(place.path().join(IDENTITY), identity(&older).to_string()).unwrap();
        claim(&spec("/here", "aa")).unwrap();
        assert!(claim(&spec("/there", "aa")).is_err());
    }
}
