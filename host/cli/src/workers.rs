//! Worker processes: how this program starts them, and what it does as one.

use crate::Outcome;
use crate::args::{TaskArgs, WorkerArgs, Workers};
use crate::interrupt;
use crate::pictures::Album;
use crate::session::{Session, device_of, threads_of_environment};
use crate::settings::Overrides;
use crate::terminal::workers::{LOOK_EVERY, PoolProgress};
use anyhow::{Context, Result, bail};
use autoloss_jobs::protocol::{Hello, Opening, PROTOCOL};
use autoloss_jobs::worker::{Trainer, serve};
use autoloss_jobs::{Limits, ProcessPool};
use autoloss_plugin_api::Split;
use autoloss_run::{MachineUse, RunSpec};
use autoloss_search::{
    Contender, Evaluation, Executor, Fault, FinalTable, Finished, Job, SearchConfig, Ticket,
};
use autoloss_train::plugin::file_sha256;
use autoloss_train::{Workbench, runtime};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Between two reports of how far a training is.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// What a worker opens, as host and worker agree on it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    spec: RunSpec,
    config: SearchConfig,
    /// Plugins and their SHA-256, hexadecimal.
    plugins: Vec<(PathBuf, String)>,
    threads: u16,
    loaders: Option<u16>,
    /// Digests of the splits whose features this host has.
    #[serde(default)]
    verified: BTreeMap<String, Vec<u8>>,
}

/// Puts into the settings how many workers there are to be.
pub(crate) fn choose(
    args: WorkerArgs,
    machine: &MachineUse,
    overrides: &mut Overrides,
) -> Result<()> {
    match asked(args, machine)? {
        Some(workers) => overrides.push("workers", i64::try_from(workers)?),
        None => overrides.suggest("workers", i64::try_from(fitting(machine, None)?)?),
    }
    Ok(())
}

/// Opens what the command line names, with as many workers as it asks for.
pub(crate) fn session(task: &TaskArgs, workers: WorkerArgs) -> Result<Session> {
    Session::open(task, |overrides| {
        choose(workers, &task.machine(), overrides)
    })
}

/// How many workers the command line asks for.
pub(crate) fn asked(args: WorkerArgs, machine: &MachineUse) -> Result<Option<usize>> {
    match (args.workers, args.workers_per_device) {
        (None, None) => Ok(None),
        (Some(Workers::Exactly(workers)), None) => Ok(Some(workers)),
        (Some(Workers::Exactly(_)), Some(_)) => {
            bail!("--workers says how many there are; --workers-per-device goes with auto")
        }
        (_, each) => fitting(machine, each).map(Some),
    }
}

/// How many workers a machine has room for, `each` on a GPU.
fn fitting(machine: &MachineUse, each: Option<u16>) -> Result<usize> {
    let devices = runtime::devices(device_of(machine))?;
    let gpus = devices.iter().filter(|device| device.is_cuda()).count();
    if gpus == 0 && each.is_some() {
        bail!("--workers-per-device: trainings run on the CPU here; see --workers");
    }
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    // Two trainings on the threads of one core hinder one another.
    let cores = num_cpus::get_physical().min(usable);
    let threads = machine
        .threads
        .map(usize::from)
        .or_else(threads_of_environment);
    let fitting = memory().map_or(cores, |bytes| (bytes / WORKER_BYTES).max(1) as usize);
    Ok(room(gpus, cores.min(fitting), threads, each))
}

/// Memory that there is to be for each worker on a CPU, where nobody says how many there are.
const WORKER_BYTES: u64 = 3 << 29;

fn room(gpus: usize, cores: usize, threads: Option<usize>, each: Option<u16>) -> usize {
    match gpus {
        0 => cores.min(threads.unwrap_or(cores)),
        gpus => gpus * each.map_or(1, usize::from),
    }
}

/// The workers that a session asks for, no more than there are trainings, ready for its jobs; none where it asks for
/// one training at a time, which is run in this process. More sessions are opened with [`open`].
pub(crate) fn of(session: &Session, trainings: usize) -> Result<Option<ProcessPool>> {
    match session.config.workers.min(trainings) {
        0 | 1 => Ok(None),
        workers => start(session, workers).map(Some),
    }
}

/// So many workers, on the session's devices in turn, ready for its jobs.
pub(crate) fn start(session: &Session, workers: usize) -> Result<ProcessPool> {
    let program = std::env::current_exe().context("this program's own file")?;
    let devices = session.device_names();
    let make = move |number: usize| {
        let mut command = Command::new(&program);
        let device = &devices[number % devices.len()];
        command.args(["worker", "--device", device]);
        command
    };
    let config = session.config.pool;
    let own = config.memory_mb.map(|megabytes| megabytes << 20);
    let limits = Limits {
        silence: Duration::from_secs_f64(config.silence_seconds),
        job: config.job_seconds.map(Duration::from_secs_f64),
        memory: own.or_else(|| Some(memory()? / 10 * 9 / workers as u64)),
        tries: config.tries,
        ..Limits::default()
    };
    let stop = Arc::clone(&session.stop);
    let pool = ProcessPool::new(workers, Box::new(make), limits, stop);
    open(&pool, session)?;
    Ok(pool)
}

/// Has the workers of a pool open a session.
pub(crate) fn open(pool: &ProcessPool, session: &Session) -> Result<()> {
    let plugins = session.workbench.registry().plugins().iter();
    let recipe = Recipe {
        spec: session.spec.clone(),
        config: session.config.clone(),
        plugins: plugins
            .map(|plugin| (plugin.opened().to_owned(), plugin.sha256().to_owned()))
            .collect(),
        threads: 1,
        loaders: session
            .loaders()
            .or_else(|| own_loaders(session, pool.capacity().saturating_sub(1))),
        verified: session
            .workbench
            .prepared()
            .into_iter()
            .map(|(split, digest)| (split.to_string(), digest))
            .collect(),
    };
    pool.open(Opening {
        key: session.spec.hash(),
        spec: serde_json::to_value(recipe)?,
    });
    Ok(())
}

/// Threads that load batches for a worker where nobody says how many: on a CPU none beside the one that trains, with
/// GPUs its share of the cores.
fn own_loaders(session: &Session, workers: usize) -> Option<u16> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = match session.on_gpu() {
        true => cores / workers.max(1),
        false => return Some(0),
    };
    share.max(1).try_into().ok()
}

/// The pool that runs the trainings after a search, with their progress, and with the first network of every row of
/// the final table for the pictures.
pub(crate) struct Gallery<'a> {
    pool: &'a mut ProcessPool,
    workbench: &'a Workbench,
    table: &'a FinalTable,
    /// The table's rows, which are known when its trainings begin.
    rows: &'a RefCell<Vec<Contender>>,
    /// Where workers leave networks.
    folder: PathBuf,
    album: Album,
    jobs: BTreeMap<Ticket, (String, Job)>,
    ended: usize,
    progress: PoolProgress,
}

impl<'a> Gallery<'a> {
    /// A gallery for the run in `folder`.
    pub(crate) fn new(
        pool: &'a mut ProcessPool,
        workbench: &'a Workbench,
        table: &'a FinalTable,
        rows: &'a RefCell<Vec<Contender>>,
        folder: &Path,
    ) -> Result<Self> {
        let folder = folder.join(NETWORKS);
        // What an interrupted conclusion left is of other jobs.
        remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            pool,
            workbench,
            table,
            rows,
            folder,
            album: Album::default(),
            jobs: BTreeMap::new(),
            ended: 0,
            progress: PoolProgress::new(),
        })
    }

    /// The networks.
    pub(crate) fn finish(self) -> Album {
        self.progress.finish();
        if let Err(error) = remove(&self.folder) {
            tracing::warn!("{error:#}");
        }
        self.album
    }

    /// What a job is called, and whether it is of the final table.
    fn name(&self, job: &Job) -> (String, bool) {
        if job.network != self.workbench.network().name {
            return (format!("second stage, seed {}", job.seed), false);
        }
        if job.split != self.table.split {
            return (format!("{} split, seed {}", job.split, job.seed), false);
        }
        let rows = self.rows.borrow();
        let row = rows.iter().find(|row| row.losses == job.losses);
        (
            row.map_or("final table".into(), |row| row.name.clone()),
            true,
        )
    }

    fn hang(&mut self, name: &str, job: &Job) {
        let Some(file) = job.keep.as_deref().filter(|file| file.exists()) else {
            return;
        };
        let network = self.workbench.build(&job.budget, job.seed);
        let network = network.and_then(|network| network.restore(file).map(|()| network));
        match network {
            Ok(network) => self.album.keep(name, network),
            Err(error) => tracing::warn!("the example predictions of {name}: {error}"),
        }
    }
}

impl Executor for Gallery<'_> {
    fn capacity(&self) -> usize {
        self.pool.capacity()
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        let mut job = job.clone();
        let (name, of_table) = self.name(&job);
        if of_table && !self.album.has(&name) && self.jobs.values().all(|(known, _)| *known != name)
        {
            job.keep = Some(self.folder.join(format!("{}.safetensors", ticket.0)));
        }
        self.pool.submit(ticket, &job);
        self.jobs.insert(ticket, (name, job));
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished> {
        while !self.jobs.is_empty() {
            let look = Instant::now() + LOOK_EVERY;
            let ended = self
                .pool
                .wait(Some(deadline.map_or(look, |end| look.min(end))));
            let name = |ticket: Ticket| {
                self.jobs
                    .get(&ticket)
                    .map_or(String::new(), |job| job.0.clone())
            };
            self.progress
                .draw((self.ended, None), &self.pool.status(), &name);
            if let Some((ticket, result)) = ended {
                self.ended += 1;
                if let Some((name, job)) = self.jobs.remove(&ticket) {
                    self.hang(&name, &job);
                }
                return Some((ticket, result));
            }
            if deadline.is_some_and(|end| Instant::now() >= end) {
                return None;
            }
        }
        None
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.pool.cancel(ticket);
    }
}

/// The folder of networks in a run folder, while there are any.
const NETWORKS: &str = "networks.part";

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Memory of this machine in bytes.
fn memory() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Serves the host that started this process, until it closes the input.
pub(crate) fn run(device: &str) -> Result<Outcome> {
    // A host that is killed closes nothing while another process holds its end.
    set_parent_process_death_signal(Some(Signal::KILL)).context("the host's end")?;
    interrupt::leave_to_the_host()?;
    // What libraries print must not get among the messages.
    let output = rustix::io::dup(rustix::stdio::stdout()).context("standard output")?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).context("standard output")?;
    let stop = Arc::new(AtomicBool::new(false));
    let hello = Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let flag = Arc::clone(&stop);
    // No destructors: libtorch's threads do not survive them while they are at work.
    let gone = |_: &str| std::process::exit(0);
    let mut open = move |opening: &Opening| {
        let bench = Bench::open(opening, device, &flag).map_err(|error| format!("{error:#}"))?;
        Ok(Box::new(bench) as Box<dyn Trainer>)
    };
    let input = BufReader::new(std::io::stdin());
    serve(input, File::from(output), hello, &stop, gone, &mut open)?;
    Ok(Outcome::Done)
}

/// Trains for one run spec.
struct Bench {
    session: Session,
}

impl Bench {
    fn open(opening: &Opening, device: &str, stop: &Arc<AtomicBool>) -> Result<Self> {
        let recipe: Recipe = serde_json::from_value(opening.spec.clone())
            .context("what the host says of its session; both must be of one release")?;
        for (path, sha256) in &recipe.plugins {
            let found = file_sha256(path)?;
            if found != *sha256 {
                bail!(
                    "{} is no longer the plugin that this run began with",
                    path.display()
                );
            }
        }
        let machine = MachineUse {
            device: Some(device.to_owned()),
            threads: Some(recipe.threads),
            loaders: recipe.loaders,
        };
        let plugins: Vec<PathBuf> = recipe.plugins.into_iter().map(|(path, _)| path).collect();
        let stop = Arc::clone(stop);
        let mut verified = BTreeMap::new();
        for (split, digest) in recipe.verified {
            verified.insert(split.parse::<Split>()?, digest);
        }
        let splits: Vec<Split> = verified.keys().copied().collect();
        let (spec, config) = (recipe.spec, recipe.config);
        let session = Session::of_worker(spec, config, &plugins, &machine, verified, stop)?;
        session.prepare(&splits)?;
        Ok(Self { session })
    }
}

impl Trainer for Bench {
    fn train(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Evaluation, Fault> {
        let workbench = &self.session.workbench;
        let mut told: Option<Instant> = None;
        let trial = workbench.run(job, &mut |step| {
            if told.is_none_or(|told| told.elapsed() >= REPORT_EVERY) {
                progress(step.done, job.budget.steps);
                told = Some(Instant::now());
            }
        });
        let evaluated = trial.and_then(|trial| {
            if let (Some(file), Some((network, _))) = (&job.keep, &trial.scored) {
                network.save(file)?;
            }
            workbench.evaluation(&trial, job)
        });
        evaluated.map_err(|error| self.session.workbench.recover(error))
    }
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn there_are_as_many_workers_as_the_machine_has_room_for() {
        assert_eq!(room(0, 8, None, None), 8);
        assert_eq!(room(0, 8, Some(3), None), 3);
        assert_eq!(room(0, 8, Some(64), None), 8);
        assert_eq!(room(4, 2, Some(1), None), 4);
        assert_eq!(room(4, 2, None, Some(8)), 32);
    }

    #[test]
    fn memory_is_that_of_the_machine() {
        assert!(super::memory().unwrap() > 1 << 28);
    }
}
