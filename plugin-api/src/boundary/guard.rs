//! Panics become errors.
//!
//! Each library has its own copy of the standard library, so only code inside the plugin can catch
//! its panics. A hook (the plugin's own) records text, place and backtrace without printing.

use super::module::{Failure, FailureKind};
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

static INSTALL: Once = Once::new();

/// Runs `work`; a panic in it comes back as a failure with its text and place.
pub(super) fn catch<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    INSTALL.call_once(|| panic::set_hook(Box::new(record)));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome,
        Err(payload) => {
            // A payload may panic again when it is dropped, outside of any guard.
            std::mem::forget(payload);
            let last = LAST.with(|last| last.borrow_mut().take());
            let (message, detail) = last.unwrap_or_else(|| ("no message".into(), String::new()));
            Err(failure(FailureKind::Panic, message, detail))
        }
    }
}

fn record(info: &panic::PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("a panic without text");
    let place = info
        .location()
        .map(|place| format!(" at {place}"))
        .unwrap_or_default();
    let backtrace = Backtrace::force_capture().to_string();
    LAST.with(|last| *last.borrow_mut() = Some((format!("{text}{place}"), backtrace)));
}

/// A failure of any kind.
pub(super) fn failure(
    kind: FailureKind,
    message: impl Into<String>,
    detail: impl Into<String>,
) -> Failure {
    Failure {
        kind,
        message: message.into().into(),
        detail: detail.into().into(),
    }
}
