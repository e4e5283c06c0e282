//! Ctrl-C: the first asks the work to end cleanly, the second ends the process at once. Finished
//! evaluations are on disk by then.

use anyhow::{Context, Error, Result};
use autoloss_train::TrainError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The flag that the first interrupt raises.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    watch(&stop).context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// Whether an error is the interrupt that was asked for, which is no failure.
pub(crate) fn caused(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(TrainError::Interrupted))
}

fn watch(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the shutdown sees the flag as the signal before left it. It runs no
        // destructors, which libtorch's threads do not survive while they are at work.
        let status = i32::from(crate::INTERRUPTED);
        flag::register_conditional_shutdown(signal, status, Arc::clone(stop))?;
        flag::register(signal, Arc::clone(stop))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            crate::terminal::logging::line(
                "ending after the work in hand (Ctrl-C again to end at once)",
            );
        }
    });
    Ok(())
}
