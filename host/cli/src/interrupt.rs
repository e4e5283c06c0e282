//! Ctrl-C: the first asks the work to end cleanly, the second ends the process at once. Finished
//! evaluations are on disk by then.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag that the first interrupt raises.
pub(crate) fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            // libtorch's threads may be at work: no destructors, they could wait for each other.
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
        crate::logging::line("ending after the work in hand (Ctrl-C again to end at once)");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}
