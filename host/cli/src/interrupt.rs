//! Signals. Ctrl-C, and what schedulers and lost terminals send: the first asks the work to end cleanly, a second
//! `SIGINT` or `SIGTERM` ends the process at once. Finished evaluations are on disk by then. `SIGUSR1` and `SIGUSR2`, which schedulers send as a
//! warning, ask long trainings for a checkpoint; they go on.

use anyhow::{Context, Error, Result};
use autoloss_train::TrainError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The signals that end a command.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGXCPU];
/// Those that ask for a checkpoint.
const SAVING: [i32; 2] = [SIGUSR1, SIGUSR2];

/// What signals have asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// An end.
    pub(crate) stop: Arc<AtomicBool>,
    /// A checkpoint.
    pub(crate) save: Arc<AtomicBool>,
}

/// The flags that signals raise from now on.
pub(crate) fn watched() -> Result<Asked> {
    let asked = Asked::default();
    watch(&asked).context("cannot watch for signals")?;
    Ok(asked)
}

/// Whether an error is the interrupt that was asked for, which is no failure.
pub(crate) fn caused(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(TrainError::Interrupted))
}

/// Has a worker, whose host decides about its end, take no notice of what a scheduler sends to all processes.
pub(crate) fn leave_to_the_host() -> Result<()> {
    let nobody = Arc::new(AtomicBool::new(false));
    for signal in SAVING.into_iter().chain(ENDING) {
        flag::register(signal, Arc::clone(&nobody)).context("cannot watch for signals")?;
    }
    Ok(())
}

fn watch(asked: &Asked) -> std::io::Result<()> {
    // `nohup` has a program ignore the end of its terminal.
    let ending = ENDING
        .into_iter()
        .filter(|&signal| signal != SIGHUP || !is_ignored(signal));
    let ending: Vec<i32> = ending.collect();
    for &signal in &ending {
        // In this order: the shutdown sees the flag as the signal before left it. It runs no
        // destructors, which libtorch's threads do not survive while they are at work.
        let status = i32::from(crate::INTERRUPTED);
        // The others are repeated by who sends them, and nobody means an end at once by that.
        if [SIGINT, SIGTERM].contains(&signal) {
            flag::register_conditional_shutdown(signal, status, Arc::clone(&asked.stop))?;
        }
        flag::register(signal, Arc::clone(&asked.stop))?;
    }
    for signal in SAVING {
        flag::register(signal, Arc::clone(&asked.save))?;
    }
    let mut signals = Signals::new(&ending)?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            crate::terminal::logging::line(
                "ending after the work in hand (Ctrl-C again to end at once)",
            );
        }
    });
    Ok(())
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
