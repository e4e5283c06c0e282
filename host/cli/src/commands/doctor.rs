//! `doctor`: what this machine and installation can do.

use crate::args::{DoctorArgs, TaskArgs};
use crate::session::Session;
use crate::terminal::{color, hint, output};
use crate::workers;
use anyhow::{Result, bail};
use autoloss_search::{Executor, Fault, Job, Outcome, Ticket, TrainingBudget};
use autoloss_train::plugin::{Plugin, locate};
use autoloss_train::runtime;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// How long a worker's two steps may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Something that was tried.
#[derive(Serialize)]
struct Check {
    works: bool,
    what: String,
}

impl Check {
    fn new(works: bool, what: String) -> Self {
        Self { works, what }
    }
}

/// Prints it; an error at the end where something does not work.
pub(crate) fn run(args: &DoctorArgs) -> Result<crate::Outcome> {
    let machine = [
        || {
            Ok(Check::new(
                true,
                format!("autoloss-host {}", env!("CARGO_PKG_VERSION")),
            ))
        },
        || Ok(libtorch()),
        || Ok(cores()),
        || Ok(gpus()),
        folder,
    ];
    let mut checks = Vec::new();
    let mut note = |check: Check| -> Result<()> {
        if !args.json {
            output::print(&line(&check))?;
        }
        checks.push(check);
        Ok(())
    };
    for check in machine {
        note(check()?)?;
    }
    for name in &args.plugins {
        let loaded = plugin(name);
        let works = loaded.works;
        note(loaded)?;
        if works {
            note(worker(name))?;
        }
    }
    let broken = checks.iter().filter(|check| !check.works).count();
    if args.json {
        output::json(&checks)?;
    }
    if broken > 0 {
        bail!("{broken} of the above do not work");
    }
    Ok(crate::Outcome::Done)
}

fn line(check: &Check) -> String {
    let word = if check.works {
        color::good("ok   ")
    } else {
        color::bad("FAIL ")
    };
    format!("{word} {}", check.what)
}

fn libtorch() -> Check {
    let product = Tensor::f_ones([2, 2], (Kind::Float, Device::Cpu))
        .and_then(|ones| ones.f_matmul(&ones))
        .and_then(|product| product.f_double_value(&[0, 0]));
    let works = product.as_ref().is_ok_and(|value| *value == 2.0);
    let version = runtime::libtorch_version();
    Check::new(works, format!("libtorch {version}: a product of matrices"))
}

fn cores() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = tch::get_num_threads();
    Check::new(
        true,
        format!("{cores} core(s), libtorch uses {threads} thread(s)"),
    )
}

fn gpus() -> Check {
    let what = match runtime::gpus() {
        0 => "no GPU (libtorch's CUDA part or a device is missing): training on the CPU".into(),
        count => format!("{count} GPU(s)"),
    };
    Check::new(true, what)
}

fn folder() -> Result<Check> {
    let folder = std::env::current_dir()?;
    let what = format!("the current folder {} can be written", folder.display());
    Ok(Check::new(can_be_written(&folder), what))
}

fn can_be_written(folder: &Path) -> bool {
    let path = folder.join(format!(".autoloss-doctor-{}", std::process::id()));
    std::fs::write(&path, b"")
        .and_then(|()| std::fs::remove_file(path))
        .is_ok()
}

fn plugin(name: &Path) -> Check {
    match locate(name).and_then(|path| Plugin::load(&path)) {
        Ok(plugin) => {
            let (info, path) = (plugin.info(), plugin.path().display());
            Check::new(
                true,
                format!("plugin {} {} ({path})", info.name, info.version),
            )
        }
        Err(error) => Check::new(false, hint::of_plugin(&error)),
    }
}

/// Has a worker process train a plugin's network for two steps.
fn worker(plugin: &Path) -> Check {
    match trained(plugin) {
        Ok(what) => Check::new(true, what),
        Err(error) => Check::new(false, format!("a training in a worker process: {error:#}")),
    }
}

fn trained(plugin: &Path) -> Result<String> {
    let session = Session::open(&TaskArgs::of(plugin), |overrides| {
        // Two steps need the features of few samples.
        overrides.push("proxy.features_mb", 0);
        Ok(())
    });
    let session = match session {
        Ok(session) => session,
        // Not every plugin has a task, nor every task data of its own.
        Err(error) => return Ok(format!("no training was tried: {error:#}")),
    };
    let workbench = &session.workbench;
    let references = workbench.whole_references(1)?;
    let Some(reference) = references.into_iter().next() else {
        return Ok("no training was tried: the task has no reference loss".to_owned());
    };
    let job = Job {
        task: session.spec.task.clone(),
        network: session.spec.network.clone(),
        run_spec: session.spec.hash(),
        losses: reference.losses,
        budget: TrainingBudget {
            steps: 2,
            eval_images: 2,
            ..session.config.proxy.budget.clone()
        },
        seed: session.config.seed,
        split: session.config.proxy.split.clone(),
        stop_invalid: true,
        pruning: None,
        keep: None,
        checkpoints: None,
    };
    let begun = Instant::now();
    let mut pool = workers::start(&session, 1)?;
    pool.submit(Ticket(0), &job);
    let Some((_, ended)) = pool.wait(Some(begun + PATIENCE)) else {
        bail!("it has not ended after {} s", PATIENCE.as_secs());
    };
    match ended {
        Ok(evaluation) => {
            if let Outcome::Failed { reason } = evaluation.outcome {
                bail!(reason);
            }
        }
        Err(Fault::Failed(reason) | Fault::Fatal(reason)) => bail!(reason),
        Err(Fault::Interrupted) => bail!("it was interrupted"),
    }
    Ok(format!(
        "a worker process trained network {} with {} for two steps, {:.1} s from its start",
        job.network,
        reference.name,
        begun.elapsed().as_secs_f64()
    ))
}
